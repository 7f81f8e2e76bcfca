#!/usr/bin/env python3
"""Measures what the issuer of `tfperf.evaluate` costs, and whether it agrees with `tfperf infer`.

    tools/bench_evaluate.py [--only closed memory infer] [--rounds 7] [--seconds 3] [--requests 10000000]

closed  resnet50_mini with random weights, one request at a time: requests/s that the issuer holds with one stream,
        beside a bare loop over the same function and the same inputs. Both take turns in one process, and the median
        counts.
memory  a system that computes nothing: how much the memory grows from the millionth request to the last.
infer   resnet50_mini as graph-float32 in LoadGen's four scenarios: median latency, and in Offline samples/s, of
        `tfperf evaluate` beside `tfperf infer`, with the same batch sizes. The commands take turns. Both send with
        LoadGen to the same SUT, so that the ratio is 1 but for noise; how much each side differs from turn to turn
        says how large that is.

Other programs on the machine affect both turns of a round alike.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfperf.evaluation import issuer
from tfperf.evaluation.answered import Answered
from tfperf.evaluation.executables import Answer, Arrays, FromMemory
from tfperf.system import memory

if TYPE_CHECKING:
    import keras

Ratios = dict[str, dict[str, object]]
MIB = 2**20
BATCH = 8
RATE, BOUND_MS = 100, 200


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scenario:
    """A scenario that both commands have.

    Attributes:
        phase: its fields in the config of an evaluation, without the duration.
        settings: of `tfperf infer`, for the same load and the same batch sizes.
        batch_size: of the evaluation.
    """

    phase: Mapping[str, float] = dataclasses.field(default_factory=dict)
    settings: tuple[str, ...] = ()
    batch_size: int = BATCH


SCENARIOS = {
    "singlestream": Scenario(batch_size=1),
    "multistream": Scenario(settings=(f"batch_sizes=[{BATCH}]",)),
    "server": Scenario(
        phase={"target_qps": RATE, "latency_bound_ms": BOUND_MS},
        settings=(
            f"scenario={{server: {{target_qps: {RATE}, latency_bound_ms: {BOUND_MS}}}}}",
            "batch_sizes=[1, 2, 4, 8]",
        ),
    ),
    "offline": Scenario(settings=(f"batch_sizes=[{BATCH}]",)),
}


def mini(images: int) -> tuple[keras.Model, np.ndarray]:
    """resnet50_mini with random weights, and as many random images."""
    import keras

    from tfperf import benchmarks

    task = benchmarks.inference_task(benchmarks.get("resnet50_mini"))
    keras.utils.set_random_seed(1)
    model = task.build_model(task.options)
    return model, np.random.default_rng(1).random((images, *map(int, model.inputs[0].shape[1:])), "float32")


def model() -> tuple[Answer, list[Arrays]]:
    """resnet50_mini as an evaluation calls it, and 64 requests of one image."""
    from tfperf.evaluation import examples, executables, subject

    network, images = mini(64)
    adapted = subject.of_keras(network)
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


def agreement(rounds: int, seconds: float) -> Ratios:
    """What `tfperf evaluate` measures over what `tfperf infer` measures, in each scenario."""
    ratios: Ratios = {}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        network, images = mini(256)
        network.save(folder / "mini.keras")
        np.save(folder / "x.npy", images)
        np.save(folder / "y.npy", np.zeros(len(images), np.int64))  # accuracy is not asked for
        for scenario, compared in SCENARIOS.items():
            calls = {
                "evaluate": functools.partial(_evaluated, folder, scenario, compared, seconds),
                "infer": functools.partial(_inferred, folder, scenario, compared, seconds),
            }
            found: dict[str, list[float]] = {which: [] for which in calls}
            for number in range(rounds):
                for which in calls if number % 2 else reversed(calls):
                    found[which].append(calls[which]())
            for which, values in found.items():
                shown = f"{scenario}, {which}: median, lowest and highest of {rounds}"
                print(f"{shown:<60} {statistics.median(values):.6g}, {min(values):.6g}, {max(values):.6g}", flush=True)
            pairs = zip(found["evaluate"], found["infer"], strict=True)
            ratios[f"{scenario}, evaluate / infer"] = _ratio(
                statistics.median(a / b for a, b in pairs), "1 but for noise"
            )
    return ratios


def _evaluated(folder: pathlib.Path, scenario: str, compared: Scenario, seconds: float) -> float:
    """Nanoseconds of the median latency of an evaluation, in Offline its samples/s."""
    phase = {scenario: {**compared.phase, "min_duration_s": seconds}}
    config = {
        "executable": ["graph-float32"],
        "batch_size": [compared.batch_size],
        "accuracy": False,
        "phases": [phase],
    }
    (folder / "evaluate.yaml").write_text(json.dumps(config))
    printed = _printed(
        folder,
        "evaluate",
        f"--config={folder / 'evaluate.yaml'}",
        f"--model={folder / 'mini.keras'}",
        f"--data_dir={folder}",
    )
    (load,) = printed["phases"]
    if scenario == "offline":
        return float(load["metric"]["value"])
    return float(next(each["value_ns"] for each in load["percentiles"] if each["percentile"] == 50))


def _inferred(folder: pathlib.Path, scenario: str, compared: Scenario, seconds: float) -> float:
    """The same of `tfperf infer`."""
    settings = [
        "accuracy=false",
        "executable=graph-float32",
        "division=internal",
        f"min_duration_s={seconds}",
        *compared.settings,
    ]
    printed = _printed(
        folder,
        "infer",
        f"--config=resnet50-mini-{scenario}",
        f"--weights={folder / 'mini.keras'}",
        *(f"--set={each}" for each in settings),
    )
    return float(printed["metric"]["value"] if scenario == "offline" else printed["latency_ns"]["p50"])


def _printed(folder: pathlib.Path, *arguments: str) -> dict[str, Any]:
    """What a command prints as JSON."""
    command = [sys.executable, "-m", "tfperf", *arguments, f"--output_dir={folder / 'runs'}", "--format=json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if not done.stdout:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}")
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def _ratio(value: float, goal: str) -> dict[str, object]:
    return {"value": round(value, 4), "goal": goal}


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a table for people, then the ratios as one JSON object."""
    parts: dict[str, Callable[[argparse.Namespace], Ratios]] = {
        "closed": lambda flags: closed(flags.rounds, flags.seconds),
        "memory": lambda flags: flat(flags.requests),
        "infer": lambda flags: agreement(flags.rounds, flags.seconds),
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
