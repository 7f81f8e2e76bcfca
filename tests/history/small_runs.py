"""Small run directories, as `tfperf infer` and `tfperf train` would leave them."""

import dataclasses
import datetime
import json
import os
import pathlib
from typing import Any

import numpy as np

from tfperf import manifest, result

QUERIES = 2000
START = datetime.datetime(2026, 3, 1, tzinfo=datetime.timezone.utc)


def served(
    store: pathlib.Path,
    number: int,
    *,
    latency_ms: float = 5.0,
    edit: dict[str, Any] | None = None,
    recorded: bool = False,
) -> pathlib.Path:
    """A SingleStream run that started `number` hours after the first; the latency is p50, p99 is twice that."""
    latency_ns = latency_ms * 1e6
    outcome = result.InferResult(
        benchmark="resnet50_mini",
        division="open",
        valid=True,
        reasons=(),
        closed_eligible=False,
        closed_ineligible_because=(),
        status="success",
        config={"executable": "graph-float32", "threads": 2, "seed": number},
        environment={
            "cpu": "some",
            "platform": "2 cores of some",
            "code_version": "0.1.0 abc",
            "commit": f"c{number:06x}",
            "packages": {"tensorflow": "2.21.0"},
        },
        scenario="SingleStream",
        metric=result.Measurement(name="early_stopping_latency_ss", value=latency_ns, unit="ns"),
        loadgen={"result_query_count": QUERIES, "result_qps_with_loadgen_overhead": 1e9 / latency_ns},
        latency_ns={"p50": latency_ns, "p90": 1.5 * latency_ns, "p95": 1.8 * latency_ns, "p99": 2 * latency_ns},
        accuracy=result.Quality(metric="accuracy", value=0.8, target=0.79, reached=True),
        executable="graph-float32",
        candidates=(result.Candidate(executable="graph-float32", status="chosen", memory_bytes=300 << 20),),
    )
    folder = _folder(store, "mini", number)
    if recorded:
        latencies = np.full(QUERIES, latency_ns, np.int64)
        latencies[-20:] *= 2
        issued = np.cumsum(latencies) - latencies
        ones = np.ones(QUERIES, np.int64)
        columns = {"issued_ns": issued, "latency_ns": latencies, "started_ns": issued, "compute_ns": latencies}
        np.savez_compressed(folder / "recording.npz", samples=ones, **columns)
    return _written(folder, dataclasses.replace(outcome, **(edit or {})), number)


def trained(
    store: pathlib.Path, number: int, *, seconds: float = 30.0, edit: dict[str, Any] | None = None
) -> pathlib.Path:
    """A training run that started `number` hours after the first."""
    outcome = result.TrainResult(
        benchmark="resnet50_mini",
        division="open",
        valid=True,
        reasons=(),
        closed_eligible=False,
        closed_ineligible_because=(),
        status="success",
        config={"global_batch_size": 64, "seed": number},
        environment={"cpu": "some", "platform": "2 cores of some", "commit": f"c{number:06x}"},
        time_to_train_s=seconds,
        run_s=seconds,
        quality=result.Quality(metric="accuracy", value=0.81, target=0.8, reached=True),
        epochs=4,
        examples_per_s=9000 / seconds,
    )
    return _written(_folder(store, "training", number), dataclasses.replace(outcome, **(edit or {})), number)


def age(folder: pathlib.Path, *, hours: float) -> None:
    """Makes the files as old as a run that started so many hours after the first."""
    stamp = (START + datetime.timedelta(hours=hours)).timestamp()
    for path in folder.iterdir():
        os.utime(path, (stamp, stamp))


def _folder(store: pathlib.Path, name: str, number: int) -> pathlib.Path:
    started = START + datetime.timedelta(hours=number)
    folder = store / f"{started:%Y%m%dT%H%M%SZ}-{name}-{number:06x}"
    folder.mkdir(parents=True)
    return folder


def _written(folder: pathlib.Path, outcome: result.Result, number: int) -> pathlib.Path:
    (folder / "spec.yaml").write_text("benchmark: resnet50_mini\n", encoding="utf-8")
    begun = (START + datetime.timedelta(hours=number)).timestamp()
    stamps = [{"time_s": begun + at, "key": "step", "value": None, "metadata": {}} for at in (0, 30)]
    (folder / "events.jsonl").write_text("".join(json.dumps(each) + "\n" for each in stamps), encoding="utf-8")
    result.write(folder / "result.json", outcome)
    manifest.write(folder, division=outcome.division, code_version="0.1.0 abc")
    age(folder, hours=number + 0.01)
    return folder
