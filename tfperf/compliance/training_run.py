"""Whether the run directory of a training is whole: its log, its events, its result and its manifest agree.

The manifest shows mishaps, such as a file that was edited or copied in part. It does not show malice: who changes a
file can write the manifest anew.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, TypeGuard

from tfperf import json_text, manifest, result
from tfperf.compliance import inspection, manifest_check
from tfperf.compliance.log import Line, Log
from tfperf.compliance.logged_benchmark import LoggedBenchmark, is_number
from tfperf.compliance.verdict import Violation

LOG = "mllog.txt"

_RESULT, _EVENTS, _SPEC = "result.json", "events.jsonl", "spec.yaml"
# Any of these shows that the folder of a log is a run directory.
_MARKS = (_RESULT, _EVENTS, _SPEC, manifest.NAME)
# mlperf_logging adds these to each line.
_OF_THE_LOGGER = ("file", "lineno")
# The log's stamps and the result's seconds come from two clocks of one host, which the system may correct by 0.05 %. A
# busy machine may also stop the process between the two.
_CLOCKS_S, _CLOCKS_SHARE = 0.5, 0.001
# The stamps of an epoch enclose what is timed and the writing of its first and its last events.
_STAMPS_S, _STAMPS_SHARE = 0.02, 0.02
_ROUNDING = 1e-9


def violations(log: Log, *, benchmark: LoggedBenchmark) -> tuple[Violation, ...]:
    """What contradicts the log in the run directory that it lies in; empty for a log elsewhere, and for one cut off."""
    folder = log.path.parent
    if log.path.name != LOG or not any((folder / mark).is_file() for mark in _MARKS):
        return ()
    if inspection.status(log) == "incomplete":  # what follows was never written
        return tuple(manifest_check.violations(folder)) if (folder / manifest.NAME).is_file() else ()
    return (*_of_events(log), *_of_result(log, benchmark), *manifest_check.violations(folder))


def _of_events(log: Log) -> Iterator[Violation]:
    """Lines of the log that are not the events of the run."""
    path = log.path.parent / _EVENTS
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        events = [json_text.parse(line) for line in lines]
        kept = [event for event in events if event["key"] not in log.dropped]
        recorded = [(event["key"], _plain(event["value"]), _plain(event["metadata"])) for event in kept]
    except FileNotFoundError:
        yield Violation(message=f"There is no {_EVENTS}: the log can't be compared with the events of the run.")
        return
    except (OSError, ValueError, KeyError, TypeError) as error:
        yield Violation(message=f"{_EVENTS} can't be read: {error}.")
        return
    logged = [(line.key, _plain(line.value), _plain(_own_metadata(line))) for line in log.lines]
    for number, (line, said, seen) in enumerate(zip(log.lines, logged, recorded, strict=False), start=1):
        if said != seen:
            text = f"{LOG} has {_told(said)}; line {number} of {_EVENTS} has {_told(seen)}."
            yield Violation(message=text, key=line.key, line=line.number)
            return
    if len(logged) != len(recorded):
        yield Violation(message=f"{LOG} has {len(logged)} events, {_EVENTS} has {len(recorded)}.")


def _own_metadata(line: Line) -> dict[str, Any]:
    return {name: value for name, value in line.metadata.items() if name not in _OF_THE_LOGGER}


def _plain(value: Any) -> str:
    """A value as both files can hold it: JSON lacks NaN and infinity, which the events hold as words."""
    text = json.dumps(value, sort_keys=True)
    return text.replace('"NaN"', "NaN").replace('"Infinity"', "Infinity").replace('"-Infinity"', "-Infinity")


def _told(event: tuple[str, str, str]) -> str:
    key, value, metadata = event
    return f"{key} {value:.60} with {metadata:.120}"


def _of_result(log: Log, benchmark: LoggedBenchmark) -> Iterator[Violation]:
    """Where `result.json` differs from what the log gives."""
    try:
        outcome = result.read(log.path.parent / _RESULT)
    except FileNotFoundError:
        yield Violation(message=f"There is no {_RESULT}, although the run ended.")
        return
    except (OSError, ValueError) as error:
        yield Violation(message=f"{_RESULT} can't be read: {error}.")
        return
    if not isinstance(outcome, result.TrainResult):
        yield Violation(message=f"{_RESULT} is that of a {outcome.kind} run; the log is of a training.")
        return
    yield from _differences(log, benchmark, outcome)


def _differences(log: Log, benchmark: LoggedBenchmark, outcome: result.TrainResult) -> Iterator[Violation]:
    status, quality = inspection.status(log), outcome.quality
    last = _last_quality(log)
    reached = status == "success"
    for name, stated, found in (
        ("division", outcome.division, log.text("submission_division")),
        ("status", outcome.status, status),
        ("quality.value", quality.value, last),
        ("quality.target", quality.target, benchmark.target),
        ("quality.reached", quality.reached, reached),
        ("epochs", outcome.epochs, _epochs(log, stated=outcome.epochs)),
        ("samples", outcome.samples, _samples(log, stated=outcome.samples)),
    ):
        if not _same(stated, found):
            yield Violation(message=f"{_RESULT} says {name} {_json(stated)}; the log gives {_json(found)}.")
    yield from _time(log, outcome, reached=reached)
    yield from _speed(log, outcome)
    for key in ("global_batch_size", "seed"):
        line, stated = log.first(key), outcome.config.get(key)
        if line is not None and stated is not None and not _same(stated, line.value):
            yield Violation(message=f"{_RESULT} says {key} {_json(stated)}; the log says {_json(line.value)}.", key=key)
    if reached and not outcome.valid:
        yield from (Violation(message=f"The run itself says: {text}.") for text in outcome.reasons or ("not valid",))
    if outcome.valid and not reached:
        yield Violation(message=f"{_RESULT} says that the run is valid, although its target was not reached.")


def _time(log: Log, outcome: result.TrainResult, *, reached: bool) -> Iterator[Violation]:
    minutes = inspection.minutes(log)
    on_the_clock = None if minutes is None else minutes * 60
    for name, stated, found in (
        ("run_s", outcome.run_s, on_the_clock),
        ("time_to_train_s", outcome.time_to_train_s, on_the_clock if reached else None),
    ):
        if stated is None and found is None:
            continue
        if stated is None or found is None or abs(stated - found) > _CLOCKS_S + _CLOCKS_SHARE * found:
            shown = "none" if found is None else f"{found:.3f}"
            yield Violation(message=f"{_RESULT} says {name} {_json(stated)}; the log gives {shown}.")


def _speed(log: Log, outcome: result.TrainResult) -> Iterator[Violation]:
    """The speed of a whole run by `tfperf train`; the log of a callback doesn't show when its first step ended."""
    line, steps = log.first("global_batch_size"), _steps(log)
    whole = inspection.status(log) == "success" and (log.path.parent / _SPEC).is_file()
    if not whole or line is None or not is_number(line.value) or steps is None:
        return
    spans_s, examples = _training_spans_s(log), steps * line.value
    seconds = sum(spans_s)
    if seconds <= 0:
        return
    stated, found = outcome.examples_per_s, examples / seconds
    accepted_s = _CLOCKS_S + _STAMPS_S * len(spans_s) + _STAMPS_SHARE * seconds
    if stated is None or not stated > 0 or abs(examples / stated - seconds) > accepted_s:
        yield Violation(message=f"{_RESULT} says examples_per_s {_json(stated)}; the log gives {found:.4g}.")


