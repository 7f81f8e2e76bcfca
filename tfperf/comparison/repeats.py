"""Runs the commands of both sides alternating, each run in a new process, and keeps what was run."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from tfperf import config
from tfperf.errors import TfperfError, UsageError

VERBS = ("train", "infer")
_OURS = ("output_dir", "format")
_GRACE_S = 60.0  # for a run that was interrupted to write its result


@dataclasses.dataclass(frozen=True, kw_only=True)
class RepeatedCommand:
    """A command that makes one run each time.

    Attributes:
        words: what is executed, without `--output_dir` and `--format`.
        folder: where its run directories go.
    """

    words: tuple[str, ...]
    folder: pathlib.Path


@dataclasses.dataclass(frozen=True, kw_only=True)
class SideRun:
    """One run that ended.

    Attributes:
        side: 0 for the baseline, 1 for the candidate.
        number: which run of its side it was, from 1.
        seconds: how long its process ran.
        run_dir: its directory.
    """

    side: int
    number: int
    seconds: float
    run_dir: pathlib.Path


@dataclasses.dataclass(frozen=True, kw_only=True)
class Repeated:
    """What was run.

    Attributes:
        baseline: its run directories, in the order in which they ran.
        candidate: the same.
        interrupted: whether it was interrupted before all were run.
    """

    baseline: tuple[pathlib.Path, ...]
    candidate: tuple[pathlib.Path, ...]
    interrupted: bool


def command(given: str) -> tuple[str, ...]:
    """The words of a command as it is executed.

    Args:
        given: `tfperf infer --config ...` or the same without `tfperf`; the `tfperf` of another installation by its
            path; or only the name or path of a config for training.

    Raises:
        UsageError: it is none of these, or sets a flag that the comparison sets itself.
    """
    try:
        words = shlex.split(given)
    except ValueError as error:
        raise UsageError(f"The command {given!r} can't be split into words: {error}. Check its quotes.") from error
    program, rest = _program(words)
    if not rest or rest[0] not in VERBS:
        rest = _of_config(given, rest)
    taken = [word for word in rest if word.startswith("-") and word.lstrip("-").partition("=")[0] in _OURS]
    if taken:
        raise UsageError(f"{given!r} sets {taken[0]}, which compare sets itself. Leave it out.")
    return (*program, *rest)


def alternate(
    commands: tuple[RepeatedCommand, RepeatedCommand], *, repeats: int, on_end: Callable[[SideRun], None]
) -> Repeated:
    """Runs both commands so many times in the order ABBA, so that a drift of the machine is in both sides alike.

    Args:
        commands: the baseline's and the candidate's.
        repeats: runs of each.
        on_end: called after each run.

    Raises:
        TfperfError: a run left no result; what ran before is kept.
    """
    done: tuple[list[pathlib.Path], list[pathlib.Path]] = [], []
    try:
        for side in order(repeats):
            started = time.monotonic()
            run_dir = _run(commands[side], number=len(done[side]) + 1)
            done[side].append(run_dir)
            on_end(SideRun(side=side, number=len(done[side]), seconds=time.monotonic() - started, run_dir=run_dir))
    except KeyboardInterrupt:
        return Repeated(baseline=tuple(done[0]), candidate=tuple(done[1]), interrupted=True)
    return Repeated(baseline=tuple(done[0]), candidate=tuple(done[1]), interrupted=False)


def order(repeats: int) -> Iterator[int]:
    """The side of each run: 0, 1, 1, 0, 0, 1, ..."""
    for pair in range(repeats):
        first = pair % 2
        yield from (first, 1 - first)


def _run(given: RepeatedCommand, *, number: int) -> pathlib.Path:
    """One run. Its messages go into a file beside the run directories."""
    given.folder.mkdir(parents=True, exist_ok=True)
    log = given.folder / f"run-{number}.log"
    words = [*given.words, "--format=json", f"--output_dir={given.folder}"]
    with log.open("w", encoding="utf-8") as messages:
        try:
            # Its own session: a Ctrl-C reaches it once, through us, and not a second time while it writes its result.
            process = subprocess.Popen(
                words, stdout=subprocess.PIPE, stderr=messages, text=True, start_new_session=True
            )
        except OSError as error:
            raise UsageError(f"{words[0]} can't be started: {error}.") from error
        try:
            printed, _ = process.communicate()
        except BaseException:
            _end(process)
            raise
    run_dir = _run_dir(printed)
    if run_dir is None:
        last = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])
        raise TfperfError(
            f"{shlex.join(given.words)} ended with exit code {process.returncode} and left no result. Its last "
            f"messages, from {log}:\n{last}"
        )
    return run_dir


def _end(process: subprocess.Popen[str]) -> None:
    """Interrupts a run as Ctrl-C does, and kills it if it doesn't end."""
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def _run_dir(printed: str) -> pathlib.Path | None:
    try:
        found = json.loads(printed)
    except ValueError:
        return None
    run_dir = found.get("run_dir") if isinstance(found, dict) else None
    return pathlib.Path(run_dir) if isinstance(run_dir, str) else None


def _program(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """What to execute, and the rest of the words."""
    ours = [sys.executable, "-m", "tfperf"]
    if not words or words[0] == "tfperf":
        return ours, list(words[1:])
    if pathlib.PurePath(words[0]).name == "tfperf":
        return [words[0]], list(words[1:])
    if list(words[1:3]) == ["-m", "tfperf"]:
        return list(words[:3]), list(words[3:])
    return ours, list(words)


def _of_config(given: str, rest: Sequence[str]) -> list[str]:
    if len(rest) == 1 and not rest[0].startswith("-") and config.verb(rest[0]) == "train":
        return ["train", f"--config={rest[0]}"]
    raise UsageError(
        f"{given!r} is no command that makes a run. With --repeats, each side is one command in quotes, such as "
        '"infer --config=resnet50-mini-offline --weights=runs", or a config for training.'
    )
