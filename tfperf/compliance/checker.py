"""The verdicts on training logs (by the official checker and beyond it), on inference runs and on sweeps."""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Sequence
from typing import Any

from tfperf.compliance import (
    evaluations,
    inspection,
    log_file,
    logged_benchmark,
    official,
    published,
    results,
    rulesets,
    serving_checker,
    sweeps,
    training_run,
)
from tfperf.compliance.log import TOKEN, Line, Log, holds_events, read
from tfperf.compliance.logged_benchmark import LoggedBenchmark
from tfperf.compliance.verdict import Verdict, Violation, broken
from tfperf.errors import DamagedDataError, UsageError

_RESULT_LOGS = "result_*.txt"
_LOADGEN_LOGS = "mlperf_log_*"
# Files that a run directory of tfperf holds from the start.
_RUN_DIRECTORY_MARKS = ("spec.yaml", "environment.json", "events.jsonl")
_INFERENCE_MARKS = ("spec.yaml", "result.json")  # either shows that a run is of inference

# The official checker has no target for benchmarks that are not MLPerf's, so it gets a number that passes.
_AN_ACCURACY = 0.5
# Dropping caches needs root, so only MLPerf benchmarks must do it.
_ROOTS_KEY = "cache_clear"


def check(path: pathlib.Path, *, ruleset: str | None = None) -> list[Verdict]:
    """Checks a log, a run directory, or every log and run below a folder: see `check_all`."""
    return check_all([path], ruleset=ruleset)


def check_all(paths: Sequence[pathlib.Path], *, ruleset: str | None = None) -> list[Verdict]:
    """Checks training logs, run directories of training and inference, LoadGen's own logs, and folders of them.

    Two or more `result_*.txt` in a folder are the runs of one result and get a joint verdict after their own. The
    directory of an internal sweep gets a single verdict, which says that it is not a result.

    Args:
        paths: files and folders.
        ruleset: the ruleset for all training logs, such as `4.0.0`; None determines it for each.

    Raises:
        UsageError: a path does not exist, or holds neither a training log of round v0.7 or later nor an inference run.
    """
    chosen = None if ruleset is None else rulesets.named(ruleset)
    with official.rules_read_once():
        return [verdict for path in paths for verdict in _check_path(path, ruleset=chosen)]


def _check_path(path: pathlib.Path, *, ruleset: str | None) -> list[Verdict]:
    if path.is_dir():
        return _check_folder(path, ruleset=ruleset)
    if path != log_file.STANDARD_INPUT and not path.exists():
        raise UsageError(f"{path} does not exist. Pass the path of a log, a run directory or a results folder.")
    if path.match(_LOADGEN_LOGS):
        raise UsageError(f"{path} is a log of an inference run. Pass its run directory, or the folder that it lies in.")
    _, found = _check_log(path, ruleset=ruleset)
    return [found]


def _check_log(path: pathlib.Path, *, ruleset: str | None) -> tuple[Log | None, Verdict]:
    """A log, None if it can't be read, and the verdict on it."""
    try:
        with log_file.opened(path) as file:
            log = read(path, file=file)
            if not log.numbers and file.stat().st_size and not _is_named_as_log(path):
                raise UsageError(
                    f"{path} has no line with {TOKEN.strip()}. Accepted: MLPerf training logs of round v0.7 or later."
                )
            return log, verdict(log, ruleset=ruleset)
    except DamagedDataError as error:
        return None, _of_unreadable(path, str(error))


def _of_unreadable(path: pathlib.Path, why: str) -> Verdict:
    return Verdict(
        path=str(path),
        kind="train",
        compliant=False,
        structure="broken",
        status="unreadable",
        violations=(Violation(message=why, about="structure"),),
        notes=("The official checker was not run.",),
    )


