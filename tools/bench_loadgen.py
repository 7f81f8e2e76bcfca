#!/usr/bin/env python3
"""Measures what LoadGen and tfperf's harness around it cost, part by part.

    tools/bench_loadgen.py [--only single_stream offline ...] [--rounds 5] [--seconds 2] [--form function-float32]
                           [--threads 2] [--instances 1]

single_stream  a model that computes nothing, served by tfperf, beside a bare callback that answers with nothing
resnet50       ResNet-50 with random weights in SingleStream: the share of LoadGen's latency that is not the model's
offline        ResNet-50 under LoadGen in Offline, beside the bare executable in a loop at the same batch size
server         resnet50_mini: the highest rate of a ladder that is valid in Server at a bound of 10 times the latency
               of one sample, beside the Offline rate
null_server    a model that computes nothing: the highest rate of a ladder that is valid in Server at 15 ms

Compared runs alternate, each in its own process, and the medians over the rounds count. Other programs on the machine
affect every figure, most of all those of Server.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import itertools
import json
import math
import multiprocessing
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from tfperf import loadgen_log
from tfperf.benchmarks.tensor import Batch, Sample, Tensor, batch_of
from tfperf.inference import forms, process
from tfperf.inference.executable import Bucket, Executable
from tfperf.inference.forms import machine
from tfperf.inference.job import Job, LoadgenOutcome, ServedModel, Settings
from tfperf.system import devices

NULL_SAMPLES, REAL_SAMPLES = 1024, 64
NULL_LATENCY_NS = 1500.0  # the expected latency for LoadGen, which measured 1570 ns in a bare callback
REAL_LATENCY_NS = 1e6  # less than ResNet-50 takes, so that LoadGen makes enough queries beforehand
LADDER_QPS = (5_000, 10_000, 20_000, 30_000, 50_000, 80_000, 120_000)
BOUND_EXECUTIONS = 10
OFFLINE_SIZE = 8
SERVER_GOAL_AND_ABOVE, SERVER_BELOW = (0.8, 0.85, 0.9), (0.75, 0.7, 0.6, 0.5)  # of the Offline rate
SERVER_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Flags:
    """The flags."""

    rounds: int
    seconds: float
    form: str
    threads: int
    instances: int
    scratch: pathlib.Path


@dataclasses.dataclass(kw_only=True)
class Null:
    """An executable that computes nothing."""

    form: str = "null"
    inputs: tuple[Tensor, ...] = (Tensor(name="number", shape=(1,)),)
    outputs: tuple[Tensor, ...] = (Tensor(name="number", shape=(1,)),)
    buckets: tuple[Bucket, ...] = tuple(map(Bucket, (1, 2, 4, 8, 16, 32, 64)))
    encoded: tuple[np.dtype[Any], ...] = (np.dtype(np.float32),)
    threads: int = 1
    host_memory: bool = True

    def encode(self, batch: Batch) -> Batch:
        """The batch."""
        return batch

    def stage(self, batch: Batch) -> Batch:
        """The batch."""
        return batch

    def run(self, staged: Batch) -> Batch:
        """The batch."""
        return staged

    def traces(self) -> int:
        """None."""
        return 0


def main() -> None:
    """Measures, prints a table for people and, as the last line, a JSON object for programs."""
    arguments = _arguments()
    names = arguments.only or list(PARTS)
    ratios: dict[str, dict[str, object]] = {}
    print(f"{'':72s}{'median':>10s}{'least':>10s}{'most':>10s}")
    with tempfile.TemporaryDirectory(prefix="bench-loadgen-") as scratch:
        flags = Flags(
            rounds=arguments.rounds,
            seconds=arguments.seconds,
            form=arguments.form,
            threads=arguments.threads,
            instances=arguments.instances,
            scratch=pathlib.Path(scratch),
        )
        for name in names:
            what, values, goal = PARTS[name](flags)
            ratios[what] = {"value": row(what, values), "goal": goal}
    print(json.dumps({"name": "loadgen", "ratios": ratios}))


def row(what: str, values: Sequence[float]) -> float:
    """Prints a line of the table; returns the median, rounded as a figure of the result."""
    print(f"{what:72s}" + "".join(f"{value:10.4g}" for value in (statistics.median(values), min(values), max(values))))
    return round(statistics.median(values), 4)


def single_stream(flags: Flags) -> tuple[str, list[float], str]:
    """Mean latency of a null model under tfperf over that of a bare callback."""
    settings = settings_of("SingleStream", flags, samples=NULL_SAMPLES, expected_latency_ns=NULL_LATENCY_NS)
    ours, bare = [], []
    for number in range(flags.rounds):
        log_dir = directory(flags, f"bare-{number}")
        in_child(bare_callback, settings, log_dir)
        bare.append(logged(log_dir, "result_mean_latency_ns") / 1e3)
        run = measured(settings, null_served, directory(flags, f"null-{number}"))
        ours.append(logged(run.log_dir, "result_mean_latency_ns") / 1e3)
    row("SingleStream mean latency, bare callback, us", bare)
    row("SingleStream mean latency, tfperf with a null model, us", ours)
    return "SingleStream mean latency, tfperf with a null model / bare callback", each(ours, bare), "<= 3"


def resnet50(flags: Flags) -> tuple[str, list[float], str]:
    """Share of LoadGen's mean latency that is not the model's, on ResNet-50, in percent."""
    served = built("resnet50", flags, batch_sizes=(1,))
    settings = settings_of("SingleStream", flags, samples=REAL_SAMPLES, expected_latency_ns=REAL_LATENCY_NS)
    mean, overhead = [], []
    for number in range(flags.rounds):
        run = measured(settings, served, directory(flags, f"resnet50-{number}"))
        latency_ns = logged(run.log_dir, "result_mean_latency_ns")
        mean.append(latency_ns / 1e6)
        overhead.append(100 * (latency_ns - run.recording.execution("compute_ns").mean()) / latency_ns)
    row(f"ResNet-50 SingleStream mean latency, {flags.form}, ms", mean)
    return "ResNet-50 SingleStream, latency that is not the model's, percent", overhead, "<= 0.2"


def offline(flags: Flags) -> tuple[str, list[float], str]:
    """Samples a second of ResNet-50 in Offline over those of the bare executable."""
    served = built("resnet50", flags, batch_sizes=(OFFLINE_SIZE,))
    ours, bare = [], []
    for number in range(flags.rounds):
        bare.append(in_child(bare_rate, served, OFFLINE_SIZE, flags.seconds))
        batches = math.ceil(bare[-1] * flags.seconds / OFFLINE_SIZE)  # whole ones: a real run has but one that is not
        settings = dataclasses.replace(
            settings_of("Offline", flags, samples=REAL_SAMPLES, expected_qps=1.0), min_queries=batches * OFFLINE_SIZE
        )
        run = measured(settings, served, directory(flags, f"offline-{number}"))
        ours.append(logged(run.log_dir, "result_samples_per_second"))
    row(f"ResNet-50 samples/s at batch size {OFFLINE_SIZE}, executable in a loop", bare)
    row(f"ResNet-50 samples/s at batch size {OFFLINE_SIZE}, LoadGen Offline", ours)
    return "ResNet-50 samples/s, LoadGen Offline / executable in a loop", each(ours, bare), ">= 0.98"


def server(flags: Flags) -> tuple[str, list[float], str]:
    """Climbs a ladder of shares, to find the largest share of its Offline rate that resnet50_mini answers in Server.

    Each rung is measured between two Offline runs, of which the faster counts, because the speed of a machine can
    change by more than a rung while the highest rate is searched for.
    """
    served = built("resnet50_mini", flags, batch_sizes=SERVER_SIZES, instances=flags.instances)
    numbers = itertools.count()
    bounds, rates, shares = [], [], []

    def offline_run() -> LoadgenOutcome:
        return measured(
            settings_of("Offline", flags, samples=REAL_SAMPLES), served, directory(flags, f"mini-{next(numbers)}")
        )

    def share(of_offline: float) -> float:
        """The rung's share of the Offline rate; 0 if its run is not valid."""
        before = offline_run()
        qps = of_offline * logged(before.log_dir, "result_samples_per_second")
        settings = dataclasses.replace(
            settings_of("Server", flags, samples=REAL_SAMPLES, target_qps=qps),
            latency_bound_ns=round(BOUND_EXECUTIONS * before.execution_ns[Bucket(1)]),
        )
        run = measured(settings, served, directory(flags, f"mini-{next(numbers)}"))
        offline_qps = max(logged(each.log_dir, "result_samples_per_second") for each in (before, offline_run()))
        bounds.append(BOUND_EXECUTIONS * before.execution_ns[Bucket(1)] / 1e6)
        rates.append(offline_qps)
        return qps / offline_qps if is_valid(run) else 0.0

    for _ in range(flags.rounds):
        upwards = list(itertools.takewhile(bool, map(share, SERVER_GOAL_AND_ABOVE)))
        shares.append(max(upwards) if upwards else next(filter(bool, map(share, SERVER_BELOW)), 0.0))
    row("resnet50_mini Server latency bound, ms", bounds)
    row("resnet50_mini Offline, samples/s", rates)
    return "resnet50_mini samples/s, Server / Offline", shares, ">= 0.8"


