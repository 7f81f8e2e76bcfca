"""The definition of a benchmark: its model, its data and its rules."""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Protocol, final

from tfperf import spec as specs
from tfperf.benchmarks.tensor import Tensor
from tfperf.errors import MissingDataError
from tfperf.events import Event

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf

    from tfperf.benchmarks.tensor import Batch, Sample


@dataclasses.dataclass(frozen=True, kw_only=True)
class QualityTarget:
    """The quality to reach: the metric that the model reports under the name `metric` must be at least `value`."""

    metric: str
    value: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Feed:
    """What one host's input pipeline should read.

    Attributes:
        batch_size: examples in each batch of this pipeline.
        pipelines: number of pipelines, one per host, that share the split.
        index: the number of this pipeline, from 0.
        seed: the seed for shuffling and augmentation.
        deterministic: whether the order and content of the examples depend on the seed alone.
        compute_dtype: the floating-point type that the model computes in. Inputs that its first layer would round to
            this type anyway may come in it, for a shorter copy to the device.
        threads: CPU threads that the pipeline has to itself; None shares TensorFlow's with the model.
    """

    batch_size: int
    pipelines: int = 1
    index: int = 0
    seed: int = 0
    deterministic: bool = False
    compute_dtype: str = "float32"
    threads: int | None = None

    def batches_of(self, examples: int) -> int:
        """Whole batches that hold this pipeline's share of the examples; the same number for all pipelines.

        Args:
            examples: those of all pipelines, which take every n-th each.
        """
        return math.ceil(math.ceil(examples / self.pipelines) / self.batch_size)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpenData:
    """A data set that was found and looks complete. Only labels, lists and metadata have been read.

    Attributes:
        train_examples: examples in the training split.
        eval_examples: examples in the evaluation split.
        train: a feed -> endless batches (inputs, targets), all of `batch_size`, reshuffled in each epoch.
        evaluation: a feed -> batches (inputs, targets, weights) that contain each example of the split once over all
            pipelines. All have `batch_size` examples, and every pipeline has the same number of batches: examples of
            weight 0 pad them.
        fingerprint: changes when the list of examples changes.
        diagnose: an error raised while reading -> an error that names the file and the record that caused it; None if
            the data is not to blame. It may take long.
        skipped: () -> the corrupt examples skipped so far, each with its name and its defect.
        scorer: () -> a scorer that computes the quality on the host and needs this data set to do so, such as its
            texts; it goes before the task's. None if the task's will do.
        exhibit: a scorer whose `result` was just called -> () -> what there is to see of that evaluation. The second
            function is called once, in another thread while training goes on, so it must not use the scorer. None if
            there is nothing to see.
    """

    train_examples: int
    eval_examples: int
    train: Callable[[Feed], tf.data.Dataset]
    evaluation: Callable[[Feed], tf.data.Dataset]
    fingerprint: str
    diagnose: Callable[[Exception], Exception | None] = lambda error: None
    skipped: Callable[[], tuple[str, ...]] = tuple
    scorer: Callable[[], Scorer] | None = None
    exhibit: Callable[[Any], Callable[[], Exhibits]] | None = None


class Picture(NamedTuple):
    """An evaluated example as a picture.

    Attributes:
        name: of the example.
        width: pixels.
        height: pixels.
        encoded: a PNG or JPEG file.
    """

    name: str
    width: int
    height: int
    encoded: bytes


class PrecisionCurve(NamedTuple):
    """The precision of one class at each recall.

    Attributes:
        name: of the class.
        total: how many there are to find.
        recall: float [n], ascending.
        precision: float [n], the highest at this recall or a higher one; 0 where the recall is never reached.
        score: float [n], the lowest score that gives this recall; 0 where it is never reached.
    """

    name: str
    total: int
    recall: np.ndarray
    precision: np.ndarray
    score: np.ndarray


class Exhibits(NamedTuple):
    """What there is to see of an evaluation besides its metrics."""

    pictures: tuple[Picture, ...] = ()
    curves: tuple[PrecisionCurve, ...] = ()


