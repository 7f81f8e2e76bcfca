"""What the page shows about one run, as plain JSON values."""

from __future__ import annotations

import dataclasses
import json
import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from tfperf import events, json_text, result, spec
from tfperf.errors import TfperfError
from tfperf.reporting import ending, evaluation_table, inference_table, jsonl, table, tensorboard
from tfperf.reporting.plugin import checklist, course, evaluation, files, latencies, start, sweep
from tfperf.reporting.plugin import numbers as numbers_of
from tfperf.reporting.plugin.directories import FoundRun, key_of

READ = ("result.json", "events.jsonl", "environment.json")

_MS = 1e6
_TITLES = {
    "latency": "Percentiles, with 95 % intervals",
    "candidate": "Candidate executables",
    "batch size": "Batches",
    "search (samples/s)": "Search for the highest rate",
}
_MALFORMED = (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError)
_DIVISIONS = frozenset(str(division) for division in spec.Division)


def summary(run: FoundRun) -> dict[str, Any]:
    """A line in the list of runs, with the verdict. Reads `result.json`, or the events without it. Never raises."""
    try:
        outcome = _result(run)
        if outcome is None:
            return _checked(_unfinished(run, _events(run)))
        return _checked(_summary_of(run, outcome))
    except (files.Unreadable, TfperfError) as error:
        return _unreadable(run, str(error))
    except _MALFORMED as error:
        return _unreadable(run, f"result.json was not written by tfperf: {_described(error)}")