def null_server(flags: Flags) -> tuple[str, list[float], str]:
    """The highest valid rate of the ladder in Server with a null model, in queries a second."""
    highest = []
    for number in range(flags.rounds):
        valid = [0.0]
        for qps in LADDER_QPS:
            run = measured(
                settings_of("Server", flags, samples=NULL_SAMPLES, target_qps=float(qps)),
                null_served,
                directory(flags, f"ladder-{number}-{qps}"),
            )
            if is_valid(run):
                valid.append(float(qps))
        highest.append(max(valid))
    return "null model, Server, highest valid rate tried, queries/s", highest, ">= 20000"


Part = Callable[[Flags], tuple[str, list[float], str]]
PARTS: dict[str, Part] = {
    "single_stream": single_stream,
    "resnet50": resnet50,
    "offline": offline,
    "server": server,
    "null_server": null_server,
}


def settings_of(scenario: Any, flags: Flags, *, samples: int, **others: Any) -> Settings:
    """A performance run, as short as the flags say."""
    return Settings(
        loadgen_model="resnet50",
        scenario=scenario,
        mode="performance",
        min_duration_s=flags.seconds,
        performance_samples=samples,
        min_queries=1,
        **others,
    )


def measured(settings: Settings, open_served: Callable[[], ServedModel], log_dir: pathlib.Path) -> LoadgenOutcome:
    """A run that came to its end.

    Raises:
        RuntimeError: it did not.
    """
    run = process.run(Job(settings=settings, open=open_served, log_dir=log_dir))
    if run.status != "ended":
        raise RuntimeError(f"The run in {log_dir} is {run.status}: {run.failure}")
    return run


