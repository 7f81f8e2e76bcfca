"""Calls in interpreters of their own, with real processes."""

import functools
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from tfperf.inference import interpreter
from tfperf.inference.interpreter import Interpreter
from tfperf.inference.reports import Reports

ROOT = pathlib.Path(__file__).parent.parent.parent
SOON_S = 10.0


def says(count: int, reports: Reports) -> None:
    for number in range(count):
        reports.say("number", value=number)


def raises(reports: Reports) -> None:
    print("on its way", flush=True)
    raise ValueError("broken on purpose")


def leaves_one_behind(reports: Reports) -> None:
    """Forks a process that has the pipe too and never ends, then dies."""
    forked = os.fork()
    if not forked:
        threading.Event().wait()
    reports.say("forked", pid=forked)
    os.kill(os.getpid(), signal.SIGKILL)


def takes_much(text: str, reports: Reports) -> None:
    reports.say("took", length=len(text))


def start(call: Callable[[Reports], None], log: pathlib.Path, **environment: str):  # type: ignore[no-untyped-def]
    return interpreter.started(interpreter.pickled(call), log=log, environment=environment)


def listen_to_the_end(process: Interpreter) -> None:
    deadline = time.perf_counter() + SOON_S
    while not process.ended:
        process.listen(0.2)
        assert time.perf_counter() < deadline


def test_every_message_comes_and_the_exit_code(tmp_path: pathlib.Path) -> None:
    with start(functools.partial(says, 1000), tmp_path / "log") as process:
        messages = []
        while not process.ended:
            messages += process.listen(SOON_S)
        assert process.exit_code() == 0
    assert [message["value"] for message in messages if message["kind"] == "number"] == list(range(1000))
    assert process.said["number"]["value"] == 999


def test_an_exception_is_reported_with_its_traceback(tmp_path: pathlib.Path) -> None:
    with start(raises, tmp_path / "log") as process:
        listen_to_the_end(process)
        assert process.exit_code() == 1
    assert process.said["failed"]["words"].splitlines()[-1] == "ValueError: broken on purpose"
    assert process.log.read_text() == "on its way\n"


def test_the_end_is_seen_and_what_it_started_killed_though_that_keeps_the_pipe(tmp_path: pathlib.Path) -> None:
    with start(leaves_one_behind, tmp_path / "log") as process:
        listen_to_the_end(process)
        assert process.exit_code() == -signal.SIGKILL
        left = process.said["forked"]["pid"]
        assert not gone(left)
    deadline = time.perf_counter() + SOON_S
    while not gone(left):
        assert time.perf_counter() < deadline


def test_sending_a_large_call_waits_for_nobody(tmp_path: pathlib.Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import threading; threading.Event().wait()\n")
    call = functools.partial(takes_much, "x" * 2**20)
    begin = time.perf_counter()
    with start(call, tmp_path / "log", PYTHONPATH=str(tmp_path)) as process:
        process.listen(0.1)
        assert not process.ended
    assert time.perf_counter() - begin < SOON_S
    with start(call, tmp_path / "log") as process:
        listen_to_the_end(process)
    assert process.said["took"]["length"] == 2**20


def test_a_call_that_cannot_be_sent_says_what_to_do() -> None:
    with pytest.raises(TypeError, match="must be a function of a module, or a partial of one; not a lambda"):
        interpreter.pickled(lambda reports: None)


def test_a_script_needs_no_guard(tmp_path: pathlib.Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"""
import functools, pathlib, sys
sys.path.insert(0, {str(ROOT)!r})
print("begins")
from tests.inference import test_interpreter
from tfperf.inference import interpreter
call = interpreter.pickled(functools.partial(test_interpreter.says, 3))
with interpreter.started(call, log=pathlib.Path({str(tmp_path / "log")!r}), environment={{}}) as process:
    test_interpreter.listen_to_the_end(process)
print(process.said["number"]["value"])
"""
    )
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "begins\n2\n"
    assert (tmp_path / "log").read_text() == ""


def gone(pid: int) -> bool:
    """Whether a process has ended, waited for or not."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
