"""Rates of each form that tfperf serves a network in, and of OpenVINO's, in fresh processes that alternate.

Shared by the benches of networks. OpenVINO's int8 needs nncf, which tfperf doesn't install: `pip install nncf`.
Unavailable forms are listed with the reason.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import importlib
import multiprocessing
import pathlib
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfperf.benchmarks.tensor import Batch, Sample, Tensor
from tfperf.inference import candidate_build, forms, stored_samples
from tfperf.inference.candidate_build import CandidateBuild
from tfperf.inference.executable import Bucket
from tfperf.inference.forms import machine
from tfperf.inference.forms.machine import UnavailableError

if TYPE_CHECKING:
    import keras

NEAR, LOOKED_AT = 0.6, 2  # of the fastest form's rate: one that is slower in the first two rounds is not measured again
QUALITY_SHARE = 0.99  # of float32's quality, as MLPerf requires of ResNet-50 and of bert-99
MODEL, SAMPLES, LABELS, ANSWERS = "model.keras", "samples", "labels.npy", "answers"
OPENVINO = ("openvino-float32", "openvino-bfloat16", "openvino-int8")
OPENVINO_FORM, PLAIN_FUNCTION = "fastest OpenVINO form", "tf.function"
TIMEOUT_S = 1200.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchNetwork:
    """A network with random weights that gives answers which can be right or wrong; picklable.

    Attributes:
        inputs: its inputs.
        outputs: its outputs.
        length: the length of its samples; None if they have none.
        samples: what a sample is called, such as `images`.
        make: (directory, threads) -> writes `MODEL`, the samples to compare on as `SAMPLES`, and `LABELS`, int64
            [samples, ...].
        layers: the modules that define its layers, which are imported before `MODEL` is read.
        answers_of: the outputs of a batch -> its answers, int64 [n, ...], right if equal to the labels.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    length: int | None = None
    samples: str
    make: Callable[[pathlib.Path, int], None]
    layers: tuple[str, ...] = ()
    answers_of: Callable[[Batch], np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Round:
    """One form to measure in one round."""

    network: BenchNetwork
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
        per_s: samples per second by batch size, one value for each round.
        quality: share of right answers.
        agreement: share of answers equal to the plain function's.
    """

    per_s: Mapping[int, list[float]]
    quality: float
    agreement: float


def measure(
    network: BenchNetwork, directory: pathlib.Path, *, batch_sizes: tuple[int, ...], threads: int, rounds: int
) -> tuple[dict[str, Measured], dict[str, str]]:
    """Makes the network and measures its forms `rounds` times, alternating.

    The first two rounds have all forms, the others those that can still be the fastest of tfperf's or of OpenVINO's,
    and the plain function. Also returns the unavailable forms with the reason.
    """
    apart(functools.partial(network.make, directory, threads))
    times: dict[str, list[Mapping[int, float]]] = {}
    refused: dict[str, str] = {}
    wanted: Sequence[str] = (*forms.FORMS, *OPENVINO)
    for number in range(rounds):
        for form in wanted:
            if form in refused:
                continue
            each = Round(
                network=network,
                form=form,
                directory=directory / form,
                model=directory / MODEL,
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
                print(f"unavailable: {error}", flush=True)
        measured = {form: judged(network, directory, form, times[form]) for form in times if form not in refused}
        if number + 1 == LOOKED_AT:
            wanted = near_the_fastest(measured)
    return measured, refused


def near_the_fastest(measured: Mapping[str, Measured]) -> list[str]:
    """The forms that may be the fastest accurate one of their side at a batch size, by their best round; and the plain
    function.
    """
    kept = {forms.REFERENCE}
    for size in measured[forms.REFERENCE].per_s:
        for openvino in (False, True):
            best = fastest(measured, size, openvino=openvino)
            if best is None:
                continue
            least = NEAR * statistics.median(measured[best].per_s[size])
            able = accurate(measured, openvino=openvino)
            kept.update(form for form in able if max(measured[form].per_s[size]) >= least)
    return [form for form in measured if form in kept]


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
        load_model=functools.partial(load, each.network.layers, each.model) if each.first else None,
        inputs=each.network.inputs,
        outputs=each.network.outputs,
        timed=each.samples,
        calibrating=each.samples,
        judged=each.samples,
        buckets=tuple(Bucket(size, each.network.length) for size in each.batch_sizes),
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


def judged(network: BenchNetwork, directory: pathlib.Path, form: str, times: Sequence[Mapping[int, float]]) -> Measured:
    """The form's rates, and its answers compared with the labels and the plain function's answers."""
    labels = np.load(directory / LABELS)
    answers, reference = (answers_in(directory / name, network) for name in (form, forms.REFERENCE))
    common = sorted(answers.keys() & reference.keys())  # a slow form answers fewer
    right = [np.array_equal(answers[index], labels[index]) for index in common]
    agreeing = [np.array_equal(answers[index], reference[index]) for index in common]
    return Measured(
        per_s={size: [size * 1e9 / each[size] for each in times] for size in times[0]},
        quality=float(np.mean(right)),
        agreement=float(np.mean(agreeing)),
    )


def answers_in(directory: pathlib.Path, network: BenchNetwork) -> dict[int, np.ndarray]:
    """The answers to the samples by their index, from the outputs that the form left."""
    found: dict[int, np.ndarray] = {}
    for indices, outputs in stored_samples.read_answers(directory / ANSWERS, network.outputs):
        found.update(zip(indices, network.answers_of(outputs), strict=True))
    return found


def report(
    measured: Mapping[str, Measured],
    refused: Mapping[str, str],
    *,
    samples: str,
    batch_sizes: Sequence[int],
    goals: Mapping[str, float],
) -> dict[str, dict[str, object]]:
    """Prints a table and returns the ratios for programs.

    Args:
        measured: by form.
        refused: the unavailable forms, with the reason.
        samples: as in `BenchNetwork`.
        batch_sizes: those measured.
        goals: the least ratio to OpenVINO's fastest form and to a plain `tf.function`, by `OPENVINO_FORM` and
            `PLAIN_FUNCTION`.
    """
    print(f"{f'{samples} per second':22s}" + "".join(f"{f'batch {size}':>12s}" for size in batch_sizes), end="")
    print(f"{'right':>10s}{'agree':>10s}")
    for form, found in measured.items():
        rates = "".join(f"{statistics.median(found.per_s[size]):12.1f}" for size in batch_sizes)
        print(f"{form:22s}{rates}{found.quality:10.1%}{found.agreement:10.1%}")
    for form, reason in refused.items():
        print(f"{form:22s}  unavailable: {reason}")
    ratios: dict[str, dict[str, object]] = {}
    rounds = len(measured[forms.REFERENCE].per_s[batch_sizes[0]])
    compared = {form: found for form, found in measured.items() if len(found.per_s[batch_sizes[0]]) == rounds}
    for size in batch_sizes:
        ours, theirs = (fastest(compared, size, openvino=which) for which in (False, True))
        print(f"batch {size}, fastest and {QUALITY_SHARE:.0%} as good as float32: {ours} (tfperf), {theirs} (OpenVINO)")
        for name, other in ((OPENVINO_FORM, theirs), (PLAIN_FUNCTION, forms.REFERENCE)):
            if other is not None:
                value = ratio(measured[ours or forms.REFERENCE], measured[other], size)
                what = f"{samples}/s at batch {size}, chosen form / {name}"
                ratios[what] = {"value": value, "goal": f">= {goals[name]}"}
    return ratios


def fastest(measured: Mapping[str, Measured], size: int, *, openvino: bool) -> str | None:
    """The fastest form at a batch size among those that are accurate enough; None if there is none."""
    able = accurate(measured, openvino=openvino)
    return max(able, key=lambda form: statistics.median(measured[form].per_s[size]), default=None)


def accurate(measured: Mapping[str, Measured], *, openvino: bool) -> list[str]:
    """The forms of tfperf, or of OpenVINO, that are accurate enough."""
    least = QUALITY_SHARE * measured[forms.REFERENCE].quality
    return [form for form in measured if (form in OPENVINO) == openvino and measured[form].quality >= least]


def ratio(one: Measured, other: Measured, size: int) -> float:
    """The median of the ratios of each round: what slows a round slows both."""
    pairs = zip(one.per_s[size], other.per_s[size], strict=True)
    return round(statistics.median(value / to for value, to in pairs), 3)


def load(layers: Sequence[str], path: pathlib.Path) -> keras.Model:
    """The network."""
    import keras

    for name in layers:
        importlib.import_module(name)
    model: keras.Model = keras.saving.load_model(path, compile=False)
    return model


class OpenVino:
    """A model that OpenVINO compiled for each batch size; implements `executable.Executable`."""

    host_memory = True

    def __init__(self, model: Any, network: BenchNetwork, *, form: str, threads: int) -> None:
        self.form, self.threads = form, threads
        self.inputs: tuple[Tensor, ...] = network.inputs
        self.outputs: tuple[Tensor, ...] = network.outputs
        self.encoded: tuple[np.dtype[Any], ...] = tuple(np.dtype(tensor.dtype) for tensor in network.inputs)
        self.buckets: tuple[Bucket, ...] = ()
        self._model, self._requests = model, dict[Bucket, Any]()

    def prepare(self, bucket: Bucket) -> None:
        """Compiles for a batch size and runs once."""
        import openvino

        shapes = [[bucket.batch, *tensor.at(bucket.length)] for tensor in self.inputs]
        self._model.reshape(dict(zip(ordered(self._model.inputs), shapes, strict=True)))
        properties = {
            "INFERENCE_NUM_THREADS": self.threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if self.form.endswith("bfloat16") else "f32",
        }
        compiled = openvino.Core().compile_model(self._model, "CPU", properties)
        self._requests[bucket] = compiled.create_infer_request()
        self.buckets = tuple(sorted(self._requests, key=lambda each: each.batch))
        self.run(tuple(np.zeros(shape, kind) for shape, kind in zip(shapes, self.encoded, strict=True)))

    def encode(self, batch: Batch) -> Batch:
        """The samples as they are."""
        return batch

    def stage(self, batch: Batch) -> Batch:
        """The inputs themselves."""
        return batch

    def run(self, staged: Batch) -> Batch:
        """The outputs, copied."""
        (request,) = (self._requests[bucket] for bucket in self.buckets if bucket.batch == len(staged[0]))
        given = dict(zip(ordered(request.model_inputs), staged, strict=True))
        found = request.infer(given, share_inputs=True, share_outputs=True)
        return tuple(np.array(found[place]) for place in range(len(self.outputs)))

    def traces(self) -> int:
        """Models compiled."""
        return len(self._requests)


def ordered(tensors: Sequence[Any]) -> list[Any]:
    """OpenVINO's inputs in the order of the network's, whose names in the SavedModel are `input_0`, `input_1`, ..."""
    return sorted(tensors, key=lambda tensor: str(min(tensor.names)))


def openvino_times(each: Round) -> dict[int, float]:
    """The same as `run`, for an OpenVINO form; called in a fresh process."""
    network = each.network
    samples = stored_samples.read_samples(each.samples, network.inputs)
    executable = OpenVino(openvino_model(each, samples), network, form=each.form, threads=each.threads)
    times = {}
    for size in each.batch_sizes:
        bucket = Bucket(size, network.length)
        executable.prepare(bucket)
        batch = stored_samples.typical_batch(samples, executable, bucket)
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
            model = quantised(model, each.network, samples)
        openvino.save_model(model, path, compress_to_fp16=False)
    return openvino.Core().read_model(path)


def quantised(model: Any, network: BenchNetwork, samples: Sequence[Sample]) -> Any:
    """The model in int8 by nncf, with ranges from the samples, like LiteRT's.

    Raises:
        UnavailableError: nncf is not installed.
    """
    try:
        import nncf
    except ImportError as error:
        raise UnavailableError(f"{error}; pip install nncf") from error
    names = [str(min(tensor.names)) for tensor in ordered(model.inputs)]
    dataset = nncf.Dataset(
        [{name: array[None] for name, array in zip(names, sample, strict=True)} for sample in samples]
    )
    kind = nncf.ModelType.TRANSFORMER if network.length else None
    return nncf.quantize(model, dataset, subset_size=len(samples), model_type=kind)
