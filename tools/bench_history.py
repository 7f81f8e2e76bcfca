#!/usr/bin/env python3
"""Times `tfperf history` on a directory with thousands of runs.

usage: python tools/bench_history.py [--runs 10000] [--rounds 5]

Makes run directories of a few files each, with a SingleStream result, in ten series, half of which become slower by
12 % on the way. Then times the command as a user runs it, Python's start included: once without an index (`cold`), then
with one (`warm`, the median of the rounds), and after one more run was added (`one new`). Ends with one JSON object.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

from tfperf import manifest, result

SERIES = 10
GOAL_S = 2.0
QUERIES = 4000


def write_run(store: pathlib.Path, *, number: int, slower: float = 1.0) -> None:
    """A small run directory: a spec, events, a result and a manifest."""
    random = np.random.default_rng(number)
    series = number % SERIES
    slowed = slower * (1.12 if series % 2 and number > 5000 else 1.0)
    latency_ns = (1 + series) * 1e6 * slowed * float(np.exp(random.normal(0, 0.02)))
    started = datetime.datetime(2025, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(hours=number)
    folder = store / f"{started:%Y%m%dT%H%M%SZ}-bench-{number:06x}"
    folder.mkdir()
    outcome = result.InferResult(
        benchmark="resnet50_mini",
        division="open",
        valid=True,
        reasons=(),
        closed_eligible=False,
        closed_ineligible_because=(),
        status="success",
        config={"executable": "graph-float32", "threads": series + 1, "scenario": {"singlestream": {}}},
        environment={"cpu": "bench", "platform": "2 cores of bench", "code_version": f"0.1.0 {number:07x}"},
        scenario="SingleStream",
        metric=None,
        loadgen={"result_query_count": QUERIES, "result_qps_with_loadgen_overhead": 1e9 / latency_ns},
        latency_ns={name: latency_ns * factor for name, factor in (("p50", 1), ("p95", 1.3), ("p99", 1.5))},
        accuracy=result.Quality(metric="accuracy", value=0.8, target=0.79, reached=True),
        executable="graph-float32",
    )
    (folder / "spec.yaml").write_text("benchmark: resnet50_mini\n", encoding="utf-8")
    stamp = started.timestamp()
    (folder / "events.jsonl").write_text(
        "".join(
            json.dumps({"time_s": stamp + at, "key": "k", "value": None, "metadata": {}}) + "\n" for at in range(3)
        ),
        encoding="utf-8",
    )
    result.write(folder / "result.json", outcome)
    manifest.write(folder, division="open", code_version="0.1.0 bench")
    for path in folder.iterdir():
        os.utime(path, (stamp + 10, stamp + 10))


def listed_s(store: pathlib.Path) -> float:
    """Seconds that the command takes."""
    before = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "tfperf", "history", str(store)], check=True, stdout=subprocess.DEVNULL, cwd=store.parent
    )
    return time.perf_counter() - before


def main() -> None:
    """Prints the table and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = pathlib.Path(folder) / "runs"
        store.mkdir()
        for number in range(given.runs):
            write_run(store, number=number)
        cold_s = listed_s(store)
        warm_s = statistics.median(listed_s(store) for _ in range(given.rounds))
        write_run(store, number=given.runs)
        new_s = listed_s(store)
    print(f"{'runs':>8}  {'cold (s)':>8}  {'warm (s)':>8}  {'one new (s)':>11}")
    print(f"{given.runs:>8,}  {cold_s:>8.2f}  {warm_s:>8.2f}  {new_s:>11.2f}")
    ratios = {f"seconds to list {given.runs} runs": {"value": round(warm_s, 3), "goal": f"<= {GOAL_S:g}"}}
    told = {"cold_s": round(cold_s, 2), "one_new_s": round(new_s, 2)}
    print(json.dumps({"name": "history", **told, "ratios": ratios}))


if __name__ == "__main__":
    main()
