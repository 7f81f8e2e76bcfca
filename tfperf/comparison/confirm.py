"""Comparisons that run what they compare: two commands alternating, or both sides of a suspicion again."""

from __future__ import annotations

import dataclasses
import pathlib
import shlex
from collections.abc import Callable, Sequence

from tfperf import result
from tfperf.comparison import repeats
from tfperf.comparison.compare import CompareResult
from tfperf.comparison.repeats import Repeated, RepeatedCommand, SideRun
from tfperf.errors import InterruptedRunError, UsageError
from tfperf.reporting import table
from tfperf.stored import facts, figures, run
from tfperf.stored.run import StoredRun
from tfperf.system import environment

# Which flags of the command that made a run are needed to repeat it beside its spec and its model.
_KEPT = ("data_dir", "device", "trust_model")
Judge = Callable[[Sequence[pathlib.Path], Sequence[pathlib.Path], Sequence[str]], CompareResult]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ran:
    """A comparison of runs that were made for it.

    Attributes:
        found: the comparison.
        interrupted: whether it rests on fewer runs than asked for, since it was interrupted.
    """

    found: CompareResult
    interrupted: bool = False


def of_commands(
    commands: tuple[str, str],
    *,
    times: int,
    confirm: int,
    folder: pathlib.Path,
    judge: Judge,
    say: Callable[[str], None],
) -> Ran:
    """Runs two commands alternating and compares them. What differs between them is the change that is compared.

    Args:
        commands: the baseline's and the candidate's, as typed.
        times: runs of each.
        confirm: runs of each if one against one is SUSPECT; these decide alone.
        folder: where the run directories go, in `baseline` and `candidate`.
        judge: compares run directories; its third argument are the keys that differ on purpose.
        say: tells about the progress.

    Raises:
        UsageError: a side is no such command.
        TfperfError: a run left no result.
        InterruptedRunError: interrupted before both sides had a run.
    """
    words = repeats.command(commands[0]), repeats.command(commands[1])
    ran = _alternate(words, times=times, folder=folder, judge=judge, say=say)
    if not confirm or ran.interrupted or ran.found.verdict != "SUSPECT":
        return ran
    say(f"SUSPECT: {'; '.join(ran.found.reasons)} Running both sides {confirm} times more.")
    return _alternate(words, times=confirm, folder=folder / "confirm", judge=judge, say=say)


def of_suspicion(
    suspicion: CompareResult, *, times: int, folder: pathlib.Path, judge: Judge, say: Callable[[str], None]
) -> Ran:
    """Repeats both sides of a comparison of one run against one. The new runs decide alone.

    The pair that raised the suspicion is left out: it was looked at because it was extreme.

    Args:
        suspicion: the comparison.
        times: runs of each side.
        folder: as in `of_commands`, like the rest.
        judge: see there.
        say: see there.

    Raises:
        UsageError: a side can't be repeated here as it was.
        TfperfError: a run left no result.
        InterruptedRunError: interrupted before both sides had a run.
    """
    stored = [run.read(pathlib.Path(side[0])) for side in (suspicion.baseline, suspicion.candidate)]
    words = tuple(repeats.command(shlex.join(again(each))) for each in stored)
    say(f"SUSPECT: {'; '.join(suspicion.reasons)} Running both sides {times} times more.")
    return _alternate((words[0], words[1]), times=times, folder=folder, judge=judge, say=say)


def again(stored: StoredRun) -> tuple[str, ...]:
    """The command that repeats a run.

    Raises:
        UsageError: it was measured with other software than that of this process, or its spec or model is gone.
    """
    _check_software(stored)
    spec = stored.path / "spec.yaml"
    if not spec.is_file():
        raise UsageError(f"{stored.path} can't be repeated: it has no spec.yaml. Use --repeats with two commands.")
    kept = _kept(stored.outcome.environment.get("command", ()))
    if isinstance(stored.outcome, result.TrainResult):
        return ("train", f"--config={spec}", *kept)
    weights = pathlib.Path(str(stored.outcome.weights.get("path")))
    if not weights.exists():
        raise UsageError(
            f"{stored.path} can't be repeated: its model {weights} is not here. Use --repeats with two commands."
        )
    return ("infer", f"--config={spec}", f"--weights={weights}", *kept)


def _check_software(stored: StoredRun) -> None:
    then = stored.outcome.environment
    now = {"code_version": environment.code_version(), **environment.packages()}
    known = {"code_version": then.get("code_version"), **then.get("packages", {})}
    changed = [
        f"{name} {known[name]}, now {now.get(name, 'unknown')}" for name in known if known[name] != now.get(name)
    ]
    if changed:
        raise UsageError(
            f"{stored.path} can't be repeated with this software: it was measured with {'; '.join(changed[:3])}. "
            "Use --repeats with the command of each installation."
        )


def _kept(command: Sequence[str]) -> list[str]:
    """The flags of a command that its spec does not hold."""
    kept, words = [], list(command)
    for place, word in enumerate(words):
        name, has_value, _ = word.lstrip("-").partition("=")
        if not word.startswith("-") or name not in _KEPT:
            continue
        takes_next = not has_value and name != "trust_model" and place + 1 < len(words)
        kept.append(f"--{name}={words[place + 1]}" if takes_next else word)
    return kept


def _alternate(
    words: tuple[tuple[str, ...], tuple[str, ...]],
    *,
    times: int,
    folder: pathlib.Path,
    judge: Judge,
    say: Callable[[str], None],
) -> Ran:
    commands = tuple(
        RepeatedCommand(words=each, folder=folder / name)
        for each, name in zip(words, ("baseline", "candidate"), strict=True)
    )
    ran = repeats.alternate(
        (commands[0], commands[1]), repeats=times, on_end=lambda ended: say(_progress(ended, times=times))
    )
    if not ran.baseline or not ran.candidate:
        raise InterruptedRunError(f"interrupted before both sides had a run. What was run is in {folder}.")
    found = judge(ran.baseline, ran.candidate, _differing(ran))
    notes = [f"The runs are in {folder}/baseline and {folder}/candidate."]
    if ran.interrupted:
        counts = f"{len(ran.baseline)} and {len(ran.candidate)}"
        notes.append(f"Interrupted: {counts} of {times} runs a side were made.")
    return Ran(
        found=dataclasses.replace(found, notes=(*found.notes, *notes)),
        interrupted=ran.interrupted,
    )


def _differing(ran: Repeated) -> tuple[str, ...]:
    """The facts that differ between the sides. The two commands made them differ, so they are the declared change."""
    sides = [[run.read(path) for path in paths] for paths in (ran.baseline, ran.candidate)]
    return tuple(each.key for each in facts.differences(*sides, changes=()))


def _progress(ended: SideRun, *, times: int) -> str:
    name = ("baseline", "candidate")[ended.side]
    found = figures.of(run.read(ended.run_dir))
    kinds = [kind for kind in figures.KINDS if kind.name in found and kind.decides]
    shown = "  ".join(f"{kind.name} {table.number(found[kind.name])} {kind.unit}" for kind in kinds[:2])
    return f"{name:<9}  run {ended.number} of {times}  {ended.seconds:.0f} s  {shown}".rstrip()
