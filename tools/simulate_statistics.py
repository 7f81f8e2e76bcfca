#!/usr/bin/env python3
"""Simulates runs whose truth is known, and counts how often tfperf's intervals hold it and its verdicts are right.

    tools/simulate_statistics.py [--runs 1000] [--seeds 1] [--queries 5000] [--side 5] [--processes 2]
                                 [--only percentiles]

percentiles  one run: does the interval of P50, P95 and P99 hold the percentile of the distribution?
compare      five runs against five that are as fast, 10 % slower and 20 % slower: does the interval of the ratio hold
             it, what is the verdict, and what would two naive rules say of the first run of each side? These are "P99
             more than 10 % higher" and Mann-Whitney's test on the requests, p < 0.05 and slower.

Latencies are log-normal (iid), depend on each other as AR(1) with 0.5, 0.8 and 0.95, or have a tail: 1.5 % of them
follow a Pareto distribution with exponent 1.8, which has no variance. In compare, runs differ by 2 %. With drift the
machine becomes 5 % slower in the course of the ten runs, or follows a random walk of 1 % a run; the sides then
alternate, as with `tfperf compare --repeats`.

The methods of tfperf were chosen with other simulations; no seed of this one was used for that.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import multiprocessing
import statistics
from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np

from tfperf.analysis import comparison, early_stopping, percentiles
from tfperf.analysis.comparison import ComparedMetric, ComparedSides
from tfperf.analysis.ratio import RunValue

_T = TypeVar("_T")
PERCENTS = (50, 95, 99)
CHANGES = (0.0, 0.1, 0.2)
CONFIDENCE = 0.95
SPREAD = 0.25  # of the logarithms
TAIL, EXPONENT, BEGINS = 0.015, 1.8, 1.3
BETWEEN = 0.02
LINEAR, STEP = 0.05, 0.01
CHUNK = 50  # runs, or comparisons, at once
NORMAL = 1.96
METRICS = (
    *(ComparedMetric(name=f"p{each}", unit="ms", threshold=0.1, gated=each == 99) for each in PERCENTS),
    ComparedMetric(name="throughput", unit="samples/s", higher_is_better=True, threshold=0.05),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Situation:
    """How latencies come about.

    Attributes:
        name: for the table.
        correlation: of each latency's logarithm with the one before it.
        tailed: whether some follow a Pareto distribution.
        drift: of the machine between runs: none, linear or a random walk.
        alternating: whether the sides alternate; otherwise one runs after the other.
    """

    name: str
    correlation: float = 0.0
    tailed: bool = False
    drift: str = "none"
    alternating: bool = False

    def latencies(self, random: np.random.Generator, *, runs: int, queries: int) -> np.ndarray:
        """Latencies with a median of about 1, [runs, queries]."""
        noise = random.standard_normal((queries, runs), dtype=np.float32)
        if self.correlation:
            noise[1:] *= math.sqrt(1 - self.correlation**2)
            for query in range(1, queries):
                noise[query] += self.correlation * noise[query - 1]
        body = np.exp(SPREAD * noise.T)
        if not self.tailed:
            return np.asarray(body)
        late = random.random(body.shape, dtype=np.float32) < TAIL
        slow = BEGINS * (1 - random.random(body.shape, dtype=np.float32)) ** (-1 / EXPONENT)
        return np.asarray(np.where(late, slow, body))

    def percentile(self, percent: float) -> float:
        """The percentile of the distribution."""
        normal = statistics.NormalDist()

        def above(value: float) -> float:
            body = 1 - normal.cdf(math.log(value) / SPREAD)
            if not self.tailed:
                return body
            return (1 - TAIL) * body + TAIL * min(1.0, math.pow(value / BEGINS, -EXPONENT))

        low, high = 1e-3, 1e3
        for _ in range(200):
            middle = math.sqrt(low * high)
            low, high = (middle, high) if above(middle) > 1 - percent / 100 else (low, middle)
        return math.sqrt(low * high)

    def levels(self, random: np.random.Generator, *, runs: int) -> np.ndarray:
        """How slow the machine is in each of successive runs, as logarithms, [runs]."""
        between = random.normal(0, BETWEEN, runs)
        if self.drift == "linear":
            return np.asarray(between + np.linspace(0, math.log1p(LINEAR), runs))
        if self.drift == "random walk":
            return np.asarray(between + np.cumsum(random.normal(0, STEP, runs)))
        return between


ONE_RUN = (
    Situation(name="iid"),
    Situation(name="AR(1) 0.5", correlation=0.5),
    Situation(name="AR(1) 0.8", correlation=0.8),
    Situation(name="AR(1) 0.95", correlation=0.95),
    Situation(name="tail", tailed=True),
    Situation(name="tail, AR(1) 0.8", tailed=True, correlation=0.8),
)
COMPARED = (
    Situation(name="iid"),
    Situation(name="AR(1) 0.8", correlation=0.8),
    Situation(name="tail", tailed=True),
    Situation(name="tail, AR(1) 0.8", tailed=True, correlation=0.8),
    Situation(name="tail, alternating", tailed=True, alternating=True),
    Situation(name="tail, linear drift", tailed=True, drift="linear", alternating=True),
    Situation(name="tail, random walk", tailed=True, drift="random walk", alternating=True),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Flags:
    """The flags."""

    runs: int
    seed: int
    queries: int
    side: int


def cover_percentiles(situation: Situation, flags: Flags) -> dict[int, tuple[float, float]]:
    """Percent -> (the share of intervals that hold the truth, the share of runs that have an interval)."""
    random = _generator(situation, flags)
    truths = {percent: situation.percentile(percent) for percent in PERCENTS}
    held, given, done = dict.fromkeys(PERCENTS, 0), dict.fromkeys(PERCENTS, 0), 0
    while done < flags.runs:
        count = min(CHUNK, flags.runs - done)
        for latencies in situation.latencies(random, runs=count, queries=flags.queries):
            for found in percentiles.percentiles(latencies, PERCENTS):
                percent = int(found.percentile)
                if found.low_ns is not None and found.high_ns is not None:
                    given[percent] += 1
                    held[percent] += found.low_ns <= truths[percent] <= found.high_ns
        done += count
    return {percent: (_share(held[percent], given[percent]), given[percent] / flags.runs) for percent in PERCENTS}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judged:
    """What was said of many comparisons with the same truth.

    Attributes:
        held: metric -> the share of intervals that hold the ratio.
        verdicts: verdict -> its share.
        naive: the share of "P99 more than 10 % higher".
        ranks: the share of Mann-Whitney's.
    """

    held: dict[str, float]
    verdicts: dict[str, float]
    naive: float
    ranks: float


def cover_compare(situation: Situation, flags: Flags) -> dict[float, Judged]:
    """Change -> what was said."""
    random = _generator(situation, flags)
    held = {change: dict.fromkeys((metric.name for metric in METRICS), 0) for change in CHANGES}
    verdicts: dict[float, list[str]] = {change: [] for change in CHANGES}
    naive, ranks = dict.fromkeys(CHANGES, 0), dict.fromkeys(CHANGES, 0)
    order = _order(situation, flags.side)
    for latencies in _compared(situation, flags, random):
        for change in CHANGES:
            factors = np.where(order == 1, 1 + change, 1.0)
            values = _values(latencies, factors)
            found = comparison.compare([_sides(metric, values[metric.name], order) for metric in METRICS])
            verdicts[change].append(found.verdict)
            for each in found.metrics:
                truth = 1 / (1 + change) if each.metric.higher_is_better else 1 + change
                assert each.low is not None and each.high is not None
                held[change][each.metric.name] += each.low <= truth <= each.high
            first, second = int(np.argmax(order == 0)), int(np.argmax(order == 1))
            naive[change] += values["p99"][second] > 1.1 * values["p99"][first]
            ranks[change] += slower_by_ranks(latencies[first], latencies[second] * (1 + change))
    return {
        change: Judged(
            held={name: count / flags.runs for name, count in held[change].items()},
            verdicts={each: verdicts[change].count(each) / flags.runs for each in sorted(set(verdicts[change]))},
            naive=naive[change] / flags.runs,
            ranks=ranks[change] / flags.runs,
        )
        for change in CHANGES
    }


def _compared(situation: Situation, flags: Flags, random: np.random.Generator) -> Iterator[np.ndarray]:
    """The latencies of both sides of one comparison after the other, [2 * side, queries]."""
    runs = 2 * flags.side
    for begin in range(0, flags.runs, CHUNK):
        count = min(CHUNK, flags.runs - begin)
        latencies = situation.latencies(random, runs=count * runs, queries=flags.queries)
        for number in range(count):
            levels = np.exp(situation.levels(random, runs=runs))
            yield latencies[number * runs : (number + 1) * runs] * levels[:, None]


def _generator(situation: Situation, flags: Flags) -> np.random.Generator:
    """Independent of that of other situations."""
    return np.random.default_rng([flags.seed, *situation.name.encode()])


def slower_by_ranks(baseline: np.ndarray, candidate: np.ndarray) -> bool:
    """Mann-Whitney's two-sided test on requests, p < 0.05, by its normal approximation, and slower."""
    count, other = len(baseline), len(candidate)
    ranks = np.empty(count + other)
    ranks[np.argsort(np.concatenate([baseline, candidate]), kind="stable")] = np.arange(1, count + other + 1)
    statistic = float(ranks[count:].sum()) - other * (other + 1) / 2
    z = (statistic - count * other / 2) / math.sqrt(count * other * (count + other + 1) / 12)
    return z > NORMAL


