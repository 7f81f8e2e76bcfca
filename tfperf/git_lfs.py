"""Files that Git LFS has not fetched: a short text stands in their place."""

from __future__ import annotations

import pathlib

POINTER = b"version https://git-lfs.github.com/spec/"
"""How that text begins."""


def is_pointer(path: pathlib.Path) -> bool:
    """Whether the file is such a text.

    Raises:
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        return file.read(len(POINTER)) == POINTER
