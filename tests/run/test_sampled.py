"""A cadence in samples, a scorer on the host and initial weights, with a benchmark that tfperf does not know."""

import dataclasses
import json
import pathlib
import re
import sys
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import pytest

from tests.run import sampled
from tests.run.started_workers import ended, start
from tfperf import benchmarks, config, result, workspace
from tfperf import spec as specs
from tfperf.benchmarks.benchmark import OpenData
from tfperf.compliance import log as compliance_log
from tfperf.compliance import logged_benchmark, training_run
from tfperf.errors import UsageError
from tfperf.events import Event
from tfperf.reporting import jsonl, table
from tfperf.run import train as run

BATCH, EVERY, STEPS = 16, 40, 9
EVALUATED = [48, 80, 128, 144]  # the first step at or after 40, 80 and 120 samples, and the last step


def weights(**changes: np.ndarray) -> dict[str, np.ndarray]:
    """Weights that solve part of the task."""
    random = np.random.default_rng(3)
    found = {name: random.normal(size=shape).astype("float32") for name, shape in sampled.WEIGHTS.items()}
    return {**found, **changes}


def hit_rate(values: Mapping[str, np.ndarray]) -> float:
    """The share of right answers over the whole evaluation set, by NumPy alone."""
    inputs, targets = sampled.evaluation_set()
    hidden = np.maximum(inputs @ values["hidden/kernel"] + values["hidden/bias"], 0)
    answers = hidden @ values["answer/kernel"] + values["answer/bias"]
    return float(np.mean(np.argmax(answers, 1) == targets))


@pytest.fixture
def data_dir(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "data").mkdir()
    np.savez(tmp_path / "data" / "initial.npz", **weights())
    return tmp_path / "data"


def in_samples(**changes: object) -> specs.TrainSpec:
    """Nine steps with evaluations every 40 samples."""
    fields = {
        "benchmark": "tests.run.sampled",
        "division": specs.Division.INTERNAL,
        "global_batch_size": BATCH,
        "max_steps": STEPS,
        "optimizer": specs.Sgd(base_learning_rate=0.1, warmup_epochs=1),
        "data": specs.Data(source=sampled.Numbers()),
        "model": sampled.Options(),
        "quality_target": 1.01,
        "evaluation": specs.Evaluation(every_samples=EVERY),
        "steps_per_execution": 4,
    }
    return specs.TrainSpec(**{**fields, **changes})


def train(
    spec: specs.TrainSpec, output_dir: pathlib.Path, data_dir: pathlib.Path, *callbacks: keras.callbacks.Callback
) -> tuple[result.TrainResult, pathlib.Path]:
    where = workspace.Workspace(output_dir=output_dir, name="sampled", data_dir=data_dir)
    outcome, run_dir = run.train(spec, sampled.BENCHMARK, workspace=where, callbacks=callbacks)
    assert run_dir is not None
    return outcome, run_dir


def logged(run_dir: pathlib.Path) -> list[Event]:
    """The events of the timed region, statistics left out."""
    found = [event for event in jsonl.read_events(run_dir / "events.jsonl") if event.key != "tracked_stats"]
    return found[[event.key for event in found].index("run_start") :]


