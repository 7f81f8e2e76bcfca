"""LAMB and AdamW against their equations, written again in NumPy, and against the reference's own results."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfperf.training.lamb import ReferenceAdamW, ReferenceLamb

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "lamb.json"
SHAPES = {
    "dense/kernel": (3, 4),
    "dense/bias": (4,),
    "layer_norm/gamma": (4,),
    "embeddings/word": (5, 3),
    "zero/kernel": (2, 2),
}
EXCLUDED = ("dense/bias", "layer_norm/gamma")
STEPS = 5


def variables_of(values: Mapping[str, np.ndarray]) -> list[keras.Variable]:
    made = []
    for path, value in values.items():
        layer, name = path.split("/")
        with keras.name_scope(layer):
            made.append(keras.Variable(value, name=name, dtype="float32"))
    assert [variable.path for variable in made] == list(values)
    return made


def draw(seed: int, scale: float = 1.0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {path: (scale * generator.normal(size=shape)).astype(np.float32) for path, shape in SHAPES.items()}


def beginning() -> dict[str, np.ndarray]:
    return {**draw(0), "zero/kernel": np.zeros((2, 2), np.float32)}


def gradients(step: int) -> dict[str, np.ndarray]:
    return draw(step, 0.1 * step)


def trained(optimizer: ReferenceLamb) -> dict[str, np.ndarray]:
    variables = variables_of(beginning())
    for step in range(1, STEPS + 1):
        optimizer.apply([tf.constant(value) for value in gradients(step).values()], variables)
    return {variable.path: variable.numpy() for variable in variables}


def by_the_equations(
    *,
    rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    decay: float,
    clip_norm: float | None = None,
    adapts: bool = True,
) -> dict[str, np.ndarray]:
    weights = {path: value.astype(np.float64) for path, value in beginning().items()}
    means = {path: np.zeros(shape) for path, shape in SHAPES.items()}
    squares = {path: np.zeros(shape) for path, shape in SHAPES.items()}
    for step in range(1, STEPS + 1):
        found = {path: value.astype(np.float64) for path, value in gradients(step).items()}
        norm = np.sqrt(sum((value**2).sum() for value in found.values()))
        shorter = 1.0 if clip_norm is None else min(1.0, clip_norm / norm)
        for path, value in found.items():
            g = shorter * value
            means[path] = beta_1 * means[path] + (1 - beta_1) * g
            squares[path] = beta_2 * squares[path] + (1 - beta_2) * g**2
            update = means[path] / (1 - beta_1**step) / (np.sqrt(squares[path] / (1 - beta_2**step)) + epsilon)
            trust = 1.0
            if path not in EXCLUDED:
                update = update + decay * weights[path]
                w_norm, u_norm = np.linalg.norm(weights[path]), np.linalg.norm(update)
                trust = w_norm / u_norm if adapts and w_norm > 0 and u_norm > 0 else 1.0
            weights[path] = weights[path] - rate * trust * update
    return weights


def assert_close(found: Mapping[str, np.ndarray], expected: Mapping[str, Any], *, rtol: float = 2e-5) -> None:
    for path, value in expected.items():
        np.testing.assert_allclose(found[path], value, rtol=rtol, atol=2e-6, err_msg=path)


@pytest.mark.parametrize(
    "values",
    [
        {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-6, "decay": 0.01},
        {"beta_1": 0.71, "beta_2": 0.88, "epsilon": 1e-3, "decay": 0.3},
        {"beta_1": 0.0, "beta_2": 0.5, "epsilon": 0.1, "decay": 0.0},
        {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-6, "decay": 0.01, "clip_norm": 1.0},
    ],
)
def test_follows_the_equations_over_several_steps(values: dict[str, float]) -> None:
    options = {key: value for key, value in values.items() if key != "decay"}
    expected = by_the_equations(rate=0.02, **values)
    assert_close(trained(ReferenceLamb(0.02, weight_decay=values["decay"], **options)), expected)
    if "clip_norm" in values:
        assert_close(trained(ReferenceLamb(0.02, weight_decay=values["decay"], clip="after", **options)), expected)


def test_gives_the_results_of_the_reference() -> None:
    """The file holds what `lamb_optimizer_v1.py` of mlcommons/training computes under TensorFlow's TF1 graphs."""
    for case in json.loads(GOLDEN.read_text(encoding="utf-8")).values():
        options = dict(case["options"])
        decay = options.pop("weight_decay_rate")
        optimizer = ReferenceLamb(0.02, weight_decay=decay, clip_norm=case["clip_norm"], **options)
        assert_close(trained(optimizer), case["weights"])


