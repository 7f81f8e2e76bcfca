"""LARS against its equations, written again in NumPy."""

import keras
import numpy as np
import pytest

from tfperf.training.lars import ReferenceLars

SHAPES = {"conv1/kernel": (3, 3, 2, 4), "bn_conv1/gamma": (4,), "fc/kernel": (4, 5), "fc/bias": (5,)}
EXCLUDED = ("bn_conv1/gamma", "fc/bias")


def _variables(values):
    variables = []
    for path, value in values.items():
        layer, name = path.split("/")
        with keras.name_scope(layer):
            variables.append(keras.Variable(value, name=name, dtype="float32"))
    assert [variable.path for variable in variables] == list(values)
    return variables


def _draw(seed):
    generator = np.random.default_rng(seed)
    return {path: generator.normal(size=shape).astype(np.float32) for path, shape in SHAPES.items()}


def _lars_step(w, v, g, *, adapted, rate, momentum, decay, epsilon, eeta=0.001):
    trust = 1.0
    if adapted:
        w_norm, g_norm = np.sqrt((w**2).sum()), np.sqrt((g**2).sum())
        if w_norm > 0 and g_norm > 0:
            trust = eeta * w_norm / (g_norm + decay * w_norm + epsilon)
        g = g + decay * w
    v = momentum * v - rate * trust * g
    return w + v, v


@pytest.mark.parametrize(("momentum", "decay", "epsilon"), [(0.9, 2e-4, 0.0), (0.0, 5e-5, 0.0), (0.95, 0.0, 0.1)])
def test_follows_the_equations_over_several_steps(momentum, decay, epsilon):
    weights = {path: value.astype(np.float64) for path, value in _draw(0).items()}
    velocities = {path: np.zeros(shape) for path, shape in SHAPES.items()}
    variables = _variables(_draw(0))
    optimizer = ReferenceLars(10.0, momentum=momentum, weight_decay=decay, epsilon=epsilon)
    for step in range(1, 6):
        gradients = _draw(step)
        optimizer.apply(list(gradients.values()), variables)
        for path, gradient in gradients.items():
            weights[path], velocities[path] = _lars_step(
                weights[path],
                velocities[path],
                gradient.astype(np.float64),
                adapted=path not in EXCLUDED,
                rate=10.0,
                momentum=momentum,
                decay=decay,
                epsilon=epsilon,
            )
    for variable, (path, expected) in zip(variables, weights.items(), strict=True):
        np.testing.assert_allclose(variable.numpy(), expected, rtol=2e-5, atol=2e-6, err_msg=path)


@pytest.mark.parametrize(
    ("weight", "gradient", "expected"),
    [
        ([0.0, 0.0], [3.0, 4.0], [-3.0, -4.0]),  # no weight: trust 1
        ([3.0, 4.0], [0.0, 0.0], [3.0 - 0.3, 4.0 - 0.4]),  # no gradient: trust 1, the decay alone
        ([0.0, 0.0], [0.0, 0.0], [0.0, 0.0]),
    ],
)
def test_trusts_fully_where_a_norm_is_zero(weight, gradient, expected):
    (variable,) = _variables({"conv/kernel": np.array(weight)})
    ReferenceLars(1.0, weight_decay=0.1).apply([np.array(gradient, np.float32)], [variable])
    np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-6)


def test_an_epsilon_of_zero_is_zero():
    (variable,) = _variables({"conv/kernel": np.array([1.0])})
    ReferenceLars(1.0, epsilon=0.0).apply([np.array([1e-9], np.float32)], [variable])
    assert variable.numpy() == pytest.approx([1.0 - 0.001], rel=1e-6)  # the reference's 1e-7 would make it 1 - 1e-5


def test_is_rebuilt_from_its_config():
    optimizer = ReferenceLars(0.5, momentum=0.8, weight_decay=1e-4, eeta=0.01, epsilon=1e-3, excluded=("gain",))
    again = ReferenceLars.from_config(optimizer.get_config())
    assert again.get_config() == optimizer.get_config()
    assert optimizer.get_config() == {
        "learning_rate": 0.5,
        "momentum": 0.8,
        "name": "lars",
        "weight_decay": 1e-4,
        "eeta": 0.01,
        "epsilon": 1e-3,
        "excluded": ("gain",),
    }
