"""A finished run, read back from its directory, and what speaks against using it."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import math
import pathlib
import re
import zipfile
from collections.abc import Iterator
from typing import Literal

import numpy as np

from tfperf import json_text, manifest, result, sweep_files
from tfperf.errors import UsageError

Flaw = Literal["invalid", "internal", "incomplete", "edited", "missed", "clock"]
FLAWS: tuple[Flaw, ...] = ("invalid", "internal", "incomplete", "edited", "missed", "clock")

_STAMP = re.compile(r"^(\d{8}T\d{6}Z)-")
_INTERRUPTED = "interrupted"
_CLOCK_SLACK_S = 0.5  # events of several threads may be written a little out of order


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoredRun:
    """A run with a result.

    Attributes:
        path: its directory.
        outcome: its result.
        started: when it started, from its first event, in UTC; None if unknown.
        flaws: what speaks against using it, each with a sentence.
        digests: file -> SHA-256 from its manifest; empty without one.
    """

    path: pathlib.Path
    outcome: result.TrainResult | result.InferResult
    started: datetime.datetime | None
    flaws: tuple[tuple[Flaw, str], ...]
    digests: tuple[tuple[str, str], ...] = ()

    @property
    def scenario(self) -> str | None:
        """LoadGen's name of the scenario; None for training."""
        return self.outcome.scenario if isinstance(self.outcome, result.InferResult) else None


def read(run_dir: pathlib.Path) -> StoredRun:
    """Reads a run, and all its files once to compare them with its manifest.

    Args:
        run_dir: its directory.

    Raises:
        UsageError: it is not the directory of a training or serving run with a result.
    """
    outcome = _outcome(run_dir)
    stamps_s = tuple(_stamps_s(run_dir / "events.jsonl"))
    return StoredRun(
        path=run_dir,
        outcome=outcome,
        started=_started(run_dir, stamps_s),
        flaws=(*_flaws(run_dir, outcome), *_clock(stamps_s)),
        digests=_digests(run_dir),
    )


def recording(run_dir: pathlib.Path) -> dict[str, np.ndarray]:
    """The columns of `recording.npz`; empty if there is none.

    Raises:
        UsageError: the file is damaged.
    """
    path = run_dir / "recording.npz"
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} can't be read: {error}. Leave this run out, or run it again.") from error


def _outcome(run_dir: pathlib.Path) -> result.TrainResult | result.InferResult:
    path = run_dir / "result.json"
    if not run_dir.is_dir():
        raise UsageError(f"{run_dir} is not a run directory. Pass directories that tfperf train or infer made.")
    try:
        found = result.read(path)
    except FileNotFoundError as error:
        if (run_dir / "spec.yaml").is_file():
            raise UsageError(f"{run_dir} has no result.json: the run did not finish. Leave it out.") from error
        raise UsageError(f"{run_dir} has no result.json, so it is not a run directory.") from error
    except (ValueError, OSError) as error:
        raise UsageError(f"{run_dir}: its result can't be read: {error} Leave it out, or run it again.") from error
    if isinstance(found, result.SweepResult):
        raise UsageError(f"{run_dir} is a sweep, not one run. tfperf sweep compares its trials itself.")
    if isinstance(found, result.EvaluateResult):
        raise UsageError(f"{run_dir} is an evaluation of several loads, not one run. Pass runs of train or infer.")
    return found


def _flaws(run_dir: pathlib.Path, outcome: result.TrainResult | result.InferResult) -> Iterator[tuple[Flaw, str]]:
    why = "; ".join(outcome.reasons) or "no reason was given"
    if outcome.status == "incomplete" or _INTERRUPTED in outcome.reasons:
        yield "incomplete", why
    elif _missed(outcome):
        yield "missed", why
    elif not outcome.valid and outcome.reasons != (result.TIMED_ONLY,):
        yield "invalid", why
    if sweep_files.wrote(run_dir):
        yield "internal", "a sweep made it"
    elif outcome.division == "internal":
        yield "internal", "its division is internal"
    edited = edits(run_dir)
    if edited:
        yield "edited", edited


def _missed(outcome: result.TrainResult | result.InferResult) -> bool:
    """Whether the run ended well but missed its quality target."""
    if isinstance(outcome, result.TrainResult):
        return any(reason.startswith(result.MISSED) for reason in outcome.reasons)
    accuracy = outcome.accuracy
    return outcome.status == "success" and accuracy is not None and accuracy.target is not None and not accuracy.reached


def edits(run_dir: pathlib.Path) -> str:
    """The changed and missing files of a run, in words; empty if it is as it was written.

    Files that were added, such as a profile, change no figure.
    """
    try:
        found = [each for each in manifest.differences(run_dir) if not each.endswith("was added")]
    except FileNotFoundError:
        found = [f"{manifest.NAME} is missing"]
    except (OSError, ValueError) as error:
        found = [f"{manifest.NAME} can't be read: {error}"]
    return "; ".join(found[:3]) + (f"; and {len(found) - 3} more" if len(found) > 3 else "")


def _digests(run_dir: pathlib.Path) -> tuple[tuple[str, str], ...]:
    try:
        content = json_text.parse((run_dir / manifest.NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ()
    files = content.get("files") if isinstance(content, dict) else None
    return tuple((str(name), str(digest)) for name, digest in files.items()) if isinstance(files, dict) else ()


def _stamps_s(path: pathlib.Path) -> Iterator[float]:
    """The times of the events, in the order in which they were written."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return
    for line in lines:
        found = re.match(r'\{"time_s": ([0-9.]+)', line)
        if found:
            yield float(found[1])


def _started(run_dir: pathlib.Path, stamps_s: tuple[float, ...]) -> datetime.datetime | None:
    found = _STAMP.match(run_dir.name)
    if found:
        try:
            stamp = datetime.datetime.strptime(found[1], "%Y%m%dT%H%M%SZ")
            return stamp.replace(tzinfo=datetime.timezone.utc)
        except ValueError:  # a folder that was renamed to something alike, such as month 13
            pass
    if stamps_s and math.isfinite(stamps_s[0]) and stamps_s[0] < 4e9:
        return datetime.datetime.fromtimestamp(stamps_s[0], datetime.timezone.utc)
    return None


def _clock(stamps_s: tuple[float, ...]) -> Iterator[tuple[Flaw, str]]:
    steps = itertools.pairwise(stamps_s)
    back_s = max((before - after for before, after in steps), default=0.0)
    if back_s > _CLOCK_SLACK_S:
        yield "clock", f"the clock was set back by {back_s:.1f} s during the run"


def label(run: StoredRun) -> str:
    """The division, the benchmark and the scenario in a few words."""
    parts = (run.outcome.division, run.outcome.benchmark, run.scenario or "training")
    return " ".join(parts)
