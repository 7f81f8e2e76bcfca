"""How a run ended, in one word that a filter can find."""

from __future__ import annotations

import re

from tfperf import result

_MISSED = re.compile(r"\bmissed\b")
_TRIAL = "a trial of a sweep, not trained to the target"
UNFINISHED = "unfinished"
TIMED = "timed"
FINISHED = "finished"

_SERVED = {"success": "valid", "invalid": "invalid", "failed": "failed", "incomplete": "aborted"}
_SWEPT = {"success": FINISHED, "failed": "failed", "incomplete": "aborted"}


def of(outcome: result.Result) -> str:
    """The word.

    - A training run: `reached`, `missed`, `timed` without a target, `finished` for a trial that was not trained to
      the target, or `aborted` for a run that ended early.
    - A serving run: `valid`, `invalid`, `failed` or `aborted`.
    - A sweep: `finished`, `failed` or `aborted`.
    """
    if isinstance(outcome, result.InferResult):
        return _SERVED.get(outcome.status, outcome.status)
    if isinstance(outcome, result.SweepResult):
        return _SWEPT.get(outcome.status, outcome.status)
    if outcome.quality.reached:
        return "reached"
    if any(_MISSED.search(reason) for reason in outcome.reasons):
        return "missed"
    if outcome.reasons == (_TRIAL,):
        return FINISHED
    return TIMED if outcome.reasons == (result.TIMED_ONLY,) else "aborted"
