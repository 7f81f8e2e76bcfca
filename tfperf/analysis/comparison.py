"""Whether a candidate is slower or faster than a baseline, decided from repeated runs and never from requests.

The unit is the run: requests inside a run share its machine state, so thousands of them are not thousands of
repetitions. All arithmetic is on logarithms, so that a ratio and its inverse mean the same.

The method follows Kalibera & Jones, "Rigorous benchmarking in reasonable time" (ISMM 2013): an interval for the ratio,
from a bootstrap that resamples runs and, within them, blocks of time. Welch's test and Holm's correction (Scandinavian
Journal of Statistics 6, 1979) guard against noise, a threshold against differences too small to matter, and UNCHANGED
needs the whole interval inside the threshold (equivalence), not the mere absence of proof.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from tfperf.analysis import student

Verdict = Literal["REGRESSION", "IMPROVED", "UNCHANGED", "INCONCLUSIVE", "SUSPECT"]

CONFIDENCE = 0.95
SIGNIFICANCE = 0.05
# With fewer runs on a side the bootstrap has too few different resamples; the interval is then Welch's.
LEAST_FOR_BOOTSTRAP = 5
RESAMPLES = 10_000
WITHIN_RESAMPLES = 200
MOST_FURTHER_RUNS = 100
_BINS = 4096


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
class RunValue:
    """The value of a metric in one run.

    Attributes:
        value: the value over the whole run, above 0.
        within: the same metric from resampled blocks of time of this run, see `resample_within`; empty if the run has
            only one value, such as a time to train.
    """

    value: float
    within: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparedSides:
    """A metric with the values of the runs on both sides, in the order in which they ran."""

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
        baseline: median over the baseline's runs, in the metric's unit.
        candidate: median over the candidate's runs.
        ratio: candidate / baseline.
        low: lower end of the 95 % interval of the ratio; None with a single run on a side and nothing else to go by.
        high: its upper end.
        p: two-sided probability of Welch's test on logarithms, not corrected; None with a single run on a side.
        p_holm: the same after Holm's correction over the gated metrics; `p` itself for others.
        further_runs: how many more runs on each side would probably decide; None if the verdict is decided, or if
            more than 100 are needed.
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


def compare(sides: Sequence[ComparedSides], *, seed: int = 0, resamples: int = RESAMPLES) -> RunsComparison:
    """Compares every metric, with Holm's correction over the gated ones.

    Args:
        sides: at least one metric with its runs.
        seed: of the bootstrap, so that the same runs always get the same verdict.
        resamples: of the bootstrap.
    """
    if not any(each.metric.gated for each in sides):
        raise ValueError("No metric is gated, so nothing decides the comparison. Set gated=True for at least one.")
    estimates = [_estimate(each, seed=seed, resamples=resamples) for each in sides]
    gated = [number for number, each in enumerate(sides) if each.metric.gated]
    p_holm = {number: estimate.p for number, estimate in enumerate(estimates)}
    p_holm |= dict(zip(gated, holm([estimates[number].p for number in gated]), strict=True))
    metrics = tuple(
        _judge(each, estimate, p_holm=p_holm[number])
        for number, (each, estimate) in enumerate(zip(sides, estimates, strict=True))
    )
    return _overall(metrics)


def welch(baseline: np.ndarray, candidate: np.ndarray) -> tuple[float, float, float]:
    """Welch's test of two means.

    Args:
        baseline: values, [n] with n of 2 or more.
        candidate: values, [m] with m of 2 or more.

    Returns:
        The standard error of the difference, its degrees of freedom, and the two-sided probability.
    """
    variances = [float(side.var(ddof=1)) / len(side) for side in (baseline, candidate)]
    total = sum(variances)
    difference = float(candidate.mean() - baseline.mean())
    if total == 0:
        return 0.0, float(len(baseline) + len(candidate) - 2), float(difference == 0)
    shares = zip(variances, (len(baseline), len(candidate)), strict=True)
    freedom = total**2 / sum(variance**2 / (count - 1) for variance, count in shares)
    return math.sqrt(total), freedom, student.two_sided(difference / math.sqrt(total), freedom=freedom)


def holm(probabilities: Sequence[float | None]) -> list[float | None]:
    """Probabilities after Holm's correction for testing all of them; None stays None and does not count."""
    known = sorted((p, number) for number, p in enumerate(probabilities) if p is not None)
    corrected: list[float | None] = [None] * len(probabilities)
    highest = 0.0
    for rank, (p, number) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * p))
        corrected[number] = highest
    return corrected


