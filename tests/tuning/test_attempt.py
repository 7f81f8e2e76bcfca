"""A trial ends once, whatever its process does, and leaves none behind."""

import pathlib
import threading

import pytest

from tests.tuning import family
from tfperf.tuning import attempt, trial
from tfperf.tuning.attempt import Plan
from tfperf.tuning.trial import Trial

PLANNED = Trial(name="0", values={"threads": 1}, seed=7)


def test_a_trial_that_has_ended_is_not_run_again(tmp_path: pathlib.Path) -> None:
    ended = Trial(name="0", values={"threads": 1}, seed=7, status="completed", objective=1.5)
    trial.write(tmp_path, ended)
    assert attempt.run(tmp_path, Plan(trial=PLANNED, program="no.such.module", files={})) == ended


def test_a_process_that_fails_is_a_trial_that_failed_and_says_why(tmp_path: pathlib.Path) -> None:
    ended = attempt.run(tmp_path / "0", Plan(trial=PLANNED, program="no_such_module", files={"job.json": "{}"}))
    assert ended.status == "failed"
    assert ended.reason.startswith("the trial's process ended with exit code 1: ")
    assert ended.reason.endswith("No module named no_such_module")
    assert (tmp_path / "0" / "job.json").read_text(encoding="utf-8") == "{}"
    assert (tmp_path / "0" / attempt.LOG).read_text(encoding="utf-8").startswith("internal sweep\n")


def test_a_trial_that_is_given_up_takes_the_processes_that_it_started_with_it(tmp_path: pathlib.Path) -> None:
    given_up, written = threading.Event(), tmp_path / "0" / family.CHILD

    def give_up() -> None:
        while not written.exists() and not given_up.wait(0.05):
            pass
        given_up.set()

    watcher = threading.Thread(target=give_up)
    watcher.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            attempt.run(tmp_path / "0", Plan(trial=PLANNED, program=family.__name__, files={}), given_up=given_up)
    finally:
        given_up.set()
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
    ended = attempt.run(tmp_path / "0", Plan(trial=PLANNED, program=family.__name__, files={}), limit_s=0.2)
    assert (ended.status, ended.reason) == ("failed", "it was not over after 0.2 s (trial_limit_s)")
