"""A connection to another worker, which carries messages. A message is a JSON object on one line."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import time
from collections.abc import Mapping
from typing import Any

_POLL_S = 0.2

Message = Mapping[str, Any]


class Link:
    """A connection to another worker.

    Args:
        connection: connected; this object closes it.
    """

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(True)
        _notice_silence(connection)
        self._connection = connection
        self._buffer = b""

    def fileno(self) -> int:
        """For `select`."""
        return self._connection.fileno()

    def send(self, message: Message) -> None:
        """Sends a message. One that can't be delivered is dropped: `receive` reports that the worker is gone."""
        with contextlib.suppress(OSError):
            self._connection.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, limit_s: float | None, *, longest: int | None = None) -> Message | None:
        """The next message; None if the connection is closed or carries something else.

        Args:
            limit_s: seconds to wait at most; None for no limit.
            longest: bytes to accept at most; None for no limit.

        Raises:
            TimeoutError: there was no message in time.
        """
        end = None if limit_s is None else time.monotonic() + limit_s
        while b"\n" not in self._buffer:
            left = _POLL_S if end is None else end - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if not select.select([self], [], [], min(left, _POLL_S))[0]:
                continue
            try:
                received = self._connection.recv(1 << 16)
            except OSError:
                return None
            self._buffer += received
            if not received or (longest is not None and len(self._buffer) > longest):
                return None
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            message = json.loads(line)
        except (RecursionError, ValueError):
            return None
        return message if isinstance(message, dict) else None

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()


def _notice_silence(connection: socket.socket) -> None:
    """Closes the connection within 10 s if the other machine is cut off."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 4), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):  # Linux has all three
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
