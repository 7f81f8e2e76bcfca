"""Notices that a call was left by an exception, which Keras tells no callback."""

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
    """The innermost call of a method on the stack; None where it is not being called.

    Args:
        name: of the method.
        of: its `self`.
    """
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None and not (frame.f_code.co_name == name and local(frame, "self") is of):
        frame = frame.f_back
    return frame


def local(frame: types.FrameType, name: str) -> Any:
    """The value of a local variable of a call that goes on; None where there is none of that name."""
    variables = frame.f_locals
    value = variables.get(name)
    if sys.version_info < (3, 13):
        # A copy, which stays with the frame: it would keep alive what the call has let go, such as input iterators.
        variables.clear()
    return value


class Watch:
    """Calls `on_left` once when a call has ended and `stop` was not called before.

    A thread looks four times a second whether the call's frame is still on the stack of its thread. The end of the
    interpreter counts as the end of the call. Nothing in the call itself could tell: Keras calls no callback on an
    exception, and a traceback that a notebook keeps would keep the call's objects from being freed.

    Args:
        frame: of the call, in the current thread; None for a call that is not known, whose end is not noticed before
            that of the interpreter.
        on_left: what to do; called in the watching thread, or in the one that ends the interpreter.

    Attributes:
        frame: of the call.
    """

    def __init__(self, frame: types.FrameType | None, *, on_left: Callable[[], None]) -> None:
        self.frame = frame
        self._known = frame is not None
        self._process = os.getpid()
        self._called_in = threading.get_ident()
        self._on_left = on_left
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._look, name="tfperf watch", daemon=True)
        if self._known:
            self._thread.start()
        atexit.register(self._at_exit)

    def runs(self) -> bool:
        """Whether the call goes on, as far as is known."""
        if not self._known:
            return True
        frame = sys._current_frames().get(self._called_in)
        while frame is not None and frame is not self.frame:
            frame = frame.f_back
        return frame is not None

    def look(self) -> None:
        """Looks at once, for who can't wait a quarter of a second; returns when `on_left` is done."""
        self._end_unless(self.runs)

    def stop(self) -> None:
        """Ends the watch: the call came to its end by itself."""
        self._ended.set()
        self.frame = None
        atexit.unregister(self._at_exit)

    def _look(self) -> None:
        while not self._ended.wait(_EVERY_S):
            self.look()

    def _at_exit(self) -> None:
        self._end_unless(lambda: os.getpid() != self._process)

    def _end_unless(self, goes_on: Callable[[], bool]) -> None:
        with self._lock:  # the thread, the next call and the end of the interpreter may come together
            if self._ended.is_set() or goes_on():
                return
            try:
                self._on_left()
            finally:
                self.stop()
