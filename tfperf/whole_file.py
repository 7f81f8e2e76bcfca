"""Writes a file whole or not at all."""

from __future__ import annotations

import os
import pathlib


def write(path: pathlib.Path, text: str) -> None:
    """Writes text in UTF-8. A reader finds the old content or the new, and a write that fails leaves nothing behind."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
