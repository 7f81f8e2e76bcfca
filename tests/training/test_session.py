"""A benchmark on its devices, as a spec describes it."""

import dataclasses
from collections.abc import Callable

import keras
import pytest
import tensorflow as tf

from tests.run import sampled
from tfperf import spec as specs
from tfperf.benchmarks.benchmark import Feed
from tfperf.training import session as sessions

BATCH, EXAMPLES = 4, 8


def session(evaluation: Callable[[Feed], tf.data.Dataset]) -> sessions.Session:
    """One on a single device that is evaluated with the batches of `evaluation`."""
    assert sampled.BENCHMARK.training is not None
    data = specs.Data(source=sampled.Numbers())
    opened = sampled.BENCHMARK.training.open_data(data, sampled.Options(), None)
    return sessions.Session(
        spec=specs.TrainSpec(
            benchmark="tests.run.sampled",
            division=specs.Division.INTERNAL,
            global_batch_size=BATCH,
            max_epochs=1,
            optimizer=specs.Sgd(base_learning_rate=0.1),
            data=data,
        ),
        task=sampled.BENCHMARK.training,
        strategy=tf.distribute.OneDeviceStrategy("/cpu:0"),
        data=dataclasses.replace(opened, eval_examples=EXAMPLES, evaluation=evaluation),
        seed=1,
    )


def batches(count: int) -> tf.data.Dataset:
    return tf.data.Dataset.range(count * BATCH).batch(BATCH, drop_remainder=True)


def of_unknown_size(count: int) -> tf.data.Dataset:
    return batches(count).filter(lambda batch: True)


@pytest.mark.parametrize(
    ("dataset", "count", "steps"),
    [
        pytest.param(batches, 2, 2, id="a share as large as all others"),
        pytest.param(batches, 3, 3, id="filled up to the largest share of all pipelines"),
        pytest.param(of_unknown_size, 3, 2, id="of a size that tf.data does not know"),
    ],
)
def test_an_evaluation_takes_all_batches_of_the_pipelines(
    dataset: Callable[[int], tf.data.Dataset], count: int, steps: int
) -> None:
    planned = sessions.planned(session(lambda feed: dataset(count)))
    assert planned.evaluation_steps == steps


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.usefixtures("two_cpus")
def test_evaluations_read_one_pass_each_and_nothing_before_the_first(devices: int) -> None:
    read: list[int] = []

    def noted(number: int) -> int:
        read.append(number)
        return number

    def evaluation(feed: Feed) -> tf.data.Dataset:
        examples = tf.data.Dataset.range(1, 12 + 1)
        examples = examples.map(lambda number: tf.ensure_shape(tf.numpy_function(noted, [number], tf.int64), ()))
        return examples.batch(feed.batch_size, drop_remainder=True)

    strategy = tf.distribute.MirroredStrategy([f"/cpu:{index}" for index in range(devices)])
    one = dataclasses.replace(session(evaluation), strategy=strategy)
    planned = sessions.planned(one)
    _, opened = sessions.open_inputs(one, planned)
    assert read == []
    for _ in range(3):
        parts = [
            part.numpy()
            for _ in range(planned.evaluation_steps)
            for part in strategy.experimental_local_results(next(opened))
        ]
        assert sorted(number for part in parts for number in part) == list(range(1, 13))


@pytest.mark.parametrize(
    ("precision", "policy", "tf32"),
    [
        ("float32", "float32", False),
        ("tf32", "float32", True),
        ("mixed_bfloat16", "mixed_bfloat16", True),
        ("mixed_float16", "mixed_float16", True),
    ],
)
def test_float32_is_float32_also_where_tensorflow_would_use_tf32(
    precision: specs.Precision, policy: str, tf32: bool
) -> None:
    before = keras.config.dtype_policy(), tf.config.experimental.tensor_float_32_execution_enabled()
    try:
        spec = dataclasses.replace(session(lambda feed: batches(1)).spec, precision=precision)
        sessions.set_globals(spec, seed=1)
        assert keras.config.dtype_policy().name == sessions.policy(precision) == policy
        assert tf.config.experimental.tensor_float_32_execution_enabled() == tf32
    finally:
        keras.config.set_dtype_policy(before[0])
        tf.config.experimental.enable_tensor_float_32_execution(before[1])


@pytest.mark.parametrize(
    ("precision", "dtype"), [("float32", "float32"), ("tf32", "float32"), ("mixed_float16", "float16")]
)
def test_pipelines_know_the_type_that_the_model_computes_in(precision: specs.Precision, dtype: str) -> None:
    feeds: list[Feed] = []

    def evaluation(feed: Feed) -> tf.data.Dataset:
        feeds.append(feed)
        return batches(1)

    planned = session(evaluation)
    sessions.planned(dataclasses.replace(planned, spec=dataclasses.replace(planned.spec, precision=precision)))
    assert {(feed.compute_dtype, feed.threads) for feed in feeds} == {(dtype, None)}
