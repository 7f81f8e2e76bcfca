"""Results as plain text: the table at the end of a run, and lists in aligned columns."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from tfperf import result, spec
from tfperf.reporting import ending, machine_facts

TOP_MEASUREMENTS = 8
UNKNOWN = "--"

_GAP = "  "
_INTERNAL = "internal: not an MLPerf result, can't be submitted or packaged"


def train_table(outcome: result.TrainResult, *, run_dir: pathlib.Path) -> str:
    """The verdict and its reasons, then what was measured, one line each."""
    lines = [verdict(outcome), *(f"  - {reason}" for reason in invalid_because(outcome)), ""]
    return "\n".join([*lines, facts([*train_facts(outcome), ("run directory", str(run_dir))])])


def verdict(outcome: result.TrainResult) -> str:
    """One line: whether the result can be quoted, and as what."""
    what = f"{outcome.division} run of {outcome.benchmark}"
    if outcome.valid:
        return f"VALID {what}, not verified by MLCommons"
    ended = ending.of(outcome)
    if ended == ending.TIMED:
        return f"TIMED {what} without a target, not verified by MLCommons"
    if ended == ending.FINISHED:
        return f"{outcome.division} trial of {outcome.benchmark}, not trained to the target"
    how = {ending.MISSED: ", target missed", ending.ABORTED: ", aborted"}.get(ended, "")
    return f"INVALID {what}{how}, not verified by MLCommons"


def invalid_because(outcome: result.TrainResult) -> tuple[str, ...]:
    """Why the result is not valid; empty if it is, or if the verdict says why."""
    if outcome.valid or ending.of(outcome) == ending.FINISHED:
        return ()
    return outcome.reasons or (f"{outcome.quality.metric} {quality(outcome.quality)}",)


def train_facts(outcome: result.TrainResult) -> list[tuple[str, str]]:
    """What was measured, as (label, text). A text may have several lines."""
    untrained = outcome.untrained_quality
    return [
        ("time to train", _time_to_train(outcome)),
        (outcome.quality.metric, _trained_quality(outcome)),
        *(() if untrained is None else ((f"{outcome.quality.metric} before training", f"{untrained:.4f}"),)),
        length(outcome),
        ("examples/s", "--" if outcome.examples_per_s is None else number(outcome.examples_per_s)),
        ("division", division(outcome)),
        ("closed-eligible", eligibility(outcome)),
        *((("skipped", "\n".join(outcome.skipped_examples)),) if outcome.skipped_examples else ()),
        *(
            (measurement.name, f"{number(measurement.value)} {measurement.unit}")
            for measurement in outcome.measurements[:TOP_MEASUREMENTS]
        ),
        *machine_facts.facts(outcome),
        *((("notes", "\n".join(outcome.notes)),) if outcome.notes else ()),
    ]


def length(outcome: result.TrainResult) -> tuple[str, str]:
    """How long a run trained, as (label, text), in the unit that it counts."""
    return ("epochs", str(outcome.epochs)) if outcome.samples is None else ("samples", f"{outcome.samples:,}")


def facts(labelled: Sequence[tuple[str, str]]) -> str:
    """Labels and their texts in two columns. A text may have several lines."""
    width = max(len(label) for label, _ in labelled)
    lines = []
    for label, text in labelled:
        first, *others = text.split("\n")
        lines.append(f"{label:<{width}}{_GAP}{first}")
        lines.extend(f"{'':<{width}}{_GAP}{other}" for other in others)
    return "\n".join(lines)


def columns(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Headers and rows in aligned columns. A column of numbers, which may contain `UNKNOWN`, is aligned right.

    Args:
        headers: one per column.
        rows: each with one cell per header.

    Returns:
        Lines without trailing spaces, ready to print.

    Raises:
        ValueError: a row has more or fewer cells than there are headers.
    """
    uneven = [list(row) for row in rows if len(row) != len(headers)]
    if uneven:
        raise ValueError(f"rows must have {len(headers)} cells, one for each of {list(headers)}, got {uneven[0]}.")
    table = [headers, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(headers))]
    right = [_is_numeric([row[column] for row in rows]) for column in range(len(headers))]
    return "\n".join(_aligned(row, widths=widths, right=right) for row in table)


def number(value: float) -> str:
    """Four significant digits; from 1,000 on, a whole number."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def decimals(value: float, *, beside: float) -> str:
    """`value` with four decimals, or as many as it takes to show on which side of `beside` it lies."""
    for digits in range(4, 17):
        text = f"{value:.{digits}f}"
        if value == beside or text != f"{beside:.{digits}f}":
            return text
    return repr(value)


def clock(seconds: float) -> str:
    """Whole seconds as `m:ss` or `h:mm:ss`."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def division(outcome: result.Result) -> str:
    """The division and, for an internal run, what that means."""
    return _INTERNAL if outcome.division == spec.Division.INTERNAL else str(outcome.division)


def quality(found: result.Quality) -> str:
    """The value beside its target."""
    if found.target is None:
        return f"{'--' if found.value is None else f'{found.value:.4f}'} (no target was set)"
    target = f"{found.target:.4f}"
    if found.value is None:
        return f"-- (target {target}): never evaluated"
    reached = "reached" if found.reached else "missed"
    return f"{decimals(found.value, beside=found.target)} (target {target}): {reached}"


def eligibility(outcome: result.Result) -> str:
    """Whether the result follows the rules of the closed division, and which ones it breaks."""
    answer = "yes" if outcome.closed_eligible else "no"
    return "\n".join([answer, *(f"- {reason}" for reason in outcome.closed_ineligible_because)])


def _trained_quality(outcome: result.TrainResult) -> str:
    found = outcome.quality
    if found.value is None and outcome.untrained_quality is not None and found.target is not None:
        return f"{UNKNOWN} (target {found.target:.4f}): evaluated only before training"
    return quality(found)


def _time_to_train(outcome: result.TrainResult) -> str:
    if not outcome.valid or outcome.time_to_train_s is None:
        return f"-- ({outcome.run_s:,.2f} s on the clock)"
    return f"{outcome.time_to_train_s:,.2f} s ({outcome.time_to_train_s / 60:,.2f} minutes)"


def _aligned(row: Sequence[str], *, widths: Sequence[int], right: Sequence[bool]) -> str:
    cells = [
        cell.rjust(width) if rightwards else cell.ljust(width)
        for cell, width, rightwards in zip(row, widths, right, strict=True)
    ]
    return _GAP.join(cells).rstrip()


def _is_numeric(cells: Sequence[str]) -> bool:
    known = [cell for cell in cells if cell != UNKNOWN]
    return bool(known) and all(_is_number(cell) for cell in known)


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", ""))
    except ValueError:
        return False
    return True