def _training_spans_s(log: Log) -> list[float]:
    """Seconds of each epoch or, if the log counts samples, from the start of each block to its evaluation."""
    pairs = {"epoch_start": "epoch_stop"} if log.first("epoch_start") else {"block_start": "eval_start"}
    begins: list[float] = []
    spans: list[float] = []
    for line in log.lines:
        if line.key in pairs:
            begins = [line.time_ms]
        elif line.key in pairs.values() and begins:
            spans.append((line.time_ms - begins.pop()) / 1e3)
    return spans


def _steps(log: Log) -> float | None:
    found: list[Any] = [line.metadata.get("step") for line in log.all("eval_accuracy")]
    return float(found[-1]) if found and is_number(found[-1]) else None


def _samples(log: Log, *, stated: int | None) -> Any:
    """The samples of a log that counts them; what is stated where the result has none, as those of older runs."""
    return stated if stated is None or log.first("epoch_start") else log.all("run_stop")[-1].metadata.get("epoch_num")


def _epochs(log: Log, *, stated: int) -> int:
    """The epochs of the log. One that was cut off may have been counted or not, since it closes like the others."""
    ended, stop = len(log.all("epoch_stop")), log.all("run_stop")[-1]
    if not log.first("epoch_start"):
        samples, per_epoch = stop.metadata.get("epoch_num"), log.first("train_samples")
        if per_epoch is None or not (_is_finite(per_epoch.value) and per_epoch.value >= 1 and _is_finite(samples)):
            return stated
        return int(samples // per_epoch.value)
    cut_off = inspection.status(log) != "success"
    return stated if cut_off and stated == ended - 1 else ended


def _is_finite(value: object) -> TypeGuard[float]:
    return is_number(value) and math.isfinite(value)


def _last_quality(log: Log) -> float | None:
    found = [line.value for line in log.all("eval_accuracy") if line.metadata.get("step") != 0]  # 0 is before training
    return float(found[-1]) if found and _is_finite(found[-1]) else None


def _same(one: object, other: object) -> bool:
    if is_number(one) and is_number(other):
        return math.isclose(one, other, rel_tol=_ROUNDING, abs_tol=_ROUNDING)
    return one == other


def _json(value: object) -> str:
    return "none" if value is None else f"{json.dumps(value):.60}"