def logged(log_dir: pathlib.Path, key: str) -> float:
    """A number that LoadGen logged."""
    return float(loadgen_log.read(log_dir).values[key])


def is_valid(run: LoadgenOutcome) -> bool:
    """Whether LoadGen calls the run VALID."""
    return bool(loadgen_log.read(run.log_dir).values["result_validity"] == "VALID")


def each(values: Sequence[float], to: Sequence[float]) -> list[float]:
    """The ratios round by round: what slows one round slows both."""
    return [value / other for value, other in zip(values, to, strict=True)]


def directory(flags: Flags, name: str) -> pathlib.Path:
    """A new directory in the scratch space."""
    path = flags.scratch / name
    path.mkdir()
    return path


def null_served() -> ServedModel:
    """The null model over a data set of nothing."""
    return ServedModel(
        executable=Null(),
        total=NULL_SAMPLES,
        load=lambda numbers: [(np.zeros(1, np.float32),)] * len(numbers),
        respond=lambda outputs, indices: outputs[0],
    )


def built(
    benchmark: str, flags: Flags, *, batch_sizes: tuple[int, ...], instances: int = 1
) -> Callable[[], ServedModel]:
    """Builds the benchmark's model with random weights, in the form of the flags; returns a function that opens it."""
    path = flags.scratch / benchmark
    if not path.exists():
        in_child(build, benchmark, flags.form, path)
    return functools.partial(open_built, flags.form, path, batch_sizes, flags.threads, instances)


