"""Run directories as tfperf infer writes them, in milliseconds."""

import dataclasses
import pathlib
from typing import Any

import numpy as np

from tfperf import manifest, result

QUERIES = 4000
SEEDS = {
    "effective_qsl_rng_seed": 2085463073848966840,
    "effective_sample_index_rng_seed": 2747215439041700203,
    "effective_schedule_rng_seed": 16159082839903944936,
}


def write_run(
    folder: pathlib.Path, *, latency_ms: float = 1.0, seed: int = 0, edit: dict[str, Any] | None = None
) -> pathlib.Path:
    """The directory of a SingleStream run that took about 4 s; runs differ by 1 %."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    typical_ns = latency_ms * 1e6 * np.exp(random.normal(0, 0.01))
    latency_ns = (typical_ns * np.exp(random.normal(0, 0.1, QUERIES))).astype(np.int64)
    issued_ns = np.cumsum(latency_ns) - latency_ns
    ordered = np.sort(latency_ns)
    zeros = np.zeros(QUERIES, np.int64)
    np.savez_compressed(
        folder / "recording.npz",
        issued_ns=issued_ns,
        latency_ns=latency_ns,
        started_ns=issued_ns,
        compute_ns=latency_ns,
        samples=zeros + 1,
    )
    loadgen = {**SEEDS, "result_query_count": QUERIES, "effective_samples_per_query": 1}
    outcome = result.InferResult(
        benchmark="resnet50_mini",
        division="open",
        valid=True,
        reasons=(),
        closed_eligible=False,
        closed_ineligible_because=(),
        status="success",
        config={"executable": "graph-float32", "threads": 2},
        environment={"cpu": "some", "code_version": "0.1.0 abc", "packages": {"tensorflow": "2.21.0"}},
        scenario="SingleStream",
        metric=None,
        loadgen={**loadgen, "result_qps_with_loadgen_overhead": QUERIES / (latency_ns.sum() / 1e9)},
        latency_ns={f"p{percent}": float(ordered[QUERIES * percent // 100]) for percent in (50, 90, 95, 99)},
        accuracy=result.Quality(metric="accuracy", value=0.8, target=0.79, reached=True),
        executable="graph-float32",
    )
    result.write(folder / "result.json", dataclasses.replace(outcome, **(edit or {})))
    manifest.write(folder, division="open", code_version="0.1.0 abc")
    return folder


def write_side(folder: pathlib.Path, *, latency_ms: float, seed: int, runs: int = 5, **edit: Any) -> list[pathlib.Path]:
    return [
        write_run(folder / str(number), latency_ms=latency_ms, seed=seed + number, edit=edit) for number in range(runs)
    ]
