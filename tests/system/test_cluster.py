"""Several workers run one thing, or none."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import pytest

from tfperf.compliance import checker
from tfperf.errors import UsageError
from tfperf.system import cluster

TINY = (
    "--config=resnet50-mini",
    "--set=global_batch_size=16",
    "--set=data.source.shapes={train_examples: 64, eval_examples: 40}",
    "--set=model={image_size: 32, blocks: [1], width: 4}",
    "--set=division=internal",
    "--set=quality_target=0.0",
)


def workers(*commands: list[str]) -> list[tuple[int, str, str]]:
    """Runs one command as each worker of a cluster on this machine; exit code, stdout and stderr of each."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in commands]
    hosts = [f"127.0.0.1:{opened.getsockname()[1]}" for opened in sockets]
    for opened in sockets:
        opened.close()
    started = []
    for index, command in enumerate(commands):
        config = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
        environment = {**os.environ, "TF_CONFIG": json.dumps(config), "PYTHONPATH": os.pathsep.join(sys.path)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, env=environment, **pipes))
    outputs = [process.communicate(timeout=240) for process in started]
    return [(process.returncode, *output) for process, output in zip(started, outputs, strict=True)]


def test_two_workers_train_together_and_the_first_writes(tmp_path: pathlib.Path) -> None:
    where = [f"--data_dir={tmp_path / 'data'}", f"--output_dir={tmp_path / 'runs'}"]
    command = [sys.executable, "-m", "tfperf", "train", *TINY, *where, "--format=json"]
    (first, told, errors), (second, silent, others) = workers(command, command)
    assert (first, second) == (0, 0), errors[-2000:] + others[-2000:]
    assert silent == ""
    assert json.loads(told)["environment"]["replicas"] == 2
    (run_dir,) = (tmp_path / "runs").iterdir()
    assert checker.check(run_dir)[0].status == "success"
    assert (run_dir / "model.keras").is_file()


def test_workers_that_differ_are_told_before_the_clock_starts(tmp_path: pathlib.Path) -> None:
    where = [f"--data_dir={tmp_path / 'data'}", f"--output_dir={tmp_path / 'runs'}"]
    command = [sys.executable, "-m", "tfperf", "train", *TINY, *where]
    (first, _, errors), (second, _, others) = workers(command, [*command, "--set=max_epochs=7"])
    assert (first, second) == (1, 1)
    message = "Not all workers run the same thing. They differ from worker 0 in config: workers [1]."
    assert message in errors
    assert message in others


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"cluster": {"worker": ["a:1"]}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "ps", "index": 0}}',
    ],
)
def test_a_cluster_that_can_not_be_read_is_told(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UsageError, match=r'TF_CONFIG must look like \{"cluster": \{"worker": \["host:port"'):
        cluster.from_environment()


def test_without_tf_config_there_is_one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert cluster.from_environment() == cluster.Cluster(workers=1, index=0)
    assert cluster.from_environment().is_chief
