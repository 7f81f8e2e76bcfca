"""Writes a file whole or not at all."""

from __future__ import annotations

import os
import pathlib
import secrets


def write(path: pathlib.Path, text: str) -> None:
    """Writes text in UTF-8. A reader finds the old content or the new, and a write that fails leaves nothing behind."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_bytes(path: pathlib.Path, content: bytes) -> None:
    """Writes bytes in the same way; several processes, of several hosts too, may write the same file at once."""
    partial = path.with_name(f"{path.name}.{secrets.token_hex(8)}.partial")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
