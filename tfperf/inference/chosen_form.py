"""The compiled form that was chosen, and those to take if it misses the accuracy."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping

from tfperf.inference.executable import Bucket
from tfperf.result import Candidate


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChosenForm:
    """The form that was chosen, built and ready to be opened.

    Attributes:
        executable: its name.
        directory: the built form, as `forms.open_form` reads it.
        candidates: every form that was considered, in the order of `forms.FORMS`.
        execution_ns: median time of one execution by bucket.
        threads: CPU threads per operation.
        instances: copies to serve at the same time.
        proven: whether it is in float32, or the calibration samples prove that it is accurate enough.
        most_lost: the most quality that it loses against float32, with 95 % confidence; None if they were not compared.
        length_shares: share of the samples that is padded to each length; None if they have none.
        notes: what a reader should know, such as the batch sizes that take too long.
        others: what `auto` takes next, best first, if this form misses the accuracy on the whole evaluation set. The
            last is in float32, which loses nothing.
    """

    executable: str
    directory: pathlib.Path
    candidates: tuple[Candidate, ...]
    execution_ns: Mapping[Bucket, float]
    threads: int
    instances: int = 1
    proven: bool = True
    most_lost: float | None = None
    length_shares: Mapping[int | None, float] | None = None
    notes: tuple[str, ...] = ()
    others: tuple[ChosenForm, ...] = ()

    @property
    def buckets(self) -> tuple[Bucket, ...]:
        """The buckets that were measured, ascending."""
        return tuple(sorted(self.execution_ns))


def next_best(missed: ChosenForm, *, reason: str) -> ChosenForm:
    """What to take after a form that missed the accuracy on the whole evaluation set.

    Args:
        missed: the form; `others` may not be empty.
        reason: what it missed, for its row in the result.
    """
    following, *others = missed.others
    rows = tuple(
        dataclasses.replace(row, status="inaccurate", reason=reason)
        if row.executable == missed.executable
        else dataclasses.replace(row, status="chosen", reason="")
        if row.executable == following.executable
        else row
        for row in missed.candidates
    )
    return dataclasses.replace(following, candidates=rows, others=tuple(others))
