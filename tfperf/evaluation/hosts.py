"""Several hosts that evaluate together, as TF_CONFIG lists them: each sends and judges its share.

A load begins on all hosts at once. What they answered is added up over the time in which all of them were at it: a sum
of rates would count each host in its own best time, and a mean of percentiles is the percentile of nothing.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfperf import config as configs
from tfperf import spec as specs
from tfperf.errors import DamagedDataError, MissingDataError, UsageError
from tfperf.evaluation.answered import COLUMNS, Rows
from tfperf.evaluation.issuer import Issued
from tfperf.evaluation.judge import Judge
from tfperf.evaluation.loads import HostPart, Together
from tfperf.evaluation.plans import Share
from tfperf.system.assembly import Assembly

_MOST_ROWS = 1 << 18  # of each host, which are sent to the others: 10 MB
_WORST_FIRST = ("failed", "hung", "interrupted", "ended")


class Hosts(Together):
    """Evaluates with other hosts.

    Args:
        assembly: all of them, which have met.
    """

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self.share = Share(index=assembly.cluster.index, hosts=assembly.cluster.workers)
        self._begun_ns = 0

    @property
    def is_chief(self) -> bool:
        """Whether this host writes the run directory."""
        return self._assembly.cluster.is_chief

    @property
    def origin_ns(self) -> int:
        """When the load began here, from which stamps count."""
        return self._begun_ns

    def of_all(self, value: Any) -> tuple[Any, ...]:
        """This host's value and those of the others, in their order. Every host calls it."""
        return self._assembly.exchange(value)

    def check_same(self, spec: specs.EvaluateSpec, name: str) -> None:
        """Compares what the hosts were asked for.

        Raises:
            UsageError: they differ; says which key and which hosts.
        """
        asked = {"model": name, **configs.as_dict(spec)}
        first, *others = self._assembly.exchange(asked)
        for index, other in enumerate(others, start=1):
            differing = [key for key in sorted({*first, *other}) if first.get(key) != other.get(key)]
            if differing:
                key = differing[0]
                raise UsageError(
                    f"The hosts must evaluate the same: {key} is {first.get(key)} on "
                    f"{self._assembly.cluster.name(0)} and {other.get(key)} on {self._assembly.cluster.name(index)}. "
                    "Give all hosts the same config and model."
                )

    def chiefs(self, value: Any) -> Any:
        """The value of the first host."""
        return self._assembly.exchange(value)[0]

    def begin(self) -> None:
        """Waits until all hosts are ready."""
        self._assembly.exchange("ready")
        self._begun_ns = time.perf_counter_ns()

    def merged(self, part: HostPart) -> HostPart:
        """What all hosts measured in the time that they have in common."""
        return merged([_decoded(each) for each in self._assembly.exchange(_encoded(part, begun_ns=self._begun_ns))])

    def add_up(self, judges: Mapping[str, Judge]) -> None:
        """Gives each judge what the judges of its form on all hosts gathered.

        Raises:
            MissingDataError: a host had no batch.
            DamagedDataError: a metric can't be added up.
        """
        for judge in judges.values():
            states = self._assembly.exchange(judge.state())
            if any(not state["examples"] for state in states):
                raise MissingDataError(
                    f"The data has fewer batches than there are hosts ({self.share.hosts}), so one has nothing to "
                    "judge. Use smaller batches or fewer hosts."
                )
            try:
                judge.take(states)
            except ValueError as error:
                raise DamagedDataError(f"The metrics of the hosts can't be added up: {error}") from error


