"""A series of runs on several hosts is scored, and resumed after an interrupt."""

import json
import pathlib
import signal
import subprocess
import time

import pytest

from tests.run.started_workers import ended, start, train
from tfperf.run import series


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
def test_an_interrupted_series_of_two_workers_is_resumed_and_scored(tmp_path: pathlib.Path) -> None:
    command = train(tmp_path, "--runs=3", "--set=division=open", "--set=seed=5", "--format=json")
    _, started = start(command, command)
    home = _series_with_a_run(tmp_path, started)
    started[0].send_signal(signal.SIGTERM)
    assert [code for code, _, _ in ended(started)] == [130, 130]
    kept = list(_finished(home).values())

    resumed = [*command, f"--resume={home}"]
    (first, printed, errors), (second, silent, others) = ended(start(resumed, resumed)[1])
    assert (first, second, silent) == (0, 0, ""), errors[-2000:] + others[-2000:]
    found = json.loads(printed)
    assert (found["valid"], found["reasons"], found["run_dir"]) == (True, [], str(home))
    assert [pathlib.Path(run["run_dir"]).name for run in found["runs"][: len(kept)]] == kept
    assert [(run["config"]["seed"], run["environment"]["replicas"]) for run in found["runs"]] == [
        (5, 2),
        (6, 2),
        (7, 2),
    ]
    (score,) = (verdict for verdict in found["verdicts"] if verdict["kind"] == "train_result")
    assert score["minutes"] == pytest.approx(sorted(run["run_s"] / 60 for run in found["runs"])[1], abs=1e-3)
    assert len(list((home / "results").rglob("result_*.txt"))) == 3


def _series_with_a_run(folder: pathlib.Path, started: list[subprocess.Popen[str]]) -> pathlib.Path:
    """The directory of the series, once a run has finished and the next has begun."""
    while True:
        for state in folder.glob(f"runs/*/{series.STATE}"):
            finished = _finished(state.parent)
            if finished and len(list((state.parent / "runs").iterdir())) > len(finished):
                return state.parent
        assert started[0].poll() is None, started[0].communicate()[1][-2000:]
        time.sleep(0.05)


def _finished(home: pathlib.Path) -> dict[str, str]:
    found: dict[str, str] = json.loads((home / series.STATE).read_text(encoding="utf-8"))["finished"]
    return found
