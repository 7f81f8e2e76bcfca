"""MLCommons' own checkers, run quietly in this process."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import pathlib
import re
import tempfile
import types
from collections.abc import Iterator, Mapping
from typing import IO, Any

from tfperf.compliance import explain
from tfperf.compliance.log import Log, kept_text
from tfperf.compliance.verdict import Violation

# The checker builds the names of rule files, which contain code, from the values of these keys.
_NAME_RULE_FILES = ("submission_benchmark", "submission_division", "opt_name")
_A_NAME = re.compile(r"[\w.]+")

_PARSING_ERRORS = "Log lines had parsing errors."


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfficialVerdict:
    """The official compliance checker's verdict on one log.

    Attributes:
        valid: whether the log passes.
        violations: the violations that it reports, reworded by tfperf.
        warnings: remarks that do not fail a log.
    """

    valid: bool
    violations: tuple[Violation, ...]
    warnings: tuple[Violation, ...]


def check(log: Log, *, ruleset: str, replaced: Mapping[str, Any]) -> OfficialVerdict:
    """The verdict of the official compliance checker on a log.

    Args:
        log: the log.
        ruleset: the ruleset, such as `4.0.0`.
        replaced: values by key that replace those in the log, so that a mini is checked as its parent.
    """
    dangerous = tuple(_unusable_names(log))
    if dangerous:
        return OfficialVerdict(valid=False, violations=dangerous, warnings=())
    with quiet():
        return _run(log, ruleset=ruleset, replaced=replaced)


def _run(log: Log, *, ruleset: str, replaced: Mapping[str, Any]) -> OfficialVerdict:
    from mlperf_logging.compliance_checker import mlp_compliance, mlp_parser

    checker = mlp_compliance.make_checker("training", ruleset, quiet=False, werror=False)
    mlp_compliance.enqueued_configs.clear()  # a global that an aborted check leaves filled
    try:
        lines, errors = _parse(mlp_parser, log, ruleset)
        for line in lines:
            line.value["value"] = replaced.get(line.key, line.value["value"])
        if errors:
            checker.put_message(_PARSING_ERRORS)
        checker.check_loglines(lines, f"training_{ruleset}/common.yaml")
    except Exception as error:  # it evaluates its rules on arbitrary content
        return OfficialVerdict(valid=False, violations=(_stopped(error),), warnings=())
    places = [(line.lineno, line.full_string) for line in lines]
    return _verdict(checker, log, places)


def _parse(mlp_parser: Any, log: Log, ruleset: str) -> Any:
    """What the official parser reads, which keeps the file in memory: of a large one only what rules are about.

    A damaged line goes without its content, which would stop the parser in some cases, such as deeply nested lists.
    """
    if not (log.dropped or log.damaged or log.preceded):
        return mlp_parser.parse_file(str(log.file), ruleset=ruleset)
    with tempfile.TemporaryDirectory(prefix="tfperf-check-") as folder:
        short = pathlib.Path(folder) / "log.txt"
        with short.open("w", encoding="latin-1") as file:
            file.writelines(kept_text(log))
        return mlp_parser.parse_file(str(short), ruleset=ruleset)


def _verdict(checker: Any, log: Log, places: list[tuple[int, str]]) -> OfficialVerdict:
    # tfperf reports each damaged line by its number, so the checker's summary adds nothing.
    complaints = [*checker.overwritable.values(), *checker.not_overwritable]
    messages = [message for message in complaints if message != _PARSING_ERRORS]
    return OfficialVerdict(
        valid=not checker.has_messages(),
        violations=tuple(explain.violation(message, log=log, loglines=places) for message in messages),
        warnings=tuple(explain.violation(message, log=log, loglines=places) for message in checker.warnings.values()),
    )


def _unusable_names(log: Log) -> Iterator[Violation]:
    for key in _NAME_RULE_FILES:
        for line in log.all(key):
            if not isinstance(line.value, str) or not _A_NAME.fullmatch(line.value):
                text = f"{key} is {line.value!r}, which is not a valid name. The official checker was not run."
                yield Violation(message=text, key=key, line=line.number)


def _stopped(error: Exception) -> Violation:
    text = f"The official checker stopped: {type(error).__name__}: {error}."
    return Violation(message=text, source="mlperf_logging", about="structure")


@contextlib.contextmanager
def rules_read_once() -> Iterator[None]:
    """Makes the official checker parse each rule file once instead of for every log: a fifth of the time."""
    from mlperf_logging.compliance_checker import mlp_compliance

    yaml, parsed = mlp_compliance.yaml, {}

    def load(file: IO[str], Loader: Any) -> Any:
        if file.name not in parsed:
            parsed[file.name] = yaml.load(file, Loader=Loader)
        return parsed[file.name]

    mlp_compliance.yaml = types.SimpleNamespace(load=load, BaseLoader=yaml.BaseLoader)
    try:
        yield
    finally:
        mlp_compliance.yaml = yaml


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps the official checkers from configuring the root logger and from printing to it."""
    root, silent = logging.getLogger(), logging.NullHandler()
    root.addHandler(silent)
    root.addFilter(_not_from_mlperf_logging)
    try:
        yield
    finally:
        root.removeFilter(_not_from_mlperf_logging)
        root.removeHandler(silent)


def _not_from_mlperf_logging(record: logging.LogRecord) -> bool:
    return "mlperf_logging" not in record.pathname
