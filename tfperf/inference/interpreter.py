"""A fresh Python interpreter that makes one call: its start, its messages and its end.

It does not use multiprocessing's spawn, which runs the parent's `__main__` again in the child. A script without a
guard would start all over, and TensorFlow could be imported before the environment is set.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import pickle
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

# How long an interpreter that closed its pipe may take to end.
_GRACE_S = 2.0

_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from tfperf.inference import reports; reports.main()"
)


class Interpreter:
    """The process, its messages and its end.

    Attributes:
        pid: the id of the process, which leads its own process group.
        log: the file with its output.
        said: the last message of each kind.
        ended: whether it is gone and all its messages were read.
    """

    def __init__(self, process: subprocess.Popen[bytes], pipe: int, log: pathlib.Path) -> None:
        self.pid = process.pid
        self.log = log
        self.said: dict[str, Mapping[str, Any]] = {}
        self.ended = False
        self._process = process
        self._pipe = pipe
        self._rest = b""
        self._killed = False

    def listen(self, timeout_s: float) -> tuple[Mapping[str, Any], ...]:
        """Reads its messages, waiting at most this long for the first; returns them, oldest first."""
        if self.ended:
            return ()
        gone = self._process.poll() is not None  # all is in the pipe then; a process it started may keep that open
        if not select.select([self._pipe], [], [], 0 if gone else timeout_s)[0]:
            self.ended = gone
            return ()
        received = os.read(self._pipe, 1 << 16)
        self.ended = not received
        *lines, self._rest = (self._rest + received).split(b"\n")
        messages = tuple(json.loads(line) for line in lines)
        self.said |= {message["kind"]: message for message in messages}
        return messages

    def send_signal(self, number: signal.Signals) -> None:
        """Sends the process a signal; does nothing if it is gone."""
        self._process.send_signal(number)

    def failure(self) -> str | None:
        """Why the call failed (the last line of a traceback) or how the process ended; None while it runs."""
        if "failed" in self.said:
            words = str(self.said["failed"]["words"])
            return words if self.said["failed"]["expected"] else words.splitlines()[-1]
        return _death(self.exit_code()) if self.ended else None

    def exit_code(self) -> int:
        """The exit code, negative for a signal. Kills a process that closed its pipe and doesn't end."""
        try:
            return self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.wait()

    def kill(self) -> None:
        """Kills the process and those it started, which may outlive it."""
        if not self._killed:  # only once, since another process may get the number later
            self._killed = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


def _death(exit_code: int) -> str:
    if exit_code >= 0:
        return f"its process ended with exit code {exit_code}"
    memory_ran_out = ", as the system does when memory runs out" if -exit_code == signal.SIGKILL else ""
    return f"its process was killed by {signal.Signals(-exit_code).name}{memory_ran_out}"


def pickled(what: object) -> bytes:
    """A call for `started`, or something that the call needs, as bytes.

    Raises:
        TypeError: it can't be pickled.
    """
    try:
        return pickle.dumps(what)
    except (AttributeError, TypeError, pickle.PicklingError) as error:
        raise TypeError(
            f"The call can't be sent to another process: {error}. It must be a function of a module, or a partial of "
            "one; not a lambda or a nested function."
        ) from error


@contextlib.contextmanager
def started(call: bytes, *, log: pathlib.Path, environment: Mapping[str, str]) -> Iterator[Interpreter]:
    """An interpreter that makes the call. Leaving the context kills it and what it started.

    Args:
        call: the result of `pickled`. It is called with the `Reports` whose messages `listen` reads.
        log: the file to which its output is appended.
        environment: variables added to those of this process.
    """
    reading, writing = os.pipe()
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, reading)
        try:
            process = _process(call, writing, log, environment)
        finally:
            os.close(writing)
        interpreter = Interpreter(process, reading, log)
        stack.callback(interpreter.kill)
        yield interpreter


def _process(call: bytes, pipe: int, log: pathlib.Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    with log.open("ab") as output, tempfile.TemporaryFile() as sent:  # writing to a pipe would wait for its reader
        sent.write(call)
        sent.seek(0)
        return subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-c", _PROGRAM, json.dumps(sys.path), str(pipe), str(os.getpid())],
            stdin=sent,
            stdout=output,
            stderr=output,
            pass_fds=(pipe,),
            start_new_session=True,  # Ctrl-C in the terminal does not reach it
            env={**os.environ, **environment},
        )
