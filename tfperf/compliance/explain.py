"""The official checker's messages as sentences."""

from __future__ import annotations

import ast
import collections
import re
from collections.abc import Sequence

from tfperf.compliance.log import Line, Log
from tfperf.compliance.logged_benchmark import is_number
from tfperf.compliance.verdict import About, Violation

_CHECK_FAILED = re.compile(
    r"CHECK for '(?P<key>[^']+)' failed in line (?P<index>\d+):.*?\nfailed test: (?P<test>[^\n]*)", re.S
)
_CHECK_STOPPED = re.compile(r"Failed executing CHECK code:\n(?P<test>[^\n]*)\ntriggered by line:\n(?P<text>[^\n]*)")
_NO_LINE_PASSES = re.compile(r"Failed checks for (?P<key>\S+) : (?P<test>.*)", re.S)
_WRONG_COUNT = re.compile(r"Required (?P<count>\S+) occurrence of '(?P<key>[^']+)' but found (?P<found>\d+)")
_END_CHECK = re.compile(r"failed test: (?P<test>.*?)\s*\ncurrent context", re.S)
_MOST_NAMES = 3
_NONE_OF = re.compile(r"Required AT_LEAST_ONE occurrence of (?P<keys>'.*')$")

# Keys that show the quality. Without them, or below the target, a log can be whole.
_EVALUATIONS = ("eval_accuracy", "eval_error", "aggregated_eval_accuracy")
_NEEDED_BEFORE = {
    "init_started": "init_start",
    "init_stopped": "init_stop",
    "run_started": "run_start",
}


def violation(message: str, *, log: Log, loglines: Sequence[tuple[int, str]]) -> Violation:
    """One of the official checker's messages as a violation, with the line it concerns.

    Args:
        message: the checker's message.
        log: the checked log.
        loglines: (index, text) of each line from the official parser.
    """
    failed = _CHECK_FAILED.match(message)
    if failed:
        number = log.numbers[int(failed["index"])]
        return _of_test(failed["key"], failed["test"], line=_at(log, number))
    stopped = _CHECK_STOPPED.match(message)
    if stopped:
        index = next((index for index, text in loglines if text == stopped["text"]), None)
        line = None if index is None else _at(log, log.numbers[index])
        return _of_test(line.key if line else None, stopped["test"], line=line)
    return _of_counts(message, log)


def _of_counts(message: str, log: Log) -> Violation:
    count = _WRONG_COUNT.match(message)
    if count:
        return _wrong_count(count["key"], count["count"], log=log)
    none_passes = _NO_LINE_PASSES.match(message)
    if none_passes:
        return _best_evaluation(none_passes["key"], none_passes["test"], log=log)
    none_of = _NONE_OF.match(message)
    if none_of:
        keys = sorted(re.findall(r"'([^']+)'", none_of["keys"]))
        text = f"None of {', '.join(keys)} is in the log; the rules require one of them."
        return _official(text, key=keys[0], about="structure")
    end = _END_CHECK.match(message)
    if end:
        return _of_whole_log(end["test"], log=log)
    return _official(message.splitlines()[0] if message else "The official checker gives no reason.")


def _of_whole_log(test: str, *, log: Log) -> Violation:
    """A violated rule about all lines; those of the rounds so far are about the tensors that were initialised."""
    expected = re.search(r"sorted\(s\['initialized_tensors'\]\) == sorted\((\[.*\])\)", test, re.S)
    if expected is None:
        return _official(f"The log as a whole breaks the rule: {_readable(test)}.")
    required = collections.Counter(ast.literal_eval(expected[1]))
    lines = log.all("weights_initialization")
    logged = collections.Counter(str(line.metadata.get("tensor")) for line in lines)
    parts = [
        f"{what}: {_some(sorted(names.elements()))}"
        for what, names in (("missing", required - logged), ("unexpected or repeated", logged - required))
        if names
    ]
    text = (
        f"weights_initialization must be logged once for each of {required.total()} tensors, and is logged for "
        f"{logged.total()}; {'; '.join(parts)}."
    )
    return _official(text, key="weights_initialization", line=lines[-1].number if lines else None)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMES])
    return shown if len(names) <= _MOST_NAMES else f"{shown} and {len(names) - _MOST_NAMES} more"