def test_adam_w_follows_its_equations() -> None:
    values = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-6}
    expected = by_the_equations(rate=0.02, decay=0.1, adapts=False, **values)
    assert_close(trained(ReferenceAdamW(0.02, weight_decay=0.1, **values)), expected)


def test_adam_w_is_that_of_keras_where_the_epsilons_agree() -> None:
    kernel = {"dense/kernel": draw(0)["dense/kernel"]}
    (own,), (keras_own,) = variables_of(kernel), variables_of(kernel)
    optimizers = (
        ReferenceAdamW(0.02, weight_decay=0.1, epsilon=1e-12),
        keras.optimizers.AdamW(0.02, weight_decay=0.1, epsilon=1e-12),
    )
    for step in range(1, STEPS + 1):
        for optimizer, variable in zip(optimizers, (own, keras_own), strict=True):
            optimizer.apply([tf.constant(gradients(step)["dense/kernel"])], [variable])
    np.testing.assert_allclose(own.numpy(), keras_own.numpy(), rtol=1e-5)


def test_a_row_that_a_sparse_gradient_names_twice_counts_with_its_sum() -> None:
    dense, sparse = (variables_of({"embeddings/word": draw(0)["embeddings/word"]}) for _ in range(2))
    rows = tf.constant([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [1.0, 1.0, 1.0]])
    slices = tf.IndexedSlices(rows, tf.constant([2, 0, 2]), tf.constant([5, 3]))
    for variables, gradient in ((dense, tf.convert_to_tensor(slices)), (sparse, slices)):
        ReferenceLamb(0.1, weight_decay=0.01, clip_norm=1.0).apply([gradient], variables)
    np.testing.assert_array_equal(sparse[0].numpy(), dense[0].numpy())


@pytest.mark.parametrize(
    ("weight", "gradient", "expected"),
    [
        ([0.0, 0.0], [3.0, 4.0], [-1.0, -1.0]),  # no weight: trust 1
        ([3.0, 4.0], [0.0, 0.0], [0.0, 0.0]),  # the decay alone, whose norm the trust ratio makes that of the weight
        ([0.0, 0.0], [0.0, 0.0], [0.0, 0.0]),
    ],
)
def test_trusts_fully_where_a_norm_is_zero(weight: list[float], gradient: list[float], expected: list[float]) -> None:
    (variable,) = variables_of({"dense/kernel": np.array(weight)})
    ReferenceLamb(1.0, weight_decay=0.1).apply([tf.constant(gradient)], [variable])
    np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [ReferenceLamb, ReferenceAdamW])
def test_is_rebuilt_from_its_config(kind: type[ReferenceLamb]) -> None:
    optimizer = kind(
        0.5,
        beta_1=0.8,
        beta_2=0.99,
        epsilon=1e-3,
        weight_decay=1e-4,
        clip_norm=2.0,
        clip="after",
        excluded=("gain",),
    )
    again = kind.from_config(optimizer.get_config())
    assert again.get_config() == optimizer.get_config()
    assert optimizer.get_config() == {
        "learning_rate": 0.5,
        "name": kind.opt_name,
        "beta_1": 0.8,
        "beta_2": 0.99,
        "epsilon": 1e-3,
        "weight_decay": 1e-4,
        "clip_norm": 2.0,
        "clip": "after",
        "excluded": ("gain",),
    }
