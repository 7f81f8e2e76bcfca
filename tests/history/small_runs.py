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


# One domain that was measured, and one that may not be exposed because it was estimated.
MEASURED = (
    result.EnergyDomain(
        domain="package", status="measured", source="rapl", window="performance", began_s=0, seconds=9, joules=90.0
    ),
    result.EnergyDomain(
        domain="gpu",
        status="estimated",
        source="nvml",
        reason="x",
        window="performance",
        began_s=0,
        seconds=9,
        joules=1.0,
    ),
)


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
        energy=MEASURED,
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


def write_events(folder: pathlib.Path, *, begun_s: float) -> None:
    """The events of a training of 300 steps of 64 examples, a third of which took 10 ms and the others 20 ms."""
    stats = [(100, 10.0), (300, 20.0)]
    events: list[tuple[str, Any, dict[str, Any]]] = [
        ("submission_benchmark", "resnet50_mini", {}),
        ("submission_division", "open", {}),
        ("global_batch_size", 64, {}),
        *(
            ("tracked_stats", {"throughput": 64e3 / took_ms, "step_time_ms": took_ms}, {"step": step})
            for step, took_ms in stats
        ),
        ("eval_accuracy", 0.7, {"epoch_num": 1}),
        ("serving_progress", {"samples": 500, "rate": 100.0, "p99_ns": 8e6}, {"step": "performance"}),
    ]
    lines = [
        {"time_s": begun_s + number, "key": key, "value": value, "metadata": metadata}
        for number, (key, value, metadata) in enumerate(events)
    ]
    (folder / "events.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines), encoding="utf-8")


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
    write_events(folder, begun_s=begun)
    result.write(folder / "result.json", outcome)
    manifest.write(folder, division=outcome.division, code_version="0.1.0 abc")
    age(folder, hours=number + 0.01)
    return folder