def _order(situation: Situation, side: int) -> np.ndarray:
    """The side of each of successive runs, 0 or 1: ABBAABBA..., or one side after the other."""
    if situation.alternating:
        return np.array([(run % 2) ^ (run // 2 % 2) for run in range(2 * side)])
    return np.repeat([0, 1], side)


def _values(latencies: np.ndarray, factors: np.ndarray) -> dict[str, np.ndarray]:
    queries = latencies.shape[1]
    ranks = [queries * percent // 100 for percent in PERCENTS]
    ordered = np.partition(latencies, ranks, axis=1)
    found = {f"p{percent}": ordered[:, rank] * factors for percent, rank in zip(PERCENTS, ranks, strict=True)}
    return {**found, "throughput": queries / (latencies.sum(axis=1, dtype=np.float64) * factors)}


def _sides(metric: ComparedMetric, values: np.ndarray, order: np.ndarray) -> ComparedSides:
    runs = [
        tuple(RunValue(value=float(values[run]), started_s=float(run)) for run in np.flatnonzero(order == side))
        for side in (0, 1)
    ]
    return ComparedSides(metric=metric, baseline=runs[0], candidate=runs[1])


def _share(count: int, total: int) -> float:
    return count / total if total else math.nan


def report(
    alone: Sequence[tuple[str, int, dict[int, tuple[float, float]]]],
    compared: Sequence[tuple[str, int, dict[float, Judged]]],
) -> Iterator[str]:
    """The tables, and the last line for programs."""
    yield "percentiles: % of intervals that hold the truth"
    yield f"{'':<20}{'seed':>6}{'P50':>8}{'P95':>8}{'P99':>8}"
    ratios: dict[str, dict[str, object]] = {}
    for name, seed, held in alone:
        yield f"{name:<20}{seed:>6}" + "".join(f"{100 * share:>8.1f}" for share, _ in held.values())
        for percent, (share, _) in held.items():
            _add(ratios, f"percentiles, P{percent}: coverage off 0.95", abs(share - CONFIDENCE), "<= 0.02")
    yield ""
    yield "compare: % of intervals that hold the ratio, then % of comparisons"
    heads = ("P50", "P95", "P99", "rate", "REGR", "INCON", "UNCH", "IMPR", "P99>10", "ranks")
    yield f"{'':<20}{'seed':>6}{'slower':>8}" + "".join(f"{head:>8}" for head in heads)
    for name, seed, changes in compared:
        for change, judged in changes.items():
            shares = [
                judged.verdicts.get(each, 0.0) for each in ("REGRESSION", "INCONCLUSIVE", "UNCHANGED", "IMPROVED")
            ]
            cells = [*judged.held.values(), *shares, judged.naive, judged.ranks]
            yield f"{name:<20}{seed:>6}{change:>8.0%}" + "".join(f"{100 * cell:>8.1f}" for cell in cells)
            for metric, share in judged.held.items():
                _add(ratios, f"compare, {metric}: coverage off 0.95", abs(share - CONFIDENCE), "<= 0.02")
        _add(ratios, "compare: false REGRESSION", changes[0.0].verdicts.get("REGRESSION", 0.0), "<= 0.05")
        _add(ratios, "compare: 10 % UNCHANGED", changes[0.1].verdicts.get("UNCHANGED", 0.0), "<= 0")
        missed = 1 - changes[0.2].verdicts.get("REGRESSION", 0.0)
        _add(ratios, "compare: 20 % not found", missed, "<= 0.15")
    yield ""
    yield json.dumps({"name": "simulate_statistics", "ratios": ratios})


def _add(ratios: dict[str, dict[str, object]], name: str, value: float, goal: str) -> None:
    """Adds a figure; the worst of all situations, seeds and changes counts."""
    if math.isnan(value):  # no run had an interval
        return
    known = ratios.get(name)
    worst = value if known is None else max(value, float(str(known["value"])))
    ratios[name] = {"value": round(worst, 4), "goal": goal}


def main() -> None:
    """Simulates and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000, help="simulated runs, or comparisons, of each situation")
    parser.add_argument("--seeds", type=int, nargs="+", default=[101], help="each repeats the whole simulation")
    parser.add_argument("--queries", type=int, default=5000, help="requests of a run")
    parser.add_argument("--side", type=int, default=5, help="runs on each side of a comparison")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", choices=("percentiles", "compare"))
    given = parser.parse_args()
    least = early_stopping.least_queries(max(PERCENTS))
    if given.queries < least:
        parser.error(f"--queries must be {least} or more, as many as P99 needs, got {given.queries}.")
    flags = [Flags(runs=given.runs, seed=seed, queries=given.queries, side=given.side) for seed in given.seeds]
    with multiprocessing.get_context("spawn").Pool(given.processes) as pool:
        # The long ones first, so that both processes end at about the same time.
        compared_cases = [] if given.only == "percentiles" else COMPARED
        pairs = [(situation, each) for situation in compared_cases for each in flags]
        comparing = pool.starmap_async(cover_compare, pairs, chunksize=1)
        single = [(situation, each) for situation in ONE_RUN for each in flags if given.only != "compare"]
        alone = pool.starmap(cover_percentiles, single, chunksize=1)
        compared = comparing.get()
    print("\n".join(report(_named(single, alone), _named(pairs, compared))))


def _named(cases: Sequence[tuple[Situation, Flags]], found: Sequence[_T]) -> list[tuple[str, int, _T]]:
    return [(situation.name, flags.seed, each) for (situation, flags), each in zip(cases, found, strict=True)]


if __name__ == "__main__":
    main()
