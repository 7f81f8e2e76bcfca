"""What runs in a fresh interpreter: it makes the call that it is sent, and says how that goes.

It says so in lines of JSON through a pipe, and ends without cleaning up: LoadGen's threads outlive an exception and
would crash the interpreter on its way out.
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

from tfperf.errors import TfperfError

_LONGEST_TRACEBACK = 16_000  # characters, so that a line fits into the pipe and writing it never waits
_PR_SET_PDEATHSIG = 1  # of prctl(2)
STACKS_SIGNAL = signal.SIGUSR1


class Reports:
    """Messages to the parent, of any kind; of the kind `failed` at most one."""

    def __init__(self, pipe: int) -> None:
        self.failed = False
        self._pipe = pipe
        self._lock = threading.Lock()

    def say(self, kind: str, **values: Any) -> None:
        """Sends one message."""
        with self._lock:
            os.write(self._pipe, json.dumps({"kind": kind, **values}).encode() + b"\n")

    def fail(self, error: BaseException) -> None:
        """Sends the first error with its traceback; those after it follow from it."""
        with self._lock:
            first, self.failed = not self.failed, True
        if first:
            trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
            words = str(error) if isinstance(error, TfperfError) else trace[-_LONGEST_TRACEBACK:].rstrip()
            self.say("failed", words=words, expected=isinstance(error, TfperfError))


def main() -> None:
    """Makes the call that comes in through stdin; the arguments are what `interpreter` passes."""
    reports = Reports(int(sys.argv[2]))
    try:
        _stand_alone(parent=int(sys.argv[3]))
        reports.say("started")
        _call()(reports)
    except BaseException as error:
        reports.fail(error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1 if reports.failed else 0)


def _stand_alone(*, parent: int) -> None:
    """Leaves Ctrl-C to the parent, dies when the parent does, and writes where it stands when it is asked to."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.register(STACKS_SIGNAL, all_threads=True)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def _call() -> Callable[[Reports], None]:
    pickled = sys.stdin.buffer.read()
    try:
        call: Callable[[Reports], None] = pickle.loads(pickled)
    except (AttributeError, ImportError) as error:
        raise TypeError(
            f"What is to be called can't be had in another process: {error}. It must be a function of a module that "
            "can be imported, or a partial of one; not of __main__."
        ) from error
    return call
