"""What is known about a result's compliance, item by item, from `result.json` alone."""

from __future__ import annotations

from typing import Literal

from tfperf import result, spec

State = Literal["yes", "no", "unknown"]

_LOADGEN = {
    "result_min_duration_met": "LoadGen's minimum duration is met",
    "result_min_queries_met": "LoadGen's minimum number of queries is met",
    "early_stopping_met": "LoadGen's early stopping has enough queries",
    "result_perf_constraints_met": "LoadGen's latency bound is met",
}


def checklist(outcome: result.Result) -> list[dict[str, str]]:
    """Each item as `state`, `text` and `because`, which may be empty."""
    common = [
        _item(outcome.valid, "the result is valid", "; ".join(outcome.reasons)),
        _division(outcome),
    ]
    if isinstance(outcome, result.TrainResult):
        return [*common, _quality(outcome.quality), *_closed(outcome)]
    if isinstance(outcome, result.SweepResult | result.EvaluateResult):
        return common
    return [*common, *_loadgen(outcome), *_accuracy(outcome), *_audits(outcome), *_closed(outcome)]


def _division(outcome: result.Result) -> dict[str, str]:
    internal = outcome.division == spec.Division.INTERNAL
    because = "internal: not an MLPerf result, can't be submitted or packaged" if internal else ""
    return _item(not internal, f"the division is one of MLPerf's: {outcome.division}", because)


def _quality(found: result.Quality) -> dict[str, str]:
    return _item(
        found.reached, f"{found.metric} reached its target", "no target was set" if found.target is None else ""
    )


def _accuracy(outcome: result.InferResult) -> list[dict[str, str]]:
    if outcome.accuracy is None:
        return [_item(None, "accuracy reached its target", "not measured")]
    return [_quality(outcome.accuracy)]


def _loadgen(outcome: result.InferResult) -> list[dict[str, str]]:
    if "result_validity" not in outcome.loadgen:
        return [_item(None, "LoadGen says VALID", "LoadGen's log has no result")]
    validity = outcome.loadgen["result_validity"]
    met = [_item(outcome.loadgen[key] is True, text) for key, text in _LOADGEN.items() if key in outcome.loadgen]
    return [
        _item(validity == "VALID", "LoadGen says VALID", "" if validity == "VALID" else f"it says {validity}"),
        *met,
    ]


def _audits(outcome: result.InferResult) -> list[dict[str, str]]:
    return [_item(_passed(output), f"audit {name}", output) for name, output in outcome.audits.items()]


def _passed(output: str) -> bool | None:
    """The verdict at the end of MLCommons' verification scripts; None for anything else."""
    text = output.lower()
    if "fail" in text:
        return False
    return True if "pass" in text else None


def _closed(outcome: result.Result) -> list[dict[str, str]]:
    kept = _item(outcome.closed_eligible, "follows every rule of the closed division that tfperf can check")
    return [kept, *(_item(False, "closed division", reason) for reason in outcome.closed_ineligible_because)]


def _item(holds: bool | None, text: str, because: str = "") -> dict[str, str]:
    state: State = "unknown" if holds is None else "yes" if holds else "no"
    return {"state": state, "text": text, "because": because}
