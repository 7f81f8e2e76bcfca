"""Which runs may be held against each other, and why others may not."""

from __future__ import annotations

import datetime
import pathlib
from collections.abc import Iterator, Sequence

from tfperf import result
from tfperf.compliance import rounds
from tfperf.errors import UsageError
from tfperf.stored import facts, run
from tfperf.stored.facts import Difference
from tfperf.stored.run import FLAWS, Flaw, StoredRun

_FUTURE = datetime.timedelta(minutes=5)
# A candidate with these flaws is the outcome of the comparison, and no mistake of the user.
TELLING: tuple[Flaw, ...] = ("invalid", "missed")


def open_sides(
    baseline: Sequence[pathlib.Path], candidate: Sequence[pathlib.Path], *, allow: Sequence[str]
) -> tuple[tuple[StoredRun, ...], tuple[StoredRun, ...]]:
    """Reads the runs of both sides and refuses what can't be compared.

    Args:
        baseline: run directories.
        candidate: run directories.
        allow: the flaws that don't matter to the user, see `run.FLAWS`.

    Raises:
        UsageError: every problem that was found.
    """
    unknown = [name for name in allow if name not in FLAWS]
    if unknown:
        raise UsageError(f"--allow {', '.join(unknown)} is unknown. Accepted: {', '.join(FLAWS)}.")
    for name, paths in (("baseline", baseline), ("candidate", candidate)):
        if not paths:
            raise UsageError(
                f"The {name} has no run. Write tfperf compare BASELINE... -- CANDIDATE..., each a run directory."
            )
    sides = _read_all(baseline), _read_all(candidate)
    problems = [*_repeated(*sides), *_unfit(*sides, allow=allow), *_unlike(*sides)]
    if problems:
        raise UsageError("These runs can't be compared:\n" + "\n".join(f"  - {problem}" for problem in problems))
    return sides


def check_differences(found: Sequence[Difference]) -> None:
    """Refuses differences that decide the speed and were not declared.

    Raises:
        UsageError: the table of them.
    """
    deciding = [each for each in found if each.deciding and not each.declared]
    if not deciding:
        return
    rows = "\n".join(
        f"  - {each.key}: {' or '.join(each.baseline)} -> {' or '.join(each.candidate)}" for each in deciding
    )
    keys = " ".join(f"--change={each.key}" for each in deciding[:3])
    raise UsageError(
        f"The sides differ in more than a comparison can explain:\n{rows}\n"
        f"If this is the change to compare, declare it: {keys}{' ...' if len(deciding) > 3 else ''}. --change=all "
        "declares everything."
    )


def warnings(sides: tuple[tuple[StoredRun, ...], tuple[StoredRun, ...]]) -> Iterator[str]:
    """Sentences about what makes the comparison doubtful without forbidding it."""
    now = datetime.datetime.now(datetime.timezone.utc)
    for each in (*sides[0], *sides[1]):
        if each.started is not None and each.started > now + _FUTURE:
            yield f"{each.path.name} started in the future: a clock was wrong, here or there."
        for flaw, why in each.flaws:
            yield f"{each.path.name} is {_NAMES[flaw]}, and allowed: {why}."
    busy = [
        each.path.name
        for each in (*sides[0], *sides[1])
        if any(note.startswith("Other processes took") for note in each.outcome.notes)
    ]
    if busy:
        count = len(sides[0]) + len(sides[1])
        yield f"The machine was busy with other processes in {len(busy)} of {count} runs, which widens every interval."
    if _apart(*sides):
        yield (
            "One side ran before the other, so a change of the machine in between looks like one of the candidate. "
            "Alternate their runs."
        )


def _apart(baseline: Sequence[StoredRun], candidate: Sequence[StoredRun]) -> bool:
    """Whether all runs of one side started before all of the other."""
    started = [[each.started for each in side if each.started is not None] for side in (baseline, candidate)]
    if min(map(len, started)) < 2:
        return False
    return max(started[0]) < min(started[1]) or max(started[1]) < min(started[0])


def telling(candidate: Sequence[StoredRun], flaw: Flaw, *, allow: Sequence[str]) -> tuple[str, ...]:
    """The candidate's runs with a flaw that decides the comparison, each with its reason."""
    if flaw in allow:
        return ()
    return tuple(f"{each.path.name}: {why}" for each in candidate for found, why in each.flaws if found == flaw)


_NAMES: dict[Flaw, str] = {
    "invalid": "INVALID",
    "internal": "internal",
    "incomplete": "incomplete",
    "edited": "edited",
    "missed": "below its quality target",
    "clock": "measured across a change of the clock",
}


def _read_all(paths: Sequence[pathlib.Path]) -> tuple[StoredRun, ...]:
    return tuple(run.read(path) for path in paths)


def _repeated(baseline: Sequence[StoredRun], candidate: Sequence[StoredRun]) -> Iterator[str]:
    """Runs that were given twice, also as a copy."""
    seen: dict[object, StoredRun] = {}
    for each in (*baseline, *candidate):
        keys: list[object] = [each.path.resolve()]
        if each.digests:
            keys.append(dict(each.digests).get("result.json"))
        for key in keys:
            if key in seen:
                same = seen[key]
                copied = (
                    "was given twice" if same.path.resolve() == each.path.resolve() else f"is a copy of {same.path}"
                )
                yield f"{each.path} {copied}. Each run counts once."
                break
        for key in keys:
            seen.setdefault(key, each)


def _unfit(baseline: Sequence[StoredRun], candidate: Sequence[StoredRun], *, allow: Sequence[str]) -> Iterator[str]:
    for side, name in ((baseline, "baseline"), (candidate, "candidate")):
        for each in side:
            for flaw, why in each.flaws:
                if flaw not in allow and not (name == "candidate" and flaw in TELLING):
                    yield f"{each.path} is {_NAMES[flaw]}: {why}. To use it as {name}, pass --allow={flaw}."


def _unlike(baseline: Sequence[StoredRun], candidate: Sequence[StoredRun]) -> Iterator[str]:
    """What a comparison never crosses."""
    runs = (*baseline, *candidate)
    for what, values in (
        ("kinds", [each.outcome.kind for each in runs]),
        ("benchmarks", [each.outcome.benchmark for each in runs]),
        ("scenarios", [each.scenario for each in runs]),
        ("divisions", [each.outcome.division for each in runs]),
        ("rounds", [round_of(each) for each in runs]),
    ):
        different = sorted({str(value) for value in values if value is not None})
        if len(different) > 1:
            yield f"they are of different {what}: {', '.join(different)}. Compare like with like."
            return


def round_of(each: StoredRun) -> str | None:
    """The round of MLPerf Inference, by its seeds; None for training, and for seeds of no round."""
    if not isinstance(each.outcome, result.InferResult):
        return None
    found = rounds.of_log(each.outcome.loadgen)
    return found.name if found else None


def check_changes(changes: Sequence[str], runs: Sequence[StoredRun]) -> None:
    """Refuses declared changes that name nothing.

    Raises:
        UsageError: with a few keys that could be meant.
    """
    wrong = facts.unknown_changes(changes, runs)
    if wrong:
        keys = sorted({key for each in runs for key in facts.of(each)})
        raise UsageError(
            f"--change={wrong[0]} names nothing in these runs. Accepted: all, or a key or its start, such as "
            f"{', '.join(key for key in keys if key.startswith(('environment.packages', 'executable')))[:160]}."
        )
