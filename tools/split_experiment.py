#!/usr/bin/env python3
"""Measures on real repeated runs how often tfperf compare is right, beside two naive rules.

    tools/split_experiment.py measure --weights runs --output_dir experiment [--baselines 40] [--slowed 10]
                              [--for_s 420]
    tools/split_experiment.py split --output_dir experiment [--splits 1000] [--side 5]

`measure` runs resnet50_mini in SingleStream again and again, each run in a new process, with runs of the same model
slowed by 10 % and by 20 % spread evenly among them. It ends after --for_s seconds; call it again to go on.

`split` draws runs at random into two sides and compares them. Without a change every REGRESSION is a false alarm; with
a slowed side every UNCHANGED is a miss. The naive rules are "P99 of one run more than 10 % above that of another" and
Mann-Whitney's test on all requests of one run against all of another, p < 0.05 and slower.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import pathlib
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import simulate_statistics

from tfperf.comparison import compare
from tfperf.stored import figures, run
from tfperf.stored.run import StoredRun

SHARES = {"baseline": 0.0, "by_10": 0.1, "by_20": 0.2}
CONFIG = "resnet50-mini-singlestream"
SETTINGS = ("executable=litert-float32", "threads=1", "min_duration_s=8", "min_queries=700", "accuracy=false")
TOOLS = pathlib.Path(__file__).parent
NAIVE_CHANGE = 1.1


def measure(output_dir: pathlib.Path, *, weights: pathlib.Path, counts: dict[str, int], for_s: float) -> None:
    """Runs what is missing of the counts, in an order that spreads every kind evenly, until the time is over."""
    package = output_dir / "slowed"
    package.mkdir(parents=True, exist_ok=True)
    for name, share in SHARES.items():
        (package / f"{name}.py").write_text(f"from slowed_mini import slowed\n\nBENCHMARK = slowed({share})\n")
    ends = time.monotonic() + for_s
    while time.monotonic() < ends:
        done = {name: len(_results(output_dir, name)) for name in counts}
        shares = {name: done[name] / count for name, count in counts.items() if done[name] < count}
        if not shares:
            break
        name = min(shares, key=shares.__getitem__)
        started = time.monotonic()
        _run(output_dir, name, weights=weights)
        print(f"{name}: run {done[name] + 1} of {counts[name]} took {time.monotonic() - started:.1f} s", flush=True)


def _run(output_dir: pathlib.Path, name: str, *, weights: pathlib.Path) -> None:
    paths = [str(TOOLS), str(output_dir.resolve()), *filter(None, [os.environ.get("PYTHONPATH")])]
    settings = [f"--set={each}" for each in (*SETTINGS, f"benchmark=slowed.{name}")]
    command = [sys.executable, "-m", "tfperf", "infer", f"--config={CONFIG}", f"--weights={weights.resolve()}"]
    done = subprocess.run(
        [*command, *settings, f"--output_dir={output_dir / name}", "--format=json"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
    )
    if not done.stdout.startswith("{"):
        raise SystemExit(f"A run of {name} failed with exit code {done.returncode}:\n{done.stderr}")


def split(output_dir: pathlib.Path, *, splits: int, side: int, seed: int) -> dict[str, dict[str, float]]:
    """Kind of the candidate -> what was said of random sides, as shares."""
    stored = {name: [run.read(path.parent) for path in _results(output_dir, name)] for name in SHARES}
    few = [f"{name} has {len(runs)}" for name, runs in stored.items() if len(runs) < side * (2 - bool(SHARES[name]))]
    if few:
        raise SystemExit(f"Sides of {side} need more runs: {', '.join(few)}. Run measure first.")
    requests = {each.path: latencies_ns(each) for runs in stored.values() for each in runs}
    return {
        name: _shares(name, stored, requests, splits=splits, side=side, draw=random.Random(f"{seed} {name}"))
        for name in SHARES
    }


def _results(output_dir: pathlib.Path, name: str) -> list[pathlib.Path]:
    return sorted((output_dir / name).glob("*/result.json"))


def latencies_ns(each: StoredRun) -> np.ndarray:
    """The latency of each request of a run."""
    return run.recording(each.path)["latency_ns"]


def _shares(
    name: str,
    stored: Mapping[str, Sequence[StoredRun]],
    requests: Mapping[pathlib.Path, np.ndarray],
    *,
    splits: int,
    side: int,
    draw: random.Random,
) -> dict[str, float]:
    said: collections.Counter[str] = collections.Counter()
    for _ in range(splits):
        if SHARES[name]:
            baseline, candidate = draw.sample(stored["baseline"], side), draw.sample(stored[name], side)
        else:
            drawn = draw.sample(stored["baseline"], 2 * side)
            baseline, candidate = drawn[:side], drawn[side:]
        found = compare.compare_runs(baseline, candidate, allow=(), changes=("all",), gates=(), thresholds={})
        said[found.verdict] += 1
        first, second = (figures.of(runs[0])["p99"] for runs in (baseline, candidate))
        said["naive: P99 > 10 %"] += second > NAIVE_CHANGE * first
        pair = requests[baseline[0].path], requests[candidate[0].path]
        said["naive: Mann-Whitney"] += simulate_statistics.slower_by_ranks(*pair)
    return {what: count / splits for what, count in sorted(said.items())}


def spread(output_dir: pathlib.Path) -> Iterator[str]:
    """What the runs were like, one line for each kind and figure."""
    for name in SHARES:
        values = [figures.of(run.read(path.parent)) for path in _results(output_dir, name)]
        for figure in ("p50", "p99", "throughput"):
            logs = np.log([each[figure] for each in values])
            yield (
                f"{name:<10}{figure:<12}{len(logs):>4} runs  geometric mean {np.exp(logs.mean()):>9.4g}  "
                f"spread {100 * logs.std(ddof=1):>5.1f} %  lowest {np.exp(logs.min()):>9.4g}  "
                f"highest {np.exp(logs.max()):>9.4g}"
            )


def report(shares: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """The table, and the last line for programs."""
    columns = sorted({what for found in shares.values() for what in found}, key=lambda what: ("naive" in what, what))
    yield f"{'% of splits':<12}" + "".join(f"{column:>22}" for column in columns)
    for name, found in shares.items():
        yield f"{name:<12}" + "".join(f"{100 * found.get(column, 0.0):>22.1f}" for column in columns)
    goals = {
        "false REGRESSION": (shares["baseline"].get("REGRESSION", 0.0), "<= 0.05"),
        "10 % slower, UNCHANGED or IMPROVED": (_missed(shares["by_10"]), "<= 0"),
        "20 % slower, REGRESSION": (shares["by_20"].get("REGRESSION", 0.0), ">= 0.85"),
    }
    ratios = {name: {"value": round(value, 4), "goal": goal} for name, (value, goal) in goals.items()}
    yield json.dumps({"name": "split_experiment", "ratios": ratios})


def _missed(found: Mapping[str, float]) -> float:
    return found.get("UNCHANGED", 0.0) + found.get("IMPROVED", 0.0)


def main() -> None:
    """Measures or splits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    measuring, splitting = verbs.add_parser("measure"), verbs.add_parser("split")
    for verb in (measuring, splitting):
        verb.add_argument("--output_dir", type=pathlib.Path, required=True)
    measuring.add_argument("--weights", type=pathlib.Path, required=True, help="as of tfperf infer")
    measuring.add_argument("--baselines", type=int, default=40)
    measuring.add_argument("--slowed", type=int, default=10, help="runs of each slowed kind")
    measuring.add_argument("--for_s", type=float, default=420, help="seconds after which no run is started")
    splitting.add_argument("--splits", type=int, default=1000)
    splitting.add_argument("--side", type=int, default=5)
    splitting.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if given.verb == "measure":
        counts = {name: given.slowed if share else given.baselines for name, share in SHARES.items()}
        measure(given.output_dir, weights=given.weights, counts=counts, for_s=given.for_s)
        return
    print("\n".join(spread(given.output_dir)))
    print("\n".join(report(split(given.output_dir, splits=given.splits, side=given.side, seed=given.seed))))


if __name__ == "__main__":
    main()
