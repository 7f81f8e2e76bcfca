"""Searches for the highest valid rate in Server, with short runs and a full run at the end.

`next_run` decides what to run next, only from the runs so far. `find` runs it and keeps every run in a file, so that an
interrupted search continues where it stopped. Neither depends on LoadGen, processes or the clock.

The rule:

 1. Bracket. The first rate is 0.8 of the Offline rate, or the floor (see `Terms`) where one sample alone takes longer
    than the bound. From there go up while runs pass and down while they fail, by factors of 1.25, 1.25^3, 1.25^7, ...
 2. Bisect, in the logarithm of the rate, until the lowest failing rate is within 5 % of the highest passing one.
 3. Run the lowest failing rate again until three short runs failed there, so that a disturbance or two can't hold the
    search down.
 4. Confirm the highest passing rate with a full run. If it fails, no higher rate is tried again, and the next full runs
    are 2 %, 3 %, 5 % and 10 % lower, each relative to the one before. The first that passes is the answer, or, if it is
    more than 6 % below the last that failed, the rate half way if a full run passes there.

The answer has always passed a full run, and a rate no more than 15 % higher failed a full run or three short ones.

A short run passes if it is valid, or if its 99th percentile is within the bound and there were only too few queries to
prove it; the full run decides that. Other programs make runs fail, not pass, so the two count differently. One clear
pass decides, whatever failed at this rate before. Failures decide for good only when there are three more than passes.
A pass is in doubt if there were too few queries, or if the percentile is within a factor of 1.25 of the bound; then two
passes decide. (If two failures more than passes decided, 3 % of the answers would be below 0.9 of the true rate in the
simulation of the tests, with 10 % of the runs disturbed.)

LoadGen's own FindPeakPerformance mode has none of this: every rate takes a full run, the first rate must pass, nothing
is repeated, and it can't be resumed.
"""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
from collections.abc import Callable, Sequence
from typing import Literal

from tfperf import json_text, whole_file
from tfperf.errors import DamagedDataError, TfperfError, UsageError
from tfperf.result import Probe

Stage = Literal["short", "full"]

START_SHARE = 0.8
CONFIRM_SHARE = 0.96
RESOLUTION = 1.05
PROVEN_WITHIN = 1.15
_FULL_RESOLUTION = 1.06
FLOOR_EXECUTIONS = 100
_LADDER_FACTORS: tuple[float, ...] = tuple(1.25 ** (2**rung - 1) for rung in range(1, 6))
_DOUBT = 1.25
_FAILURES = 3  # more than passes: they decide about a rate for good
_PASSES = 2  # they decide where each is in doubt
_BACK_OFFS = (0.98, 0.97, 0.95, 0.90)
_MOST_SHORT = 60

# LoadGen's early stopping proves a 99th percentile by 459 queries without a late one, 662 with one and 838 with two
# (mlcommons/inference, loadgen/early_stopping.cc, confidence 0.99).
_QUERIES = 5000
_FEWEST_QUERIES = 800
_SHORTEST_S, _LONGEST_S, _LONGEST_FOR_QUERIES_S = 4.0, 20.0, 600.0
_BOUNDS_IN_A_PROBE = 100
_LATE_SHARES: dict[Stage, float] = {"full": 0.011, "short": 0.04}
_LATE_ANYWAY = 10

_SCHEMA = 1


