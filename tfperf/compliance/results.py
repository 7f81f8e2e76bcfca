"""The verdict on the runs of one result, following the official package checker."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Literal

from tfperf.compliance import inspection, rcp
from tfperf.compliance.log import Log
from tfperf.compliance.verdict import Verdict, Violation, broken

# Rounds before the package checker looked at seeds and convergence.
_WITHOUT_SEEDS_AND_RCP = ("0.7.0",)

# Prefixes of keys whose values all runs of a result share. The official checkers don't look at them.
_SHARED = ("submission_org", "submission_platform", "opt_", "lars_", "sgd_", "gradient_accumulation_steps")


def verdict(folder: pathlib.Path, *, logs: Sequence[Log], runs: Sequence[Verdict]) -> Verdict:
    """The verdict on all runs of a result.

    Args:
        folder: the folder of the logs.
        logs: the logs of the runs, `result_*.txt`.
        runs: the verdicts on the logs, in the same order.
    """
    mixed = (*_mixed(runs), *of_several_batch_sizes(logs))
    if mixed:
        return Verdict(path=str(folder), kind="train_result", compliant=False, status="mixed", violations=mixed)
    first = runs[0]
    mlperf = first.compliant is not None and first.ruleset is not None
    different = differing(logs)
    parameters = rcp.parameters(folder)
    found = [*_failed(runs), *(_count(runs) if mlperf else ())]
    compared = mlperf and _whole(runs) and _has_rcp(first)
    convergence = _convergence(logs, runs, bypass=parameters.rcp_bypass) if compared else None
    seeds = inspection.repeated_seeds(tuple(logs)) if mlperf and _has_rcp(first) else ()
    found += () if parameters.seed_bypass else seeds
    if convergence is not None and convergence.passed is False:
        found.append(Violation(message=convergence.message, source="mlperf_logging"))
    mean = _score(runs)
    scaling, unusable = _scaling(folder, convergence)
    found += unusable
    return Verdict(
        path=str(folder),
        kind="train_result",
        benchmark=first.benchmark,
        division=first.division,
        ruleset=first.ruleset,
        compliant=not found if mlperf else None,
        structure=broken((*found, *different), by_rules=not mlperf),
        target=_target(runs, found),
        minutes=None if mean is None else mean * scaling,
        scaling=None if mean is None else scaling,
        status=_status(runs, mean),
        violations=(*found, *different),
        remarks=(*(seeds if parameters.seed_bypass else ()), *_misread(parameters)),
        notes=_notes(runs, mean, convergence, scaling=scaling),
    )


def _scaling(folder: pathlib.Path, convergence: rcp.Convergence | None) -> tuple[float, list[Violation]]:
    """The factor on the score: that of a review, or that for converging faster than the reference."""
    computed = convergence.scaling if convergence is not None and convergence.passed else 1.0
    try:
        reviewed = rcp.scaling_in(folder)
    except ValueError as error:
        return computed, [Violation(message=str(error), source="mlperf_logging")]
    return computed if reviewed is None else reviewed, []


def _misread(parameters: rcp.Parameters) -> list[Violation]:
    why = "has no effect, since the official checker reads only a last line without a line break"
    return [Violation(message=f"package_checker_params: {line} {why}.") for line in parameters.ignored]


def _mixed(runs: Sequence[Verdict]) -> list[Violation]:
    found = []
    for name in ("benchmark", "division", "ruleset"):
        values = sorted({str(getattr(run, name)) for run in runs})
        if len(values) > 1:
            text = f"The logs belong to several {name}s: {', '.join(values)}. Use a folder for each."
            found.append(Violation(message=text))
    return found


def of_several_batch_sizes(logs: Sequence[Log]) -> list[Violation]:
    """The official package checker compares the convergence of runs of one batch size only."""
    found = _values(logs, "global_batch_size")
    if len(found) < 2:
        return []
    text = f"The runs have several batch sizes: {_listed(found)}. Use a folder for each."
    return [Violation(message=text, key="global_batch_size", source="mlperf_logging")]


def differing(logs: Sequence[Log]) -> list[Violation]:
    """What the runs of a result share besides their code: who ran them, on what, and all but the seed."""
    keys = dict.fromkeys(line.key for log in logs for line in log.lines if line.key.startswith(_SHARED))
    return [
        Violation(message=f"The runs of a result must have the same {key}; these have {_listed(found)}.", key=key)
        for key in keys
        if len(found := _values(logs, key)) > 1
    ]


def _values(logs: Sequence[Log], key: str) -> dict[str, list[str]]:
    """The names of the logs by their value of a key; logs without the key are left out."""
    found: dict[str, list[str]] = {}
    for log in logs:
        line = log.first(key)
        if line is not None:
            found.setdefault(str(line.value), []).append(log.path.name)
    return found


def _listed(found: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{value:.60} in {', '.join(names)}" for value, names in found.items())


def _failed(runs: Sequence[Verdict]) -> list[Violation]:
    failed = [pathlib.Path(run.path).name for run in runs if not run.good]
    allowed = rcp.dropped_at_each_end(runs[0].benchmark)
    if len(failed) <= allowed:
        return []
    names = ", ".join(failed)
    text = (
        f"{len(failed)} of {len(runs)} runs failed: {names}. At most {allowed} may fail; a failed run counts as the "
        "slowest."
    )
    structure = any(run.structure == "broken" for run in runs if not run.good)
    return [Violation(message=text, about="structure" if structure else "target")]


def _target(runs: Sequence[Verdict], found: Sequence[Violation]) -> Literal["reached", "not reached"] | None:
    """Whether enough runs reached the target for a score; None if they have none."""
    if all(run.target is None for run in runs):
        return None
    return "not reached" if any(violation.about == "target" for violation in found) else "reached"


def _count(runs: Sequence[Verdict]) -> list[Violation]:
    from mlperf_logging import benchmark_meta

    expected = benchmark_meta.get_result_file_counts("training").get(runs[0].benchmark)
    if expected is None or expected == len(runs):
        return []
    return [Violation(message=f"{len(runs)} runs; a result has {expected}.", source="mlperf_logging")]


def _convergence(logs: Sequence[Log], runs: Sequence[Verdict], *, bypass: bool) -> rcp.Convergence:
    ruleset, benchmark = str(runs[0].ruleset), str(runs[0].benchmark)
    return rcp.check_convergence(logs, ruleset=ruleset, benchmark=benchmark, bypass=bypass)


def _has_rcp(run: Verdict) -> bool:
    return run.division == "closed" and run.ruleset not in _WITHOUT_SEEDS_AND_RCP


def _whole(runs: Sequence[Verdict]) -> bool:
    """Whether there is a score, which the RCP check requires."""
    return _score(runs) is not None


def _score(runs: Sequence[Verdict]) -> float | None:
    times = [run.minutes if run.good and run.minutes is not None else math.inf for run in runs]
    benchmark = runs[0].benchmark
    if len(times) <= 2 * rcp.dropped_at_each_end(benchmark):
        return None
    minutes = rcp.score(times, benchmark=benchmark)
    return minutes if math.isfinite(minutes) else None


def _status(runs: Sequence[Verdict], mean: float | None) -> str:
    """A result with a score is a success, whether or not the runs that it leaves out ended."""
    if mean is not None or all(run.status == "success" for run in runs):
        return "success"
    return "incomplete" if any(run.status == "incomplete" for run in runs) else "aborted"


def _notes(
    runs: Sequence[Verdict], mean: float | None, convergence: rcp.Convergence | None, *, scaling: float
) -> tuple[str, ...]:
    notes = []
    if mean is not None:
        dropped = rcp.dropped_at_each_end(runs[0].benchmark)
        ends = "fastest and the slowest" if dropped == 1 else f"{dropped} fastest and the {dropped} slowest"
        notes.append(f"The score is the mean of {len(runs)} runs without the {ends}.")
    if runs[0].compliant is None:
        notes.append("Not an MLPerf result: the number of runs and the convergence were not checked.")
    if convergence is not None and convergence.passed is not False:
        notes.append(convergence.message)
    if mean is not None and scaling != 1.0:
        why = "scaling.json" if convergence is None or scaling != convergence.scaling else "the convergence"
        notes.append(f"The mean is {mean:.2f} minutes, multiplied by {scaling:.5f} because of {why}.")
    return tuple(notes)
