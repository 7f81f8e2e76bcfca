"""An evaluation that is interrupted, killed or out of disk space says so in seconds, and keeps what was measured."""

import json
import pathlib
import re
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tfperf import result

PHASES = {
    "streams": "[{concurrency: {streams: [1, 2], duration_s: 60}}]",
    "rate": "[{constant_rate: {requests_per_s: [50], duration_s: 60}}]",
    "loadgen": "[{singlestream: {min_duration_s: 60}}]",
    "warm_up": "[{warm_up: {iterations: 100000000}}, {offline: {}}]",
    "apart": "[{concurrency: {streams: [1], duration_s: 60}}]",
}
BEGUN = {
    "streams": "1 stream: [1-9]",
    "rate": "requests: [1-9]",
    "loadgen": "measuring: [1-9]",
    "warm_up": "warm-up: [1-9]",
    "apart": "1 stream: [1-9]",
}


def command(folder: pathlib.Path, *settings: str) -> list[str]:
    """`tfperf evaluate` on a small model that it writes."""
    import keras

    keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)]).save(folder / "my.keras")
    (folder / "data").mkdir()
    np.save(folder / "data" / "x.npy", np.ones((40, 8), "float32"))
    words = [sys.executable, "-m", "tfperf", "evaluate", "--config=evaluate", f"--model={folder / 'my.keras'}"]
    words += [f"--data_dir={folder / 'data'}", f"--output_dir={folder / 'runs'}", "--format=json"]
    return [*words, *(f"--set={each}" for each in settings)]


def started(folder: pathlib.Path, where: str, **options) -> subprocess.Popen[str]:
    """An evaluation with a phase of a minute."""
    settings = [f"phases={PHASES[where]}", *(["threads=[1, 2]"] if where == "apart" else [])]
    settings += ["issuer=tfperf"] if where == "warm_up" else []
    return subprocess.Popen(
        command(folder, *settings), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def wait_until_it_measures(process: subprocess.Popen[str], where: str) -> None:
    """Until it shows how far the phase is."""
    assert process.stderr is not None
    for line in process.stderr:
        if re.search(BEGUN[where], line):
            return
    raise AssertionError("it ended")


@pytest.mark.slow
@pytest.mark.parametrize("where", PHASES)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_evaluation_keeps_what_was_measured(tmp_path: pathlib.Path, where: str, number: int) -> None:
    if number == signal.SIGTERM and where != "streams":
        pytest.skip("SIGTERM is handled as SIGINT is")
    process = started(tmp_path, where, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    wait_until_it_measures(process, where)
    process.send_signal(number)
    begin = time.perf_counter()
    printed, _ = process.communicate(timeout=60)
    assert time.perf_counter() - begin < 15
    assert process.returncode == 130
    found = json.loads(printed)
    assert (found["status"], found["valid"]) == ("incomplete", False)
    assert any("interrupted" in reason for reason in found["reasons"])
    assert found["judged"][0]["examples"] == 40
    if where != "warm_up":
        assert found["phases"][0]["status"] == "interrupted"
        assert found["phases"][0]["requests"] > 0
    (run_dir,) = (tmp_path / "runs").iterdir()
    assert result.as_dict(result.read(run_dir / "result.json")) == {
        name: value for name, value in found.items() if name != "run_dir"
    }


@pytest.mark.slow
def test_a_killed_evaluation_leaves_what_was_measured_before(tmp_path: pathlib.Path) -> None:
    process = started(tmp_path, "streams")
    wait_until_it_measures(process, "streams")
    process.kill()
    process.communicate()
    (run_dir,) = (tmp_path / "runs").iterdir()
    found = result.read(run_dir / "result.json")
    assert isinstance(found, result.EvaluateResult)
    assert (found.status, found.valid) == ("incomplete", False)
    assert found.reasons == ("the evaluation did not finish",)
    assert found.judged[0].examples == 40


@pytest.mark.slow
def test_a_file_that_may_not_grow_ends_the_evaluation_with_a_reason(tmp_path: pathlib.Path) -> None:
    """As on a full disk: the rows of all requests pass 1 MB within seconds."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    words = command(tmp_path, "save_requests=true", "phases=[{concurrency: {streams: [1], duration_s: 20}}]")
    done = subprocess.run(words, capture_output=True, text=True, preexec_fn=limit, timeout=120)
    found = json.loads(done.stdout)
    assert found["status"] == "failed"
    assert "nothing more can be written" in found["reasons"][0]
    assert found["phases"][0]["requests"] > 10_000
    assert "Traceback" not in done.stderr
    assert found["judged"][0]["examples"] == 40
