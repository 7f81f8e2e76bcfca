"""LoadGen's summary as a value: what it says about one run, in every round since v0.5."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Mapping

_END = re.compile(r"^(?:No|[0-9]+) errors? encountered", re.I | re.M)
_UNMET = re.compile(r"^\s+(\S.*?)\s*:\s*NO\s*$", re.M)
_VERDICT = "Result is"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadgenSummary:
    """A summary.

    Attributes:
        fields: the text after each colon, by the text before it.
        metric: the line with the result, which stands above the verdict; None without a verdict.
        unmet: what the run did not satisfy, as `Min duration satisfied`.
        ended: whether it is whole: LoadGen writes the number of errors last.
    """

    fields: Mapping[str, str]
    metric: str | None
    unmet: tuple[str, ...]
    ended: bool

    @property
    def validity(self) -> str | None:
        """LoadGen's verdict, VALID or INVALID; None in an accuracy run."""
        return self.fields.get(_VERDICT)

    def number(self, name: str) -> int | None:
        """A whole number among the fields."""
        text = self.fields.get(name, "")
        return int(text) if re.fullmatch(r"[0-9]{1,30}", text) else None


def read(path: pathlib.Path) -> LoadgenSummary:
    """Reads `mlperf_log_summary.txt`.

    Raises:
        OSError: it can't be read.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = text.splitlines()
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip(), value.strip())
    verdict = next((place for place, line in enumerate(lines) if line.startswith(_VERDICT)), None)
    return LoadgenSummary(
        fields=fields,
        metric=lines[verdict - 1].strip() if verdict else None,
        unmet=tuple(_UNMET.findall(text)),
        ended=_END.search(text) is not None,
    )
