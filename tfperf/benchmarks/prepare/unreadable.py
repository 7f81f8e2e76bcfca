"""Keeps the list of examples that could not be read."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from tfperf.errors import DamagedDataError

FILE = "unreadable.txt"

_SHOWN = 20


def write_list(data_dir: pathlib.Path, lines: Sequence[str]) -> None:
    """Writes a line for each unreadable example into `FILE`, or removes that of an earlier attempt if there is none."""
    path = data_dir / FILE
    if not lines:
        path.unlink(missing_ok=True)
        return
    partial = path.with_name(f".{FILE}.partial")
    partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", errors="surrogateescape")
    partial.replace(path)


def refusal(data_dir: pathlib.Path, lines: Sequence[str]) -> DamagedDataError:
    """The error for images that can't be read and may not be left out."""
    shown = "\n".join(f"  {line}" for line in lines[:_SHOWN])
    rest = len(lines) - _SHOWN
    more = f"\n  and {rest:,} more" if rest > 0 else ""
    return DamagedDataError(
        f"unreadable images: {len(lines):,}\n{shown}{more}\nAll are listed in {data_dir / FILE}. "
        "Download them again, or leave them out with --skip_unreadable, and repeat the command: it continues from here."
    )
