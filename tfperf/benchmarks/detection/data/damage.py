"""What is done with each kind of damaged annotation, and a count of those that were found."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tfperf.errors import DamagedDataError

_SHOWN, _LONGEST_NAME = 5, 100
_FEW = 10  # so many don't show that the files are of another kind, however few objects there are


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """One kind of damage.

    Attributes:
        found: what was found, in the plural.
        done: what is done with it.
        most: share of all that may be so; above it the data set is refused. None accepts any share.
    """

    found: str
    done: str
    most: float | None = None


NOT_FINITE = Rule(found="objects with a corner that is not a finite number", done="left out", most=0.05)
NO_AREA = Rule(found="objects without area", done="left out", most=0.05)
OUTSIDE = Rule(found="objects wholly outside their image", done="left out", most=0.05)
CLIPPED = Rule(found="objects partly outside their image", done="clipped to it", most=0.5)
SWAPPED = Rule(found="objects whose corners are swapped", done="put in order", most=0.5)
STRAY = Rule(found="objects of images that are not listed", done="left out", most=0.05)
UNANNOTATED = Rule(found="images without objects", done="left out of training")
UNLISTED = Rule(found="image files that are not listed", done="ignored")


class Findings:
    """The damage found in a data set, by rule: how often, and the names of the first few."""

    def __init__(self) -> None:
        """None found so far."""
        self._counts: dict[Rule, int] = {}
        self._names: dict[Rule, list[str]] = {}

    def add(self, rule: Rule, count: int, names: Sequence[str]) -> None:
        """Adds `count` objects or images, of which at least the first few are named."""
        if count:
            self._counts[rule] = self._counts.get(rule, 0) + count
            self._names.setdefault(rule, []).extend(map(_printable, names[:_SHOWN]))

    def room(self, rule: Rule) -> int:
        """How many more names are worth making."""
        return max(0, _SHOWN - len(self._names.get(rule, ())))

    @property
    def lines(self) -> tuple[str, ...]:
        """One line for each rule that was applied."""
        return tuple(self._line(rule) for rule in self._counts)

    def check(self, *, total: int, place: str) -> None:
        """Refuses a data set of which much is damaged: then its numbers mean something else.

        Args:
            total: all objects, those that were left out too.
            place: the file or folder.

        Raises:
            DamagedDataError: more objects than a rule accepts are damaged.
        """
        excessive = [
            self._line(rule)
            for rule, count in self._counts.items()
            if rule.most is not None and count > max(_FEW, rule.most * total)
        ]
        if excessive:
            lines = "\n".join(f"  {line}" for line in excessive)
            raise DamagedDataError(
                f"{place}: too many of its {total:,} objects are damaged:\n{lines}\nTheir boxes may be in another form "
                "than this layout has. Correct them."
            )

    def _line(self, rule: Rule) -> str:
        count, names = self._counts[rule], self._names[rule][:_SHOWN]
        more = f" and {count - len(names):,} more" if count > len(names) else ""
        return f"{rule.found}, {rule.done}: {count:,} ({', '.join(names)}{more})"


def _printable(name: str) -> str:
    """A name from a file, without what would move the cursor of a terminal, and not too long."""
    shown = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in shown)
