"""How a run ended, in one word that a filter can find."""

from __future__ import annotations

from tfperf import result

MISSED = "missed"
TIMED = "timed"
FINISHED = "finished"
ABORTED = "aborted"
UNFINISHED = "unfinished"

_SERVED = {"success": "valid", "invalid": "invalid", "failed": "failed", "incomplete": ABORTED}
_SWEPT = {"success": FINISHED, "failed": "failed", "incomplete": ABORTED}


def of(outcome: result.Result) -> str:
    """The word.

    - A training run: `reached`, `missed`, `timed` without a target, `finished` for a trial that was not trained to
      the target, or `aborted` for a run that ended early.
    - A serving run or an evaluation: `valid`, `invalid`, `failed` or `aborted`.
    - A sweep: `finished`, `failed` or `aborted`.
    """
    if isinstance(outcome, result.InferResult | result.EvaluateResult):
        return _SERVED[outcome.status]
    if isinstance(outcome, result.SweepResult):
        return _SWEPT[outcome.status]
    return _trained(outcome)


def _trained(outcome: result.TrainResult) -> str:
    if outcome.quality.reached:
        return "reached"
    if any(reason.startswith(result.MISSED) for reason in outcome.reasons):
        return MISSED
    if result.TIMED_ONLY in outcome.reasons:
        return TIMED
    return FINISHED if result.UNTARGETED_TRIAL in outcome.reasons else ABORTED
