#!/usr/bin/env python3
"""Times tfperf compare of 2 x 5 runs and tfperf report of 50 runs, as commands, starting Python included.

    tools/bench_compare.py [--runs RUNS] [--rounds 5]

Without --runs it writes 50 runs of SingleStream with 100,000 queries each; with it, the runs in that folder are copied
until there are 50. The runs are read once before, so that they are in the file system's memory.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

from tfperf import manifest, result
from tfperf.analysis import percentiles

RUNS, SIDE, QUERIES = 50, 5, 100_000
GOALS = {"compare 2 x 5 runs, s": "<= 2", "report of 50 runs, s": "<= 5"}


def write(folder: pathlib.Path, *, seed: int) -> None:
    """A run directory of SingleStream."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    latency_ns = (1e6 * np.exp(random.normal(0, 0.01) + random.normal(0, 0.1, QUERIES))).astype(np.int64)
    ended_ns = np.cumsum(latency_ns)
    columns = {
        "issued_ns": ended_ns - latency_ns,
        "latency_ns": latency_ns,
        "started_ns": ended_ns - latency_ns,
        "compute_ns": latency_ns,
        "samples": np.ones(QUERIES, np.int64),
    }
    np.savez_compressed(folder / "recording.npz", **columns)  # type: ignore[arg-type]
    ordered = np.sort(latency_ns)
    outcome = result.InferResult(
        benchmark="resnet50_mini",
        division="open",
        valid=True,
        reasons=(),
        closed_eligible=False,
        closed_ineligible_because=(),
        status="success",
        config={"executable": "graph-float32"},
        environment={"cpu": "synthetic", "cpu_logical_cores": 2},
        scenario="SingleStream",
        metric=None,
        loadgen={
            "result_query_count": QUERIES,
            "effective_samples_per_query": 1,
            "result_qps_with_loadgen_overhead": QUERIES / (int(ended_ns[-1]) / 1e9),
        },
        latency_ns={f"p{percent}": float(ordered[QUERIES * percent // 100]) for percent in (50, 90, 95, 99)},
        accuracy=None,
        executable="graph-float32",
        percentiles=percentiles.percentiles(latency_ns),
    )
    result.write(folder / "result.json", outcome)
    manifest.write(folder, division="open", code_version="synthetic")


def timed(command: list[str], *, rounds: int) -> list[float]:
    """Seconds of each round after one that does not count."""
    found = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "tfperf", *command], capture_output=True, text=True)
        found.append(time.perf_counter() - started)
        if done.returncode not in (0, 5, 7):
            raise SystemExit(f"tfperf {command[0]} failed:\n{done.stderr}")
    return found[1:]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=pathlib.Path, help="a folder of comparable run directories")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        real = sorted(given.runs.glob("*/result.json")) if given.runs else []
        if given.runs and len(real) < 2 * SIDE:
            raise SystemExit(f"{given.runs} has {len(real)} runs; {2 * SIDE} are needed.")
        for number in range(RUNS):
            if real:
                shutil.copytree(real[number % len(real)].parent, folder / "runs" / str(number))
            else:
                write(folder / "runs" / str(number), seed=number)
        runs = [str(folder / "runs" / str(number)) for number in range(2 * SIDE)]
        times = {
            "compare 2 x 5 runs, s": timed(
                ["compare", *runs[:SIDE], "--", *runs[SIDE:], "--change=all"], rounds=given.rounds
            ),
            "report of 50 runs, s": timed(
                ["report", str(folder / "runs"), f"--html={folder / 'report.html'}", "--overwrite"], rounds=given.rounds
            ),
        }
    print(f"{'':<24}{'median':>9}{'least':>9}{'most':>9}")
    for name, seconds in times.items():
        print(f"{name:<24}{statistics.median(seconds):>9.2f}{min(seconds):>9.2f}{max(seconds):>9.2f}")
    ratios = {
        name: {"value": round(statistics.median(seconds), 3), "goal": GOALS[name]} for name, seconds in times.items()
    }
    print(json.dumps({"name": "bench_compare", "ratios": ratios}))


if __name__ == "__main__":
    main()