def resample_within(
    latencies_ns: np.ndarray,
    ended_ns: np.ndarray,
    *,
    percents: Sequence[float],
    block_s: float = 1.0,
    resamples: int = WITHIN_RESAMPLES,
    seed: int = 0,
) -> dict[float, tuple[float, ...]]:
    """Percentiles of a run from resampled blocks of time, for `RunValue.within`.

    Blocks keep neighbouring requests together, so that their dependence stays in the resamples.

    Args:
        latencies_ns: the latency of every request, [n].
        ended_ns: when each ended, [n], in any order.
        percents: such as (50, 99).
        block_s: seconds of a block. A run with fewer than 2 blocks has no resamples.
        resamples: how many.
        seed: of the resampling.

    Returns:
        Percentile -> its resampled values, nanoseconds.
    """
    if not len(latencies_ns):
        return {percent: () for percent in percents}
    blocks = ((ended_ns - ended_ns.min()) / (block_s * 1e9)).astype(np.int64)
    _, blocks = np.unique(blocks, return_inverse=True)
    count = int(blocks.max()) + 1
    if count < 2:
        return {percent: () for percent in percents}
    values, counts = _binned(latencies_ns, blocks, count)
    picks = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
    below = np.cumsum(picks @ counts, axis=1)
    found = {}
    for percent in percents:
        ranks = below[:, -1] * (percent / 100)
        chosen = np.minimum((below <= ranks[:, None]).sum(axis=1), len(values) - 1)
        found[percent] = tuple(values[chosen].tolist())
    return found


def rate_within(
    samples: np.ndarray,
    ended_ns: np.ndarray,
    *,
    block_s: float = 1.0,
    resamples: int = WITHIN_RESAMPLES,
    seed: int = 0,
) -> tuple[float, ...]:
    """Samples per second from resampled whole blocks of time, for `RunValue.within`; empty below 2 blocks.

    Args:
        samples: samples of each execution, [n].
        ended_ns: when each ended, [n], in any order.
        block_s: seconds of a block.
        resamples: how many.
        seed: of the resampling.
    """
    if not len(samples):
        return ()
    blocks = ((ended_ns - ended_ns.min()) / (block_s * 1e9)).astype(np.int64)
    rates = np.bincount(blocks, weights=samples)[: int(blocks.max())] / block_s  # the last block is not whole
    if len(rates) < 2 or not rates.all():
        return ()
    picks = np.random.default_rng(seed).integers(len(rates), size=(resamples, len(rates)))
    return tuple(rates[picks].mean(axis=1).tolist())


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Estimate:
    """The log ratio with its interval and test; None where a single run on a side leaves them unknown."""

    log_ratio: float
    low: float | None
    high: float | None
    p: float | None


def _estimate(sides: ComparedSides, *, seed: int, resamples: int) -> _Estimate:
    logs = [np.log([run.value for run in runs]) for runs in (sides.baseline, sides.candidate)]
    log_ratio = float(np.median(logs[1]) - np.median(logs[0]))
    fewest = min(map(len, logs))
    if fewest == 1:
        return _single(sides, logs, log_ratio, seed=seed, resamples=resamples)
    error, freedom, p = welch(*logs)
    if fewest < LEAST_FOR_BOOTSTRAP:
        centre = float(logs[1].mean() - logs[0].mean())
        reach = student.quantile((1 + CONFIDENCE) / 2, freedom=freedom) * error
        low, high = min(centre - reach, log_ratio), max(centre + reach, log_ratio)
        return _Estimate(log_ratio=log_ratio, low=low, high=high, p=p)
    draws = _bootstrap(sides, logs, seed=seed, resamples=resamples)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return _Estimate(log_ratio=log_ratio, low=min(float(low), log_ratio), high=max(float(high), log_ratio), p=p)


def _single(
    sides: ComparedSides, logs: Sequence[np.ndarray], log_ratio: float, *, seed: int, resamples: int
) -> _Estimate:
    """One run on a side: against several, the limits for one more run like them; against one, what is within both."""
    several = max(logs, key=len)
    if len(several) > 2:
        freedom = len(several) - 1
        spread = float(several.std(ddof=1)) * math.sqrt(1 + 1 / len(several))
        reach = student.quantile((1 + CONFIDENCE) / 2, freedom=freedom) * spread
        centre = float(logs[1].mean() - logs[0].mean())
        return _Estimate(
            log_ratio=log_ratio, low=min(centre - reach, log_ratio), high=max(centre + reach, log_ratio), p=None
        )
    if not all(run.within for run in (*sides.baseline, *sides.candidate)):
        return _Estimate(log_ratio=log_ratio, low=None, high=None, p=None)
    random = np.random.default_rng(seed)
    draws = [
        np.median([np.log(random.choice(run.within, resamples)) for run in runs], axis=0)
        for runs in (sides.baseline, sides.candidate)
    ]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws[1] - draws[0], [tail, 1 - tail])
    return _Estimate(log_ratio=log_ratio, low=min(float(low), log_ratio), high=max(float(high), log_ratio), p=None)