def _check_folder(folder: pathlib.Path, *, ruleset: str | None) -> list[Verdict]:
    swept = sweeps.directories(folder)
    evaluated = [run for run in evaluations.directories(folder) if not _lies_in(run, swept)]
    inferred = [run for run in _inference_runs(folder) if not _lies_in(run, [*swept, *evaluated])]
    paths = [path for path in _logs_below(folder) if not _lies_in(path, [*inferred, *swept])]
    measured = [path for path in published.measurements(folder) if not _lies_in(path, [*inferred, *swept])]
    found = [*paths, *inferred, *measured, *swept, *evaluated]
    if not found and any((folder / mark).exists() for mark in _RUN_DIRECTORY_MARKS):
        return [_without_log(folder)]
    if not found:
        raise UsageError(
            f"{folder} holds no training log and no inference run. Accepted: {training_run.LOG}, {_RESULT_LOGS}, text "
            "with MLLOG lines, run directories, or folders with LoadGen's logs."
        )
    by_folder: dict[pathlib.Path, list[pathlib.Path]] = collections.defaultdict(list)
    for path in paths:
        by_folder[path.parent].append(path)
    trained = [found for group in by_folder.values() for found in _check_group(group, ruleset=ruleset)]
    of_sweeps = [sweeps.verdict(directory) for directory in swept]
    served = [*(serving_checker.verdict(run) for run in inferred), *(published.verdict(path) for path in measured)]
    return [*trained, *served, *of_sweeps, *map(evaluations.verdict, evaluated)]


def _lies_in(path: pathlib.Path, directories: Sequence[pathlib.Path]) -> bool:
    return any(directory in (path, *path.parents) for directory in directories)


def _check_group(paths: list[pathlib.Path], *, ruleset: str | None) -> list[Verdict]:
    checked = [_check_log(path, ruleset=ruleset) for path in paths]
    verdicts = [found for _, found in checked]
    runs = [(log, found) for log, found in checked if log is not None and log.path.match(_RESULT_LOGS)]
    if len(runs) < 2:
        return verdicts
    return [*verdicts, results.verdict(paths[0].parent, logs=[log for log, _ in runs], runs=[run for _, run in runs])]


def verdict(log: Log, *, ruleset: str | None = None) -> Verdict:
    """The verdict on one log."""
    benchmark = logged_benchmark.identify(log)
    if benchmark.official_name is None:
        return _of_unknown(log, benchmark)
    chosen, why = _ruleset(log, benchmark, requested=ruleset)
    by_mlcommons = official.check(log, ruleset=chosen, replaced=_replaced(benchmark))
    again = inspection.second_run(log)
    if again is not None:
        accepted = by_mlcommons.valid if benchmark.mlperf else None
        return _of_two_runs(log, benchmark, again, ruleset=chosen, compliant=accepted)
    own = inspection.violations(log, benchmark=benchmark)
    around = training_run.violations(log, benchmark=benchmark)
    closed = benchmark.mlperf and log.text("submission_division") == "closed"
    task = logged_benchmark.task_of(benchmark.official_name) if closed else None
    found = (*own, *by_mlcommons.violations, *_pretends(log, benchmark))
    forgiven = () if benchmark.mlperf else tuple(violation for violation in found if violation.key == _ROOTS_KEY)
    found = tuple(violation for violation in found if violation not in forgiven)
    return Verdict(
        **_shared(log, benchmark),
        ruleset=chosen,
        compliant=by_mlcommons.valid if benchmark.mlperf else None,
        structure=broken((*found, *around), by_rules=not benchmark.mlperf),
        target=inspection.target(log, benchmark, found),
        violations=(*found, *around),
        remarks=(*forgiven, *by_mlcommons.warnings, *inspection.remarks(log, task=task, ruleset=chosen)),
        notes=(f"Checked by {why}.", *_kind_notes(log, benchmark)),
    )


def _of_two_runs(
    log: Log, benchmark: LoggedBenchmark, again: Line, *, ruleset: str | None, compliant: bool | None
) -> Verdict:
    """The verdict on a file with several runs. Its other faults follow from that, and its time means nothing."""
    text = (
        f"A second run begins in this line, with {again.key}: two runs, or a run and its repetition, were written to "
        "one file. Split it before this line and check each part."
    )
    return Verdict(
        **{**_shared(log, benchmark), "minutes": None, "status": "several runs"},
        ruleset=ruleset,
        compliant=compliant,
        structure="broken",
        violations=(Violation(message=text, line=again.number, key=again.key, about="structure"),),
        notes=("The rest was not judged, since it mixes the runs.",),
    )


def _shared(log: Log, benchmark: LoggedBenchmark) -> dict[str, Any]:
    return {
        "path": str(log.path),
        "kind": "train",
        "benchmark": benchmark.name,
        "division": log.text("submission_division"),
        "minutes": inspection.minutes(log),
        "status": inspection.status(log),
    }


