"""Several workers train together, and each ends with what happened to all of them."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tests.system.test_assembly import addresses, assembled, cluster_of, of_each
from tfperf.compliance import checker
from tfperf.run import train as run
from tfperf.system.cluster import Cluster

TINY = (
    "--config=resnet50-mini",
    "--set=global_batch_size=16",
    "--set=data.source.shapes={train_examples: 64, eval_examples: 40}",
    "--set=model={image_size: 32, blocks: [1], width: 4}",
    "--set=division=internal",
    "--set=quality_target=0.0",
)


def start(*commands: list[str]) -> tuple[tuple[str, ...], list[subprocess.Popen[str]]]:
    """Starts one command as each worker of a cluster on this machine; their addresses, and the processes."""
    hosts = addresses(len(commands))
    started = []
    for index, command in enumerate(commands):
        config = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
        environment = {**os.environ, "TF_CONFIG": json.dumps(config), "PYTHONPATH": os.pathsep.join(sys.path)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, env=environment, **pipes))
    return hosts, started


def ended(started: list[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    """Exit code, stdout and stderr of each worker, once all have ended."""
    try:
        outputs = [process.communicate(timeout=240) for process in started]
    finally:
        for process in started:
            process.kill()
    return [(process.returncode, *output) for process, output in zip(started, outputs, strict=True)]


def workers(*commands: list[str]) -> list[tuple[int, str, str]]:
    """Runs one command as each worker of a cluster on this machine; exit code, stdout and stderr of each."""
    return ended(start(*commands)[1])


def train(folder: pathlib.Path, *arguments: str) -> list[str]:
    where = [f"--data_dir={folder / 'data'}", f"--output_dir={folder / 'runs'}"]
    return [sys.executable, "-m", "tfperf", "train", *TINY, *where, *arguments]


def test_two_workers_train_together_and_the_first_writes(tmp_path: pathlib.Path) -> None:
    command = train(tmp_path, "--format=json")
    (first, told, errors), (second, silent, others) = workers(command, command)
    assert (first, second) == (0, 0), errors[-2000:] + others[-2000:]
    assert silent == ""
    assert json.loads(told)["environment"]["replicas"] == 2
    (run_dir,) = (tmp_path / "runs").iterdir()
    assert checker.check(run_dir)[0].status == "success"
    assert (run_dir / "model.keras").is_file()


def test_workers_that_differ_are_named_before_the_clock_starts(tmp_path: pathlib.Path) -> None:
    hosts, started = start(train(tmp_path), train(tmp_path, "--set=model.blocks=[2]", "--set=seed=5"))
    for code, _, errors in ended(started):
        assert code == 1
        assert errors.endswith(
            "tfperf train: Not all workers run the same thing.\n"
            f"  config.model.blocks: worker 0 has [1], worker 1 ({hosts[1]}) has [2]\n"
            f"  config.seed: worker 0 has None, worker 1 ({hosts[1]}) has 5\n"
        )
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    ("by", "end", "code", "reason"),
    [
        (signal.SIGTERM, 130, 130, "ended: interrupted"),
        pytest.param(
            signal.SIGKILL,
            -signal.SIGKILL,
            1,
            "was lost: it was killed, hangs or can't be reached. See its own output.",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            signal.SIGSTOP,
            -signal.SIGKILL,
            1,
            "was lost: it was killed, hangs or can't be reached. See its own output.",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_worker_that_ends_in_the_middle_is_named(
    by: signal.Signals, end: int, code: int, reason: str, tmp_path: pathlib.Path
) -> None:
    command = train(tmp_path, "--set=quality_target=1.01", "--set=max_epochs=100000")
    hosts, (first, second) = start(command, command)
    _wait_for("eval_accuracy", tmp_path, first)
    second.send_signal(by)
    since = time.monotonic()
    ((found, _, errors),) = ended([first])
    assert time.monotonic() - since < 60  # seconds on an idle machine
    if end == -signal.SIGKILL:  # a stopped worker doesn't end by itself
        second.kill()
    assert ended([second])[0][0] == end
    assert (found, errors.splitlines()[-1]) == (code, f"tfperf train: worker 1 ({hosts[1]}) {reason}")
    assert "Traceback" not in errors
    (run_dir,) = (tmp_path / "runs").iterdir()
    assert checker.check(run_dir)[0].status == "aborted"
    outcome = json.loads((run_dir / "result.json").read_text(encoding="utf-8"))
    assert (outcome["valid"], outcome["reasons"]) == (False, [f"worker 1 ({hosts[1]}) {reason}"])


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
def test_workers_that_are_all_cancelled_end_aborted(tmp_path: pathlib.Path) -> None:
    command = train(tmp_path, "--set=quality_target=1.01", "--set=max_epochs=100000")
    _, started = start(command, command)
    _wait_for("eval_accuracy", tmp_path, started[0])
    for process in reversed(started):
        process.send_signal(signal.SIGTERM)
    assert [code for code, _, _ in ended(started)] == [130, 130]
    (run_dir,) = (tmp_path / "runs").iterdir()
    assert checker.check(run_dir)[0].status == "aborted"


def _wait_for(key: str, folder: pathlib.Path, process: subprocess.Popen[str]) -> None:
    """Waits until the log of the run holds the key."""
    while not any(f'"key": "{key}"' in log.read_text(encoding="utf-8") for log in folder.glob("runs/*/mllog.txt")):
        assert process.poll() is None, process.communicate()[1][-2000:]
        time.sleep(0.05)


def test_the_corrupt_examples_of_all_workers_are_reported_once() -> None:
    found = (("a.JPEG: cut", "b.JPEG: empty"), ("b.JPEG: empty", "c.JPEG: cut"))

    def work(cluster: Cluster) -> tuple[str, ...]:
        with assembled(cluster) as together:
            return run._skipped_by_all(together, skipped=found[cluster.index])

    assert of_each(cluster_of(2), work) == [("a.JPEG: cut", "b.JPEG: empty", "c.JPEG: cut")] * 2
