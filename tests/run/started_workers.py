"""Starts `tfperf train` as the workers of a cluster, on this machine or in network namespaces of it."""

import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Sequence

from tests.system.test_assembly import addresses

TINY = (
    "--config=resnet50-mini",
    "--set=global_batch_size=16",
    "--set=data.source.shapes={train_examples: 64, eval_examples: 40}",
    "--set=model={image_size: 32, blocks: [1], width: 4}",
    "--set=division=internal",
    "--set=quality_target=0.0",
)
ENDLESS = ("--set=quality_target=1.01", "--set=max_epochs=100000")


def train(folder: pathlib.Path, *arguments: str) -> list[str]:
    """A command that trains for seconds; data and runs go to the folder."""
    where = [f"--data_dir={folder / 'data'}", f"--output_dir={folder / 'runs'}"]
    return [sys.executable, "-m", "tfperf", "train", *TINY, *where, *arguments]


def start(
    *commands: list[str], hosts: Sequence[str] = (), chief: bool = False
) -> tuple[Sequence[str], list[subprocess.Popen[str]]]:
    """Starts one command as each worker of a cluster; their addresses, and the processes.

    Args:
        commands: one for each worker, in their order.
        hosts: the addresses of the workers; by default ports of this machine.
        chief: whether TF_CONFIG calls the first one `chief`.
    """
    hosts = hosts or addresses(len(commands))
    tasks = [("chief", 0), *(("worker", index) for index in range(len(hosts)))]
    cluster = {"chief": hosts[:1], "worker": hosts[1:]} if chief else {"worker": hosts}
    started = []
    for command, (kind, index) in zip(commands, tasks if chief else tasks[1:], strict=False):
        config = {"cluster": cluster, "task": {"type": kind, "index": index}}
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


def wait_for(key: str, folder: pathlib.Path, process: subprocess.Popen[str]) -> None:
    """Waits until the log of a run in the folder holds the key."""
    while not any(f'"key": "{key}"' in log.read_text(encoding="utf-8") for log in folder.glob("runs/*/mllog.txt")):
        assert process.poll() is None, process.communicate()[1][-2000:]
        time.sleep(0.05)
