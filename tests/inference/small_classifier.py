"""A small classifier, its samples and its score, for comparisons of compiled forms in real processes."""

import os
import pathlib
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfperf import spec
from tfperf.benchmarks.benchmark import InferenceTask, OpenSamples, QualityTarget, Respond, Scoring, no_calibration
from tfperf.benchmarks.tensor import Batch, Tensor
from tfperf.inference import stored_samples
from tfperf.inference.candidate_build import CandidateBuild
from tfperf.inference.comparison_samples import ComparedModel
from tfperf.inference.executable import Bucket
from tfperf.inference.form_comparison import FormComparison

INPUTS = np.random.default_rng(0).normal(size=(32, 8)).astype(np.float32)
TENSORS = (Tensor(name="features", shape=(8,)),), (Tensor(name="probabilities", shape=(4,)),)
FUNCTION, GRAPH, INT8 = "function-float32", "graph-float32", "litert-int8"


def load_model(*, works: int = 9, calls: pathlib.Path | None = None, failure: str = "") -> object:
    """A small dense classifier; from the call after `works` on, which a file counts, it fails in some way instead."""
    if calls is not None:
        with calls.open("a") as file:
            file.write(".")
        if len(calls.read_text()) > works:
            fail(failure)
    import keras

    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((8,)), keras.layers.Dense(64, "relu"), keras.layers.Dense(4, "softmax")])


def fail(failure: str) -> None:
    match failure:
        case "forks and is killed":
            if not os.fork():
                threading.Event().wait()
            os.kill(os.getpid(), signal.SIGKILL)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hungry":
            held = []
            while True:
                held.append(np.ones(2**22))
        case "hung":
            threading.Event().wait()
    raise RuntimeError("no such layer")


def responder(samples: OpenSamples) -> Respond:
    """The most probable class, as float32 [n, 1]."""

    def respond(outputs: Batch, indices: Sequence[int]) -> np.ndarray:
        (probabilities,) = outputs
        assert len(probabilities) == len(indices) and max(indices) < samples.total
        if not np.isfinite(probabilities).all():
            raise ValueError("outputs must be finite.")
        return np.ascontiguousarray(probabilities.argmax(axis=1)[:, None], np.float32)

    return respond


def score(responses: Mapping[int, bytes], samples: OpenSamples) -> float:
    """The share of right answers."""
    labels = samples.labels()
    return float(np.mean([np.frombuffer(responses[index], np.float32)[0] == labels[index] for index in responses]))


def open_samples(total: int, calibration: int) -> OpenSamples:
    """Rows of `INPUTS`, none of which belongs to a class."""

    def calibrating(count: int) -> OpenSamples:
        if not calibration:
            no_calibration(count)
        return open_samples(min(count, calibration), 0)

    return OpenSamples(
        total=total,
        load=lambda indices: [(INPUTS[index],) for index in indices],
        labels=lambda: np.zeros(total),
        names=lambda: tuple(map(str, range(total))),
        fingerprint="",
        calibration=calibrating,
    )


def compared(load: Callable[[], object] = load_model, *, share: float = 0.99, calibration: int = 32) -> ComparedModel:
    return ComparedModel(
        load_model=load,
        weights_bytes=4 * (8 * 64 + 64 * 4),
        task=InferenceTask(
            quality=QualityTarget(metric="accuracy", value=share),
            reference_quality=1.0,
            loadgen_model="resnet50",
            submission_benchmark="resnet",
            scenarios=("offline",),
            closed_scenarios=(),
            performance_samples=4,
            server_latency_bound_ns=10**9,
            options=None,
            sources=(),
            build_model=lambda options: None,
            inputs=lambda options: TENSORS[0],
            outputs=lambda options: TENSORS[1],
            open_samples=lambda data, options, data_dir: open_samples(32, 0),
            responder=responder,
            scoring=Scoring(
                score=score,
                write=lambda directory, responses, samples, quality: None,
                files=(),
                agreement=lambda one, other: float(one == other),
            ),
        ),
        options=None,
        samples=open_samples(32, calibration),
    )


def comparison(directory: pathlib.Path, model: ComparedModel | None = None, **fields: Any) -> FormComparison:
    fields = {"scenario": spec.SingleStream(), **fields}
    return FormComparison(model=model or compared(), directory=directory, threads=1, **fields)


def build_of(directory: pathlib.Path, load: Callable[[], object]) -> CandidateBuild:
    samples = directory / "timed.samples"
    stored_samples.write_samples(samples, [(row,) for row in INPUTS])
    return CandidateBuild(
        form=FUNCTION,
        directory=directory / "form",
        load_model=load,
        inputs=TENSORS[0],
        outputs=TENSORS[1],
        timed=samples,
        buckets=(Bucket(1),),
        longest_ns=None,
        threads=1,
    )