def listed(summaries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The runs by the time they began, newest first. A sweep began with the first of its trials."""
    began: dict[str, float] = {}
    for each in summaries:
        if each["sweep"] is not None and each["started_s"] is not None:
            began[each["sweep"]] = min(began.get(each["sweep"], math.inf), each["started_s"])
    dated = [{**each, "started_s": began.get(each["key"], each["started_s"])} for each in summaries]

    def order(each: dict[str, Any]) -> tuple[float, str]:
        return each["started_s"] or -math.inf, each["name"].rpartition("/")[2]

    return sorted(dated, key=order, reverse=True)


def details(run: FoundRun) -> dict[str, Any]:
    """All that the page shows about a run, except the distribution of its latencies. Never raises; see `summary`."""
    head = summary(run)
    if head["verdict"] == "UNREADABLE":
        return head
    try:
        outcome = _result(run)
        return _checked({**head, **_body(run, outcome)})
    except (files.Unreadable, TfperfError) as error:
        return _unreadable(run, str(error))
    except _MALFORMED as error:
        return _unreadable(run, f"A file of the run has an unexpected form: {_described(error)}")


def _body(run: FoundRun, outcome: result.Result | None) -> dict[str, Any]:
    environment = _json(run, "environment.json") if outcome is None else outcome.environment
    if not isinstance(environment, Mapping):
        raise TypeError(f"the environment is {environment!r:.80}")
    body: dict[str, Any] = {"machine": _machine(environment), "config": {}, "facts": [], "tables": []}
    if outcome is None:
        return {**body, "course": course.course(_events(run), quality=None)}
    body |= {"config": tensorboard.flat(outcome.config), "checklist": checklist.checklist(outcome)}
    if isinstance(outcome, result.TrainResult):
        numbers, facts = numbers_of.train(outcome), table.train_facts(outcome)
        body |= {"course": course.course(_events(run), quality=outcome.quality)}
    elif isinstance(outcome, result.SweepResult):
        numbers, facts = sweep.numbers(outcome), sweep.facts(outcome)
        body |= {"tables": sweep.tables(outcome)}
    elif isinstance(outcome, result.EvaluateResult):
        numbers, facts = evaluation.numbers(outcome), evaluation_table.facts(outcome)
        body |= {"tables": evaluation.tables(outcome), "charts": evaluation.charts(outcome)}
    else:
        numbers, facts = numbers_of.infer(outcome), inference_table.infer_facts(outcome)
        body |= {"tables": _tables(outcome), "bound": latencies.bound(outcome), "latency_ms": _latency_ms(outcome)}
    return {**body, "numbers": [dataclasses.asdict(number) for number in numbers], "facts": facts}


def _machine(environment: Mapping[str, Any]) -> dict[str, Any]:
    """What was recorded about the machine, by dotted names, with the command as one would type it."""
    flat: dict[str, Any] = tensorboard.flat(environment)
    command = environment.get("command")
    if isinstance(command, list) and all(isinstance(word, str) for word in command):
        flat["command"] = shlex.join(command)
    return flat


def _summary_of(run: FoundRun, outcome: result.Result) -> dict[str, Any]:
    if outcome.division not in _DIVISIONS:
        raise ValueError(f"the division is {outcome.division!r:.80}")
    if isinstance(outcome, result.TrainResult):
        line, reasons, number = table.verdict(outcome), table.invalid_because(outcome), numbers_of.train(outcome)[0]
        what = "training"
    elif isinstance(outcome, result.SweepResult):
        line, reasons, number, what = sweep.line(outcome), outcome.reasons, sweep.numbers(outcome)[0], "sweep"
    elif isinstance(outcome, result.EvaluateResult):
        line, reasons, what = evaluation_table.verdict(outcome), outcome.reasons, "evaluation"
        number = evaluation.numbers(outcome)[0]
    else:
        line, reasons, number = inference_table.verdict(outcome), outcome.reasons, numbers_of.infer(outcome)[0]
        what = outcome.scenario
    ended = ending.of(outcome)
    if isinstance(outcome, result.TrainResult) and ended == ending.FINISHED:
        number = dataclasses.replace(number, text=f"{outcome.quality.metric} {numbers_of.train(outcome)[1].short}")
    return {
        **_head(run, verdict=_verdict(outcome, ended), line=line, reasons=reasons),
        "ending": ended,
        "best": outcome.best if isinstance(outcome, result.SweepResult) else None,
        "kind": outcome.kind,
        "what": what,
        "benchmark": outcome.benchmark,
        "division": outcome.division,
        "valid": outcome.valid,
        "closed_eligible": outcome.closed_eligible,
        "number": number.text,
        "notes": list(outcome.notes),
    }


def _verdict(outcome: result.Result, ended: str) -> str:
    """The word on the badge. An internal run is called that however it ended."""
    if outcome.division == spec.Division.INTERNAL:
        return "INTERNAL"
    if ended == ending.TIMED:
        return "TIMED"
    return "VALID" if outcome.valid else "INVALID"


def _unfinished(run: FoundRun, happened: Sequence[events.Event]) -> dict[str, Any]:
    """A run that is still going or was killed. Its files don't say which, so the page shows its last event."""
    values = {event.key: event.value for event in happened}
    internal = run.is_sweep or run.sweep is not None
    division = str(spec.Division.INTERNAL if internal else values.get("submission_division", ""))
    line = f"{'internal: ' if division == spec.Division.INTERNAL else ''}no result yet: it is running or was killed"
    kind, what = _kind(run, values)
    return {
        **_head(run, verdict="UNFINISHED", line=line, reasons=()),
        "ending": ending.UNFINISHED,
        "kind": kind,
        "what": what,
        "benchmark": str(values.get("submission_benchmark", "")),
        "division": division,
        "last_event_s": happened[-1].time_s if happened else None,
    }


def _kind(run: FoundRun, values: Mapping[str, Any]) -> tuple[str, str]:
    """The kind of a run without a result, and its name on the page; both empty if nothing tells."""
    if run.is_sweep:
        return "sweep", "sweep"
    trains = not {"submission_benchmark", "sweep_trial"}.isdisjoint(values)
    return ("train", "training") if trains else ("", "")


def _unreadable(run: FoundRun, reason: str) -> dict[str, Any]:
    return _head(run, verdict="UNREADABLE", line="can't be shown", reasons=(reason,))


def _head(run: FoundRun, *, verdict: str, line: str, reasons: Sequence[str]) -> dict[str, Any]:
    return {
        "key": run.key,
        "name": run.name or "(the logdir itself)",
        "verdict": verdict,
        "line": line,
        "reasons": list(reasons),
        "ending": "",
        "started_s": start.started_s(run),
        "sweep": None if run.sweep is None else key_of(run.sweep),
        "sweep_name": run.sweep,
        "trial": run.trial,
        "best": None,
        "kind": "",
        "what": "",
        "benchmark": "",
        "division": "",
        "valid": None,
        "closed_eligible": None,
        "number": table.UNKNOWN,
        "notes": [],
    }


def _latency_ms(outcome: result.InferResult) -> list[dict[str, Any]]:
    """LoadGen's percentiles as points of the distribution."""
    named = ((numbers_of.percentile(name), value) for name, value in outcome.latency_ns.items())
    return [{"name": name, "share": float(name[1:]) / 100, "latency_ms": value / _MS} for name, value in named]


def _tables(outcome: result.InferResult) -> list[dict[str, Any]]:
    return [
        {"title": _TITLES.get(headers[0], headers[0]), "headers": headers, "rows": rows}
        for headers, rows in inference_table.tables(outcome)
    ]


def _result(run: FoundRun) -> result.Result | None:
    content = files.read(run, "result.json")
    return None if content is None else result.parse(content.decode("utf-8"), source="result.json")


def _events(run: FoundRun) -> list[events.Event]:
    content = files.read(run, "events.jsonl")
    happened = [] if content is None else jsonl.parse_events(content, source="events.jsonl")
    for event in happened:
        if not isinstance(event.metadata, Mapping) or not isinstance(event.time_s, (int, float)):
            raise TypeError(f"events.jsonl has the event {event!r:.200}")
        if not math.isfinite(event.time_s):
            raise ValueError(f"events.jsonl has an event at {event.time_s} s")
    return happened


def _json(run: FoundRun, name: str) -> Any:
    content = files.read(run, name)
    return {} if content is None else json_text.parse(content)


def _checked(shown: dict[str, Any]) -> dict[str, Any]:
    """Plain JSON values, without NaN and infinities, which browsers refuse."""
    plain: dict[str, Any] = json.loads(json.dumps(shown, allow_nan=False))
    return plain


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]
