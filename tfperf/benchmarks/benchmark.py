"""What a benchmark is: a value with its rules, its model and its data."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Protocol

from tfperf import spec as specs
from tfperf.benchmarks.tensor import Tensor
from tfperf.errors import MissingDataError

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf

    from tfperf.benchmarks.tensor import Batch, Sample


@dataclasses.dataclass(frozen=True, kw_only=True)
class QualityTarget:
    """The quality to train to: the metric that the model reports under `metric` must reach `value` or more."""

    metric: str
    value: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Feed:
    """One input pipeline's share of the input.

    Attributes:
        batch_size: examples in each batch of this pipeline.
        pipelines: how many pipelines, one to a host, read the same split.
        index: which of them this one is, from 0.
        seed: of shuffling and augmentation.
        deterministic: whether order and content depend on the seed alone.
    """

    batch_size: int
    pipelines: int = 1
    index: int = 0
    seed: int = 0
    deterministic: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpenData:
    """Data that was found and looks complete. Only labels, lists and metadata have been read.

    Attributes:
        train_examples: examples in the training split.
        eval_examples: examples in the evaluation split.
        train: endless batches (inputs, targets), all of `batch_size`, shuffled again in each epoch.
        evaluation: batches (inputs, targets, weights) with each example of the split once over all pipelines. All have
            `batch_size` examples, and every pipeline has the same number of batches: examples of weight 0 pad them.
        fingerprint: changes when the list of examples changes.
        diagnose: the error that reading raised -> an error that names the file and the record that caused it; None when
            the data is not to blame. May take long.
        skipped: the corrupt examples skipped so far, each by name with its defect.
    """

    train_examples: int
    eval_examples: int
    train: Callable[[Feed], tf.data.Dataset]
    evaluation: Callable[[Feed], tf.data.Dataset]
    fingerprint: str
    diagnose: Callable[[Exception], Exception | None] = lambda error: None
    skipped: Callable[[], tuple[str, ...]] = tuple


class Scorer(Protocol):
    """Computes a quality on the host, from the predictions for the whole evaluation set.

    Each host updates a scorer with its own share. What they have seen is gathered, and each computes the same result.
    """

    def reset(self) -> None:
        """Forgets what was seen, before an evaluation."""

    def update(self, targets: Any, predictions: Any, weights: np.ndarray) -> None:
        """Adds one batch in host memory.

        Args:
            targets: NumPy arrays [n, ...], as the pipeline yields them.
            predictions: likewise, as the model yields them.
            weights: [n]; examples of weight 0 only fill up a batch and don't count.
        """

    def seen(self) -> bytes:
        """What was seen since `reset`, for the other hosts."""

    def result(self, seen: Sequence[bytes]) -> Mapping[str, float]:
        """The metrics by name over what all hosts have seen.

        Before the clock starts it is called with a host that has seen nothing, to learn the names of the metrics. A
        scorer that raises then is checked at the first evaluation.

        Args:
            seen: what each host has seen, in the order of the hosts.
        """


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingTask:
    """How a benchmark is trained, and its rules.

    Attributes:
        quality: the target.
        ruleset: the MLPerf Training ruleset of the last round with this benchmark.
        submission_benchmark: its name in that ruleset; for a mini its parent's.
        train_examples: size of the training set in the rules; None where they don't fix it.
        eval_examples: likewise of the evaluation set.
        evaluation_interval: by how much `epoch_num` in the log must rise between two evaluations, in epochs, or in
            samples where the rules count these; None where no rule fixes it.
        runs: number of runs in one result.
        options: the model's options, a frozen dataclass; the defaults are the benchmark.
        tunable: the options that may be changed in the closed division, each with its accepted values.
        sources: the dataclasses that `data.source` may hold. The yaml key of each is its attribute `KEY`, or its class
            name in lower case. One with `EMBEDDED = True` needs no data directory.
        build_model: options -> a model that is built and not compiled.
        open_data: (data, options, data_dir) -> what is in the data directory.
        compile_model: (model, optimizer, options) compiles the model with its losses and metrics.
        rules: a spec -> each rule of this benchmark's closed division that it breaks, beyond the rules that all
            benchmarks share; None where no rules are known, so nothing can run closed.
        scorer: options -> a scorer that computes the quality on the host; None where the quality is a Keras metric.
        initial_weights: (options, data_dir) -> the weights to start from, one for each weight of the model by the path
            of its variable; a weight of None is left to its initialiser. None starts from the initialisers.
    """

    quality: QualityTarget
    ruleset: str
    submission_benchmark: str
    options: Any
    sources: tuple[type[Any], ...]
    build_model: Callable[[Any], keras.Model]
    compile_model: Callable[[keras.Model, keras.optimizers.Optimizer, Any], None]
    open_data: Callable[[specs.Data, Any, pathlib.Path | None], OpenData]
    train_examples: int | None = None
    eval_examples: int | None = None
    evaluation_interval: int | None = None
    runs: int = 5
    tunable: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    rules: Callable[[specs.TrainSpec], Iterable[str]] | None = None
    scorer: Callable[[Any], Scorer] | None = None
    initial_weights: Callable[[Any, pathlib.Path | None], Mapping[str, np.ndarray | None]] | None = None


def quality_of(task: TrainingTask | InferenceTask, spec: specs.TrainSpec | specs.InferSpec) -> QualityTarget:
    """The target of a run: the benchmark's, unless the spec overrides its value."""
    quality = task.quality
    return quality if spec.quality_target is None else dataclasses.replace(quality, value=spec.quality_target)


