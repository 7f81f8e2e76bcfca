#!/usr/bin/env python3
"""Compares the compiled forms of ResNet-50 that tfperf serves with OpenVINO's: images per second by batch size.

    tools/bench_executables.py [--rounds 5] [--batch_sizes 1,8,32] [--threads 2]

All forms have the same weights. Each runs in a separate process with the same number of threads; the forms
alternate. Their answers are compared too, since a fast form with wrong answers is useless. There is no ImageNet here,
so the weights are random, the statistics of batch normalisation come from drawn scenes, and the last layer is fitted to
tell the 8 kinds of scenes apart. Its 8 outputs in place of 1000 save 0.05 % of the arithmetic. Answers are compared on
scenes that the layer was fitted to and gets right. Random features say little about other scenes, and the question is
what a form changes in the answers, not how good they are.

OpenVINO's int8 needs nncf, which tfperf doesn't install: `pip install nncf`. Unavailable forms are listed with the
reason.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import functools
import io
import json
import multiprocessing
import pathlib
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from tfperf.benchmarks.resnet50.options import Options
from tfperf.benchmarks.shapes import draw, outlines
from tfperf.benchmarks.tensor import Batch, Sample, Tensor
from tfperf.inference import candidate_build, forms, stored_samples
from tfperf.inference.candidate_build import CandidateBuild
from tfperf.inference.executable import Bucket
from tfperf.inference.forms import machine
from tfperf.inference.forms.machine import UnavailableError
from tfperf.system import allocator, devices

if TYPE_CHECKING:
    import keras

OPTIONS = Options(classes=len(outlines.KINDS))
INPUTS = (Tensor(name="image", shape=(OPTIONS.image_size, OPTIONS.image_size, 3)),)
OUTPUTS = (Tensor(name="probabilities", shape=(OPTIONS.classes,)),)
FITTED, NORMALISED, COMPARED = 256, 64, 128  # scenes; each smaller number counts the first of the larger
RIDGE = 0.1
QUALITY_SHARE = 0.99  # of float32's quality, as MLPerf requires of ResNet-50
SAMPLES, ANSWERS = "samples", "answers"
OPENVINO = ("openvino-float32", "openvino-bfloat16", "openvino-int8")
TIMEOUT_S = 600.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Round:
    """One form to measure in one round."""

    form: str
    directory: pathlib.Path
    model: pathlib.Path
    samples: pathlib.Path
    batch_sizes: tuple[int, ...]
    threads: int
    first: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """The measurements of one form.

    Attributes:
        images_per_s: by batch size, one value for each round.
        quality: share of right answers.
        agreement: share of answers equal to the plain function's.
    """

    images_per_s: Mapping[int, list[float]]
    quality: float
    agreement: float


def main() -> None:
    """Measures and prints."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        print("drawing scenes and fitting the model", flush=True)
        apart(functools.partial(make, directory, threads=arguments.threads))
        measured, refused = measure(
            directory, batch_sizes=arguments.batch_sizes, threads=arguments.threads, rounds=arguments.rounds
        )
    report(measured, refused, batch_sizes=arguments.batch_sizes)


def measure(
    directory: pathlib.Path, *, batch_sizes: tuple[int, ...], threads: int, rounds: int
) -> tuple[dict[str, Measured], dict[str, str]]:
    """Measures all forms `rounds` times, alternating; also returns the unavailable ones with the reason."""
    times: dict[str, list[Mapping[int, float]]] = {}
    refused: dict[str, str] = {}
    for number in range(rounds):
        for form in (*forms.FORMS, *OPENVINO):
            if form in refused:
                continue
            each = Round(
                form=form,
                directory=directory / form,
                model=directory / "model.keras",
                samples=directory / SAMPLES,
                batch_sizes=batch_sizes,
                threads=threads,
                first=number == 0,
            )
            print(f"round {number + 1} of {rounds}: {form}", flush=True)
            try:
                times.setdefault(form, []).append(run(each))
            except UnavailableError as error:
                refused[form] = str(error)
    return {form: judged(directory, form, times[form]) for form in times if form not in refused}, refused


def run(each: Round) -> Mapping[int, float]:
    """The median time of one execution by batch size. The first round leaves the outputs for the samples."""
    if each.form in OPENVINO:
        found: Mapping[int, float] = apart(functools.partial(openvino_times, each))
        return found
    reason = machine.offered(each.form)
    if reason is not None:
        raise UnavailableError(reason)
    build = CandidateBuild(
        form=each.form,
        directory=each.directory,
        load_model=functools.partial(load, each.model) if each.first else None,
        inputs=INPUTS,
        outputs=OUTPUTS,
        timed=each.samples,
        calibrating=each.samples,
        judged=each.samples,
        buckets=tuple(map(Bucket, each.batch_sizes)),
        longest_ns=None,
        threads=each.threads,
    )
    built = candidate_build.run(build, on_progress=lambda text: None, timeout_s=TIMEOUT_S)
    return {bucket.batch: time for bucket, time in built.execution_ns.items()}


