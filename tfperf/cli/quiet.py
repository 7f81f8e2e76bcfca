"""Imports TensorFlow without the messages that it always prints."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

# What the native library always prints, whatever its log level, or on every machine without CUDA.
_CHATTER = (
    b"All log messages before absl::InitializeLog()",
    b"oneDNN custom operations are on",
    b"cudart_stub.cc",
    b"cuda_platform.cc",
)


def import_tensorflow() -> None:
    """Imports TensorFlow and looks for devices. Shows only the unusual part of what it prints."""
    with without_chatter():
        import tensorflow as tf

        tf.config.list_physical_devices()


@contextlib.contextmanager
def without_chatter() -> Iterator[None]:
    """Leaves out of what the block prints on stderr what TensorFlow prints whenever it is imported."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    shown = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(shown, 2)
            os.close(shown)
            kept.seek(0)
            lines = [line for line in kept if not any(part in line for part in _CHATTER)]
            os.write(2, b"".join(lines))
