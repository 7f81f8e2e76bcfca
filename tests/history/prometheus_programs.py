"""Prometheus and its companions as Debian packages them, started for a test on free ports of this machine."""

import contextlib
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

PROGRAMS = ("prometheus", "promtool", "prometheus-alertmanager", "prometheus-node-exporter", "prometheus-pushgateway")
MISSING = [name for name in PROGRAMS if shutil.which(name) is None]
needs_prometheus = pytest.mark.skipif(
    bool(MISSING),
    reason=f"needs {', '.join(MISSING)}: apt-get install prometheus prometheus-alertmanager "
    "prometheus-node-exporter prometheus-pushgateway",
)
_LONGEST_S = 60.0  # of waiting on a busy machine


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextlib.contextmanager
def running(command: Sequence[str], *, cwd: pathlib.Path, ready: str) -> Iterator[None]:
    """A program, from when a URL answers until the end of the block."""
    with (cwd / f"{pathlib.Path(command[0]).name}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=cwd, stdout=log, stderr=log)
        try:
            wait_until(lambda: answers(ready))
            yield
        finally:
            process.terminate()
            process.wait(timeout=_LONGEST_S)


@contextlib.contextmanager
def exporter(store: pathlib.Path) -> Iterator[int]:
    """`tfperf serve-metrics` on a free port."""
    command = [sys.executable, "-m", "tfperf", "serve-metrics", str(store), "--port=0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield int(line.partition("127.0.0.1:")[2].partition("/")[0])
    finally:
        process.terminate()
        process.communicate(timeout=_LONGEST_S)


def wait_until(found: Callable[[], Any]) -> Any:
    """What `found` returns, as soon as it is true."""
    until = time.monotonic() + _LONGEST_S
    while True:
        value = found()
        if value:
            return value
        assert time.monotonic() < until, "waited for too long"
        time.sleep(0.1)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def text_of(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as response:
        content: bytes = response.read()
    return content.decode()


def value_of(url: str) -> Any:
    return json.loads(text_of(url))
