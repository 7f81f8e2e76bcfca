"""Logs of the detectors, whose rulesets want more than the others: for the official checker, too."""

import dataclasses
import pathlib
import subprocess
import sys

import pytest

import tfperf
from tests import optimizer_values
from tfperf import benchmarks
from tfperf.compliance import checker, mllog
from tfperf.events import Event

RULESETS = {"ssd-coco": "1.1.0", "retinanet-openimages": "5.1.0"}


def write_log(path: pathlib.Path, config: str, *, without: str | None = None) -> pathlib.Path:
    """The log of a closed run that reaches its target at its first evaluation."""
    spec = tfperf.load_config(config)
    benchmark = benchmarks.get(spec.benchmark)
    task = benchmarks.training_task(benchmark)
    assert task.train_examples is not None
    assert task.eval_examples is not None
    epochs = spec.evaluation.every_epochs
    block, at = {"first_epoch_num": 1, "epoch_count": epochs}, {"epoch_num": epochs}
    steps = task.train_examples // spec.global_batch_size
    events = [
        *mllog.submission(spec, benchmark, platform="a system"),
        Event(key="cache_clear", value=True),
        Event(key="init_start"),
        *mllog.hyperparameters(
            spec,
            seed=1,
            optimizer=optimizer_values.logged(spec, steps_per_epoch=steps),
            bn_span=128 if spec.benchmark == "ssd" else None,
            train_examples=task.train_examples,
            eval_examples=task.eval_examples,
        ),
        *(() if task.logged is None else task.logged(spec.model)),
        Event(key="init_stop"),
        Event(key="run_start"),
        Event(key="block_start", metadata=block),
        Event(key="eval_start", metadata=at),
        Event(key="eval_accuracy", value=task.quality.value + 0.01, metadata=at),
        Event(key="eval_stop", metadata=at),
        Event(key="block_stop", metadata=block),
        Event(key="run_stop", metadata={"status": "success"}),
    ]
    sink = mllog.MllogSink(path)
    for minute, event in enumerate(events):
        if without is None or without not in (event.key, event.metadata.get("tensor")):
            # All at once until the clock starts, then a minute apart.
            late = max(0, minute - len(events) + 7)
            sink.emit(dataclasses.replace(event, time_s=1.7e9 + 60 * late))
    sink.close()
    return path


@pytest.mark.parametrize("config", RULESETS)
def test_the_log_of_a_closed_run_is_compliant_for_the_official_program_too(config: str, tmp_path: pathlib.Path) -> None:
    path = write_log(tmp_path / "mllog.txt", config)
    (verdict,) = checker.check(path)
    assert (verdict.compliant, verdict.status, verdict.ruleset) == (True, "success", RULESETS[config]), verdict
    module = [sys.executable, "-m", "mlperf_logging.compliance_checker", "--ruleset", RULESETS[config], "--werror"]
    done = subprocess.run([*module, str(path)], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "SUCCESS" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("config", "key"),
    [
        *(
            ("ssd-coco", f"opt_{key}")
            for key in (
                "base_learning_rate",
                "weight_decay",
                "learning_rate_warmup_factor",
                "learning_rate_warmup_steps",
                "learning_rate_decay_boundary_epochs",
            )
        ),
        ("ssd-coco", "model_bn_span"),
        ("ssd-coco", "max_samples"),
        *(
            ("retinanet-openimages", f"opt_{key}")
            for key in (
                "name",
                "base_learning_rate",
                "weight_decay",
                "learning_rate_warmup_epochs",
                "learning_rate_warmup_factor",
            )
        ),
    ],
)
def test_a_missing_key_is_named(config: str, key: str, tmp_path: pathlib.Path) -> None:
    (verdict,) = checker.check(write_log(tmp_path / "mllog.txt", config, without=key))
    assert [found.key for found in verdict.violations] == [key]


def test_a_tensor_that_is_not_logged_is_missed(tmp_path: pathlib.Path) -> None:
    tensor = "ssd0_convpredictor5_conv0_bias"
    (verdict,) = checker.check(write_log(tmp_path / "mllog.txt", "ssd-coco", without=tensor))
    assert not verdict.compliant
    assert len(verdict.violations) == 1