def apart(work: Callable[[], Any]) -> Any:
    """What `work` returns in a fresh process."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as process:
        return process.submit(work).result()


def judged(directory: pathlib.Path, form: str, times: Sequence[Mapping[int, float]]) -> Measured:
    """The form's rates, and its answers compared with the labels and the plain function's answers."""
    answers, reference = (classes(directory / name) for name in (form, forms.REFERENCE))
    return Measured(
        images_per_s={size: [size * 1e9 / each[size] for each in times] for size in times[0]},
        quality=float(np.mean(answers == np.load(directory / "labels.npy"))),
        agreement=float(np.mean(answers == reference)),
    )


def classes(directory: pathlib.Path) -> np.ndarray:
    """The most probable class of each sample, from the outputs that the form left."""
    found = np.empty(COMPARED, np.int64)
    for indices, (probabilities,) in stored_samples.read_answers(directory / ANSWERS, OUTPUTS):
        found[list(indices)] = probabilities.argmax(axis=1)
    return found


def report(measured: Mapping[str, Measured], refused: Mapping[str, str], *, batch_sizes: Sequence[int]) -> None:
    """Prints a table for people and, as the last line, a JSON object for programs."""
    print(f"{'images per second':22s}" + "".join(f"{f'batch {size}':>12s}" for size in batch_sizes), end="")
    print(f"{'right':>10s}{'agree':>10s}")
    for form, found in measured.items():
        rates = "".join(f"{statistics.median(found.images_per_s[size]):12.1f}" for size in batch_sizes)
        print(f"{form:22s}{rates}{found.quality:10.1%}{found.agreement:10.1%}")
    for form, reason in refused.items():
        print(f"{form:22s}  unavailable: {reason}")
    ratios: dict[str, dict[str, object]] = {}
    for size in batch_sizes:
        ours, theirs = (fastest(measured, size, openvino=which) for which in (False, True))
        print(f"batch {size}, fastest and {QUALITY_SHARE:.0%} as good as float32: {ours} (tfperf), {theirs} (OpenVINO)")
        for name, other, goal in (("fastest OpenVINO form", theirs, 0.95), ("tf.function", forms.REFERENCE, 2)):
            if other is not None:
                value = ratio(measured[ours or forms.REFERENCE], measured[other], size)
                ratios[f"images/s at batch {size}, chosen form / {name}"] = {"value": value, "goal": f">= {goal}"}
    print(json.dumps({"name": "executables", "ratios": ratios}))


def fastest(measured: Mapping[str, Measured], size: int, *, openvino: bool) -> str | None:
    """The fastest form at a batch size among those that are accurate enough; None if there is none."""
    least = QUALITY_SHARE * measured[forms.REFERENCE].quality
    able = [form for form in measured if (form in OPENVINO) == openvino and measured[form].quality >= least]
    return max(able, key=lambda form: statistics.median(measured[form].images_per_s[size]), default=None)


def ratio(one: Measured, other: Measured, size: int) -> float:
    """The median of the ratios of each round: what slows a round slows both."""
    pairs = zip(one.images_per_s[size], other.images_per_s[size], strict=True)
    return round(statistics.median(value / to for value, to in pairs), 3)


def make(directory: pathlib.Path, *, threads: int) -> None:
    """Writes `model.keras`, and the scenes to compare on as `samples` with `labels.npy`."""
    allocator.keep_freed_memory()
    machine.set_up(threads=threads)
    import keras

    from tfperf.benchmarks.resnet50 import model as resnet

    keras.utils.set_random_seed(0)
    model = resnet.build(OPTIONS)
    images, labels = scenes(FITTED)
    normalise(model, images[:NORMALISED])
    fit(model, images, labels)
    model.save(directory / "model.keras")
    compared: list[Sample] = [(image,) for image in images[:COMPARED]]
    stored_samples.write_samples(directory / SAMPLES, compared)
    np.save(directory / "labels.npy", labels[:COMPARED])


def normalise(model: keras.Model, images: np.ndarray) -> None:
    """Gives batch normalisation the statistics of these images."""
    import keras

    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    model(images, training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum


def fit(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> None:
    """Sets the last layer by ridge regression of the labels on its inputs."""
    import keras

    pooled = keras.Model(model.inputs[0], model.get_layer("reduce_mean").output)
    features = np.concatenate([np.asarray(pooled(batch)) for batch in np.split(images, len(images) // 16)])
    mean, scale = features.mean(axis=0), features.std() + 1e-6
    centred = (features - mean) / scale
    targets = np.eye(OPTIONS.classes, dtype=np.float32)[labels] - 1 / OPTIONS.classes
    inner = centred @ centred.T + RIDGE * len(images) * np.eye(len(images), dtype=np.float32)
    kernel = centred.T @ np.linalg.solve(inner, targets) / scale
    model.get_layer(f"fc{OPTIONS.classes}").set_weights([kernel, -mean @ kernel])


def scenes(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Model inputs, float32 [count, 224, 224, 3], and labels, int64 [count]."""
    from tfperf.benchmarks.resnet50 import preprocessing

    drawn = [draw.example("train", index) for index in range(count)]
    side = (OPTIONS.image_size, OPTIONS.image_size)
    pixels = [Image.open(io.BytesIO(example.jpeg)).resize(side, Image.Resampling.BILINEAR) for example in drawn]
    images = np.stack([np.asarray(image, np.float32) for image in pixels]) - np.array(
        preprocessing.CHANNEL_MEANS, np.float32
    )
    return images, np.array([outlines.KINDS.index(example.label) for example in drawn])


