"""The learning-rate schedule against the reference's published values and its equation."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfperf.training.schedules import PolynomialDecayWithWarmup, WholeRunDecayWithWarmup


def _schedule(*, base=10.0, warmup=1560, decay=11545, end=1e-4, power=2.0):
    return PolynomialDecayWithWarmup(base, warmup_steps=warmup, decay_steps=decay, end_learning_rate=end, power=power)


def _equation(step, *, base, warmup, decay, end, power):
    if warmup and step <= warmup:
        return base * step / warmup
    return (base - end) * (1 - min(step - warmup, decay) / decay) ** power + end


# Batch 4096, so 312 steps in an epoch; base 10, 5 epochs of warm-up, 42 epochs in all.
@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 0.0), (1, 0.00641), (312, 2.0), (1560, 10.0), (1561, 9.998268), (6240, 3.53591), (13104, 0.0001)],
)
def test_gives_the_published_rate(step, rate):
    assert float(_schedule()(step)) == pytest.approx(rate, rel=1e-6, abs=1e-6)  # to the digits published


@pytest.mark.parametrize(
    "values",
    [
        dict(base=10.0, warmup=1560, decay=11545, end=1e-4, power=2.0),
        dict(base=0.1, warmup=0, decay=50, end=0.0, power=2.0),
        dict(base=0.4, warmup=7, decay=1, end=1e-4, power=1.0),
        dict(base=31.2, warmup=20, decay=900, end=1e-4, power=0.5),
    ],
)
def test_follows_the_equation_at_every_step_and_beyond_the_last(values):
    schedule = _schedule(**values)
    steps = np.unique(np.linspace(0, values["warmup"] + values["decay"] + 20, 500).astype(int))
    expected = [_equation(step, **values) for step in steps]
    np.testing.assert_allclose(np.array(schedule(steps)), expected, rtol=2e-5, atol=1e-7)


def test_starts_at_the_base_rate_without_warm_up():
    assert float(_schedule(base=0.5, warmup=0, decay=10)(0)) == 0.5


def test_takes_an_optimizer_s_integer_counter_inside_a_compiled_function():
    counter = tf.Variable(1561, dtype=tf.int64)
    rate = tf.function(_schedule().__call__, jit_compile=True)(counter)
    assert rate.dtype == tf.float32
    assert float(rate) == pytest.approx(9.998268)


def test_is_rebuilt_from_its_config():
    schedule = _schedule()
    again = PolynomialDecayWithWarmup.from_config(schedule.get_config())
    assert again.get_config() == schedule.get_config()
    assert float(again(700)) == float(schedule(700))


def test_is_rebuilt_from_what_keras_saves():
    saved = keras.saving.serialize_keras_object(_schedule())
    assert float(keras.saving.deserialize_keras_object(saved, custom_objects=_custom())(312)) == 2.0


def _custom():
    return {kind.__name__: kind for kind in (PolynomialDecayWithWarmup, WholeRunDecayWithWarmup)}


BERT = dict(training_steps=600, warmup_steps=287, start_warmup_step=-76)


@pytest.mark.parametrize(
    ("step", "rate"),
    [
        (0, 0.00076342),
        (1, 0.00077347),
        (100, 0.00176793),
        (210, 0.00287288),
        (211, 0.0018691),  # the warm-up has ended, and the decay counts from step 0
        (300, 0.00144147),
        (600, 0.0),
        (700, 0.0),
    ],
)
def test_drops_at_the_end_of_a_warm_up_that_began_before_the_run(step, rate):
    assert float(WholeRunDecayWithWarmup(0.00288293, **BERT)(step)) == pytest.approx(
        rate, abs=1e-8
    )  # to the digits published


def test_decays_over_the_whole_run_without_warm_up():
    schedule = WholeRunDecayWithWarmup(0.5, training_steps=10, end_learning_rate=0.1, power=2.0)
    steps = np.arange(13)
    expected = 0.4 * (1 - np.minimum(steps, 10) / 10) ** 2 + 0.1
    np.testing.assert_allclose(np.array(schedule(steps)), expected, rtol=1e-6)


def test_the_whole_run_is_rebuilt_from_what_keras_saves():
    schedule = WholeRunDecayWithWarmup(0.00288293, end_learning_rate=1e-5, power=2.0, **BERT)
    saved = keras.saving.serialize_keras_object(schedule)
    again = keras.saving.deserialize_keras_object(saved, custom_objects=_custom())
    assert again.get_config() == schedule.get_config()
    assert float(again(300)) == float(schedule(300))


def test_the_whole_run_takes_an_integer_counter_inside_a_compiled_function():
    counter = tf.Variable(211, dtype=tf.int64)
    rate = tf.function(WholeRunDecayWithWarmup(0.00288293, **BERT).__call__, jit_compile=True)(counter)
    assert rate.dtype == tf.float32
    assert float(rate) == pytest.approx(0.0018691, abs=5e-9)
