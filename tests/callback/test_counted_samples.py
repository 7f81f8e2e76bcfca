"""An external loop under the name of a benchmark whose log counts samples: MLPerf's BERT."""

import pathlib
from typing import Any

import keras
import pytest

import tfperf
from tests.callback.measured_fit import BATCH, EXAMPLES, compiled, done, events, fit
from tfperf import result
from tfperf.callback import benchmark_model
from tfperf.compliance import checker
from tfperf.errors import ArgumentError
from tfperf.reporting import table

METRIC = "masked_lm_accuracy"
DUE = 150_000


@pytest.fixture(autouse=True)
def _any_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """BERT-large's size is not what is tested here."""
    monkeypatch.setattr(benchmark_model, "check", lambda model, identity: None)


def trained(log_dir: pathlib.Path, **changes: Any) -> tfperf.MLPerfCallback:
    callback = tfperf.MLPerfCallback(log_dir, benchmark="bert", global_batch_size=changes.pop("stated", BATCH))
    fit(callback, model=compiled(metrics=[keras.metrics.SparseCategoricalAccuracy(name=METRIC)]), **changes)
    return callback


def positions(run_dir: pathlib.Path, key: str) -> list[Any]:
    return [event.metadata["epoch_num"] for event in events(run_dir) if event.key == key]


def test_fit_counts_samples_exactly_with_a_partial_last_batch(tmp_path: pathlib.Path) -> None:
    outcome = done(trained(tmp_path / "run"))
    assert (outcome.samples, outcome.epochs) == (2 * EXAMPLES, 2)
    assert positions(tmp_path / "run", "eval_accuracy") == [EXAMPLES, 2 * EXAMPLES]
    assert positions(tmp_path / "run", "run_stop") == [2 * EXAMPLES]
    blocks = [event.metadata for event in events(tmp_path / "run") if event.key == "block_start"]
    assert [block["first_epoch_num"] for block in blocks] == [0, EXAMPLES]
    assert [DUE <= block["first_epoch_num"] + block["epoch_count"] < DUE + BATCH for block in blocks] == [True, True]
    assert not {"epoch_start", "epoch_stop"} & {event.key for event in events(tmp_path / "run")}


def test_the_check_of_the_log_and_of_its_result_finds_samples(tmp_path: pathlib.Path) -> None:
    callback = trained(tmp_path / "run")
    (found,) = checker.check(tmp_path / "run")
    assert [remark.message for remark in found.remarks if "epochs from 1" in remark.message] == []
    assert [each.message for each in found.violations if "result.json" in each.message] == []
    shown = table.train_table(done(callback), run_dir=tmp_path / "run")
    assert "\nsamples  " in shown
    assert "\nepochs " not in shown
    assert f"after {2 * EXAMPLES} samples, the target is 0.72" in shown


def test_evaluations_away_from_the_cadence_are_told(tmp_path: pathlib.Path) -> None:
    reasons = done(trained(tmp_path / "run")).closed_ineligible_because
    assert (
        f"Evaluation 1 was after {EXAMPLES} samples; at batch size {BATCH} one is due after each 150,000 "
        "(training_rules.adoc)." in reasons
    )


def test_a_custom_loop_counts_samples_and_may_keep_the_cadence(tmp_path: pathlib.Path) -> None:
    with tfperf.measure(tmp_path / "run", benchmark="bert", global_batch_size=448) as run:
        run.start()
        for steps, quality in ((335, 0.7), (335, 0.725)):  # 150,080 and 300,160 samples
            run.step_end(steps)
            run.evaluated(quality)
    outcome = run.result
    assert isinstance(outcome, result.TrainResult)
    assert (outcome.valid, outcome.samples, outcome.epochs) == (True, 300_160, 2)
    assert positions(tmp_path / "run", "eval_accuracy") == [150_080, 300_160]
    blocks = [event.metadata for event in events(tmp_path / "run") if event.key == "block_start"]
    assert blocks == [
        {"first_epoch_num": 0, "epoch_count": 150_080},
        {"first_epoch_num": 150_080, "epoch_count": 150_080},
    ]
    assert not [reason for reason in outcome.closed_ineligible_because if reason.startswith("Evaluation")]


@pytest.mark.parametrize("door", [tfperf.MLPerfCallback, tfperf.measure])
def test_samples_can_not_be_counted_without_the_batch_size(door: Any, tmp_path: pathlib.Path) -> None:
    with pytest.raises(ArgumentError, match=r"benchmark='bert' counts samples in its log, .* Pass global_batch_size\."):
        door(tmp_path / "run", benchmark="bert")


def test_another_batch_size_than_that_of_fit_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ArgumentError, match=r"global_batch_size=99 is not what fit trains on: the first .* had 8 "):
        trained(tmp_path / "run", stated=99)


@pytest.mark.parametrize("name", ["bert_99_9"])
def test_a_benchmark_that_is_only_served_is_refused(name: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(ArgumentError, match="bert_99_9 has no training task"):
        tfperf.MLPerfCallback(tmp_path / "run", benchmark=name)
