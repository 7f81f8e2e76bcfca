"""Compares runs with each other: is the candidate slower, faster or the same, and how sure is that?

usage: tfperf compare BASELINE... -- CANDIDATE... [--format=markdown] [--change=executable] [--confirm=5]
       tfperf compare --history=10 -- CANDIDATE...
       tfperf compare --repeats=5 "infer --config=a.yaml --weights=runs" -- "infer --config=b.yaml --weights=runs"

Each is a run directory of tfperf train or infer, of the same benchmark, scenario, division and round. The unit is the
run: give five or more a side. A single run a side can be SUSPECT at most.

With --repeats each side is one command in quotes. Both run alternating, every run in a new process. Ctrl-C ends this,
compares what was run and keeps it. With --confirm, one run against one that is SUSPECT is repeated in the same way.

Exit code 0 for UNCHANGED and IMPROVED; 5 for REGRESSION; 7 for INCONCLUSIVE and SUSPECT; 3 if the candidate is INVALID
and 4 if it misses its quality target, however fast it is; 2 if the runs can't be compared.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags

from tfperf.cli import page_file
from tfperf.cli.printable import printable
from tfperf.errors import UsageError

if TYPE_CHECKING:
    from tfperf.comparison import confirm

_INTERRUPTED = 130
_BETWEEN = "\0--"  # stands for the `--` between both sides, which absl drops; can't be typed


def define_flags() -> None:
    """The flags of `tfperf compare`."""
    flags.DEFINE_enum(
        "format",
        "text",
        ["text", "json", "junit", "markdown", "github"],
        "Text for people, one JSON value, JUnit's XML, markdown, or annotations of GitHub.",
    )
    page_file.define()
    flags.DEFINE_list(
        "allow", [], "Use runs in spite of a flaw: invalid, internal, incomplete, edited, missed or clock."
    )
    flags.DEFINE_multi_string(
        "change", [], "What was changed on purpose, as a key of the table of differences or its start; all for any."
    )
    flags.DEFINE_list("gate", [], "The figures that decide, such as p99,throughput. By default those of the scenario.")
    flags.DEFINE_multi_string("threshold", [], "figure=share, the change that matters, such as p99=0.2 for 20 %.")
    flags.DEFINE_string(
        "history", None, "Compare with the last N comparable runs beside the candidate, or with those in a directory."
    )
    flags.DEFINE_integer("last", 10, "How many runs --history=DIR takes at most.", lower_bound=1)
    flags.DEFINE_integer(
        "repeats", None, "Run two commands so many times each, alternating, and compare them.", lower_bound=1
    )
    flags.DEFINE_integer(
        "confirm", 0, "Repeat both sides so many times if one run against one is SUSPECT.", lower_bound=0
    )
    flags.DEFINE_string("output_dir", "runs", "Where --repeats and --confirm make a folder for their runs.")
    flags.DEFINE_enum(
        "inconclusive", "7", ["7", "0"], "The exit code for INCONCLUSIVE and SUSPECT: 0 lets a CI job pass."
    )


def words(given: list[str]) -> list[str]:
    """The words of the command line, with a mark that survives in place of the `--` between both sides."""
    return [_BETWEEN if word == "--" else word for word in given]


def main(arguments: list[str]) -> int:
    """Prints the comparison."""
    from tfperf.comparison import compare, html_view, views

    values = flags.FLAGS
    target = page_file.target(values.html, overwrite=values.overwrite)
    ran = _compare(arguments)
    found = ran.found
    if target is not None:
        page_file.write(target, html_view.page(found, made=page_file.made()))
        print(printable(f"{views.headline(found)}\nThe comparison is in {target}."))
    elif values.format == "json":
        print(json.dumps(found.as_dict(), indent=2))
    else:
        shown = {"text": views.text, "junit": views.junit, "markdown": views.markdown, "github": views.github}
        print(printable(shown[values.format](found)))
    if ran.interrupted:
        return _INTERRUPTED
    return int(values.inconclusive) if found.exit_code == compare.UNDECIDED else found.exit_code


def held_against(arguments: list[str]) -> tuple[list[pathlib.Path], list[pathlib.Path], tuple[str, ...]]:
    """Both sides, with --history the baseline from there, and what a reader should know about that choice.

    Raises:
        UsageError: there are no two sides, or nothing in the history is comparable.
    """
    values = flags.FLAGS
    if values.history is None:
        return *sides(arguments), ()
    from tfperf.history import baseline

    candidate = arguments[1:] if arguments[:1] == [_BETWEEN] else arguments
    if _BETWEEN in candidate:
        raise UsageError(
            "--history chooses the baseline, and runs were given for it, too. Write tfperf compare "
            f"--history={values.history} -- CANDIDATE..."
        )
    counted = values.history.isdecimal()
    if counted and int(values.history) == 0:
        raise UsageError("--history=0 compares with nothing. Write --history=10 for the last ten runs.")
    new = [pathlib.Path(path).expanduser() for path in candidate]
    chosen = baseline.choose(
        new,
        store=None if counted else pathlib.Path(values.history).expanduser(),
        last=int(values.history) if counted else values.last,
        allow=values.allow,
        changes=values.change,
    )
    return list(chosen.runs), new, chosen.notes


def _compare(arguments: list[str]) -> confirm.Ran:
    from tfperf.comparison import compare, confirm

    values = flags.FLAGS

    def judge(
        baseline: Sequence[pathlib.Path], candidate: Sequence[pathlib.Path], differing: Sequence[str] = ()
    ) -> compare.CompareResult:
        return compare.compare(
            baseline,
            candidate,
            allow=values.allow,
            changes=[*values.change, *differing],
            gates=values.gate,
            thresholds=thresholds(values.threshold),
        )

    if values.repeats:
        return confirm.of_commands(
            commands(arguments),
            times=values.repeats,
            confirm=values.confirm,
            folder=_folder(),
            judge=judge,
            say=_say,
        )
    baseline, candidate, notes = held_against(arguments)
    found = judge(baseline, candidate)
    found = dataclasses.replace(found, notes=(*notes, *found.notes))
    if not values.confirm or found.verdict != "SUSPECT" or len(baseline) + len(candidate) != 2:
        return confirm.Ran(found=found)
    return confirm.of_suspicion(found, times=values.confirm, folder=_folder(), judge=judge, say=_say)


def _folder() -> pathlib.Path:
    """A new folder for the runs of this comparison."""
    from tfperf.workspace import Workspace

    output_dir = pathlib.Path(flags.FLAGS.output_dir).expanduser()
    return Workspace(output_dir=output_dir, name="compare").make_run_dir()


def _say(line: str) -> None:
    print(printable(line), file=sys.stderr, flush=True)


def commands(arguments: list[str]) -> tuple[str, str]:
    """The command before and the one after the `--`.

    Raises:
        UsageError: there are not two.
    """
    given = [word for word in arguments if word != _BETWEEN]
    if len(given) != 2:
        raise UsageError(
            f"--repeats needs one command in quotes for each side, got {len(given)}. Write tfperf compare --repeats=5 "
            '"infer --config=a.yaml --weights=runs" -- "infer --config=b.yaml --weights=runs".'
        )
    return given[0], given[1]


def sides(arguments: list[str]) -> tuple[list[pathlib.Path], list[pathlib.Path]]:
    """The run directories before and after the `--`; of two directories without one, the first is the baseline.

    Raises:
        UsageError: they don't fall into two sides.
    """
    marks = arguments.count(_BETWEEN)
    if marks == 1:
        place = arguments.index(_BETWEEN)
        left, right = arguments[:place], arguments[place + 1 :]
    elif marks == 0 and len(arguments) == 2:
        left, right = arguments[:1], arguments[1:]
    else:
        got = " ".join("--" if word == _BETWEEN else word for word in arguments) or "nothing"
        raise UsageError(
            f"compare needs two sides, got {got}. Write "
            "tfperf compare BASELINE... -- CANDIDATE..., each a run directory."
        )
    return [pathlib.Path(path) for path in left], [pathlib.Path(path) for path in right]


def thresholds(given: list[str]) -> dict[str, float]:
    """The values of `--threshold`.

    Raises:
        UsageError: one is not of the form figure=share.
    """
    found = {}
    for each in given:
        name, _, share = each.partition("=")
        try:
            found[name] = float(share)
        except ValueError as error:
            raise UsageError(f"--threshold={each} must be figure=share, such as p99=0.2 for 20 %.") from error
    return found
