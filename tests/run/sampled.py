"""A benchmark that exists only in tests: a cadence in samples, a scorer on the host, initial weights by name.

The task: does the first of four numbers exceed the second? `initial.npz` in the data directory holds the weights that
training starts from.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfperf.benchmarks.benchmark import Benchmark, Feed, OpenData, QualityTarget, TrainingTask

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

FEATURES, HIDDEN = 4, 3
TRAIN_EXAMPLES, EVAL_EXAMPLES = 96, 37
WEIGHTS = {
    "hidden/kernel": (FEATURES, HIDDEN),
    "hidden/bias": (HIDDEN,),
    "answer/kernel": (HIDDEN, 2),
    "answer/bias": (2,),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What the model may vary.

    Args:
        reported: the name under which the scorer reports its metric.
    """

    reported: str = "hit_rate"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Numbers:
    """Random numbers.

    Args:
        train_examples: examples in the training split.
    """

    train_examples: int = TRAIN_EXAMPLES


def examples(count: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets."""
    inputs = np.random.default_rng(seed).normal(size=(count, FEATURES)).astype("float32")
    return inputs, (inputs[:, 0] > inputs[:, 1]).astype("int32")


def evaluation_set() -> tuple[np.ndarray, np.ndarray]:
    """All examples of the evaluation split."""
    return examples(EVAL_EXAMPLES, seed=2)


class HitRate:
    """Keeps a byte for each example, so workers that see different numbers of examples send different sizes."""

    def __init__(self, reported: str) -> None:
        self._reported = reported
        self._hits: list[np.ndarray] = []

    def reset(self) -> None:
        self._hits.clear()

    def update(self, targets: Any, predictions: Any, weights: np.ndarray) -> None:
        assert isinstance(targets, np.ndarray)
        assert isinstance(predictions, np.ndarray)
        self._hits.append((np.argmax(predictions, 1) == targets)[weights > 0])

    def seen(self) -> bytes:
        return np.concatenate([np.zeros(0, bool), *self._hits]).astype(np.uint8).tobytes()

    def result(self, seen: Sequence[bytes]) -> Mapping[str, float]:
        hits = np.frombuffer(b"".join(seen), np.uint8)
        return {self._reported: float(np.mean(hits)), "scored": len(hits), "workers": len(seen)}


def build_model(options: Options) -> keras.Model:
    import keras

    inputs = keras.Input((FEATURES,))
    hidden = keras.layers.Dense(HIDDEN, activation="relu", name="hidden")(inputs)
    return keras.Model(inputs, keras.layers.Dense(2, name="answer")(hidden))


def compile_model(model: keras.Model, optimizer: keras.optimizers.Optimizer, options: Options) -> None:
    import keras

    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)


def open_data(data: Any, options: Options, data_dir: pathlib.Path | None) -> OpenData:
    import tensorflow as tf

    def train(feed: Feed) -> tf.data.Dataset:
        dataset = tf.data.Dataset.from_tensor_slices(examples(data.source.train_examples, seed=1))
        return dataset.shard(feed.pipelines, feed.index).repeat().batch(feed.batch_size, drop_remainder=True)

    def evaluation(feed: Feed) -> tf.data.Dataset:
        inputs, targets = evaluation_set()
        own = slice(feed.index, None, feed.pipelines)
        weights = np.ones(EVAL_EXAMPLES, "float32")[own]
        size = -(-EVAL_EXAMPLES // (feed.batch_size * feed.pipelines)) * feed.batch_size
        filled = [
            np.concatenate([part, np.zeros((size - len(part), *part.shape[1:]), part.dtype)])
            for part in (inputs[own], targets[own], weights)
        ]
        return tf.data.Dataset.from_tensor_slices(tuple(filled)).batch(feed.batch_size, drop_remainder=True)

    return OpenData(
        train_examples=data.source.train_examples,
        eval_examples=EVAL_EXAMPLES,
        train=train,
        evaluation=evaluation,
        fingerprint="numbers",
    )


def initial_weights(options: Options, data_dir: pathlib.Path | None) -> Mapping[str, np.ndarray]:
    assert data_dir is not None
    with np.load(data_dir / "initial.npz") as found:
        return dict(found)


BENCHMARK = Benchmark(
    name="sampled",
    training=TrainingTask(
        quality=QualityTarget(metric="hit_rate", value=0.99),
        ruleset="5.0.0",
        submission_benchmark="bert",
        options=Options(),
        sources=(Numbers,),
        build_model=build_model,
        compile_model=compile_model,
        open_data=open_data,
        scorer=lambda options: HitRate(options.reported),
        initial_weights=initial_weights,
    ),
)