class Scorer(Protocol):
    """Computes a quality on the host, from the predictions for the whole evaluation set.

    Each host updates a scorer with its own share of the set. Then `seen` is gathered from all hosts, and every host
    computes the same result.
    """

    def reset(self) -> None:
        """Forgets everything seen, before an evaluation."""

    def update(self, targets: Any, predictions: Any, weights: np.ndarray) -> None:
        """Adds one batch in host memory.

        Args:
            targets: NumPy arrays [n, ...], as the pipeline yields them.
            predictions: NumPy arrays [n, ...], as the model returns them.
            weights: [n]; examples of weight 0 only pad a batch and don't count.
        """

    def seen(self) -> bytes:
        """Everything seen since `reset`, serialised for the other hosts."""

    def result(self, seen: Sequence[bytes]) -> Mapping[str, float]:
        """The metrics by name, computed from what all hosts have seen.

        Before the clock starts, it is called once for a host that has seen nothing, to learn the names of the metrics.
        If that call raises, the names are checked at the first evaluation instead.

        Args:
            seen: the `seen` of each host, in the order of the hosts.
        """


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingTask:
    """How a benchmark is trained, and its rules.

    Attributes:
        quality: the quality target.
        ruleset: the MLPerf Training ruleset of the last round that had this benchmark.
        submission_benchmark: the benchmark's name in that ruleset; for a mini, the name of the benchmark that it is a
            small version of.
        train_examples: size of the training set in the rules; None if they don't fix it.
        eval_examples: size of the evaluation set in the rules; None if they don't fix it.
        evaluation_interval: how much `epoch_num` in the log must increase from one evaluation to the next: in epochs,
            or in samples where the rules count samples. A function takes the global batch size. None if no rule fixes
            it.
        runs: number of runs in one result.
        parameters: number of trainable parameters of the reference model; None if the rules fix no model.
        options: the model's options, a frozen dataclass whose defaults are the benchmark's values.
        tunable: the options that may be changed in the closed division, each with its accepted values.
        left_to_rules: further options that may be changed, with values that `rules` checks.
        sources: the dataclasses that `data.source` may hold. The yaml key of each is its attribute `KEY`, or its class
            name in lower case. One with `EMBEDDED = True` needs no data directory; one with `NEEDS_DATA_DIR = True` is
            refused without one.
        build_model: options -> a model that is built but not compiled.
        open_data: (data, options, data_dir) -> the data set found there.
        compile_model: (model, optimizer, options) compiles the model with its losses and metrics.
        rules: a spec -> the rules of this benchmark's closed division that the spec breaks, beyond the rules that all
            benchmarks share. None if no rules are known, so that nothing can run closed.
        scorer: options -> a scorer that computes the quality on the host; None if the quality is a Keras metric.
        initial_weights: (options, data_dir) -> the weights to start from, by the path of each variable of the model, or
            None if these options start from the initialisers. A variable whose value is None keeps its initialiser.
            None if no options name weights.
        find_weights: (options, data_dir) refuses options that name weights which are not there. It opens no file and
            doesn't import TensorFlow, so that a dry run can refuse them too. None if no options name weights.
        logged: options -> what the ruleset wants in the log before the clock starts, besides the hyper-parameters of
            all benchmarks and of the optimizer. None if that is nothing.
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
    evaluation_interval: int | Callable[[int], int] | None = None
    runs: int = 5
    parameters: int | None = None
    tunable: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    left_to_rules: tuple[str, ...] = ()
    rules: Callable[[specs.TrainSpec], Iterable[str]] | None = None
    scorer: Callable[[Any], Scorer] | None = None
    initial_weights: Callable[[Any, pathlib.Path | None], Mapping[str, np.ndarray | None] | None] | None = None
    find_weights: Callable[[Any, pathlib.Path | None], None] | None = None
    logged: Callable[[Any], Iterable[Event]] | None = None


def quality_of(task: TrainingTask | InferenceTask, spec: specs.TrainSpec | specs.InferSpec) -> QualityTarget:
    """The target of a run: the benchmark's, unless the spec overrides its value."""
    quality = task.quality
    return quality if spec.quality_target is None else dataclasses.replace(quality, value=spec.quality_target)


