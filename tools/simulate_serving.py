#!/usr/bin/env python3
"""Checks what `tfperf.evaluate` reports of synthetic systems whose behaviour is known.

    tools/simulate_serving.py [--only steady knee issuer stall batching] [--runs 1000] [--seconds 60] [--json FILE]

steady    queues with one server, simulated: how often a steady one is called so, and a drift of 8 %, a throttling by
          8 % at a known time, and a leak that slows it by 8 % in all are found
knee      queues with exponential and with constant times, simulated at 8 rates: how far the knee is from theory (half
          of the capacity, and 2 - sqrt(2) of it), and how often its interval holds it
issuer    a real run of a system that sleeps 0.1 ms: how late requests are sent at 2,000 requests/s, and what is said of
          a system that keeps the interpreter to itself for 5 ms at a time
stall     a real run of a system that stands still once for 0.3 s: how many requests are late, beside how many must be
batching  a real run of a system that takes 5 ms for 8 samples: the throughput of Offline, beside 1,600 samples/s

Simulated runs have no clock, so they say the same on any machine.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import time
from collections.abc import Callable, Sequence

import numpy as np

from tfperf import result
from tfperf import spec as specs
from tfperf.analysis import load_curve
from tfperf.evaluation import verdicts
from tfperf.evaluation.answered import Rows
from tfperf.evaluation.grid import Combination
from tfperf.evaluation.loads import Cell, Loads, Measured, Surroundings

SERVICE_S = 0.004
CAPACITY = 1 / SERVICE_S
CHANGE = 0.08
KNEES = {"exponential": 0.5, "constant": 2 - 2**0.5}
RATES = (0.1, 0.2, 0.35, 0.5, 0.6, 0.7, 0.8, 0.9)  # of the capacity
Ratios = dict[str, dict[str, object]]


def queue(arrivals_s: np.ndarray, service_s: np.ndarray) -> Rows:
    """One server that answers in the order of arrival (Lindley's recursion, solved for all requests at once)."""
    before = np.concatenate(([0.0], np.cumsum(service_s)[:-1]))
    started = before + np.maximum.accumulate(arrivals_s - before)
    stamps = [(1e9 * times).astype(np.int64) for times in (arrivals_s, arrivals_s, started, started + service_s)]
    latency = stamps[3] - stamps[0]
    return Rows(
        due_ns=stamps[0],
        issued_ns=stamps[1],
        started_ns=stamps[2],
        done_ns=stamps[3],
        data_ns=np.zeros_like(latency),
        slowest_ns=np.sort(latency),
        retraced_ns=(),
        requests=len(latency),
        every=1,
        span_s=float(stamps[3].max() - stamps[0].min()) / 1e9,
        mean_latency_ns=float(latency.mean()),
        mean_queue_ns=float((stamps[2] - stamps[1]).mean()),
        mean_service_ns=float((stamps[3] - stamps[2]).mean()),
        mean_data_ns=0.0,
    )


def noisy_service(random: np.random.Generator, at_s: np.ndarray) -> np.ndarray:
    """Times as machines have them: a heavy tail, and a level that wanders by 1 % (AR(1) of 0.5 between seconds)."""
    seconds = int(at_s[-1]) + 2
    level = np.zeros(seconds)
    for second in range(1, seconds):
        level[second] = 0.5 * level[second - 1] + 0.01 * 0.75**0.5 * random.standard_normal()
    tail = 1 + 0.05 * random.exponential(size=len(at_s))
    return np.asarray(SERVICE_S * np.exp(level[at_s.astype(int)]) * tail / 1.05)


def factor(kind: str, at_s: np.ndarray, shift_s: float) -> np.ndarray:
    """How many times as long as at the start each request takes."""
    share = at_s / at_s[-1]
    match kind:
        case "drift":
            return np.asarray(1 + CHANGE * share)
        case "leak":
            return np.asarray(1 + CHANGE * share**2)
        case "throttling":
            return np.where(at_s < shift_s, 1.0, 1 + CHANGE)
    return np.ones_like(share)


def steady(runs: int, seconds: float) -> Ratios:
    """The share of runs whose verdict is right, by kind."""
    random = np.random.default_rng(0)
    right: dict[str, list[bool]] = {kind: [] for kind in ("steady", "drift", "leak", "throttling")}
    off_s: list[float] = []
    for _ in range(runs):
        for kind, found in right.items():
            arrivals = np.cumsum(random.exponential(1 / (0.6 * CAPACITY), int(0.6 * CAPACITY * seconds)))
            shift_s = float(random.uniform(0.3, 0.7) * seconds)
            took = noisy_service(random, arrivals) * factor(kind, arrivals, shift_s)
            verdict = verdicts.steadiness(queue(arrivals, took))
            found.append(verdict.verdict == "STEADY" if kind == "steady" else _called(kind, verdict))
            if kind == "throttling" and verdict.at_s is not None:
                off_s.append(abs(verdict.at_s - shift_s))
    return {
        "steady runs called steady": ratio(np.mean(right["steady"]), ">= 0.97"),
        "drifts of 8 % found": ratio(np.mean(right["drift"]), ">= 0.95"),
        "leaks of 8 % found": ratio(np.mean(right["leak"]), ">= 0.95"),
        "throttling by 8 % found": ratio(np.mean(right["throttling"]), ">= 0.95"),
        "throttling, median error of its time, s": ratio(np.median(off_s) if off_s else np.inf, "<= 2"),
    }


def _called(kind: str, verdict: result.Steadiness) -> bool:
    """A change was found, and a shift was not taken for a drift."""
    return verdict.verdict == "LEVEL_SHIFT" if kind == "throttling" else verdict.verdict in ("DRIFT", "LEVEL_SHIFT")


def knee(runs: int, seconds: float) -> Ratios:
    """The share of knees within 5 % of theory, and of intervals that hold it."""
    random = np.random.default_rng(1)
    ratios: Ratios = {}
    for kind, share in KNEES.items():
        true, within, held = share * CAPACITY, [], []
        for _ in range(runs):
            found = load_curve.knee([_point(random, kind, rate * CAPACITY, seconds) for rate in RATES])
            within.append(found is not None and abs(found.throughput - true) <= 0.05 * true)
            held.append(found is not None and found.low <= true <= found.high)
        ratios[f"knee within 5 %, {kind} times"] = ratio(np.mean(within), ">= 0.95")
        ratios[f"knee within its interval, {kind} times"] = ratio(np.mean(held), ">= 0.9")
    return ratios


def _point(random: np.random.Generator, kind: str, rate: float, seconds: float) -> load_curve.LoadPoint:
    arrivals = np.cumsum(random.exponential(1 / rate, max(300, int(rate * seconds))))
    took = random.exponential(SERVICE_S, len(arrivals)) if kind == "exponential" else np.full(len(arrivals), SERVICE_S)
    rows = queue(arrivals, took)
    error = load_curve.standard_error(rows.latency_ns)
    return load_curve.LoadPoint(
        throughput=rows.requests / rows.span_s, latency=rows.mean_latency_ns, error=error or 0.0, by="rate"
    )


class Synthetic:
    """A system that sleeps, which leaves the processor to the issuer, or computes, which does not."""

    def __init__(self, sleep_s: float, *, stalls_at: int = -1, stall_s: float = 0.0, computes_s: float = 0.0) -> None:
        self._sleep_s, self._stalls_at, self._stall_s, self._computes_s = sleep_s, stalls_at, stall_s, computes_s

    def answer(self, number: int) -> int:
        """Answers a request."""
        if number == self._stalls_at:
            time.sleep(self._stall_s)
        if self._sleep_s:
            time.sleep(self._sleep_s)
        if self._computes_s:
            _keep_interpreter(self._computes_s)
        return 0

    def look(self, number: int) -> bool:
        """Every answer is finite."""
        return True


def _keep_interpreter(seconds: float) -> None:
    """Computes without giving the interpreter to another thread, as a bad extension does."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        sum(range(2_000_000))  # one call in C, in which no other thread runs


def measured(phase: specs.Phase, *models: Synthetic, batch_size: int = 1) -> Measured:
    """Runs one load on real time."""
    spec = specs.EvaluateSpec(phases=(phase,), issuer="tfperf")
    cell = Cell(
        combination=Combination(executable="as_given", batch_size=batch_size, instances=len(models)),
        batch_size=batch_size,
        instances=models,
        traces=lambda: 0,
    )
    (found,) = Loads(spec, cell, around=Surroundings(begin_s=time.perf_counter())).run(phase)
    return found


def issuer(seconds: float) -> Ratios:
    """How late requests are sent, and whether an overloaded issuer is named."""
    kept = measured(specs.ConstantRate(requests_per_s=(2000.0,), duration_s=seconds), Synthetic(0.0001))
    rows = kept.rows
    assert rows is not None
    lag_ms = (rows.issued_ns - rows.due_ns) / 1e6
    loaded = measured(specs.ConstantRate(requests_per_s=(100.0,), duration_s=2.0), Synthetic(0.0, computes_s=0.005))
    named = any("limited by the issuer" in reason for reason in loaded.phase.reasons)
    return {
        "requests sent within 1 ms at 2,000 requests/s": ratio(np.mean(lag_ms <= 1.0), ">= 0.99"),
        "P99 of the lag at 2,000 requests/s, ms": ratio(np.percentile(lag_ms, 99), "<= 1"),
        "an overloaded issuer is named": ratio(float(named), ">= 1"),
    }


def stall() -> Ratios:
    """Late requests, beside those that were due more than 50 ms before the end of the stall."""
    phase = specs.ConstantRate(requests_per_s=(200.0,), duration_s=3.0)
    rows = measured(phase, Synthetic(0.0005, stalls_at=200, stall_s=0.3)).rows
    assert rows is not None
    late = int((rows.latency_ns > 50e6).sum())
    return {"requests late by a stall / those due in it": ratio(late / (0.25 * 200), ">= 0.95")}


def batching() -> Ratios:
    """The throughput of Offline, beside what 5 ms for 8 samples allow."""
    found = measured(specs.OfflineLoad(min_duration_s=2.0), Synthetic(0.005), batch_size=8)
    return {"Offline throughput / 8 samples in 5 ms": ratio(found.phase.samples_per_s / 1600, ">= 0.9")}


def ratio(value: float | np.floating, goal: str) -> dict[str, object]:
    """A figure with its goal."""
    return {"value": round(float(value), 4), "goal": goal}


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a table for people, then the figures as one JSON object."""
    parts: dict[str, Callable[[argparse.Namespace], Ratios]] = {
        "steady": lambda flags: steady(flags.runs, flags.seconds),
        "knee": lambda flags: knee(flags.runs, flags.seconds),
        "issuer": lambda flags: issuer(min(flags.seconds, 10.0)),
        "stall": lambda flags: stall(),
        "batching": lambda flags: batching(),
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--runs", type=int, default=1000, help="simulated runs of each kind")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each run")
    parser.add_argument("--json", type=pathlib.Path, help="also write the figures to this file")
    flags = parser.parse_args(arguments)
    ratios: Ratios = {}
    for name in flags.only:
        for what, figure in parts[name](flags).items():
            ratios[what] = figure
            print(f"{what:<60} {figure['value']!s:>8}  {figure['goal']}", flush=True)
    text = json.dumps({"name": "simulate_serving", "ratios": ratios})
    if flags.json is not None:
        flags.json.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
