"""The verdict on LoadGen's logs in a folder of a submission, which holds no result of tfperf."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tfperf import loadgen_log
from tfperf.compliance import loadgen_summary, round_constants, rounds, serving_inspection
from tfperf.compliance.loadgen_summary import LoadgenSummary
from tfperf.compliance.round_constants import BenchmarkConstants
from tfperf.compliance.verdict import Verdict, Violation
from tfperf.loadgen_log import LoadgenLog

_ACCURACY = "accuracy"
_PERFORMANCE = "performance"
_PASS = "TEST PASS"
_RUN = re.compile(r"run_\d+")
_AUDIT = re.compile(r"TEST\d\d.*")
_ROUND = re.compile(r"(?:inference_results_)?(v\d\.\d)")
_DIVISIONS = ("closed", "open", "network")
# Details before v1.0 are no MLLOG; the summary then has the same parameters.
_IN_SUMMARY = {
    "effective_min_duration_ms": "min_duration (ms)",
    "effective_min_query_count": "min_query_count",
    "effective_samples_per_query": "samples_per_query",
    "effective_target_latency_ns": "target_latency (ns)",
    "effective_performance_sample_count": "performance_sample_count",
    "effective_qsl_rng_seed": "qsl_rng_seed",
    "effective_sample_index_rng_seed": "sample_index_rng_seed",
    "effective_schedule_rng_seed": "schedule_rng_seed",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Run:
    """The logs of one run of LoadGen.

    Attributes:
        path: their folder.
        summary: None if there is none.
        detail: the detail log; None if there is none or if it is in the format before v1.0.
    """

    path: pathlib.Path
    summary: LoadgenSummary | None
    detail: LoadgenLog | None

    @property
    def values(self) -> Mapping[str, Any]:
        """The parameters that LoadGen used, by their names in the detail log."""
        if self.detail is not None:
            return self.detail.values
        summary = self.summary
        return {} if summary is None else {key: summary.number(name) for key, name in _IN_SUMMARY.items()}

    @property
    def scenario(self) -> str:
        """LoadGen's name of the scenario."""
        of_summary = None if self.summary is None else self.summary.fields.get("Scenario")
        return str(self.values.get("effective_scenario") or of_summary)

    @property
    def is_accuracy(self) -> bool:
        """Whether it measured the accuracy."""
        return self.path.name == _ACCURACY or self.values.get("effective_test_mode") == "AccuracyOnly"

    @property
    def validity(self) -> str | None:
        """LoadGen's verdict, the worse one where its logs differ; None without one."""
        of_summary = None if self.summary is None else self.summary.validity
        found = [text for text in (of_summary, self.values.get("result_validity")) if text is not None]
        return next((text for text in found if text != "VALID"), found[0] if found else None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasurementPlace:
    """What the path of a measurement says: `ROUND/DIVISION/SUBMITTER/.../SYSTEM/BENCHMARK/SCENARIO[/TESTNN]`.

    Attributes:
        round: such as `v3.0`.
        division: closed, open or network.
        benchmark: the name of its folder.
        audit: whether it is a compliance test.
        system: the name of the folder above the benchmark's.
    """

    round: str | None
    division: str | None
    benchmark: str
    audit: bool
    system: str | None = None


def measurements(folder: pathlib.Path) -> list[pathlib.Path]:
    """The folders below `folder`, possibly itself, that hold the LoadGen logs of one measurement."""
    names = (loadgen_log.SUMMARY, loadgen_log.DETAIL)
    holding = {path.parent for name in names for path in folder.rglob(name)}
    return sorted({measurement_of(path, within=folder) for path in holding})


def verdict(folder: pathlib.Path) -> Verdict:
    """LoadGen's verdict on a measurement, and what the constants of its round say."""
    where = place(folder.absolute())
    runs = [_read(path) for path in performance_folders(folder)]
    used = next((rounds.of_log(run.values) for run in runs), None)
    name = where.round if used is None else used.name
    found = [violation for run in runs for violation in _of_loadgen(run)]
    if not runs:
        found.append(Violation(message="There is no log of a performance run."))
    constants = round_constants.named(where.benchmark)
    if not where.audit and name is not None:
        found += [violation for run in runs for violation in _of_round(run, constants, name=name, stated=where.round)]
    if where.audit:
        found += _failed_verification(folder)
    missed = list(_accuracy(folder, constants)) if not where.audit else []
    found += missed if where.division == "closed" else []
    official = any(violation.source == "submission_checker" for violation in found)
    return Verdict(
        path=str(folder),
        kind="loadgen",
        benchmark=where.benchmark,
        division=where.division,
        ruleset=name,
        compliant=False if official else None,
        structure="broken" if any(run.validity is None for run in runs) or not runs else "ok",
        minutes=next((serving_inspection.minutes(run.detail) for run in runs if run.detail is not None), None),
        status=_status(runs),
        violations=tuple(found),
        remarks=(*_folder_name(folder, runs), *(() if where.division == "closed" else missed)),
        notes=tuple(_notes(folder, runs, where, constants)),
    )


def measurement_of(path: pathlib.Path, *, within: pathlib.Path) -> pathlib.Path:
    """The folder of the measurement to which a folder with LoadGen's logs belongs, not above `within`."""
    root = path
    if _RUN.fullmatch(root.name):
        root = root.parent
    if root.name in (_PERFORMANCE, _ACCURACY):
        root = root.parent
    return root if within in (root, *root.parents) else path


def performance_folders(folder: pathlib.Path) -> list[pathlib.Path]:
    """The folders of a measurement that hold LoadGen's logs, one for each performance run."""
    inner = folder / _PERFORMANCE
    candidates = [folder, inner, *sorted(path for path in inner.glob("run_*") if path.is_dir())]
    return [path for path in candidates if _holds_logs(path)]


def _holds_logs(folder: pathlib.Path) -> bool:
    return any((folder / name).is_file() for name in (loadgen_log.SUMMARY, loadgen_log.DETAIL))


def _read(folder: pathlib.Path) -> _Run:
    summary, detail = folder / loadgen_log.SUMMARY, folder / loadgen_log.DETAIL
    log = loadgen_log.read(folder) if detail.is_file() else None
    return _Run(
        path=folder,
        summary=loadgen_summary.read(summary) if summary.is_file() else None,
        detail=log if log is not None and log.values else None,
    )


def place(path: pathlib.Path) -> MeasurementPlace:
    """What the absolute path of a measurement says about it."""
    audit = _AUDIT.fullmatch(path.name) is not None
    scenario = path.parent if audit else path
    named = [found[1] for part in path.parts if (found := _ROUND.fullmatch(part))]
    return MeasurementPlace(
        round=named[-1] if named else None,
        division=next((part for part in reversed(path.parts) if part in _DIVISIONS), None),
        benchmark=scenario.parent.name,
        audit=audit,
        system=scenario.parent.parent.name or None,
    )


def _status(runs: list[_Run]) -> str:
    if not runs or any(run.validity is None for run in runs):
        return "incomplete"
    return "success" if all(run.validity == "VALID" for run in runs) else "invalid"


def _of_loadgen(run: _Run) -> Iterator[Violation]:
    summary, logged = run.summary, run.values.get("result_validity")
    if summary is None:
        yield Violation(message=f"{run.path.name}/{loadgen_log.SUMMARY} is missing.", source="submission_checker")
    elif not summary.ended:
        yield Violation(message=f"{run.path.name}/{loadgen_log.SUMMARY} is cut off: it does not say how the run ended.")
    if run.validity is None and run.is_accuracy:
        text = (
            f"The logs in {run.path.name} are of an accuracy run, on which LoadGen gives no verdict. Pass its parent."
        )
        yield Violation(message=text, about="structure")
    elif run.validity is None:
        yield Violation(message=f"The logs in {run.path.name} hold no verdict of LoadGen: the run did not end.")
    elif run.validity != "VALID":
        unmet = () if summary is None else summary.unmet
        reason = f": {', '.join(f'{name}: NO' for name in unmet)}." if unmet else "."
        text = f"LoadGen calls the run in {run.path.name} {run.validity}{reason}"
        yield Violation(message=text, key="result_validity", source="submission_checker")
    if summary is not None and logged is not None and summary.validity not in (None, logged):
        text = f"The summary in {run.path.name} says {summary.validity}, the detail log says {logged}."
        yield Violation(message=text, key="result_validity")
    for error in () if run.detail is None else dict.fromkeys(run.detail.errors):
        yield Violation(message=f"LoadGen reports an error: {error}.", source="submission_checker")


def _of_round(run: _Run, constants: BenchmarkConstants | None, *, name: str, stated: str | None) -> Iterator[Violation]:
    used = rounds.of_log(run.values)
    if used is None:
        yield _official(f"The seeds are not those of any round from v0.5 to {rounds.CURRENT.name}.", "qsl_rng_seed")
    elif stated not in (None, used.name):
        yield _official(f"The seeds are those of {used.name}; the path says {stated}.", "qsl_rng_seed")
    minima = {
        "effective_min_duration_ms": round_constants.min_duration_s(name) * 1000,
        "effective_min_query_count": round_constants.min_queries(name, run.scenario),
    }
    if constants is not None:
        minima["effective_performance_sample_count"] = constants.performance_samples
        if run.scenario == "Offline":
            minima["effective_samples_per_query"] = round_constants.offline_samples(name, constants)
    for key, least in minima.items():
        value = run.values.get(key)
        if least and (not isinstance(value, (int, float)) or value < least):
            yield _official(f"{key} is {value}; the minimum of {name} is {least}.", key)
    yield from _bound(run, constants, name=name)


def _bound(run: _Run, constants: BenchmarkConstants | None, *, name: str) -> Iterator[Violation]:
    if constants is None or constants.server_bound_ns is None or run.scenario != "Server":
        return
    key = "effective_target_latency_ns"
    value = run.values.get(key)
    if not isinstance(value, (int, float)) or value > constants.server_bound_ns:
        yield _official(f"{key} is {value}; the bound of {name} is {constants.server_bound_ns}.", key)


def _accuracy(folder: pathlib.Path, constants: BenchmarkConstants | None) -> Iterator[Violation]:
    if constants is None:
        return
    path = folder / _ACCURACY / "accuracy.txt"
    if not path.is_file():
        yield _official("There is no accuracy/accuracy.txt, so nothing shows the accuracy.")
        return
    found = constants.accuracy.search(path.read_text(encoding="utf-8", errors="replace"))
    if found is None:
        yield _official("accuracy/accuracy.txt holds no accuracy.")
    elif float(found[1]) < constants.target:
        text = f"The accuracy is {float(found[1]):g}; the target of the closed division is {constants.target:g}."
        yield _official(text)


def _folder_name(folder: pathlib.Path, runs: list[_Run]) -> Iterator[Violation]:
    """Where a folder is named after another scenario, as where rounds allowed one run to stand for several."""
    names = {name.lower(): name for name in loadgen_log.METRICS}
    stated = names.get(folder.name.lower())
    for scenario in dict.fromkeys(run.scenario for run in runs):
        if stated is not None and scenario != stated:
            yield Violation(message=f"The folder is named {folder.name}, and its logs are of {scenario}.")


def _verifications(folder: pathlib.Path) -> dict[str, str]:
    """The text of each file in which MLCommons' script wrote the outcome of a compliance test, by its name."""
    paths = sorted(folder.glob("verify_*.txt"))
    return {path.name: path.read_text(encoding="utf-8", errors="replace") for path in paths if path.is_file()}


def _failed_verification(folder: pathlib.Path) -> list[Violation]:
    """Tests that did not pass. Accuracies that differ by a little may do so: see MLCommons' baseline script."""
    failed = [name for name, text in _verifications(folder).items() if _PASS not in text and _PERFORMANCE in name]
    return [_official(f"{name} does not say {_PASS}.") for name in failed]


def _notes(
    folder: pathlib.Path, runs: list[_Run], place: MeasurementPlace, constants: BenchmarkConstants | None
) -> Iterator[str]:
    for run in runs:
        if run.summary is not None and run.summary.metric is not None:
            metric = " ".join(run.summary.metric.split())
            yield f"LoadGen calls the {run.scenario} run in {run.path.name} {run.validity}: {metric}"
    if place.audit:
        for name, text in _verifications(folder).items():
            yield f"{name} {'says' if _PASS in text else 'does not say'} {_PASS}."
        yield "A compliance test: what was measured in it was not compared with the measurement itself."
    elif constants is None:
        yield f"tfperf has no constants of {place.benchmark}: its accuracy and its samples were not checked."
    yield "A folder without a result of tfperf: system descriptions, code and power are not checked."


def _official(message: str, key: str | None = None) -> Violation:
    return Violation(message=message, key=key, source="submission_checker")