def no_calibration(samples: int) -> NoReturn:
    """The `calibration` of samples that have no calibration set.

    Raises:
        MissingDataError: always.
    """
    raise MissingDataError(f"There are no calibration samples, and {samples} are needed to judge compiled forms.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpenSamples:
    """A set of samples to serve, read by number, in the order of the data set.

    Attributes:
        total: samples in the set.
        load: sample numbers -> the samples in that order, each with one array for each input of the model, preprocessed
            as the rules require.
        labels: () -> the correct answers for all samples, by number.
        names: () -> the names of all samples, by number, such as file names.
        fingerprint: changes when the list of samples changes.
        calibration: n -> at most n samples outside this set, for calibrating quantisation and comparing compiled forms.
            Raises MissingDataError if there are none.
        diagnose: as in `OpenData`.
    """

    total: int
    load: Callable[[Sequence[int]], Sequence[Sample]]
    labels: Callable[[], Any]
    names: Callable[[], tuple[str, ...]]
    fingerprint: str
    calibration: Callable[[int], OpenSamples] = no_calibration
    diagnose: Callable[[Exception], Exception | None] = lambda error: None


@final
class Ragged(NamedTuple):
    """Responses of different sizes in one buffer.

    Attributes:
        buffer: a C-contiguous array.
        offsets: int64 [n + 1], in bytes: response i is from offsets[i] to offsets[i + 1]. A response may be empty.
    """

    buffer: np.ndarray
    offsets: np.ndarray


class Respond(Protocol):
    """Turns a model's outputs into LoadGen's responses."""

    def __call__(self, outputs: Batch, indices: Sequence[int], /) -> np.ndarray | Ragged:
        """The responses, in the types and byte order that the official accuracy script reads.

        Args:
            outputs: one array [n, ...] for each output of the model, without the rows that pad a batch.
            indices: the numbers of the samples.

        Returns:
            A C-contiguous array [n, k] if all responses have the same size, otherwise `Ragged`.

        Raises:
            ValueError: the outputs are not finite.
        """


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scoring:
    """How the responses of an accuracy run are scored.

    `score` and `write` receive the responses that exist: all of them after an accuracy run, where this is checked
    first, and those that were logged after a compliance test.

    Attributes:
        score: (response bytes by sample number, the samples) -> the quality over the samples that have a response.
        write: (directory, response bytes by sample number, the samples, the quality) writes `files`, as the official
            accuracy script does.
        files: names of the files that `write` writes for a submission, the one that states the quality first.
        agreement: (a response, float32's response to the same sample) -> how well they agree, from 0 to 1.
        recompute: (directory, response bytes by sample number) -> the same as `score`, computed from `files` in the
            directory instead of the data set, for a checker that lacks the data. Raises OSError or ValueError if that
            fails. None if `files` lack the correct answers.
    """

    score: Callable[[Mapping[int, bytes], OpenSamples], float]
    write: Callable[[pathlib.Path, Mapping[int, bytes], OpenSamples, float], None]
    files: tuple[str, ...]
    agreement: Callable[[bytes, bytes], float]
    recompute: Callable[[pathlib.Path, Mapping[int, bytes]], float] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ForeignWeights:
    """Weights, in an `.h5` file, of a different model that can be served in place of the benchmark's own.

    Attributes:
        kind: the `kind` of the weights in the result.
        model: the name of that model in messages.
        note: what a reader of the result must know.
        recognise: the names of the layers in a file -> whether the file holds these weights.
        build_model: options -> that model, untrained.
        adapt: changes that model, after its weights were loaded, so that it accepts the benchmark's samples.
    """

    kind: str
    model: str
    note: str
    recognise: Callable[[Collection[str]], bool]
    build_model: Callable[[Any], keras.Model]
    adapt: Callable[[keras.Model], None] = lambda model: None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServedCheckpoints:
    """Checkpoints of other programs, in formats of their own, whose weights the benchmark's model can be served with.

    Attributes:
        described: what they are, in messages.
        files: a path -> the files of the checkpoint there; empty if there is none. Opens nothing.
        load: (model, path, options) sets all weights of the benchmark's model to those of the checkpoint. Raises
            UsageError if they don't fit.
    """

    described: str
    files: Callable[[pathlib.Path], tuple[pathlib.Path, ...]]
    load: Callable[[keras.Model, pathlib.Path, Any], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class InferenceTask:
    """How a benchmark is served, and its rules.

    Attributes:
        quality: the quality target of the served model.
        reference_quality: quality of the reference model in float32. A compiled form must keep at least
            `quality.value / reference_quality` of the quality that the model has in float32.
        loadgen_model: the model's name in LoadGen's built-in `mlperf.conf`; for a mini, that of the benchmark that it
            is a small version of.
        submission_benchmark: the name of the benchmark's directory in a submission.
        last_round: the last round of MLPerf Inference that had it, such as `v5.1`; None if the current one has it. Runs
            use the seeds of this round.
        scenarios: the scenarios that it can run, of `singlestream`, `multistream`, `server` and `offline`.
        closed_scenarios: the scenarios that a closed edge submission needs.
        eval_samples: size of the evaluation set in the rules; None if they don't fix it.
        performance_samples: fewest samples in memory during the measurement.
        server_latency_bound_ns: the bound for 99 % of the latencies in Server.
        audits: the compliance tests of the closed division.
        audited_responses: about how many responses TEST01 logs.
        parameters: as in `TrainingTask`.
        options: the model's options, as in `TrainingTask`.
        sources: as in `TrainingTask`.
        build_model: options -> the untrained model.
        inputs: options -> the model's inputs. If they have a length, samples are padded to one of `lengths`.
        outputs: options -> the model's outputs.
        lengths: lengths to compile the model for, ascending, or options -> these lengths; empty if the inputs have
            none.
        open_samples: (data, options, data_dir) -> the evaluation set found there.
        responder: the samples -> the function that turns outputs into responses.
        scoring: how the responses are scored.
        rules: as in `TrainingTask`.
        trained_by: the benchmark whose training makes the model, if it is another one than that of this task.
        foreign_weights: weights of other models that can be served.
        checkpoints: checkpoints that can be served; None if there are none.
        picture: (the samples, a sample's number, its response) -> a PNG that shows what was answered beside what is
            right; None if that can't be shown.
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
    lengths: tuple[int, ...] | Callable[[Any], tuple[int, ...]] = ()
    last_round: str | None = None
    eval_samples: int | None = None
    audits: tuple[str, ...] = ()
    audited_responses: int = 4096
    parameters: int | None = None
    rules: Callable[[specs.InferSpec], Iterable[str]] | None = None
    trained_by: str | None = None
    foreign_weights: tuple[ForeignWeights, ...] = ()
    checkpoints: ServedCheckpoints | None = None
    picture: Callable[[OpenSamples, int, bytes], bytes] | None = None

    def lengths_for(self, options: Any) -> tuple[int, ...]:
        """The lengths to compile a model of these options for, ascending; empty if its inputs have none."""
        return self.lengths(options) if callable(self.lengths) else self.lengths


class BenchmarkError(ValueError):
    """The definition of a benchmark contradicts itself."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Something to train, to serve, or both.

    Attributes:
        name: its name in configs.
        training: how it is trained; None if it can only be served.
        inference: how it is served; None if it can only be trained.
        mlperf: whether this is the MLPerf task at full size. Only tfperf's own MLPerf benchmarks can run closed.
        mini_of: the name of the benchmark that this is a small version of; None for others.
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
