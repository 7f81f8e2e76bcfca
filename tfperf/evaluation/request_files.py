"""A CSV file with a row for every request of a load.

While a load is measured its rows go into a file as they are in memory, which costs the issuer next to nothing. They
become text afterwards.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable

import numpy as np

from tfperf.evaluation.answered import COLUMNS

_AT_ONCE = 1 << 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class RequestFiles:
    """Writes the files of an evaluation into a folder, numbered in order.

    Attributes:
        folder: created with the first file.
    """

    folder: pathlib.Path

    def opened(self, phase: str) -> Callable[[np.ndarray | None], None]:
        """A sink for the rows of a load: called with [columns, n] any number of times, then with None."""
        self.folder.mkdir(parents=True, exist_ok=True)
        number = len(list(self.folder.glob("*.csv"))) + 1
        path = self.folder / f"{number:03d}-{phase}.csv"
        raw = path.with_suffix(".rows")
        raw.write_bytes(b"")

        def sink(rows: np.ndarray | None) -> None:
            if rows is None:
                _write_text(raw, path)
                raw.unlink()
                return
            with raw.open("ab") as file:
                file.write(np.ascontiguousarray(rows.T).tobytes())

        return sink


def _write_text(raw: pathlib.Path, path: pathlib.Path) -> None:
    """The rows as text, in nanoseconds since the first was due."""
    rows = np.fromfile(raw, np.int64).reshape(-1, len(COLUMNS))
    stamps = [place for place, name in enumerate(COLUMNS) if name != "data_ns"]
    first = int(rows[:, 0].min()) if len(rows) else 0
    with path.open("w", encoding="ascii") as file:
        file.write(",".join(COLUMNS) + "\n")
        for start in range(0, len(rows), _AT_ONCE):
            part = rows[start : start + _AT_ONCE]
            part[:, stamps] -= first
            file.writelines(",".join(map(str, row)) + "\n" for row in part.tolist())
