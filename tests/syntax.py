"""The syntax tree of a source file."""

import ast
import pathlib

_TRIES = 5


def tree(path: pathlib.Path) -> ast.Module:
    """Parses a file.

    Python up to 3.12 raises a SystemError if another thread parses something at the same time (python/cpython#106905),
    as TensorFlow's threads do that earlier tests have left in the process.
    """
    text = path.read_text(encoding="utf-8")
    for _ in range(_TRIES - 1):
        try:
            return ast.parse(text)
        except SystemError:
            continue
    return ast.parse(text)