def _ruleset(log: Log, benchmark: LoggedBenchmark, *, requested: str | None) -> tuple[str, str]:
    if requested is not None:
        return requested, f"ruleset {requested}, as requested"
    if benchmark.ruleset is not None:
        return benchmark.ruleset, f"ruleset {benchmark.ruleset}, the last with {benchmark.official_name}"
    return rulesets.infer(log, benchmark=str(benchmark.official_name))


def _replaced(benchmark: LoggedBenchmark) -> dict[str, Any]:
    if benchmark.mlperf:
        return {}
    return {
        "submission_benchmark": benchmark.official_name,
        "submission_division": "open",
        "eval_accuracy": _AN_ACCURACY,
    }


def _kind_notes(log: Log, benchmark: LoggedBenchmark) -> tuple[str, ...]:
    if benchmark.mlperf:
        return ()
    if benchmark.name == benchmark.official_name and log.text("submission_division") == "internal":
        return ("An internal run: its structure was checked like that of an open run. It is not an MLPerf result.",)
    official_name = benchmark.official_name
    return (f"{benchmark.name} is not an MLPerf benchmark: its structure was checked like that of {official_name}.",)


def _pretends(log: Log, benchmark: LoggedBenchmark) -> tuple[Violation, ...]:
    line = log.first("submission_division")
    if benchmark.mlperf or line is None or line.value in ("open", "internal"):
        return ()
    text = (
        f"submission_division is {line.value!r}, but {benchmark.name} is not an MLPerf benchmark. "
        "Accepted: open, internal."
    )
    return (Violation(message=text, key=line.key, line=line.number),)


def _of_unknown(log: Log, benchmark: LoggedBenchmark) -> Verdict:
    """The verdict on a log that does not name its benchmark, or names one that nobody knows."""
    line = log.first("submission_benchmark")
    internal = line is not None and log.text("submission_division") == "internal"
    again = inspection.second_run(log)
    if again is not None:
        return _of_two_runs(log, benchmark, again, ruleset=None, compliant=None if internal else False)
    own = (*inspection.violations(log, benchmark=benchmark), *training_run.violations(log, benchmark=benchmark))
    if internal:
        return Verdict(
            **_shared(log, benchmark),
            structure=broken(own, by_rules=True),
            target=inspection.target(log, benchmark, own),
            violations=own,
            notes=(f"An internal run of {benchmark.name}. No ruleset has it: only the structure was checked.",),
        )
    text = (
        "submission_benchmark is missing, and nothing else shows what was trained."
        if line is None
        else f"submission_benchmark is {line.value!r}, which is neither a benchmark of MLPerf nor of tfperf."
    )
    unknown = Violation(message=text, key="submission_benchmark", line=None if line is None else line.number)
    return Verdict(
        **_shared(log, benchmark),
        compliant=False,
        structure=broken(own, by_rules=False),
        violations=(*own, unknown),
        notes=("The official checker was not run.",),
    )


def _without_log(folder: pathlib.Path) -> Verdict:
    text = f"There is no {training_run.LOG}: the run ended before it wrote its log."
    return Verdict(
        path=str(folder),
        kind="train",
        compliant=False,
        structure="broken",
        violations=(Violation(message=text, about="structure"),),
        notes=("The official checker was not run.",),
    )


def _inference_runs(folder: pathlib.Path) -> list[pathlib.Path]:
    marked = {path.parent for mark in _INFERENCE_MARKS for path in folder.rglob(mark)}
    return sorted(path for path in marked if serving_checker.is_run_directory(path))


def _logs_below(folder: pathlib.Path) -> list[pathlib.Path]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [path for path in files if _is_named_as_log(path) or _looks_like_log(path)]


def _is_named_as_log(path: pathlib.Path) -> bool:
    name = pathlib.Path(path.name.removesuffix(log_file.GZIP))
    return name.name == training_run.LOG or name.match(_RESULT_LOGS)


def _looks_like_log(path: pathlib.Path) -> bool:
    if path.suffix not in (".txt", ".log", ".out") or path.match(_LOADGEN_LOGS):
        return False
    try:
        return holds_events(path)
    except OSError:  # it may be one, so its verdict says why it can't be opened
        return True