def merged(parts: Sequence[HostPart]) -> HostPart:
    """The sum of what hosts measured of one load, over the time that they have in common.

    Args:
        parts: one of each host, with stamps that count from the same moment.
    """
    if len(parts) == 1:
        return parts[0]
    answered = [each.rows for each in parts if each.rows.requests]
    begin = max((int(rows.due_ns.min()) for rows in answered), default=0)
    end = min((int(rows.done_ns.max()) for rows in answered), default=0)
    kept = [_within(rows, begin, end) for rows in answered]
    columns: Any = {name: np.concatenate([getattr(rows, name) for rows, _ in kept] or [_none()]) for name in COLUMNS}
    order = np.argsort(columns["due_ns"], kind="stable")
    columns = {name: column[order] for name, column in columns.items()}
    requests = sum(count for _, count in kept)
    retraced = tuple(stamp for each in parts for stamp in each.rows.retraced_ns)
    unanswered = sum(each.issued.sent - each.rows.requests - len(each.rows.retraced_ns) for each in parts)
    every = max((rows.every for rows, _ in kept), default=1)
    means: Any = {name: _mean(kept, name) for name in _MEANS}
    share = requests / max(1, sum(each.rows.requests for each in parts))
    return HostPart(
        issued=Issued(
            status=min((each.issued.status for each in parts), key=_WORST_FIRST.index),
            sent=requests + len(retraced) + unanswered,
            given_up=any(each.issued.given_up for each in parts),
        ),
        rows=Rows(
            **columns,
            slowest_ns=np.sort(np.concatenate([rows.slowest_ns for rows, _ in kept] or [_none()])),
            retraced_ns=retraced,
            requests=requests,
            every=every,
            span_s=max(0, end - begin) / 1e9,
            **means,
        ),
        samples=round(share * sum(each.samples for each in parts)),
        instances=sum(each.instances for each in parts),
        not_finite=sum(each.not_finite for each in parts),
        retraces=sum(each.retraces for each in parts),
        memory_growth_bytes=max(
            (each.memory_growth_bytes for each in parts if each.memory_growth_bytes is not None), default=None
        ),
        failure=next((each.failure for each in parts if each.failure), None),
    )


_MEANS = ("mean_latency_ns", "mean_queue_ns", "mean_service_ns", "mean_data_ns")


def _within(rows: Rows, begin: int, end: int) -> tuple[Rows, int]:
    """The rows that were answered in a time, and how many requests they stand for."""
    inside = (rows.done_ns >= begin) & (rows.done_ns <= end)
    share = float(inside.mean()) if len(inside) else 0.0
    count = rows.requests if inside.all() else round(rows.requests * share)
    slowest = rows.slowest_ns if inside.all() else np.sort(rows.latency_ns[inside])
    columns = {name: getattr(rows, name)[inside] for name in COLUMNS}
    return dataclasses.replace(rows, **columns, slowest_ns=slowest), count


def _mean(kept: Sequence[tuple[Rows, int]], name: str) -> float:
    total = sum(count for _, count in kept)
    return sum(getattr(rows, name) * count for rows, count in kept) / total if total else 0.0


def _none() -> np.ndarray:
    return np.zeros(0, np.int64)


def _encoded(part: HostPart, *, begun_ns: int) -> dict[str, Any]:
    """A part as JSON, its stamps since the load began."""
    rows = part.rows
    step = -(-len(rows.due_ns) // _MOST_ROWS) or 1
    held = {name: getattr(rows, name)[::step] - (0 if name == "data_ns" else begun_ns) for name in COLUMNS}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, slowest_ns=rows.slowest_ns[-_MOST_ROWS:], **held)
    plain = {name: getattr(rows, name) for name in ("requests", "span_s", *_MEANS)}
    return {
        "arrays": base64.b64encode(buffer.getvalue()).decode("ascii"),
        "rows": {**plain, "every": rows.every * step, "retraced_ns": [each - begun_ns for each in rows.retraced_ns]},
        "issued": dataclasses.asdict(part.issued),
        "part": {name: getattr(part, name) for name in _PLAIN},
    }


_PLAIN = ("samples", "instances", "not_finite", "retraces", "memory_growth_bytes", "failure")


def _decoded(message: Mapping[str, Any]) -> HostPart:
    with np.load(io.BytesIO(base64.b64decode(message["arrays"])), allow_pickle=False) as arrays:
        held = dict(arrays)
    fields = {**message["rows"], "retraced_ns": tuple(message["rows"]["retraced_ns"])}
    return HostPart(issued=Issued(**message["issued"]), rows=Rows(**held, **fields), **message["part"])
