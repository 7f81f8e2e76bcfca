"""Checks training logs and inference runs by MLPerf's rules: a log, a run directory, or a folder of them.

usage: tfperf check PATH... [--ruleset=4.0.0] [--format=json]

PATH is a file or folder, a file that ends in .gz, a pipe, or - for standard input.

In a run directory the log, the events, the result and the manifest must agree. That shows mishaps, such as an edited or
missing file, and not malice: who changes a file can change the others, too.

Each run gets three verdicts: whether its logs are sound, whether it reached its target, and whether the official
checker accepts it, where it is an MLPerf benchmark.

Exit code 0 when every log is compliant, or is sound and reached its target if its benchmark is not MLPerf's; else 6.
"""

from __future__ import annotations

import collections
import json
import pathlib
import re
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from absl import flags

from tfperf import sign_of_life
from tfperf.cli import shared_flags
from tfperf.cli.printable import printable
from tfperf.errors import UsageError

if TYPE_CHECKING:
    from tfperf.compliance.verdict import Verdict, Violation

_FAILED = 6
_SIGN_EVERY_S = 10.0
_SHARED_ABOVE = 3
_KINDS = {
    "train": "one run",
    "train_result": "score of all runs",
    "infer": "one inference run",
    "loadgen": "LoadGen's logs",
    "sweep": "part of a sweep",
    "evaluate": "one evaluation",
}


def define_flags() -> None:
    """The flags of `tfperf check`."""
    shared_flags.define_format()
    flags.DEFINE_string(
        "ruleset", None, "MLPerf Training ruleset, such as 4.0.0. By default the one that fits each log."
    )


def main(arguments: list[str]) -> int:
    """Prints a verdict for each log."""
    from tfperf.compliance import checker, verdict

    if not arguments:
        raise UsageError("check needs a path: tfperf check PATH..., each a log, a run directory or a folder of logs.")
    paths = [pathlib.Path(path) for path in arguments]
    with sign_of_life.every(_SIGN_EVERY_S, _still_reading):
        verdicts = checker.check_all(paths, ruleset=flags.FLAGS.ruleset)
    if flags.FLAGS.format == "json":
        print(json.dumps([verdict.as_dict(found) for found in verdicts], indent=2))
    else:
        print("\n".join(report(verdicts)))
    return 0 if all(found.good for found in verdicts) else _FAILED


def _still_reading(passed_s: float) -> None:
    """Logs of hundreds of megabytes take a while."""
    print(f"tfperf check: still reading after {passed_s:.0f} s", file=sys.stderr, flush=True)


def report(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """The verdicts as text, line by line."""
    yield from map(printable, _lines(verdicts))


def _lines(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """The lines; a remark that many logs share comes once, after them."""
    shared = _shared_remarks(verdicts)
    for found in verdicts:
        yield f"{_headline(found)}: {found.path}"
        yield f"  {', '.join(_facts(found))}"
        yield from (f"  - {_located(violation)}" for violation in found.violations)
        yield from (f"  remark: {_located(remark)}" for remark in found.remarks if _kind(remark) not in shared)
        yield from (f"  {note}" for note in found.notes)
    if shared:
        yield ""
    for places in shared.values():
        first, remark = places[0]
        logs = len({found.path for found, _ in places})
        where = first.path if remark.line is None else f"{first.path}, line {remark.line}"
        yield f"remark on {logs} logs: {remark.message} First in {where}."
    if len(verdicts) > 1:
        yield from _summary(verdicts)
    if any(found.compliant for found in verdicts):
        yield "Compliant means that the official checker accepts it. Not verified by MLCommons."


def _kind(remark: Violation) -> str:
    """A remark without its numbers, in which those of several logs differ."""
    return re.sub(r"\d[\d,.]*", "#", f"{remark.key} {remark.message}")


def _shared_remarks(verdicts: Sequence[Verdict]) -> dict[str, list[tuple[Verdict, Violation]]]:
    """The remarks that more than a few logs share, by kind, each with the verdict that it belongs to."""
    found: dict[str, list[tuple[Verdict, Violation]]] = collections.defaultdict(list)
    for verdict in verdicts:
        for remark in verdict.remarks:
            found[_kind(remark)].append((verdict, remark))
    return {kind: places for kind, places in found.items() if len(places) > _SHARED_ABOVE}


def _headline(found: Verdict) -> str:
    if found.kind == "sweep":
        return "NO RESULT"
    if found.status == "incomplete":
        return "INCOMPLETE"
    if found.status == "unreadable":
        return "NOT READ"
    if found.kind == "loadgen":
        word = "VALID" if found.status == "success" else "INVALID"
        return word if found.good or found.status != "success" else f"{word} BY LOADGEN, BUT BREAKS RULES"
    if found.compliant is None and found.structure == "broken":
        return "STRUCTURE BROKEN"
    if found.compliant is None:
        return f"STRUCTURE OK{_missed(found)}"
    if found.good:
        return "COMPLIANT"
    return "NOT COMPLIANT" if not found.compliant else "NOT VALID, though the official checker accepts it"


def _missed(found: Verdict) -> str:
    """What a run with sound logs did not achieve."""
    if found.status == "invalid":
        return ", LOADGEN INVALID"
    if found.target == "not reached":
        return ", TARGET NOT REACHED"
    return "" if found.good else ", NOT VALID"


def _facts(found: Verdict) -> Iterator[str]:
    yield _KINDS[found.kind]
    yield found.benchmark or "unknown benchmark"
    yield found.division or "unknown division"
    rules = "round" if found.kind in ("infer", "loadgen") else "ruleset"
    yield f"{rules} {found.ruleset}" if found.ruleset else f"no {rules}"
    yield "no time" if found.minutes is None else f"{found.minutes:.2f} minutes"
    yield found.status
    if not found.good and found.structure is not None:
        yield f"structure {found.structure}"
    if not found.good and found.target is not None:
        yield f"target {found.target}"


def _located(violation: Violation) -> str:
    return violation.message if violation.line is None else f"line {violation.line}: {violation.message}"


def _summary(verdicts: Sequence[Verdict]) -> Iterator[str]:
    yield ""
    for kind, one, several in (
        ("train", "run", "runs"),
        ("train_result", "result", "results"),
        ("infer", "inference run", "inference runs"),
        ("loadgen", "folder with LoadGen's logs", "folders with LoadGen's logs"),
        ("sweep", "sweep", "sweeps"),
        ("evaluate", "evaluation", "evaluations"),
    ):
        counts = collections.Counter(_headline(found).lower() for found in verdicts if found.kind == kind)
        if counts:
            counted = ", ".join(f"{count} {headline}" for headline, count in counts.most_common())
            yield f"{counts.total()} {one if counts.total() == 1 else several}: {counted}"
