"""What profiles hold, read with the protocol buffers that come with TensorFlow."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Happened:
    """One event of a profile, its start since the profile's own."""

    name: str
    start_ps: int
    duration_ps: int
    stats: dict[str, Any]


def events(run_dir: pathlib.Path) -> list[Happened]:
    """All events in the only profile of a run directory."""
    return [
        Happened(
            name=plane.event_metadata[event.metadata_id].name,
            start_ps=line.timestamp_ns * 1000 + event.offset_ps,
            duration_ps=event.duration_ps,
            stats={plane.stat_metadata[stat.metadata_id].name: stat.int64_value for stat in event.stats},
        )
        for plane in _planes(run_dir)
        for line in plane.lines
        for event in line.events
    ]


def marks(run_dir: pathlib.Path, name: str) -> list[Happened]:
    """The marks of the steps with this name."""
    return [event for event in events(run_dir) if event.name == name and "step_num" in event.stats]


def steps(run_dir: pathlib.Path, name: str) -> list[int]:
    """The numbers of the steps that are marked with this name, ascending."""
    return sorted(mark.stats["step_num"] for mark in marks(run_dir, name))


def operations(run_dir: pathlib.Path, *, within: str) -> set[str]:
    """The types of TensorFlow's operations, such as MatMul, that began in the steps called `within`.

    Processors with AVX-512 run oneDNN's kernels, such as _MklMatMul; they count as the operation they stand in for.
    """
    spans = [(mark.start_ps, mark.start_ps + mark.duration_ps) for mark in marks(run_dir, within)]
    return {
        re.sub(r"^_Mkl(Native)?", "", event.name.rpartition(":")[2])
        for event in events(run_dir)
        if ":" in event.name and any(start <= event.start_ps <= end for start, end in spans)
    }


def taken_s(run_dir: pathlib.Path) -> tuple[float, float]:
    """When the profile began and ended, since the Unix epoch."""
    (environment,) = [plane for plane in _planes(run_dir) if plane.name == "Task Environment"]
    stats = {environment.stat_metadata[stat.metadata_id].name: stat.uint64_value / 1e9 for stat in environment.stats}
    return stats["profile_start_time"], stats["profile_stop_time"]


def _planes(run_dir: pathlib.Path) -> Any:
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    (path,) = run_dir.glob("plugins/profile/*/*.xplane.pb")
    return xplane_pb2.XSpace.FromString(path.read_bytes()).planes