def load(path: pathlib.Path) -> keras.Model:
    """The fitted model."""
    import keras

    model: keras.Model = keras.saving.load_model(path, compile=False)
    return model


class OpenVino:
    """A model that OpenVINO compiled for each batch size; implements `executable.Executable`."""

    host_memory = True

    def __init__(self, model: Any, *, form: str, threads: int) -> None:
        self.form, self.threads = form, threads
        self.inputs: tuple[Tensor, ...] = INPUTS
        self.outputs: tuple[Tensor, ...] = OUTPUTS
        self.encoded: tuple[np.dtype[Any], ...] = (np.dtype(np.float32),)
        self.buckets: tuple[Bucket, ...] = ()
        self._model, self._requests = model, dict[int, Any]()

    def prepare(self, bucket: Bucket) -> None:
        """Compiles for a batch size and runs once."""
        import openvino

        shape = [bucket.batch, *INPUTS[0].at(None)]
        self._model.reshape(shape)
        properties = {
            "INFERENCE_NUM_THREADS": self.threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if self.form.endswith("bfloat16") else "f32",
        }
        compiled = openvino.Core().compile_model(self._model, "CPU", properties)
        self._requests[bucket.batch] = compiled.create_infer_request()
        self.buckets = tuple(map(Bucket, sorted(self._requests)))
        self.run((np.zeros(shape, np.float32),))

    def encode(self, batch: Batch) -> Batch:
        """The samples as they are."""
        return batch

    def stage(self, batch: Batch) -> Batch:
        """The inputs themselves."""
        return batch

    def run(self, staged: Batch) -> Batch:
        """The outputs, copied."""
        (images,) = staged
        found = self._requests[len(images)].infer({0: images}, share_inputs=True, share_outputs=True)
        return (np.array(found[0]),)

    def traces(self) -> int:
        """Models compiled."""
        return len(self._requests)


def openvino_times(each: Round) -> dict[int, float]:
    """The same as `run`, for an OpenVINO form; called in a fresh process."""
    samples = stored_samples.read_samples(each.samples, INPUTS)
    executable = OpenVino(openvino_model(each, samples), form=each.form, threads=each.threads)
    times = {}
    for size in each.batch_sizes:
        executable.prepare(Bucket(size))
        batch = stored_samples.typical_batch(samples, executable, Bucket(size))
        times[size] = candidate_build.median_ns(executable, batch)
    if each.first:
        stored_samples.write_answers(each.directory / ANSWERS, stored_samples.answers(executable, samples))
    return times


def openvino_model(each: Round, samples: Sequence[Sample]) -> Any:
    """The model in OpenVINO's own representation, which the first round makes from the plain function's SavedModel.

    Raises:
        UnavailableError: OpenVINO or nncf is not installed, or the processor has no bfloat16.
    """
    try:
        import openvino
    except ImportError as error:
        raise UnavailableError(f"{error}; install tfperf[bench]") from error
    if each.form.endswith("bfloat16") and "BF16" not in openvino.Core().get_property(
        "CPU", "OPTIMIZATION_CAPABILITIES"
    ):
        raise UnavailableError("OpenVINO computes no bfloat16 on this processor")
    path = each.directory / "model.xml"
    if each.first:
        each.directory.mkdir()
        plain = each.directory.parent / forms.REFERENCE / "saved_model"
        model = openvino.convert_model(plain)
        if each.form.endswith("int8"):
            model = quantised(model, samples)
        openvino.save_model(model, path, compress_to_fp16=False)
    return openvino.Core().read_model(path)


def quantised(model: Any, samples: Sequence[Sample]) -> Any:
    """The model in int8 by nncf, with ranges from the samples, like LiteRT's.

    Raises:
        UnavailableError: nncf is not installed.
    """
    try:
        import nncf
    except ImportError as error:
        raise UnavailableError(f"{error}; pip install nncf") from error
    return nncf.quantize(model, nncf.Dataset([image[None] for (image,) in samples]), subset_size=len(samples))


def _batch_sizes(text: str) -> tuple[int, ...]:
    return tuple(sorted({int(size) for size in text.split(",")}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch_sizes", type=_batch_sizes, default=(1, 8, 32), help="such as 1,8,32")
    parser.add_argument("--threads", type=int, default=devices.usable_cores(), help="CPU threads per operation")
    return parser.parse_args()


if __name__ == "__main__":
    import bench_executables  # child processes find the functions under this name, not under __main__

    bench_executables.main()
