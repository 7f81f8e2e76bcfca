"""A run bears the name of a benchmark only with its target and its model."""

import pathlib

import keras
import pytest

import tfperf
from tests.callback.measured_fit import EXAMPLES, compiled, done, events, fit
from tfperf.errors import ArgumentError


def test_a_benchmark_gives_target_ruleset_and_keys(tmp_path: pathlib.Path) -> None:
    callback = tfperf.MLPerfCallback(tmp_path / "run", benchmark="resnet50")
    large = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3_651_000), keras.layers.Dense(2)])
    optimizer = keras.optimizers.SGD(keras.optimizers.schedules.PolynomialDecay(0.5, 100), momentum=0.9)
    fit(callback, model=compiled(model=large, optimizer=optimizer), epochs=1)
    outcome = done(callback)
    assert (outcome.benchmark, outcome.division) == ("resnet50", "open")
    assert (outcome.quality.metric, outcome.quality.target) == ("accuracy", 0.759)
    told = {event.key: event for event in events(tmp_path / "run")}
    assert told["submission_benchmark"].value == "resnet"
    assert told["quality_target"].metadata == {
        "metric": "accuracy",
        "mode": "max",
        "mlperf": True,
        "checked_as": "resnet",
        "ruleset": "4.0.0",
    }
    rate = {
        key: told[f"sgd_opt_{key}"].value for key in ("base_learning_rate", "momentum", "learning_rate_decay_steps")
    }
    assert rate == {"base_learning_rate": 0.5, "momentum": 0.9, "learning_rate_decay_steps": 100}
    assert not outcome.closed_eligible
    assert [reason.partition(";")[0].partition(":")[0] for reason in outcome.closed_ineligible_because] == [
        "The model, its data and its optimizer are the caller's",
        f"The training set has {EXAMPLES} examples",
        "The evaluation set has 12 examples",
        "The caches were not cleared before the run",
        "The clock may have started after data was read",
    ]


def test_another_model_does_not_bear_the_name_of_a_benchmark(tmp_path: pathlib.Path) -> None:
    message = r"benchmark='resnet50' is for a model of 25,557,032 trainable parameters, this one has 10\. Leave out"
    with pytest.raises(ArgumentError, match=message):
        fit(tfperf.MLPerfCallback(tmp_path / "built", benchmark="resnet50"))
    assert not list(tmp_path.iterdir())
    unbuilt = tfperf.MLPerfCallback(tmp_path / "unbuilt", benchmark="resnet50")
    with pytest.raises(ArgumentError, match=message):
        fit(unbuilt, model=compiled(model=keras.Sequential([keras.layers.Dense(2)])))
    assert not done(unbuilt).valid
