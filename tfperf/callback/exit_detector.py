"""Detects that a call exited with an exception. Keras calls no callback then."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import types
from collections.abc import Callable
from typing import Any

_EVERY_S = 0.25


def frame_of(name: str, *, of: object) -> types.FrameType | None:
    """The innermost call of a method on the stack; None while it is not being called.

    Args:
        name: the name of the method.
        of: the method's `self`.
    """
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None and not (frame.f_code.co_name == name and local(frame, "self") is of):
        frame = frame.f_back
    return frame


def local(frame: types.FrameType, name: str) -> Any:
    """The value of a local variable of a running call; None if there is none of that name."""
    variables = frame.f_locals
    value = variables.get(name)
    if sys.version_info < (3, 13):
        # The frame keeps this copy, which would keep alive what the call has released, such as input iterators.
        variables.clear()
    return value


class ExitDetector:
    """Calls `on_exit` once, when a call has ended and `stop` was not called before.

    A thread checks four times a second whether the call's frame is still on the stack of its thread. The end of the
    interpreter counts as the end of the call. Nothing in the call itself could detect it: Keras calls no callback on
    an exception, and a traceback that a notebook keeps would keep the call's objects from being freed.

    Args:
        frame: the frame of the call, in the current thread. If it is None, the end is detected only when the
            interpreter ends.
        on_exit: runs in the detector's thread, or in the one that ends the interpreter.

    Attributes:
        frame: the frame of the call; None if unknown.
    """

    def __init__(self, frame: types.FrameType | None, *, on_exit: Callable[[], None]) -> None:
        self.frame = frame
        self._known = frame is not None
        self._process = os.getpid()
        self._called_in = threading.get_ident()
        self._on_exit = on_exit
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._check_regularly, name="tfperf exit detector", daemon=True)
        if self._known:
            self._thread.start()
        atexit.register(self._at_exit)

    def running(self) -> bool:
        """Whether the call still runs, if that is known."""
        if not self._known:
            return True
        frame = sys._current_frames().get(self._called_in)
        while frame is not None and frame is not self.frame:
            frame = frame.f_back
        return frame is not None

    def check(self) -> None:
        """Checks now, without waiting for the thread; returns when `on_exit` is done."""
        self._end_unless(self.running)

    def stop(self) -> None:
        """Ends the detection: the call finished normally."""
        self._ended.set()
        self.frame = None
        atexit.unregister(self._at_exit)

    def _check_regularly(self) -> None:
        while not self._ended.wait(_EVERY_S):
            self.check()

    def _at_exit(self) -> None:
        self._end_unless(lambda: os.getpid() != self._process)

    def _end_unless(self, running: Callable[[], bool]) -> None:
        with self._lock:  # the thread, the next call and the end of the interpreter may come together
            if self._ended.is_set() or running():
                return
            try:
                self._on_exit()
            finally:
                self.stop()