def no_calibration(samples: int) -> NoReturn:
    """Stands in for a missing calibration set.

    Raises:
        MissingDataError: always.
    """
    raise MissingDataError(f"There are no calibration samples, and {samples} are needed to judge compiled forms.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpenSamples:
    """Samples as the library reads them: by number, in the order of the data set.

    Attributes:
        total: samples in the set.
        load: sample numbers -> these samples in that order, each with one array for each input of the model,
            preprocessed as the rules say.
        labels: the right answers of all samples, by number.
        names: the names of all samples, by number, such as file names.
        fingerprint: changes when the list of samples changes.
        calibration: n -> at most n samples outside this set, for calibrating quantisation and comparing compiled forms.
            Raises MissingDataError where there are none.
        diagnose: as in `OpenData`.
    """

    total: int
    load: Callable[[Sequence[int]], Sequence[Sample]]
    labels: Callable[[], Any]
    names: Callable[[], tuple[str, ...]]
    fingerprint: str
    calibration: Callable[[int], OpenSamples] = no_calibration
    diagnose: Callable[[Exception], Exception | None] = lambda error: None


class Ragged(NamedTuple):
    """Responses of different sizes in one buffer.

    Attributes:
        buffer: C-contiguous.
        offsets: int64 [n + 1], in bytes: response i is from offsets[i] to offsets[i + 1]. It may be empty.
    """

    buffer: np.ndarray
    offsets: np.ndarray


class Respond(Protocol):
    """Turns a model's outputs into LoadGen's responses."""

    def __call__(self, outputs: Batch, indices: Sequence[int], /) -> np.ndarray | Ragged:
        """The responses, in the types and byte order that the official accuracy script reads.

        Args:
            outputs: one array [n, ...] for each output of the model, without the padding of a batch.
            indices: the numbers of these samples.

        Returns:
            Responses of one size as an array [n, k], C-contiguous; others as `Ragged`.

        Raises:
            ValueError: the outputs are not finite.
        """


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scoring:
    """How the answers of an accuracy run are judged.

    `score` and `write` take the samples that have a response: after an accuracy run all of them, which is checked
    first, and after a compliance test those that were logged.

    Attributes:
        score: (response bytes by sample number, the samples) -> the quality over the samples that have a response.
        write: (directory, response bytes by sample number, the samples, the quality) writes `files`, as the official
            accuracy script does.
        files: names of the files that `write` leaves for a submission; the one with the line of quality comes first.
        agreement: (a response, the reference's response to the same sample) -> how well they agree, 0 to 1.
        recompute: (directory, response bytes by sample number) -> the same as `score`, from `files` in the directory
            instead of the data set, for a checker that lacks the data. Raises OSError or ValueError where that fails.
            None where `files` lack the right answers.
    """

    score: Callable[[Mapping[int, bytes], OpenSamples], float]
    write: Callable[[pathlib.Path, Mapping[int, bytes], OpenSamples, float], None]
    files: tuple[str, ...]
    agreement: Callable[[bytes, bytes], float]
    recompute: Callable[[pathlib.Path, Mapping[int, bytes]], float] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ForeignWeights:
    """An `.h5` file of weights for another model than the benchmark's own, which can be served in its place.

    Attributes:
        kind: a name for it in the result.
        model: what the weights belong to, as a message names it.
        note: what a reader of the result must know.
        recognise: the names of the layers in a file -> whether it is such a file.
        build_model: options -> the model that the weights belong to, untrained.
        adapt: changes that model, once it has its weights, so that it takes the benchmark's samples.
    """

    kind: str
    model: str
    note: str
    recognise: Callable[[Collection[str]], bool]
    build_model: Callable[[Any], keras.Model]
    adapt: Callable[[keras.Model], None] = lambda model: None


@dataclasses.dataclass(frozen=True, kw_only=True)
class InferenceTask:
    """How a benchmark is served, and its rules.

    Attributes:
        quality: the accuracy that the served model must reach.
        reference_quality: accuracy of the reference model in float32. A compiled form may lose the same share of
            accuracy as lies between this and the target.
        loadgen_model: its name in LoadGen's built-in `mlperf.conf`; for a mini its parent's.
        submission_benchmark: the name of its directory in a submission.
        scenarios: scenarios that it can run, of `singlestream`, `multistream`, `server` and `offline`.
        closed_scenarios: the ones that a closed edge submission needs.
        eval_samples: size of the evaluation set in the rules; None where they don't fix it.
        performance_samples: fewest samples in memory during the measurement.
        server_latency_bound_ns: the bound for 99 % of the latencies in Server.
        audits: the compliance tests of the closed division.
        audited_responses: about how many responses TEST01 logs.
        parameters: number of trainable parameters of the reference model; None where the rules fix no model.
        options: the model's options, as in `TrainingTask`.
        sources: as in `TrainingTask`.
        build_model: options -> the untrained model.
        inputs: options -> the model's inputs. If these have a length, samples are padded to one of `lengths`.
        outputs: options -> the model's outputs.
        lengths: lengths to compile the model for, ascending; empty where the inputs have none.
        open_samples: (data, options, data_dir) -> what is in the data directory.
        responder: the samples -> the function that turns outputs into responses.
        scoring: how the answers are judged.
        rules: as in `TrainingTask`.
        foreign_weights: weights of other models that can be served.
    """

    quality: QualityTarget
    reference_quality: float
    loadgen_model: str
    submission_benchmark: str
    scenarios: tuple[str, ...]
    closed_scenarios: tuple[str, ...]
    performance_samples: int
    server_latency_bound_ns: int
    options: Any
    sources: tuple[type[Any], ...]
    build_model: Callable[[Any], keras.Model]
    inputs: Callable[[Any], tuple[Tensor, ...]]
    outputs: Callable[[Any], tuple[Tensor, ...]]
    open_samples: Callable[[specs.Data, Any, pathlib.Path | None], OpenSamples]
    responder: Callable[[OpenSamples], Respond]
    scoring: Scoring
    lengths: tuple[int, ...] = ()
    eval_samples: int | None = None
    audits: tuple[str, ...] = ()
    audited_responses: int = 4096
    parameters: int | None = None
    rules: Callable[[specs.InferSpec], Iterable[str]] | None = None
    foreign_weights: tuple[ForeignWeights, ...] = ()


class BenchmarkError(ValueError):
    """A benchmark that can't be run as it is defined."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One thing to measure.

    Attributes:
        name: what the user writes in a config.
        training: how it is trained; None when it can only be served.
        inference: how it is served; None when it can only be trained.
        mlperf: whether this is the MLPerf task at full size. Only tfperf's own such benchmarks can run closed.
        mini_of: the name of the benchmark that this is a small version of.
    """

    name: str
    training: TrainingTask | None = None
    inference: InferenceTask | None = None
    mlperf: bool = False
    mini_of: str | None = None

    def __post_init__(self) -> None:
        tasks = [task for task in (self.training, self.inference) if task is not None]
        if not tasks:
            raise BenchmarkError(
                f"Benchmark {self.name!r} has no task. Give it training=TrainingTask(...), "
                "inference=InferenceTask(...) or both."
            )
        if self.mlperf and any(task.rules is None for task in tasks):
            raise BenchmarkError(
                f"Benchmark {self.name!r} has mlperf=True and a task without rules, which would let anything run "
                "closed. Give each task rules=..., or leave mlperf out."
            )
