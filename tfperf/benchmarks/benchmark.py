"""What a benchmark is: a value with its rules, its model and its data."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfperf import spec

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf


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
        index: this pipeline's place among them.
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
    """Data that was found and looks whole; nothing but labels, lists and metadata has been read from it.

    Attributes:
        train_examples: examples in the training split.
        eval_examples: examples in the evaluation split.
        train: endless batches (inputs, targets), all of `batch_size`, shuffled anew in each epoch.
        evaluation: each example of the split once, over all pipelines; batches (inputs, targets, weights), all of
            `batch_size` and, across pipelines, the same number of them, filled up with examples of weight 0.
        fingerprint: changes when the list of examples changes.
        diagnose: called with the error that reading raised; returns the named file and record that caused it, as an
            error to show, or None when the data is not to blame. May take long.
        skipped: the corrupt examples left out so far, each by name with what is wrong with it.
    """

    train_examples: int
    eval_examples: int
    train: Callable[[Feed], tf.data.Dataset]
    evaluation: Callable[[Feed], tf.data.Dataset]
    fingerprint: str
    diagnose: Callable[[Exception], Exception | None] = lambda error: None
    skipped: Callable[[], tuple[str, ...]] = tuple


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingTask:
    """How a benchmark is trained, and by which rules.

    Attributes:
        quality: the target.
        ruleset: the MLPerf Training ruleset of the last round with this benchmark.
        submission_benchmark: the name under which that ruleset knows it; for a mini its parent's.
        train_examples: examples of the training set by the rules; None where the rules name none.
        eval_examples: examples of the evaluation set by the rules.
        evaluate_every_epochs: epochs between evaluations by the rules.
        runs: runs that make one result.
        options: the model's options, a frozen dataclass; the defaults are the benchmark.
        tunable: the options that the closed division leaves free, each with its accepted values.
        build_model: options -> an uncompiled model, built, with its losses and metrics in `compile_model`.
        open_data: (data, options, data_dir) -> what is in the data directory.
        compile_model: (model, optimizer, options) compiles the model.
    """

    quality: QualityTarget
    ruleset: str
    submission_benchmark: str
    options: Any
    build_model: Callable[[Any], keras.Model]
    compile_model: Callable[[keras.Model, keras.optimizers.Optimizer, Any], None]
    open_data: Callable[[spec.Data, Any, pathlib.Path | None], OpenData]
    train_examples: int | None = None
    eval_examples: int | None = None
    evaluate_every_epochs: int = 1
    runs: int = 5
    tunable: tuple[tuple[str, tuple[Any, ...]], ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpenSamples:
    """The evaluation set as the sample library reads it: any sample by its number, in the order of the data set.

    Attributes:
        total: samples in the set.
        load: sample numbers -> their model inputs, float32 [n, ...], in that order, preprocessed as the rules say.
        labels: the right answers of all samples, by number.
        names: of all samples, by number, such as their file names.
        calibration: n -> at most n model inputs, float32 [n, ...], with their right answers: what quantisation may be
            calibrated with and compiled forms compared on. None of them is in the evaluation set.
        fingerprint: changes when the list of samples changes.
        diagnose: as in `OpenData`.
    """

    total: int
    load: Callable[[Sequence[int]], np.ndarray]
    labels: Callable[[], np.ndarray]
    names: Callable[[], tuple[str, ...]]
    calibration: Callable[[int], tuple[np.ndarray, np.ndarray]]
    fingerprint: str
    diagnose: Callable[[Exception], Exception | None] = lambda error: None


@dataclasses.dataclass(frozen=True, kw_only=True)
class InferenceTask:
    """How a benchmark is served, and by which rules.

    Attributes:
        quality: the accuracy that the served model must reach.
        reference_quality: that of the reference model in float32. A compiled form may lose the share of its quality
            that lies between this and the target.
        loadgen_model: the name under which LoadGen's built-in `mlperf.conf` knows it; for a mini its parent's.
        submission_benchmark: the name of its directory in a submission.
        scenarios: keys of the scenarios (`singlestream`, `multistream`, `server`, `offline`) that may run.
        closed_scenarios: those that a closed edge submission must hold.
        eval_samples: samples of the evaluation set by the rules; None where the rules name none.
        performance_samples: samples that are in memory during the measurement, at least.
        server_latency_bound_ns: what 99 % of the Server latencies keep within.
        audits: the compliance tests of the closed division.
        parameters: trainable parameters of the reference model; None where the rules name no model.
        options: the model's options, as in `TrainingTask`.
        build_model: options -> the model, built, untrained.
        input_shape: options -> the shape of one sample.
        output_shape: options -> the shape of the model's answer to one sample.
        open_samples: (data, options, data_dir) -> what is in the data directory.
        respond: the model's outputs [n, ...] -> the response of each sample, C-contiguous [n, k], in the numbers
            and the byte order that the official accuracy script reads. Raises ValueError when they are not finite.
        score: (response bytes by sample number, labels) -> the quality.
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
    build_model: Callable[[Any], keras.Model]
    input_shape: Callable[[Any], tuple[int, ...]]
    output_shape: Callable[[Any], tuple[int, ...]]
    open_samples: Callable[[spec.Data, Any, pathlib.Path | None], OpenSamples]
    respond: Callable[[np.ndarray], np.ndarray]
    score: Callable[[Mapping[int, bytes], np.ndarray], float]
    eval_samples: int | None = None
    audits: tuple[str, ...] = ()
    parameters: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One thing to measure.

    Attributes:
        name: as the user writes it.
        training: how it is trained.
        mlperf: whether this is the MLPerf task at full size. Only such a benchmark can run closed.
        inference: how it is served; None when it can only be trained.
    """

    name: str
    training: TrainingTask
    mlperf: bool = False
    inference: InferenceTask | None = None