def _wrong_count(key: str, required: str, *, log: Log) -> Violation:
    lines = log.all(key)
    count = "exactly once" if required == "EXACTLY_ONE" else "at least once"
    if not lines:
        about: About = "target" if key in _EVALUATIONS else "structure"
        return _official(f"{key} is missing; the rules require it {count}.", key=key, about=about)
    values = ", ".join(dict.fromkeys(repr(line.value) for line in lines))
    places = ", ".join(str(line.number) for line in lines)
    text = f"{key} appears {len(lines)} times (lines {places}) with {values}; the rules require it {count}."
    return _official(text, key=key, line=lines[-1].number, about="structure")


def _best_evaluation(key: str, test: str, *, log: Log) -> Violation:
    numbers = [line for line in log.all(key) if is_number(line.value)]
    bounds = (rf"\(?v\['value'\] {sign} ?([\d.]+)\)?(?: and .*)?" for sign in (">=", "<="))
    least, most = (re.fullmatch(bound, test.strip()) for bound in bounds)
    about: About = "target" if key in _EVALUATIONS else "rules"
    if numbers and least:
        best = max(numbers, key=lambda line: float(line.value))
        text = f"No {key} is at least {float(least[1])} and below 1; the highest is {best.value}."
    elif numbers and most and "> 0" in test:
        best = min(numbers, key=lambda line: float(line.value))
        text = f"No {key} is at most {float(most[1])} and above 0; the lowest is {best.value}."
    else:
        return _official(f"No {key} satisfies the rule: {_readable(test)}.", key=key, about=about)
    return _official(text, key=key, line=best.number, about=about)


def _of_test(key: str | None, test: str, *, line: Line | None) -> Violation:
    name = key or "The line"
    value = None if line is None else line.value
    return _official(_sentence(name, test.strip(), value), key=key, line=None if line is None else line.number)


def _sentence(key: str, test: str, value: object) -> str:
    got = f"{key} is {value!r}"
    accepted = re.fullmatch(r"v\['value'\] in (\[.*\])", test)
    if accepted:
        return f"{got}. Accepted: {_plain(accepted[1][1:-1])}."
    compared = re.fullmatch(r"v\['value'\] (==|!=|>|>=) (\S+)", test)
    if compared:
        words = {"==": "must be", "!=": "must not be", ">": "must be more than", ">=": "must be at least"}[compared[1]]
        return f"{got}; it {words} {_readable(compared[2])}."
    if "math.log2" in test:
        return f"{got}; it must be 0.0001 times a power of 2."
    multiple = re.fullmatch(r"is_integer\(v\['value'\] / ([\d.]+)\)", test)
    if multiple:
        return f"{got}; it must be a multiple of {multiple[1]}."
    return _order_or_metadata(key, test) or f"{got}, against the rule: {_readable(test)}."


def _plain(test: str) -> str:
    """Values as a rule lists them, without Python's punctuation."""
    return " ".join(test.replace("float('inf')", "infinity").replace("'", "").replace('"', "").split())


def _readable(test: str) -> str:
    """A rule in which the checker's variables have the names of the log."""
    named = re.sub(r"v\['(?:value|metadata)'\]\['(\w+)'\]", r"its \1", test)
    named = named.replace("v['value']", "the value").replace("v['metadata']", "the metadata")
    return _plain(re.sub(r"s\['(\w+)'\]", r"\1", named).replace("==", "="))


def _order_or_metadata(key: str, test: str) -> str | None:
    order = re.search(r"(not )?s\['(\w+)'\]", test)
    if order and order[2] in _NEEDED_BEFORE:
        other = _NEEDED_BEFORE[order[2]]
        return f"{key} comes after {other}; it must come before." if order[1] else f"{key} has no {other} before it."
    if "first_init_start" in test:
        return "The initialisation, from the first init_start to init_stop, took longer than the rules allow."
    parts = re.findall(r"'(\w+)' in v\['value'\]", test)
    if parts:
        return f"The value of {key} lacks {' or '.join(dict.fromkeys(parts))}."
    if test == "'value' in v":
        return f"{key} has no value."
    lacking = re.findall(r"'(\w+)' in v\['metadata'\]", test)
    return f"The metadata of {key} lacks {' or '.join(dict.fromkeys(lacking))}." if lacking else None


def _at(log: Log, number: int) -> Line | None:
    return next((line for line in log.lines if line.number == number), None)


def _official(message: str, *, key: str | None = None, line: int | None = None, about: About = "rules") -> Violation:
    return Violation(message=message, key=key, line=line, source="mlperf_logging", about=about)