def build(benchmark: str, form: str, path: pathlib.Path) -> None:
    """Writes the form of a model with random weights."""
    import keras

    from tfperf import benchmarks

    keras.utils.set_random_seed(0)
    task = benchmarks.get(benchmark).inference
    assert task is not None
    inputs, outputs = task.inputs(task.options), task.outputs(task.options)
    model = task.build_model(task.options)
    calibration = noise(range(REAL_SAMPLES), inputs)
    forms.build(form, model, path, inputs=inputs, outputs=outputs, calibration=calibration)


def open_built(
    form: str, path: pathlib.Path, batch_sizes: tuple[int, ...], threads: int, instances: int
) -> ServedModel:
    """Opens the form with a data set of noise; answers with the most likely class."""
    machine.set_up(threads=threads, instances=instances)
    executable, *copies = forms.open_forms(
        form, path, buckets=map(Bucket, batch_sizes), threads=threads, instances=instances
    )
    return ServedModel(
        executable=executable,
        copies=tuple(copies),
        total=REAL_SAMPLES,
        load=functools.partial(noise, inputs=executable.inputs),
        respond=lambda outputs, indices: outputs[0].argmax(axis=1, keepdims=True).astype(np.float32),
    )


def noise(numbers: Sequence[int], inputs: tuple[Tensor, ...]) -> list[Sample]:
    """A sample of normal noise for each number."""
    shapes = [tensor.at(None) for tensor in inputs]
    generators = map(np.random.default_rng, numbers)
    return [tuple(random.standard_normal(shape, np.float32) for shape in shapes) for random in generators]


def bare_rate(open_served: Callable[[], ServedModel], size: int, seconds: float) -> float:
    """Samples a second of the executable alone, in a loop."""
    served = open_served()
    executable: Executable = served.executable
    staged = executable.stage(executable.encode(batch_of(served.load(range(size)), executable.inputs)))
    for _ in range(3):
        executable.run(staged)
    batches, start = 0, time.perf_counter()
    while time.perf_counter() < start + seconds:
        executable.run(staged)
        batches += 1
    return batches * size / (time.perf_counter() - start)


def bare_callback(settings: Settings, log_dir: pathlib.Path) -> None:
    """LoadGen with the least that can be done in Python: a callback that answers at once, with nothing."""
    import mlperf_loadgen
    from mlperf_loadgen import QuerySampleResponse, QuerySamplesComplete

    from tfperf.inference import loadgen

    def issue(ids: list[int], indices: list[int]) -> None:
        QuerySamplesComplete([QuerySampleResponse(ids[0], 0, 0)])

    output, log = mlperf_loadgen.LogOutputSettings(), mlperf_loadgen.LogSettings()
    output.outdir, log.log_output, log.enable_trace = str(log_dir), output, False
    sut = mlperf_loadgen.ConstructFastSUT(issue, lambda: None)
    library = mlperf_loadgen.ConstructQSL(NULL_SAMPLES, NULL_SAMPLES, lambda numbers: None, lambda numbers: None)
    test = loadgen.test_settings(settings)
    mlperf_loadgen.StartTestWithLogSettings(sut, library, test, log, str(log_dir / "no-audit"))


def in_child(work: Callable[..., Any], *arguments: object) -> Any:
    """What the work returns in a fresh process that ends afterwards.

    Raises:
        RuntimeError: it failed there; its traceback is on stderr.
    """
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    child = context.Process(target=_send, args=(sending, work, *arguments))
    child.start()
    sending.close()
    try:
        return receiving.recv()
    except EOFError:
        child.join()
        raise RuntimeError(f"{work.__name__} failed with exit code {child.exitcode}.") from None
    finally:
        child.join()


def _send(sending: Connection, work: Callable[..., Any], *arguments: object) -> None:
    sending.send(work(*arguments))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(PARTS), metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each run, at least")
    parser.add_argument("--form", choices=forms.FORMS, default=forms.REFERENCE, help="of the real models")
    parser.add_argument("--threads", type=int, default=devices.usable_cores(), help="of one operation")
    parser.add_argument("--instances", type=int, default=1, help="of resnet50_mini in server, as in InferSpec")
    return parser.parse_args()


if __name__ == "__main__":
    import bench_loadgen  # child processes find the functions under this name, but not in __main__

    bench_loadgen.main()
