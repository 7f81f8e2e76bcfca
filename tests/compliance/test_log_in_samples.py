"""Logs that count samples, as those of BERT: the official checker, the cadence by the rules, and ten runs as one."""

import pathlib
import subprocess
import sys
import time

import pytest

from tests import optimizer_values
from tfperf import benchmarks, config
from tfperf import spec as specs
from tfperf.compliance import checker, inspection, mllog, submission
from tfperf.compliance import log as logs
from tfperf.events import Event
from tfperf.training.goal import Goal
from tfperf.training.meter import Meter

BATCH, EVERY, EVAL_EXAMPLES = 256, 150_000, 10_000
RUNS = 10
SPEC = specs.TrainSpec(
    benchmark="bert",
    division=specs.Division.CLOSED,
    global_batch_size=BATCH,
    max_steps=12_891,
    optimizer=specs.Lamb(base_learning_rate=3.5e-4, training_steps=13_700),
    data=specs.Data(source=None),
    evaluation=specs.Evaluation(every_samples=EVERY, at_start=True),
)
REQUIRED = [
    "opt_base_learning_rate",
    "opt_lamb_epsilon",
    "opt_lamb_beta_1",
    "opt_lamb_beta_2",
    "opt_lamb_weight_decay_rate",
    "opt_learning_rate_training_steps",
    "opt_learning_rate_warmup_steps",
    "num_warmup_steps",
    "start_warmup_step",
]
TASK = benchmarks.task("bert", "train")


def write_log(
    path: pathlib.Path, *, seed: int = 1, evaluations: int = 18, every: int = EVERY, without: str | None = None
) -> pathlib.Path:
    """The log of a run that reaches its target at the last evaluation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = mllog.MllogSink(path)

    class Sink:
        def emit(self, event: Event) -> None:
            if event.key != without:
                written.emit(event)

        def flush(self) -> None:
            written.flush()

        def close(self) -> None:
            written.close()

    sink = Sink()
    for key, value in (
        ("submission_benchmark", "bert"),
        ("submission_division", "closed"),
        ("submission_org", "somebody"),
        ("submission_platform", "a system"),
        ("submission_status", "research"),
        ("cache_clear", True),
        ("init_start", None),
    ):
        sink.emit(Event(key=key, value=value))
    goal = Goal(metric="masked_lm_accuracy", target=0.72, mode="max")
    meter = Meter(sink, goal=goal, unit="samples", batch_size=BATCH, compiled=True)
    for event in mllog.hyperparameters(
        SPEC,
        seed=seed,
        optimizer=optimizer_values.logged(SPEC),
        bn_span=None,
        train_examples=156_725_653,
        eval_examples=EVAL_EXAMPLES,
    ):
        sink.emit(event)
    meter.start()
    meter.evaluation_begin()
    meter.evaluation_end(0.34085, untrained=True)
    for number in range(1, evaluations + 1):
        steps = -(-number * every // BATCH) - meter.steps
        meter.epoch_begin(number, block=steps * BATCH)
        meter.execution_end(steps, at=time.perf_counter(), stats=dict, logs=None)
        meter.epoch_end(examples=steps * BATCH, stats={})
        meter.evaluation_begin()
        time.sleep(0.002)  # a run that ends in the millisecond in which it started has no time to train
        meter.evaluation_end(0.7212 if number == evaluations else 0.7)
    sink.close()
    return path


def test_the_log_of_a_closed_run_is_compliant_for_the_official_program_too(tmp_path: pathlib.Path) -> None:
    path = write_log(tmp_path / "mllog.txt")
    (verdict,) = checker.check(path)
    assert (verdict.compliant, verdict.status, verdict.ruleset) == (True, "success", "5.0.0"), verdict
    command = [sys.executable, "-m", "mlperf_logging.compliance_checker", "--ruleset", "5.0.0", "--werror", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "SUCCESS" in done.stdout + done.stderr


@pytest.mark.parametrize("key", REQUIRED)
def test_a_missing_key_is_named(tmp_path: pathlib.Path, key: str) -> None:
    (verdict,) = checker.check(write_log(tmp_path / "mllog.txt", evaluations=1, without=key))
    assert [found.key for found in verdict.violations] == [key]


def test_evaluations_at_the_steps_of_the_rules_are_not_remarked(tmp_path: pathlib.Path) -> None:
    log = logs.read(write_log(tmp_path / "mllog.txt"))
    assert [found.message for found in inspection.remarks(log, task=TASK, ruleset="5.0.0")] == []


def test_evaluations_too_often_are_remarked_in_samples(tmp_path: pathlib.Path) -> None:
    log = logs.read(write_log(tmp_path / "mllog.txt", every=100_000))
    assert [found.message for found in inspection.remarks(log, task=TASK, ruleset="5.0.0")] == [
        "Evaluation 1 is after 100,096 samples; the rules require one every 150,000 samples at batch size 256, so "
        "after 150,000."
    ]


def test_the_first_round_evaluated_at_other_steps(tmp_path: pathlib.Path) -> None:
    log = logs.read(write_log(tmp_path / "mllog.txt", every=100_000))
    assert [found.message for found in inspection.remarks(log, task=TASK, ruleset="0.7.0")] == []


def test_ten_runs_are_a_result_that_converges_in_samples(tmp_path: pathlib.Path) -> None:
    runs = [write_log(tmp_path / "runs" / f"result_{number}.txt", seed=number) for number in range(RUNS)]
    folder = submission.write_results_folder(
        tmp_path / "results", runs, benchmark="bert", platform="a system", division="closed", description={}
    )
    *each, whole = checker.check(folder)
    assert [verdict.compliant for verdict in each] == [True] * RUNS
    assert (whole.kind, whole.compliant) == ("train_result", True)
    assert "Converges in 2,700,032 samples at batch size 256, the reference in" in " ".join(whole.notes)


@pytest.mark.parametrize(("name", "remarked"), [("bert_mini", False), ("resnet50_mini", True)])
def test_a_small_version_counts_samples_from_0_too(name: str, remarked: bool, tmp_path: pathlib.Path) -> None:
    path = write_log(tmp_path / "mllog.txt", evaluations=1)
    text = path.read_text()
    assert '"value": "bert"' in text
    path.write_text(text.replace('"value": "bert"', f'"value": "{name}"'))
    remarks = [remark.message for remark in inspection.remarks(logs.read(path), task=None, ruleset="5.0.0")]
    assert ("block_start has first_epoch_num 0; the rules number epochs from 1." in remarks) == remarked


def test_the_log_of_any_run_in_samples_says_so(tmp_path: pathlib.Path) -> None:
    spec = config.load("resnet50-mini", task_of=benchmarks.task, overrides=["evaluation={every_samples: 4096}"])
    *_, target = mllog.submission(spec, benchmarks.get("resnet50_mini"), platform="a system")
    path = write_log(tmp_path / "mllog.txt", evaluations=1)
    written = mllog.MllogSink(tmp_path / "target.txt")
    written.emit(target)
    written.close()
    rest = path.read_text().replace('"value": "bert"', '"value": "resnet50_mini"')
    path.write_text((tmp_path / "target.txt").read_text() + rest)
    remarks = [remark.message for remark in inspection.remarks(logs.read(path), task=None, ruleset="4.0.0")]
    assert [remark for remark in remarks if "epochs from 1" in remark] == []
