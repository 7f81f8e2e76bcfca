#!/usr/bin/env python3
"""Measures what the issuer of `tfperf.evaluate` costs.

    tools/bench_evaluate.py [--only closed memory] [--rounds 7] [--seconds 3] [--requests 10000000]

closed  resnet50_mini with random weights, one request at a time: requests/s that the issuer holds with one stream,
        beside a bare loop over the same function and the same inputs. Both take turns in one process, and the median
        counts.
memory  a system that computes nothing: how much the memory grows from the millionth request to the last

Other programs on the machine affect both turns of a round alike.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np

from tfperf.evaluation import issuer
from tfperf.evaluation.answered import Answered
from tfperf.evaluation.executables import Answer, Arrays, FromMemory
from tfperf.system import memory

Ratios = dict[str, dict[str, object]]
MIB = 2**20


def model() -> tuple[Answer, list[Arrays]]:
    """resnet50_mini as an evaluation calls it, and 64 requests of one image."""
    import keras

    from tfperf import benchmarks
    from tfperf.evaluation import examples, executables, subject

    task = benchmarks.inference_task(benchmarks.get("resnet50_mini"))
    keras.utils.set_random_seed(1)
    adapted = subject.of_keras(task.build_model(task.options))
    assert adapted.model is not None
    images = np.random.default_rng(1).random((64, *map(int, adapted.model.inputs[0].shape[1:])), "float32")
    data = examples.adapt(images)
    batch = (images[:1],)
    form = executables.InProcess(
        executables.AS_GIVEN,
        adapted,
        data,
        executables.ends(adapted, data, batch),
        directory=pathlib.Path(),  # nothing is built
        instances=1,
    )
    return form.prepare(batch), [(images[number : number + 1],) for number in range(len(images))]


def closed(rounds: int, seconds: float) -> Ratios:
    """The issuer's requests/s over those of a bare loop."""
    answer, requests = model()
    shares, ours, theirs = [], [], []
    for number in range(rounds + 1):
        calls = [lambda: _issued(answer, requests, seconds), lambda: _bare(answer, requests, seconds)]
        order = (0, 1) if number % 2 else (1, 0)
        found = {place: calls[place]() for place in order}
        if number:  # the first round warms up
            ours.append(found[0])
            theirs.append(found[1])
            shares.append(found[0] / found[1])
    print(f"{'requests/s, issuer':<60} {statistics.median(ours):8.1f}")
    print(f"{'requests/s, bare loop':<60} {statistics.median(theirs):8.1f}")
    return {"requests/s, issuer with one stream / bare loop": _ratio(statistics.median(shares), ">= 0.98")}


def _issued(answer: Answer, requests: Sequence[Arrays], seconds: float) -> float:
    answered = Answered()
    issuer.in_streams(1, [FromMemory(answer, requests)], answered, duration_s=seconds, hang_after_s=60.0)
    answered.read(ended=True)
    rows = answered.rows()
    return rows.requests / rows.span_s


def _bare(answer: Answer, requests: Sequence[Arrays], seconds: float) -> float:
    begin = time.perf_counter()
    number = 0
    while time.perf_counter() - begin < seconds:
        answer(requests[number % len(requests)])
        number += 1
    return number / (time.perf_counter() - begin)


class Nothing:
    """Answers at once."""

    def answer(self, number: int) -> int:
        """Computes nothing."""
        return 0

    def look(self, number: int) -> bool:
        """There is nothing to look at."""
        return True


def flat(requests: int) -> Ratios:
    """Megabytes that the memory grew from a tenth of the requests to the last."""
    answered = Answered()
    held: list[tuple[int, int]] = []

    def note() -> None:
        now = memory.held_bytes(os.getpid())
        if now is not None:
            held.append((answered.counted, now))

    issuer.in_streams(1, [Nothing()], answered, duration_s=0.0, least=requests, hang_after_s=60.0, on_look=note)
    answered.read(ended=True)
    rows = answered.rows()
    early = next(now for count, now in held if count >= requests // 10)
    growth = (held[-1][1] - early) / MIB
    print(f"{'requests':<60} {rows.requests:>8,}")
    print(f"{'requests/s':<60} {rows.requests / rows.span_s:>8,.0f}")
    print(f"{'memory at a tenth of them, MiB':<60} {early / MIB:8.1f}")
    return {f"memory growth to request {rows.requests:,}, MiB": _ratio(growth, "<= 64")}


def _ratio(value: float, goal: str) -> dict[str, object]:
    return {"value": round(value, 4), "goal": goal}


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a table for people, then the ratios as one JSON object."""
    parts: dict[str, Callable[[argparse.Namespace], Ratios]] = {
        "closed": lambda flags: closed(flags.rounds, flags.seconds),
        "memory": lambda flags: flat(flags.requests),
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each turn")
    parser.add_argument("--requests", type=int, default=10_000_000)
    flags = parser.parse_args(arguments)
    ratios: Ratios = {}
    for name in flags.only:
        for what, figure in parts[name](flags).items():
            ratios[what] = figure
            print(f"{what:<60} {figure['value']!s:>8}  {figure['goal']}", flush=True)
    print(json.dumps({"name": "evaluate", "ratios": ratios}))


if __name__ == "__main__":
    main()
