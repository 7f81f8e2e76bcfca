"""Whether a candidate is slower or faster than a baseline, decided from repeated runs and never from requests.

The unit is the run: requests inside a run share its machine state, so thousands of them are not thousands of
repetitions (Kalibera & Jones, "Rigorous benchmarking in reasonable time", ISMM 2013). The ratio and its interval are
those of `tfperf.analysis.ratio`. Holm's correction (Scandinavian Journal of Statistics 6, 1979) guards against noise in
one of several metrics, a threshold against differences too small to matter, and UNCHANGED needs the whole interval
inside the threshold (equivalence), not the mere absence of proof.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Literal

from tfperf.analysis import ratio, student
from tfperf.analysis.ratio import CONFIDENCE, Method, RatioEstimate, RunValue

Verdict = Literal["REGRESSION", "IMPROVED", "UNCHANGED", "INCONCLUSIVE", "SUSPECT"]

SIGNIFICANCE = 0.05
LEAST_RUNS = 5  # on a side, for a verdict that can be relied on
MOST_FURTHER_RUNS = 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparedMetric:
    """A metric and how much of a change matters.

    Attributes:
        name: such as `p99`.
        unit: such as `ms`.
        higher_is_better: True for throughput, False for latency, time to train, joules and memory.
        threshold: the change that matters, as a share of the baseline: 0.1 is 10 %. Up to it a change is tolerated.
        gated: whether the metric decides the verdict of the whole comparison.
    """

    name: str
    unit: str
    higher_is_better: bool = False
    threshold: float = 0.1
    gated: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ValueError(
                f"threshold of {self.name} must be between 0 and 1, got {self.threshold}. Write 0.1 for 10 %."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparedSides:
    """A metric with the values of the runs on both sides."""

    metric: ComparedMetric
    baseline: tuple[RunValue, ...]
    candidate: tuple[RunValue, ...]

    def __post_init__(self) -> None:
        for side, runs in (("baseline", self.baseline), ("candidate", self.candidate)):
            if not runs:
                raise ValueError(f"The {side} has no run with {self.metric.name}. Give at least one.")
            wrong = [run.value for run in runs if not (math.isfinite(run.value) and run.value > 0)]
            if wrong:
                raise ValueError(
                    f"{self.metric.name} of the {side} must be finite and above 0 to have a ratio, got {wrong[0]}."
                )


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetricVerdict:
    """What the comparison says about one metric.

    Attributes:
        metric: the metric.
        verdict: REGRESSION and IMPROVED are beyond the threshold and significant; UNCHANGED has the whole interval
            within the threshold; SUSPECT is a single run that looks like a regression; anything else is INCONCLUSIVE.
        baseline: geometric mean over the baseline's runs, in the metric's unit.
        candidate: that over the candidate's runs.
        ratio: candidate / baseline.
        low: lower end of the 95 % interval of the ratio; None with a single run on a side and nothing else to go by.
        high: its upper end.
        p: two-sided probability of Student's test on logarithms, not corrected; None with a single run on a side.
        p_holm: the same after Holm's correction over the gated metrics; `p` itself for others.
        further_runs: how many more runs on each side would probably decide; None if the verdict is decided, or if
            more than 100 are needed.
        method: where the interval comes from, see `tfperf.analysis.ratio`.
        because: one sentence for a reader.
    """

    metric: ComparedMetric
    verdict: Verdict
    baseline: float
    candidate: float
    ratio: float
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    further_runs: int | None
    method: Method
    because: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunsComparison:
    """The verdict over all gated metrics, and each metric's own.

    Attributes:
        verdict: the most serious of the gated metrics' verdicts: REGRESSION, SUSPECT, INCONCLUSIVE, then IMPROVED;
            UNCHANGED only if all of them are.
        metrics: in the order given.
        further_runs: the largest number that a gated metric needs; None if decided or above 100.
    """

    verdict: Verdict
    metrics: tuple[MetricVerdict, ...]
    further_runs: int | None


def compare(sides: Sequence[ComparedSides]) -> RunsComparison:
    """Compares every metric, with Holm's correction over the gated ones.

    Args:
        sides: at least one metric with its runs.
    """
    if not any(each.metric.gated for each in sides):
        raise ValueError("No metric is gated, so nothing decides the comparison. Set gated=True for at least one.")
    estimates = [ratio.estimate(each.baseline, each.candidate) for each in sides]
    gated = [number for number, each in enumerate(sides) if each.metric.gated]
    p_holm = {number: estimate.p for number, estimate in enumerate(estimates)}
    p_holm |= dict(zip(gated, holm([estimates[number].p for number in gated]), strict=True))
    metrics = tuple(
        _judge(each, estimate, p_holm=p_holm[number])
        for number, (each, estimate) in enumerate(zip(sides, estimates, strict=True))
    )
    return _overall(metrics)


def holm(probabilities: Sequence[float | None]) -> list[float | None]:
    """Probabilities after Holm's correction for testing all of them; None stays None and does not count."""
    known = sorted((p, number) for number, p in enumerate(probabilities) if p is not None)
    corrected: list[float | None] = [None] * len(probabilities)
    highest = 0.0
    for rank, (p, number) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * p))
        corrected[number] = highest
    return corrected


