"""Runs in a fresh interpreter: makes the call that it receives, and reports its progress.

Reports are lines of JSON in a pipe. The process ends without cleaning up, since LoadGen's threads outlive an exception
and would crash the interpreter on its way out.
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
    """Messages to the parent, of any kind; at most one is `failed`."""

    def __init__(self, pipe: int) -> None:
        self.failed = False
        self._pipe = pipe
        self._lock = threading.Lock()

    def say(self, kind: str, **values: Any) -> None:
        """Sends one message."""
        with self._lock:
            os.write(self._pipe, json.dumps({"kind": kind, **values}).encode() + b"\n")

    def fail(self, error: BaseException) -> None:
        """Sends the first error with its traceback; later ones follow from it."""
        with self._lock:
            first, self.failed = not self.failed, True
        if first:
            trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
            words = str(error) if isinstance(error, TfperfError) else trace[-_LONGEST_TRACEBACK:].rstrip()
            self.say("failed", words=words, expected=isinstance(error, TfperfError))


def main() -> None:
    """Makes the call that comes in through stdin; `interpreter` passes the arguments."""
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
    """Leaves Ctrl-C to the parent, dies with the parent, and writes its stacks on `STACKS_SIGNAL`."""
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
            f"The call can't be loaded in another process: {error}. It must be a function of a module that can be "
            "imported, or a partial of one; not of __main__."
        ) from error
    return call