def assert_counted_in_samples(run_dir: pathlib.Path) -> None:
    log = compliance_log.read(run_dir / "mllog.txt")
    assert training_run.violations(log, benchmark=logged_benchmark.identify(log)) == ()
    begins = [0, *EVALUATED[:-1]]
    expected = [("run_start", {})]
    for begin, end in zip(begins, EVALUATED, strict=True):
        block = {"first_epoch_num": begin, "epoch_count": end - begin}
        at, step = {"epoch_num": end}, {"step": end // BATCH, "epoch_num": end}
        expected += [("block_start", block), ("eval_start", at), ("eval_accuracy", step), ("eval_stop", at)]
        expected += [("block_stop", block)]
    *found, stop = [(event.key, dict(event.metadata)) for event in logged(run_dir)]
    assert found == expected
    reason = f"the target was not reached in {STEPS} steps"
    assert stop == ("run_stop", {"status": "aborted", "epoch_num": EVALUATED[-1], "reason": reason})


@pytest.mark.slow
def test_two_workers_train_as_one_does_and_gather_what_their_scorers_have_seen(
    tmp_path: pathlib.Path, data_dir: pathlib.Path
) -> None:
    spec = in_samples(optimizer=specs.Lamb(base_learning_rate=0.05, clip_norm=0.05, clip="after", epsilon=1e-3))
    path = tmp_path / "sampled.yaml"
    path.write_text(config.dump(spec), encoding="utf-8")
    where = [f"--config={path}", f"--data_dir={data_dir}", f"--output_dir={tmp_path / 'runs'}"]
    command = [sys.executable, "-m", "tfperf", "train", *where, "--format=json"]
    (first, told, errors), (second, _, others) = ended(start(command, command)[1])
    assert (first, second) == (4, 4), errors[-3000:] + others[-3000:]
    (run_dir,) = (tmp_path / "runs").iterdir()
    assert_counted_in_samples(run_dir)
    outcome = json.loads(told)
    assert outcome["environment"]["replicas"] == 2
    trained = {variable.path: variable.numpy() for variable in keras.saving.load_model(run_dir / "model.keras").weights}
    assert any((trained[name] != value).any() for name, value in weights().items()), "nothing was trained"
    _, alone = train(spec, tmp_path / "alone", data_dir)
    for variable in keras.saving.load_model(alone / "model.keras").weights:
        np.testing.assert_allclose(trained[variable.path], variable.numpy(), rtol=1e-4, atol=1e-6)
    assert outcome["quality"]["value"] == pytest.approx(hit_rate(trained), abs=1e-9)
    stats = [event for event in jsonl.read_events(run_dir / "events.jsonl") if event.key == "tracked_stats"]
    held_out = [event.value for event in stats if "val_hit_rate" in event.value]
    assert [(each["val_scored"], each["val_workers"]) for each in held_out] == [(sampled.EVAL_EXAMPLES, 2)] * 4


def test_a_run_starts_from_the_initial_weights(tmp_path: pathlib.Path, data_dir: pathlib.Path) -> None:
    still = specs.Sgd(base_learning_rate=1e-30, end_learning_rate=0.0)
    outcome, run_dir = train(in_samples(optimizer=still), tmp_path / "runs", data_dir)
    assert outcome.quality.value == pytest.approx(hit_rate(weights()), abs=1e-9)
    for variable in keras.saving.load_model(run_dir / "model.keras").weights:
        np.testing.assert_array_equal(variable.numpy(), weights()[variable.path])
    (note,) = outcome.notes
    assert note.startswith("Training started from initial weights: 4 variables, SHA-256 ")


def test_a_run_says_what_it_scored_before_training(tmp_path: pathlib.Path, data_dir: pathlib.Path) -> None:
    order: list[str] = []

    class Hooks(keras.callbacks.Callback):
        def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
            order.append("begin")

        def on_test_end(self, logs: Mapping[str, float] | None = None) -> None:
            order.append("evaluated")

        def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
            order.append(f"epoch {epoch}")

    spec = in_samples(evaluation=specs.Evaluation(every_samples=EVERY, at_start=True), max_steps=6)
    outcome, run_dir = train(spec, tmp_path / "runs", data_dir, Hooks())
    assert order == ["begin", "evaluated", *(each for n in range(3) for each in (f"epoch {n}", "evaluated"))]
    assert outcome.untrained_quality == pytest.approx(hit_rate(weights()), abs=1e-9)
    assert outcome.quality.value != outcome.untrained_quality
    begin, *rest = logged(run_dir)
    at = {"epoch_num": 0}
    assert [(event.key, dict(event.metadata)) for event in (begin, *rest[:4])] == [
        ("run_start", {}),
        ("eval_start", at),
        ("eval_accuracy", {"step": 0, **at}),
        ("eval_stop", at),
        ("block_start", {"first_epoch_num": 0, "epoch_count": 48}),
    ]
    shown = table.train_table(outcome, run_dir=run_dir)
    assert re.search(rf"^hit_rate before training +{outcome.untrained_quality:.4f}$", shown, re.MULTILINE)
    log = compliance_log.read(run_dir / "mllog.txt")
    assert training_run.violations(log, benchmark=logged_benchmark.identify(log)) == ()


def test_a_model_that_is_good_enough_before_training_has_no_time_to_train(
    tmp_path: pathlib.Path, data_dir: pathlib.Path
) -> None:
    started = specs.Evaluation(every_samples=EVERY, at_start=True)
    outcome, run_dir = train(in_samples(evaluation=started, quality_target=0.1), tmp_path / "runs", data_dir)
    before = hit_rate(weights())
    assert (outcome.valid, outcome.status, outcome.time_to_train_s) == (False, "aborted", None)
    assert outcome.reasons == (
        f"the target was reached before the first step, so nothing was trained: hit_rate was {before:.4f}, the target "
        "is 0.1. Raise quality_target, or start from other weights",
    )
    assert (outcome.quality.value, outcome.quality.reached, outcome.epochs) == (None, False, 0)
    assert outcome.untrained_quality == pytest.approx(before, abs=1e-9)
    shown = table.train_table(outcome, run_dir=run_dir)
    assert re.search(r"^hit_rate +-- \(target 0\.1000\): evaluated only before training$", shown, re.MULTILINE)
    *_, stop = logged(run_dir)
    assert stop.metadata == {
        "status": "aborted",
        "epoch_num": 0,
        "reason": "the target was reached before the first step, so nothing was trained",
    }
    log = compliance_log.read(run_dir / "mllog.txt")
    assert training_run.violations(log, benchmark=logged_benchmark.identify(log)) == ()


def test_options_may_name_no_initial_weights(
    tmp_path: pathlib.Path, data_dir: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = dataclasses.replace(benchmarks.training_task(sampled.BENCHMARK), initial_weights=lambda *options: None)
    monkeypatch.setattr(sampled, "BENCHMARK", dataclasses.replace(sampled.BENCHMARK, training=task))
    outcome, _ = train(in_samples(max_steps=6), tmp_path / "runs", data_dir)
    assert outcome.notes == ()


def test_the_scorer_of_a_data_set_goes_before_the_tasks(
    tmp_path: pathlib.Path, data_dir: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_data(*arguments: Any) -> OpenData:
        found = sampled.open_data(*arguments)
        return dataclasses.replace(found, scorer=lambda: sampled.HitRate("hit_rate"))

    given = benchmarks.training_task(sampled.BENCHMARK)
    task = dataclasses.replace(given, open_data=open_data, scorer=lambda options: sampled.HitRate("error_rate"))
    monkeypatch.setattr(sampled, "BENCHMARK", dataclasses.replace(sampled.BENCHMARK, training=task))
    outcome, _ = train(in_samples(max_steps=6), tmp_path / "runs", data_dir)
    assert outcome.quality.metric == "hit_rate"
    assert outcome.quality.value > 0


def test_epochs_samples_and_reasons_are_those_of_a_run_in_samples(
    tmp_path: pathlib.Path, data_dir: pathlib.Path
) -> None:
    seen: list[tuple[int, int]] = []

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
            self.steps = batch + 1

        def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
            assert logs is not None
            assert "val_hit_rate" in logs
            seen.append((epoch, self.steps))

    outcome, run_dir = train(in_samples(), tmp_path / "runs", data_dir, Look())
    assert seen == [(0, 3), (1, 2), (2, 3), (3, 1)]
    assert_counted_in_samples(run_dir)
    assert outcome.epochs == 1
    assert outcome.samples == 144
    (reason,) = outcome.reasons
    assert (
        reason == f"the target was missed: hit_rate {outcome.quality.value:.4f} after 144 samples, the target is 1.01"
    )


def test_the_target_ends_the_run_at_an_evaluation(tmp_path: pathlib.Path, data_dir: pathlib.Path) -> None:
    outcome, run_dir = train(in_samples(quality_target=0.0), tmp_path / "runs", data_dir)
    assert outcome.valid
    assert logged(run_dir)[-1].metadata == {"status": "success", "epoch_num": 48}


def test_the_warm_up_and_the_decay_are_those_of_the_steps(tmp_path: pathlib.Path, data_dir: pathlib.Path) -> None:
    _, run_dir = train(in_samples(steps_per_execution=1), tmp_path / "runs", data_dir)
    values = {event.key: event.value for event in jsonl.read_events(run_dir / "events.jsonl")}
    per_epoch = sampled.TRAIN_EXAMPLES // BATCH
    assert values["opt_learning_rate_warmup_epochs"] == 1
    assert "model_bn_span" not in values  # the model has no batch normalisation
    assert values["sgd_opt_learning_rate_decay_steps"] == STEPS - per_epoch + 1


def test_a_warm_up_longer_than_the_steps_is_refused(tmp_path: pathlib.Path, data_dir: pathlib.Path) -> None:
    long = specs.Sgd(base_learning_rate=0.1, warmup_epochs=2)
    with pytest.raises(UsageError, match=r"warmup_epochs must be at most 1\.5, the epochs of the run, got 2\."):
        train(in_samples(optimizer=long), tmp_path / "runs", data_dir)


def test_epochs_and_steps_end_a_run_alike(tmp_path: pathlib.Path, data_dir: pathlib.Path) -> None:
    per_epoch = specs.Evaluation(every_epochs=1)
    outcome, run_dir = train(in_samples(evaluation=per_epoch), tmp_path / "epochs", data_dir)
    steps = [event.metadata["step"] for event in logged(run_dir) if event.key == "eval_accuracy"]
    assert (outcome.epochs, steps) == (2, [6, 9])
    of_one_epoch = in_samples(max_steps=None, max_epochs=1)
    _, run_dir = train(of_one_epoch, tmp_path / "samples", data_dir)
    steps = [event.metadata["step"] for event in logged(run_dir) if event.key == "eval_accuracy"]
    assert steps == [3, 5, 6]


def test_weights_that_do_not_fit_are_all_named(tmp_path: pathlib.Path, data_dir: pathlib.Path) -> None:
    found = weights(**{"hidden/bias": np.zeros(5, "float32"), "head/kernel": np.zeros(2), "norm/gamma": np.zeros(1)})
    del found["answer/kernel"], found["answer/bias"]
    np.savez(data_dir / "initial.npz", **found)
    with pytest.raises(UsageError) as raised:
        train(in_samples(), tmp_path / "runs", data_dir)
    assert str(raised.value) == (
        "The initial weights don't fit the model. Missing: answer/kernel, answer/bias. "
        "Not in the model: head/kernel, norm/gamma. Wrong shape: hidden/bias (got (5,), expected (3,))."
    )
    assert not list((tmp_path / "runs").iterdir()), "a run that never began left something"


def test_a_scorer_without_the_metric_is_refused_before_the_clock_starts(
    tmp_path: pathlib.Path, data_dir: pathlib.Path
) -> None:
    other = in_samples(model=sampled.Options(reported="error_rate"))
    message = r"The target's metric is 'hit_rate', the scorer reports error_rate, scored, workers\."
    with pytest.raises(UsageError, match=message):
        train(other, tmp_path / "runs", data_dir)
    assert not list((tmp_path / "runs").iterdir())


def test_a_scorer_that_can_not_score_nothing_is_refused_at_the_first_evaluation(
    tmp_path: pathlib.Path, data_dir: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def strict(self: sampled.HitRate, seen: list[bytes]) -> dict[str, float]:
        return {"error_rate": 1 / len(b"".join(seen))}

    monkeypatch.setattr(sampled.HitRate, "result", strict)
    with pytest.raises(UsageError, match=r"The target's metric is 'hit_rate', the scorer reports error_rate\."):
        train(in_samples(), tmp_path / "runs", data_dir)
    (run_dir,) = (tmp_path / "runs").iterdir()
    assert logged(run_dir)[-1].metadata["status"] == "aborted"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_epochs": 2}, "max_epochs must be left out with max_steps=9: give one of them, got 2."),
        ({"max_steps": None}, "max_epochs must be given, or max_steps, got None."),
        ({"max_steps": 0}, "max_steps must be 1 or more, got 0."),
    ],
)
def test_a_run_ends_after_epochs_or_steps(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match="must be") as raised:
        dataclasses.replace(in_samples(), **changes)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"every_epochs": 1, "every_samples": 9}, "every_epochs must be left out with every_samples=9, got 1."),
        ({"every_samples": 0}, "every_samples must be 1 or more, got 0."),
        ({"every_samples": 9, "offset": 1}, "offset must be 0 with every_samples, got 1."),
    ],
)
def test_an_evaluation_has_one_cadence(fields: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match="must be") as raised:
        specs.Evaluation(**fields)
    assert str(raised.value) == message


def test_without_a_cadence_every_epoch_is_evaluated() -> None:
    assert specs.Evaluation() == specs.Evaluation(every_epochs=1)