class NoValidRateError(TfperfError):
    """The search ended without a rate: none meets the bound, or none was confirmed.

    Attributes:
        probes: the runs so far.
    """

    exit_code = 3

    def __init__(self, message: str, *, probes: Sequence[Probe]) -> None:
        super().__init__(message)
        self.probes = tuple(probes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Terms:
    """The measurements that the search starts from.

    Attributes:
        offline_qps: samples per second of the model in large batches.
        batch1_latency_ns: time of one execution with one sample.
        bound_ns: latency bound of the 99th percentile.
    """

    offline_qps: float
    batch1_latency_ns: float
    bound_ns: float

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be a number above 0, got {value!r}. Measure the executable first.")

    @property
    def floor_qps(self) -> float:
        """The rate of one query per 100 executions.

        A query then finds the model busy in about 1 % of all cases, and 1 % may be late. A lower rate fails only if
        this one does.
        """
        return 1e9 / (FLOOR_EXECUTIONS * self.batch1_latency_ns)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NextRun:
    """The run that the search needs next."""

    target_qps: float
    stage: Stage


@dataclasses.dataclass(frozen=True, kw_only=True)
class Peak:
    """The end of a search.

    Attributes:
        target_qps: the highest rate found that passed a full run.
        probes: all runs, in order.
    """

    target_qps: float
    probes: tuple[Probe, ...]


def find(
    probe: Callable[[float], Probe],
    confirm: Callable[[float], Probe],
    *,
    terms: Terms,
    state: pathlib.Path,
    key: str,
) -> Peak:
    """Searches from the beginning, or continues the search in `state`.

    Args:
        probe: rate -> the outcome of a short run, see `probe_duration_s`. It may abandon the run at `most_late`, and
            must raise failures that say nothing about the rate, such as an exception in the model.
        confirm: rate -> the outcome of a full run, which may be abandoned too. Only `valid` counts.
        terms: the measurements that the search starts from.
        state: a JSON file, written after each run; it need not exist.
        key: identifies everything that the outcome depends on (model, executable, bound, durations), such as a digest.

    Raises:
        NoValidRateError: no rate meets the bound, or none was confirmed.
        UsageError: `state` belongs to another key, or can't be written.
        DamagedDataError: `state` was not written by `find`.
    """
    probes = load_probes(state, key=key) if state.exists() else ()
    while isinstance(step := next_run(probes, terms), NextRun):
        run = probe if step.stage == "short" else confirm
        outcome = dataclasses.replace(run(step.target_qps), target_qps=step.target_qps, stage=step.stage)
        probes = (*probes, outcome)
        _save(state, probes, key=key)
    return step


def next_run(probes: Sequence[Probe], terms: Terms) -> NextRun | Peak:
    """What to run after `probes`, or the end of the search; see the rule above.

    Raises:
        NoValidRateError: no rate meets the bound, or none was confirmed.
    """
    rates = _rates(probes, terms)
    undecided = [rate for rate in rates if rate.verdict == "open"]
    if undecided:
        return _short(undecided[0].target_qps, probes)
    found = _bracket(rates)
    if found.high is None:
        rate = _first_rate(terms) if found.low is None else _rung(probes, above=found.low)
        return _short(rate, probes)
    high = found.high.target_qps
    if found.confirmed is not None and found.high.full and high > _FULL_RESOLUTION * found.confirmed:
        return NextRun(target_qps=math.sqrt(high * found.confirmed), stage="full")
    if found.confirmed is not None and high <= PROVEN_WITHIN * found.confirmed:
        return Peak(target_qps=found.confirmed, probes=tuple(probes)) if found.high.firm else _short(high, probes)
    if found.high.full:
        return _backed_off(high, rates, probes)
    if found.low is None:
        return _below(found.high, probes, terms)
    if high > RESOLUTION * found.low:
        return _short(math.sqrt(high * found.low), probes)
    return NextRun(target_qps=found.low, stage="full") if found.high.firm else _short(high, probes)


def probe_duration_s(target_qps: float, terms: Terms) -> float:
    """Seconds that a short run needs at this rate.

    It lasts at least 4 s, 5000 queries and 100 times the bound (a queue that grows by 1 % of the rate exceeds the bound
    by then), but at most 20 s. Near the peak, queues need that long to show their length, and a failed full run costs
    ten minutes. If 800 queries take longer, it lasts as long as they do, up to 600 s, unless one sample alone takes
    longer than the bound: then a few queries show that.
    """
    needed_s = max(_SHORTEST_S, _QUERIES / target_qps, _BOUNDS_IN_A_PROBE * terms.bound_ns / 1e9)
    if terms.batch1_latency_ns > terms.bound_ns:
        return min(needed_s, _LONGEST_S)
    return min(needed_s, max(_LONGEST_S, min(_FEWEST_QUERIES / target_qps, _LONGEST_FOR_QUERIES_S)))


def most_late(queries: float, *, stage: Stage) -> int:
    """The number of late queries above which a run of this many queries can't become valid.

    1 % may be late, and LoadGen draws how many queries there are. A short run continues up to 4 %, so that its
    percentile shows how far from the bound it is.
    """
    return math.ceil(_LATE_SHARES[stage] * queries) + _LATE_ANYWAY


def load_probes(path: pathlib.Path, *, key: str) -> tuple[Probe, ...]:
    """Reads the runs that `find` wrote to `path`, in order.

    Raises:
        UsageError: it can't be read, or was written for another key.
        DamagedDataError: it was not written by `find`.
    """
    try:
        content = json_text.parse(path.read_text(encoding="utf-8"))
        written_for, probes = content["key"], tuple(_probe(fields) for fields in content["probes"])
        whole = content["schema"] == _SCHEMA and isinstance(written_for, str)
    except OSError as error:
        raise UsageError(f"The search in {path} can't be read: {error}.") from error
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged(path) from error
    if not whole:
        raise _damaged(path)
    if written_for != key:
        raise UsageError(
            f"The search in {path} is for {written_for!r}, and this one is for {key!r}: its runs don't apply. Repeat "
            "that search, or start in a new directory."
        )
    return probes


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Rate:
    """What is known about one rate: `full` if a full run decided it, `firm` if enough runs agree."""

    target_qps: float
    verdict: Literal["pass", "fail", "open"]
    full: bool
    firm: bool


def _rates(probes: Sequence[Probe], terms: Terms) -> list[_Rate]:
    """The rates that were run, ascending."""
    by_rate: dict[float, list[Probe]] = {}
    for probe in probes:
        by_rate.setdefault(probe.target_qps, []).append(probe)
    return [_judge(rate, by_rate[rate], terms) for rate in sorted(by_rate)]


def _judge(target_qps: float, probes: Sequence[Probe], terms: Terms) -> _Rate:
    full = [probe for probe in probes if probe.stage == "full"]
    if full:
        verdict: Literal["pass", "fail"] = "pass" if all(probe.valid for probe in full) else "fail"
        return _Rate(target_qps=target_qps, verdict=verdict, full=True, firm=True)
    passes = [probe for probe in probes if _passes(probe, terms)]
    fails = [probe for probe in probes if not _passes(probe, terms)]
    if len(fails) - len(passes) >= _FAILURES:
        return _Rate(target_qps=target_qps, verdict="fail", full=False, firm=True)
    if len(passes) >= _PASSES or not all(_in_doubt(probe, terms) for probe in passes):
        return _Rate(target_qps=target_qps, verdict="pass", full=False, firm=len(passes) >= _PASSES)
    undecided = bool(passes) or (len(fails) == 1 and _in_doubt(fails[0], terms))
    return _Rate(target_qps=target_qps, verdict="open" if undecided else "fail", full=False, firm=False)


def _passes(probe: Probe, terms: Terms) -> bool:
    return probe.valid or (probe.p99_ns is not None and probe.p99_ns <= terms.bound_ns)


def _in_doubt(probe: Probe, terms: Terms) -> bool:
    if probe.p99_ns is None:
        return False
    near = terms.bound_ns / _DOUBT < probe.p99_ns < terms.bound_ns * _DOUBT
    return near or probe.valid != (probe.p99_ns <= terms.bound_ns)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Bracket:
    """The rates that the answer is between.

    Attributes:
        confirmed: the highest rate that passed a full run, below all rates that failed one.
        low: the highest rate below `high` that passed.
        high: the lowest rate above `confirmed` that failed.
    """

    confirmed: float | None
    low: float | None
    high: _Rate | None


def _bracket(rates: Sequence[_Rate]) -> _Bracket:
    """Brackets the answer with ascending rates; full runs outweigh short ones that contradict them."""
    passed = [rate for rate in rates if rate.verdict == "pass"]
    failed = [rate for rate in rates if rate.verdict == "fail"]
    ceiling = min((rate.target_qps for rate in failed if rate.full), default=math.inf)
    confirmed = max((rate.target_qps for rate in passed if rate.full and rate.target_qps < ceiling), default=None)
    high = next((rate for rate in failed if confirmed is None or rate.target_qps > confirmed), None)
    below = [rate.target_qps for rate in passed if high is None or rate.target_qps < high.target_qps]
    return _Bracket(confirmed=confirmed, low=max(below, default=None), high=high)


def _first_rate(terms: Terms) -> float:
    if terms.batch1_latency_ns > terms.bound_ns:
        return terms.floor_qps
    return max(START_SHARE * terms.offline_qps, terms.floor_qps)


def _rung(probes: Sequence[Probe], *, above: float) -> float:
    """The next rate up the ladder, which starts at the first rate."""
    start = probes[0].target_qps
    for factor in _LADDER_FACTORS:
        if start * factor >= above * RESOLUTION:
            return start * factor
    raise NoValidRateError(
        f"{above:.6g} queries/s passed, and the search began at {start:.6g}: one of the two measurements is wrong. "
        "Measure the executable again on an otherwise idle machine, or set server.target_qps.",
        probes=probes,
    )


def _below(high: _Rate, probes: Sequence[Probe], terms: Terms) -> NextRun:
    """The next rate down the ladder to the floor, while nothing has passed."""
    if high.target_qps <= terms.floor_qps:
        if high.firm:
            raise _impossible(high.target_qps, probes, terms)
        return _short(high.target_qps, probes)
    rungs = (probes[0].target_qps / factor for factor in _LADDER_FACTORS)
    lower = next((rung for rung in rungs if rung <= high.target_qps / RESOLUTION), terms.floor_qps)
    return _short(max(lower, terms.floor_qps), probes)


def _backed_off(high: float, rates: Sequence[_Rate], probes: Sequence[Probe]) -> NextRun:
    """The full run after one that failed."""
    failed = sum(rate.full and rate.verdict == "fail" for rate in rates)
    if failed > len(_BACK_OFFS):
        tried = [f"{rate.target_qps:.6g}" for rate in reversed(rates) if rate.full]
        raise NoValidRateError(
            f"Short runs passed at {tried[0]} queries/s, but the full runs at {', '.join(tried)} all failed "
            f"(the last: {probes[-1].reason or 'no reason given'}). Something slows long runs down: heat, "
            "memory or other programs. Look at the rate over time, or set server.target_qps to a lower rate.",
            probes=probes,
        )
    return NextRun(target_qps=high * _BACK_OFFS[failed - 1], stage="full")


def _short(target_qps: float, probes: Sequence[Probe]) -> NextRun:
    if sum(probe.stage == "short" for probe in probes) >= _MOST_SHORT:
        raise NoValidRateError(
            f"The search did not settle in {_MOST_SHORT} short runs: they contradict each other, the last at "
            f"{probes[-1].target_qps:.6g} queries/s. Stop other programs on the machine, or set server.target_qps.",
            probes=probes,
        )
    return NextRun(target_qps=target_qps, stage="short")


def _impossible(target_qps: float, probes: Sequence[Probe], terms: Terms) -> NoValidRateError:
    measured = [probe.p99_ns for probe in probes if probe.target_qps == target_qps and probe.p99_ns is not None]
    seen = f"the 99th percentile was {min(measured) / 1e6:.4g} ms" if measured else "the run was abandoned"
    return NoValidRateError(
        f"No rate keeps the latency bound of {terms.bound_ns / 1e6:.4g} ms: one sample alone takes "
        f"{terms.batch1_latency_ns / 1e6:.4g} ms in this executable, and at {target_qps:.4g} queries/s, where hardly "
        f"any query waits, {seen}. Use a faster executable or device; open and internal runs may set another "
        "latency_bound_ms.",
        probes=probes,
    )


def _save(path: pathlib.Path, probes: Sequence[Probe], *, key: str) -> None:
    content = {"schema": _SCHEMA, "key": key, "probes": [dataclasses.asdict(probe) for probe in probes]}
    try:
        whole_file.write(path, json.dumps(content, indent=2, allow_nan=False) + "\n")
    except OSError as error:
        raise UsageError(f"The state of the search can't be written to {path}: {error}.") from error


def _probe(fields: object) -> Probe:
    """A probe from its fields; raises TypeError or ValueError if they are not those of one."""
    if not isinstance(fields, dict):
        raise TypeError(f"A probe must be an object, got {fields!r}.")
    probe = Probe(**fields)
    numbers = [probe.target_qps, probe.duration_s, *([] if probe.p99_ns is None else [probe.p99_ns])]
    if not all(isinstance(number, (int, float)) and math.isfinite(number) for number in numbers):
        raise ValueError(f"A probe's numbers must be finite, got {numbers}.")
    if not (probe.target_qps > 0 and isinstance(probe.valid, bool) and probe.stage in ("short", "full")):
        raise ValueError(f"This is not the outcome of a run: {fields!r}.")
    return probe


def _damaged(path: pathlib.Path) -> DamagedDataError:
    return DamagedDataError(
        f"{path} is damaged: it must hold the runs of a search as tfperf writes them. Delete it to start again."
    )
