"""One run in its own process, which ends by itself when this one is interrupted."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence

# What is sent for a signal. The session of the run hides it from the terminal, so a closed terminal must be passed on.
_FORWARDED = {signal.SIGINT: signal.SIGINT, signal.SIGTERM: signal.SIGTERM, signal.SIGHUP: signal.SIGTERM}

_INTERRUPTED = 130


@dataclasses.dataclass(frozen=True, kw_only=True)
class EndedRun:
    """A run that has ended.

    Attributes:
        exit_code: its exit code.
        printed: what it printed on stdout.
        interrupted: whether it or this process was interrupted, even if it could still finish.
    """

    exit_code: int
    printed: str
    interrupted: bool


def run(command: Sequence[str]) -> EndedRun:
    """Runs a command to its end.

    Forwards SIGINT and SIGTERM to it, and SIGHUP as SIGTERM, and waits for its end, so that it can finish its log. It
    has a session of its own, so Ctrl-C in the terminal reaches it once.
    """
    with _forwarding() as started:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        started(process)
        printed, _ = process.communicate()
    code = process.returncode
    return EndedRun(exit_code=code, printed=printed, interrupted=started.used or code == _INTERRUPTED)


class _Forwarding:
    """Passes signals on to a process; keeps those that come before it has started.

    Attributes:
        used: whether there was a signal.
    """

    def __init__(self) -> None:
        self.used = False
        self._process: subprocess.Popen[str] | None = None
        self._early: list[signal.Signals] = []

    def __call__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        for number in self._early:
            process.send_signal(number)

    def handle(self, number: int, frame: object) -> None:
        """A signal handler."""
        self.used = True
        sent = _FORWARDED[signal.Signals(number)]
        if self._process is None:
            self._early.append(sent)
        else:
            self._process.send_signal(sent)


@contextlib.contextmanager
def _forwarding() -> Iterator[_Forwarding]:
    forwarding = _Forwarding()
    if threading.current_thread() is not threading.main_thread():
        yield forwarding
        return
    before = {number: signal.getsignal(number) for number in _FORWARDED}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # as in a background job
            signal.signal(number, forwarding.handle)
    try:
        yield forwarding
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)
