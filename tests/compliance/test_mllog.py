"""Writing MLLOG."""

import json
import logging
import os
import pathlib

import numpy as np
import pytest

from tests import optimizer_values
from tfperf import benchmarks, spec
from tfperf.compliance import mllog
from tfperf.errors import UsageError
from tfperf.events import Event


def _lines(path: pathlib.Path) -> list[dict[str, object]]:
    return [json.loads(line.removeprefix(":::MLLOG ")) for line in path.read_text().splitlines()]


def _written(path: pathlib.Path, *events: Event) -> list[dict[str, object]]:
    sink = mllog.MllogSink(path)
    for event in events:
        sink.emit(event)
    sink.close()
    return _lines(path)


def test_a_line_is_an_event(tmp_path: pathlib.Path) -> None:
    event = Event(key="eval_accuracy", time_s=1_700_000_000.1239, value=0.76, metadata={"epoch_num": 3})
    (line,) = _written(tmp_path / "mllog.txt", event)
    place = line.pop("metadata")
    assert line == {
        "namespace": "",
        "time_ms": 1_700_000_000_123,
        "event_type": "POINT_IN_TIME",
        "key": "eval_accuracy",
        "value": 0.76,
    }
    assert place["epoch_num"] == 3
    assert place["file"] == "tfperf/compliance/mllog.py"
    assert isinstance(place["lineno"], int)


@pytest.mark.parametrize(
    ("key", "event_type"),
    [("run_start", "INTERVAL_START"), ("run_stop", "INTERVAL_END"), ("tracked_stats", "POINT_IN_TIME")],
)
def test_intervals_open_and_close(tmp_path: pathlib.Path, key: str, event_type: str) -> None:
    (line,) = _written(tmp_path / "mllog.txt", Event(key=key))
    assert line["event_type"] == event_type


@pytest.mark.parametrize("value", [np.float32(0.5), np.bool_(True), b"x", {"loss": np.float32(1)}, object()])
def test_a_value_that_json_does_not_know_is_refused(tmp_path: pathlib.Path, value: object) -> None:
    sink = mllog.MllogSink(tmp_path / "mllog.txt")
    with pytest.raises(TypeError, match="The event eval_accuracy holds"):
        sink.emit(Event(key="eval_accuracy", value=value))
    sink.close()
    assert (tmp_path / "mllog.txt").read_text() == ""


def test_a_loss_that_is_not_a_number_is_logged(tmp_path: pathlib.Path) -> None:
    (line,) = _written(tmp_path / "mllog.txt", Event(key="tracked_stats", value={"loss": float("nan")}))
    assert np.isnan(line["value"]["loss"])


def test_a_log_is_never_overwritten(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "mllog.txt"
    path.write_text("precious")
    with pytest.raises(UsageError, match="exists"):
        mllog.MllogSink(path)
    assert path.read_text() == "precious"


@pytest.mark.skipif(not pathlib.Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_disk_is_told(tmp_path: pathlib.Path) -> None:
    sink = mllog.MllogSink(tmp_path / "mllog.txt")
    with pathlib.Path("/dev/full").open("w") as full:
        os.dup2(full.fileno(), sink._file.fileno())
    with pytest.raises(OSError, match="No space left"):
        sink.emit(Event(key="run_start"))
    with pytest.raises(OSError, match="No space left"):
        sink.close()


def test_disabled_logging_does_not_silence_it(tmp_path: pathlib.Path) -> None:
    logging.disable(logging.CRITICAL)
    try:
        assert len(_written(tmp_path / "mllog.txt", Event(key="run_start"))) == 1
    finally:
        logging.disable(logging.NOTSET)


def test_it_prints_nothing_and_leaves_the_root_logger_alone(
    tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = list(logging.getLogger().handlers)
    _written(tmp_path / "mllog.txt", Event(key="run_start"))
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger().handlers == before


def test_a_line_is_readable_before_the_log_is_closed(tmp_path: pathlib.Path) -> None:
    sink = mllog.MllogSink(tmp_path / "mllog.txt")
    sink.emit(Event(key="run_start"))
    assert len(_lines(tmp_path / "mllog.txt")) == 1
    sink.close()
    sink.close()


def test_lars_has_its_keys(asked) -> None:
    run = asked()
    values = optimizer_values.logged(run)
    events = mllog.hyperparameters(
        run, seed=7, optimizer=values, bn_span=256, train_examples=1_281_167, eval_examples=50_000
    )
    assert {event.key: event.value for event in events} == {
        "seed": 7,
        "global_batch_size": 4096,
        "train_samples": 1_281_167,
        "eval_samples": 50_000,
        "gradient_accumulation_steps": 1,
        "model_bn_span": 256,
        "opt_name": "lars",
        "lars_opt_base_learning_rate": 9.0,
        "lars_opt_end_learning_rate": 1e-4,
        "lars_opt_learning_rate_decay_poly_power": 2.0,
        "lars_opt_learning_rate_decay_steps": 20626,
        "lars_opt_momentum": 0.9,
        "lars_opt_weight_decay": 5e-5,
        "lars_opt_learning_rate_warmup_epochs": 3,
        "lars_epsilon": 0.0,
    }


def test_sgd_has_its_keys(asked) -> None:
    run = asked(optimizer=spec.Sgd(base_learning_rate=1.6, warmup_epochs=5, weight_decay=5e-5))
    values = optimizer_values.logged(run)
    events = mllog.hyperparameters(run, seed=7, optimizer=values, bn_span=64, train_examples=1, eval_examples=1)
    keys = [event.key for event in events if "opt" in event.key]
    assert keys == [
        "opt_name",
        "sgd_opt_base_learning_rate",
        "sgd_opt_end_learning_rate",
        "sgd_opt_learning_rate_decay_poly_power",
        "sgd_opt_learning_rate_decay_steps",
        "sgd_opt_momentum",
        "sgd_opt_weight_decay",
        "opt_learning_rate_warmup_epochs",
    ]


def test_a_model_without_batch_normalisation_has_no_span_of_it(asked) -> None:
    run = asked()
    events = mllog.hyperparameters(run, seed=7, optimizer={}, bn_span=None, train_examples=1, eval_examples=1)
    assert "model_bn_span" not in {event.key for event in events}


@pytest.mark.parametrize(("name", "logged"), [("resnet50", "resnet"), ("resnet50_mini", "resnet50_mini")])
def test_only_an_mlperf_benchmark_is_logged_under_its_mlperf_name(asked, name: str, logged: str) -> None:
    run = asked(benchmark=name, division=spec.Division.OPEN, quality_target=0.5)
    events = mllog.submission(run, benchmarks.get(name), platform="box")
    assert [(event.key, event.value) for event in events] == [
        ("submission_benchmark", logged),
        ("submission_division", "open"),
        ("submission_org", "unspecified"),
        ("submission_platform", "box"),
        ("submission_status", "research"),
        ("quality_target", 0.5),
    ]
    assert events[-1].metadata == {
        "metric": "accuracy",
        "checked_as": "resnet",
        "ruleset": "4.0.0",
        "mlperf": name == "resnet50",
    }
