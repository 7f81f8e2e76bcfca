"""A trial ends once, whatever its process does, and leaves no process behind."""

import pathlib
import threading

import pytest

from tests.tuning import process_with_child
from tfperf.tuning import trial, trial_process
from tfperf.tuning.trial import Trial
from tfperf.tuning.trial_process import PlannedTrial

PLANNED = Trial(name="0", values={"threads": 1}, seed=7)


def test_a_trial_that_has_ended_is_not_run_again(tmp_path: pathlib.Path) -> None:
    ended = Trial(name="0", values={"threads": 1}, seed=7, status="completed", objective=1.5)
    trial.write(tmp_path, ended)
    assert trial_process.run(tmp_path, PlannedTrial(trial=PLANNED, program="no.such.module", files={})) == ended


def test_a_process_that_fails_is_a_trial_that_failed_and_says_why(tmp_path: pathlib.Path) -> None:
    ended = trial_process.run(
        tmp_path / "0", PlannedTrial(trial=PLANNED, program="no_such_module", files={"job.json": "{}"})
    )
    assert ended.status == "failed"
    assert ended.reason.startswith("the trial's process ended with exit code 1: ")
    assert ended.reason.endswith("No module named no_such_module")
    assert (tmp_path / "0" / "job.json").read_text(encoding="utf-8") == "{}"
    assert (tmp_path / "0" / trial_process.LOG).read_text(encoding="utf-8").startswith("internal sweep\n")


def test_a_trial_that_is_cancelled_takes_the_processes_that_it_started_with_it(tmp_path: pathlib.Path) -> None:
    cancelled, written = threading.Event(), tmp_path / "0" / process_with_child.CHILD

    def cancel() -> None:
        while not written.exists() and not cancelled.wait(0.05):
            pass
        cancelled.set()

    watcher = threading.Thread(target=cancel)
    watcher.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            trial_process.run(
                tmp_path / "0",
                PlannedTrial(trial=PLANNED, program=process_with_child.__name__, files={}),
                cancelled=cancelled,
            )
    finally:
        cancelled.set()
        watcher.join()
    child = int(written.read_text(encoding="utf-8"))
    while _runs(child):  # killed, and gone as soon as the system says so
        pass


def _runs(pid: int) -> bool:
    status = pathlib.Path(f"/proc/{pid}/status")
    try:
        return "State:\tZ" not in status.read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_trial_that_takes_too_long_has_failed(tmp_path: pathlib.Path) -> None:
    ended = trial_process.run(
        tmp_path / "0", PlannedTrial(trial=PLANNED, program=process_with_child.__name__, files={}), limit_s=0.2
    )
    assert (ended.status, ended.reason) == ("failed", "it had not finished after 0.2 s (trial_limit_s)")
