"""The MLPerf Training ruleset that a log was made for."""

from __future__ import annotations

import datetime
import pathlib
import re

from tfperf.compliance import official_benchmarks
from tfperf.compliance.log import Log
from tfperf.errors import UsageError

# Logs of earlier rounds have a different format.
_OLDEST = "0.7.0"

# When MLCommons published the results of each round (mlcommons.org/benchmarks/training).
_PUBLISHED = {
    "0.7.0": datetime.date(2020, 7, 29),
    "1.0.0": datetime.date(2021, 6, 30),
    "1.1.0": datetime.date(2021, 12, 1),
    "2.0.0": datetime.date(2022, 6, 29),
    "2.1.0": datetime.date(2022, 11, 9),
    "3.0.0": datetime.date(2023, 6, 27),
    "3.1.0": datetime.date(2023, 11, 8),
    "4.0.0": datetime.date(2024, 6, 12),
    "4.1.0": datetime.date(2024, 11, 13),
    "5.0.0": datetime.date(2025, 6, 4),
    "5.1.0": datetime.date(2025, 11, 12),
}
_DAYS_BEFORE_PUBLICATION = 150

_ROUND_FOLDER = re.compile(r"(?:training_results_)?v(\d+\.\d+)(?:\.0)?|training_(\d+\.\d+)\.0")
_ROUND_IN_NAME = re.compile(r"[-_](\d+\.\d+)\.0$")


def known() -> tuple[str, ...]:
    """The rulesets of the installed checker, oldest first."""
    from mlperf_logging.compliance_checker import mlp_compliance

    rulesets = sorted(mlp_compliance.rule_choices(), key=_as_numbers)
    return tuple(ruleset for ruleset in rulesets if _as_numbers(ruleset) >= _as_numbers(_OLDEST))


def named(text: str) -> str:
    """The ruleset that a user calls `4.0` or `4.0.0`.

    Raises:
        UsageError: the installed checker has no such ruleset.
    """
    ruleset = text if text.count(".") == 2 else f"{text}.0"
    if ruleset not in known():
        raise UsageError(f"--ruleset: got {text}. Accepted: {', '.join(known())}.")
    return ruleset


def knowing(benchmark: str) -> tuple[str, ...]:
    """The rulesets that can check a log of `benchmark`, oldest first."""
    from mlperf_logging import benchmark_meta
    from mlperf_logging.compliance_checker import mlp_compliance

    folder = pathlib.Path(mlp_compliance.__file__).parent
    return tuple(
        ruleset
        for ruleset in known()
        # 5.1.0 ships rules for BERT but does not admit it, so both are needed.
        if benchmark in benchmark_meta.get_allowed_benchmarks("training", ruleset)
        and (folder / f"training_{ruleset}" / f"closed_{benchmark}.yaml").is_file()
    )


def infer(log: Log, *, benchmark: str) -> tuple[str, str]:
    """The ruleset for a log of an MLPerf benchmark, and how it was found.

    The first of: the ruleset in the path (`v0.7/`, `training_results_v3.1/`, `log-5.0.0.txt`), the ruleset of the round
    in progress when the log was written, the newest ruleset with the benchmark.
    """
    usable = [ruleset for ruleset in knowing(benchmark) if _fits(ruleset, log, benchmark)]
    from_path = _in_path(log.path.absolute())
    if from_path is not None and from_path[0] in known():
        return from_path[0], f"ruleset {from_path[0]}, from {from_path[1]} in the path"
    by_date = _by_date(log)
    if by_date in usable:
        return by_date, f"ruleset {by_date}, of the round in progress when the log was written"
    return usable[-1], f"ruleset {usable[-1]}, the newest with {benchmark}"


def keeps_cadence(ruleset: str, *, benchmark: str) -> bool:
    """Whether evaluations are due under a ruleset when they are under the benchmark's last."""
    first = official_benchmarks.named(benchmark).cadence_from
    return first is None or _as_numbers(ruleset) >= _as_numbers(first)


def _fits(ruleset: str, log: Log, benchmark: str) -> bool:
    known = official_benchmarks.named(benchmark)
    if known.first_model_key is None or known.second_model_from is None:
        return True
    of_first_model = _as_numbers(ruleset) < _as_numbers(known.second_model_from)
    return of_first_model == (log.first(known.first_model_key) is not None)


def _in_path(path: pathlib.Path) -> tuple[str, str] | None:
    in_name = _ROUND_IN_NAME.search(path.stem)
    if in_name:
        return f"{in_name[1]}.0", path.name
    for part in reversed(path.parent.parts):
        match = _ROUND_FOLDER.fullmatch(part)
        if match:
            return f"{match[1] or match[2]}.0", part
    return None


def _by_date(log: Log) -> str | None:
    started = log.first("run_start")
    if started is None:
        return None
    day = datetime.date(1970, 1, 1) + datetime.timedelta(milliseconds=started.time_ms)
    for ruleset, published in _PUBLISHED.items():
        if published - datetime.timedelta(days=_DAYS_BEFORE_PUBLICATION) <= day <= published:
            return ruleset
    return None


def _as_numbers(ruleset: str) -> tuple[int, ...]:
    return tuple(int(part) for part in ruleset.split("."))