def _judge(sides: ComparedSides, found: RatioEstimate, *, p_holm: float | None) -> MetricVerdict:
    verdict = _verdict(sides, found, p_holm=p_holm)
    counts = len(sides.baseline), len(sides.candidate)
    further = _further_runs(sides.metric, found, fewest=min(counts)) if verdict in ("INCONCLUSIVE", "SUSPECT") else None
    return MetricVerdict(
        metric=sides.metric,
        verdict=verdict,
        baseline=_geometric_mean(sides.baseline),
        candidate=_geometric_mean(sides.candidate),
        ratio=math.exp(found.log_ratio),
        low=None if found.low is None else math.exp(found.low),
        high=None if found.high is None else math.exp(found.high),
        p=found.p,
        p_holm=p_holm,
        further_runs=further,
        method=found.method,
        because=_because(sides, found, verdict, further),
    )


def _geometric_mean(runs: Sequence[RunValue]) -> float:
    return math.exp(math.fsum(math.log(run.value) for run in runs) / len(runs))


def _verdict(sides: ComparedSides, found: RatioEstimate, *, p_holm: float | None) -> Verdict:
    worse, low, high = _worse(sides.metric, found)
    threshold = _log_threshold(sides.metric)
    if low is None or high is None:
        return "INCONCLUSIVE"
    if min(len(sides.baseline), len(sides.candidate)) == 1:
        return "SUSPECT" if worse > threshold and low > 0 else "INCONCLUSIVE"
    significant = p_holm is not None and p_holm < SIGNIFICANCE
    if worse > threshold and low > 0 and significant:
        return "REGRESSION"
    if worse < -threshold and high < 0 and significant:
        return "IMPROVED"
    return "UNCHANGED" if -threshold < low and high < threshold else "INCONCLUSIVE"


def _worse(metric: ComparedMetric, found: RatioEstimate) -> tuple[float, float | None, float | None]:
    """The log ratio and its interval, turned so that above 0 is worse."""
    if not metric.higher_is_better:
        return found.log_ratio, found.low, found.high
    low, high = found.low, found.high
    return -found.log_ratio, None if high is None else -high, None if low is None else -low


def _log_threshold(metric: ComparedMetric) -> float:
    """A latency of +10 % is 1.1 times the baseline; a throughput of -10 % is 0.9 times."""
    return -math.log1p(-metric.threshold) if metric.higher_is_better else math.log1p(metric.threshold)


def _further_runs(metric: ComparedMetric, found: RatioEstimate, *, fewest: int) -> int | None:
    """Runs to add on each side until the interval, shrinking as more runs make it, decides.

    It must shrink to exclude 1 if the change is beyond the threshold, and to fit within the threshold if it is not.
    """
    worse, low, high = _worse(metric, found)
    if low is None or high is None or fewest < 2:
        return max(0, LEAST_RUNS - fewest)
    threshold = _log_threshold(metric)
    room = abs(worse) if abs(worse) > threshold else threshold - abs(worse)
    reach = (high - low) / 2
    unit = reach * math.sqrt(fewest) / student.quantile((1 + CONFIDENCE) / 2, freedom=2 * (fewest - 1))
    for further in range(1, MOST_FURTHER_RUNS + 1):
        runs = fewest + further
        if student.quantile((1 + CONFIDENCE) / 2, freedom=2 * (runs - 1)) * unit / math.sqrt(runs) < room:
            return further
    return None


def _because(sides: ComparedSides, found: RatioEstimate, verdict: Verdict, further: int | None) -> str:
    metric = sides.metric
    counts = f"{len(sides.baseline)} against {len(sides.candidate)} runs"
    change = f"{metric.name} changed by {_percent(found.log_ratio)}"
    if found.low is not None and found.high is not None:
        change += f" (95 % interval {_percent(found.low)} to {_percent(found.high)})"
    change += f", {counts}."
    allowed = f"{100 * metric.threshold:g} %"
    more = "More than 100 further runs a side" if further is None else f"About {further} further runs a side"
    match verdict:
        case "REGRESSION":
            return f"{change} That is worse by more than {allowed} and not noise."
        case "IMPROVED":
            return f"{change} That is better by more than {allowed} and not noise."
        case "UNCHANGED":
            return f"{change} The whole interval is within {allowed}."
        case "SUSPECT":
            return f"{change} One run can't confirm a regression. {more} would."
    if min(len(sides.baseline), len(sides.candidate)) == 1:
        return f"{change} One run on a side can't decide. {more} would."
    return f"{change} The runs differ too much to decide about {allowed}. {more} would probably decide."


def _percent(log_ratio: float) -> str:
    return f"{100 * math.expm1(log_ratio):+.1f} %"


_SERIOUS: Mapping[Verdict, int] = {"REGRESSION": 4, "SUSPECT": 3, "INCONCLUSIVE": 2, "IMPROVED": 1, "UNCHANGED": 0}


def _overall(metrics: tuple[MetricVerdict, ...]) -> RunsComparison:
    gated = [each for each in metrics if each.metric.gated]
    verdict = max((each.verdict for each in gated), key=_SERIOUS.__getitem__)
    undecided = [each.further_runs for each in gated if each.verdict in ("INCONCLUSIVE", "SUSPECT")]
    known = [runs for runs in undecided if runs is not None]
    further = max(known) if known and len(known) == len(undecided) else None
    return RunsComparison(verdict=verdict, metrics=metrics, further_runs=further)
