"""Ctrl-C and SIGTERM while `tfperf infer` measures, sent to the commands as a user has them."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tfperf import benchmarks

SOON_S = 90.0
MODULE = (sys.executable, "-m", "tfperf")
SCRIPT = (str(pathlib.Path(sys.executable).parent / "tfperf"),)
ENDLESS = (
    "--config=resnet50-mini-singlestream",
    "--set=data.source.shapes={train_examples: 64, eval_examples: 40}",
    "--set=executable=function-float32",
    "--set=min_duration_s=3600",
    "--set=performance_samples=40",
    "--set=quality_target=0",
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The untrained model, saved."""
    task = benchmarks.get("resnet50_mini").inference
    assert task is not None
    path = tmp_path_factory.mktemp("model") / "model.keras"
    task.build_model(task.options).save(path)
    return path


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    ("command", "by"),
    [
        pytest.param(MODULE, signal.SIGINT, id="module, SIGINT"),
        pytest.param(SCRIPT, signal.SIGTERM, id="script, SIGTERM"),
    ],
)
def test_an_interrupted_measurement_ends_soon_and_is_incomplete(
    command: tuple[str, ...], by: signal.Signals, model: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    if not pathlib.Path(command[0]).exists():
        pytest.skip("tfperf is not installed as a script")
    folders = (f"--data_dir={tmp_path / 'data'}", f"--output_dir={tmp_path / 'runs'}", f"--weights={model}")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with (tmp_path / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            [*command, "infer", *ENDLESS, *folders],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    try:
        run_dir = wait_until_it_measures(process, tmp_path)
        sent = time.perf_counter()
        process.send_signal(by)
        stdout, _ = process.communicate(timeout=SOON_S)
        took_s = time.perf_counter() - sent
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert took_s < 30  # 3 on a machine with three times as many programs as processors
    outcome = json.loads((run_dir / "result.json").read_text(encoding="utf-8"))
    assert (outcome["status"], outcome["valid"]) == ("incomplete", False)
    assert outcome["reasons"] == ["interrupted"]
    assert stdout.startswith("INVALID")
    assert (run_dir / "manifest.json").exists()


def wait_until_it_measures(process: subprocess.Popen[str], folder: pathlib.Path) -> pathlib.Path:
    """Until LoadGen's log, written during the run, says that the samples are loaded."""
    deadline = time.perf_counter() + SOON_S
    while True:
        for log in (folder / "runs").glob("*/performance/mlperf_log_detail.txt"):
            if "loaded_qsl_set" in log.read_text(encoding="utf-8"):
                return log.parent.parent
        assert process.poll() is None and time.perf_counter() < deadline, (folder / "stderr").read_text()
        time.sleep(0.02)