def _bootstrap(sides: ComparedSides, logs: Sequence[np.ndarray], *, seed: int, resamples: int) -> np.ndarray:
    """Log ratios of medians, [resamples]: of resampled runs, each with a resampled value from within it.

    The values of runs differ by what differs between runs and by what is random within each. The second part is drawn
    anew, so it is taken out of the first by shrinking the values towards their mean; otherwise it would count twice.
    """
    random = np.random.default_rng(seed)
    medians = []
    for runs, values in zip((sides.baseline, sides.candidate), logs, strict=True):
        picks = random.integers(len(values), size=(resamples, len(values)))
        deviations = _within(runs)
        if deviations is None:
            medians.append(np.median(values[picks], axis=1))
            continue
        observed, within = float(values.var(ddof=1)), float(deviations.var(axis=1).mean())
        kept = math.sqrt(max(0.0, 1 - within / observed)) if observed else 0.0
        centred = values.mean() + kept * (values - values.mean())
        drawn = centred[picks] + deviations[picks, random.integers(deviations.shape[1], size=picks.shape)]
        medians.append(np.median(drawn, axis=1))
    return np.asarray(medians[1] - medians[0])


def _within(runs: Sequence[RunValue]) -> np.ndarray | None:
    """How far resampled log values of each run are from their mean, [runs, resamples]; None if a run has none."""
    fewest = min(len(run.within) for run in runs)
    if not fewest:
        return None
    logs = np.log([run.within[:fewest] for run in runs])
    return np.asarray(logs - logs.mean(axis=1, keepdims=True))


def _judge(sides: ComparedSides, found: _Estimate, *, p_holm: float | None) -> MetricVerdict:
    verdict = _verdict(sides, found, p_holm=p_holm)
    counts = len(sides.baseline), len(sides.candidate)
    further = _further_runs(sides.metric, found, fewest=min(counts)) if verdict in ("INCONCLUSIVE", "SUSPECT") else None
    return MetricVerdict(
        metric=sides.metric,
        verdict=verdict,
        baseline=float(np.median([run.value for run in sides.baseline])),
        candidate=float(np.median([run.value for run in sides.candidate])),
        ratio=math.exp(found.log_ratio),
        low=None if found.low is None else math.exp(found.low),
        high=None if found.high is None else math.exp(found.high),
        p=found.p,
        p_holm=p_holm,
        further_runs=further,
        because=_because(sides, found, verdict, further),
    )


def _verdict(sides: ComparedSides, found: _Estimate, *, p_holm: float | None) -> Verdict:
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


def _worse(metric: ComparedMetric, found: _Estimate) -> tuple[float, float | None, float | None]:
    """The log ratio and its interval, turned so that above 0 is worse."""
    if not metric.higher_is_better:
        return found.log_ratio, found.low, found.high
    low, high = found.low, found.high
    return -found.log_ratio, None if high is None else -high, None if low is None else -low


def _log_threshold(metric: ComparedMetric) -> float:
    """A latency of +10 % is 1.1 times the baseline; a throughput of -10 % is 0.9 times."""
    return -math.log1p(-metric.threshold) if metric.higher_is_better else math.log1p(metric.threshold)


def _further_runs(metric: ComparedMetric, found: _Estimate, *, fewest: int) -> int | None:
    """Runs to add on each side until the interval, shrinking as more runs make it, decides.

    It must shrink to exclude 1 if the change is beyond the threshold, and to fit within the threshold if it is not.
    """
    worse, low, high = _worse(metric, found)
    if low is None or high is None or fewest < 2:
        return max(0, LEAST_FOR_BOOTSTRAP - fewest)
    threshold = _log_threshold(metric)
    room = abs(worse) if abs(worse) > threshold else threshold - abs(worse)
    reach = (high - low) / 2
    unit = reach * math.sqrt(fewest) / student.quantile((1 + CONFIDENCE) / 2, freedom=2 * (fewest - 1))
    for further in range(1, MOST_FURTHER_RUNS + 1):
        runs = fewest + further
        if student.quantile((1 + CONFIDENCE) / 2, freedom=2 * (runs - 1)) * unit / math.sqrt(runs) < room:
            return further
    return None


def _because(sides: ComparedSides, found: _Estimate, verdict: Verdict, further: int | None) -> str:
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


def _binned(latencies_ns: np.ndarray, blocks: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Values, ascending, and how many latencies of each block they stand for, [blocks, values].

    Above 4096 latencies neighbours share a value: one in 4096 of all in the body, single ones in the tail.
    """
    order = np.argsort(latencies_ns, kind="stable")
    ordered = latencies_ns[order]
    total = len(ordered)
    shares = np.concatenate([np.linspace(0, 0.98, _BINS // 2, endpoint=False), np.linspace(0.98, 1, _BINS // 2)[:-1]])
    starts = np.unique((shares * total).astype(np.int64))
    bins = np.searchsorted(starts, np.arange(total), side="right") - 1
    ends = np.append(starts[1:], total) - 1
    counts = np.bincount(blocks[order] * len(starts) + bins, minlength=count * len(starts))
    return ordered[(starts + ends) // 2].astype(float), counts.reshape(count, len(starts))
