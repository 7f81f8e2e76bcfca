"""One sweep, from what was asked for to the best config, read from top to bottom."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from typing import Literal

from tfperf import config, devices, environment, manifest, result, spec
from tfperf.benchmarks.benchmark import Benchmark
from tfperf.directory import Place
from tfperf.errors import TfperfError, UsageError
from tfperf.tuning import attempt, best, comparison, project, search_space, trials_table
from tfperf.tuning import trial as trials
from tfperf.tuning.job import Job, options_of
from tfperf.tuning.project import Project
from tfperf.tuning.trial import Trial
from tfperf.tuning.trials_table import LiveTable

REPEATS = "repeats"
_LOOK_EVERY_S = 0.5
_FAREWELL_S = 10.0
# Keras-tuner's own names; a host that has them takes part in a sweep that is led elsewhere, or leads it.
_CHIEF = ("KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT", "KERASTUNER_TUNER_ID")

# The best config -> what keeps it out of the closed division, a line for each field: `field: why`.
ClosedRules = Callable[[spec.TrainSpec], Sequence[str]]


def sweep(
    asked: spec.SweepSpec, benchmark: Benchmark, *, place: Place, closed_rules: ClosedRules, workers: int = 1
) -> tuple[result.SweepResult | None, pathlib.Path]:
    """Tries what the search proposes and says what was best, and how sure that is.

    A sweep whose project is there already goes on where it stopped.

    Args:
        asked: what to sweep, complete.
        benchmark: the benchmark of its base.
        place: where to read and write; `name` is the project's.
        closed_rules: judges the best config.
        workers: trials at a time on this host, by keras-tuner's chief and workers.

    Returns:
        The result, and the project directory; no result on a host that only works for a chief elsewhere.

    Raises:
        TfperfError: what was asked for can't be run, the project is another's or damaged, or a process of it failed.
    """
    search_space.check(asked, benchmark.training)
    role = _role(workers)
    opened = project.open_or_make(asked, place)
    shown = LiveTable(sys.stderr, asked=asked, project=opened.path, interactive=sys.stderr.isatty())
    since = time.perf_counter()
    _search(opened, workers=workers, shown=shown)
    if role == "worker":
        return None, opened.path
    found = trials.read_all(opened.path)
    outcome = _outcome(opened, benchmark, found, search_s=time.perf_counter() - since, workers=workers)
    chosen = trials_table.best_of(found, objective=asked.objective)
    if chosen is not None:
        outcome = _judged(opened, outcome, chosen, closed_rules=closed_rules, workers=workers, shown=shown)
    result.write(opened.path / project.RESULT, outcome)
    manifest.write(opened.path, division="internal", code_version=outcome.environment["code_version"])
    return outcome, opened.path


def _role(workers: int) -> Literal["alone", "chief", "worker"]:
    """What this host is in the sweep."""
    given = [name for name in _CHIEF if name in os.environ]
    if not given:
        return "alone"
    if len(given) < len(_CHIEF):
        missing = ", ".join(name for name in _CHIEF if name not in given)
        raise UsageError(f"{', '.join(given)} is set and {missing} is not. A sweep over several hosts needs all three.")
    if workers > 1:
        raise UsageError(f"--workers={workers} is for one host, and KERASTUNER_ORACLE_IP is set. Leave one out.")
    return "chief" if "chief" in os.environ["KERASTUNER_TUNER_ID"] else "worker"


def _search(opened: Project, *, workers: int, shown: LiveTable) -> None:
    """Lets keras-tuner search until it is over, or raises with what ended it."""
    chief: dict[str, str] = {}
    if workers > 1:
        chief = {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": str(_free_port())}
    ids = [f"worker{number}" for number in range(workers)] if workers > 1 else [""]
    with contextlib.ExitStack() as stack:
        if workers > 1:
            leads = stack.enter_context(_member(opened, "chief", {**chief, "KERASTUNER_TUNER_ID": "chief"}))
        members = {
            name: stack.enter_context(
                _member(opened, name, {**chief, **({"KERASTUNER_TUNER_ID": name} if name else {})})
            )
            for name in ids
        }
        while any(member.poll() is None for member in members.values()):
            _check(opened, {**members, **({"chief": leads} if workers > 1 else {})})
            shown.draw()
            time.sleep(_LOOK_EVERY_S)
        _check(opened, members)
        shown.draw()


@contextlib.contextmanager
def _member(opened: Project, name: str, more: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A keras-tuner process of the sweep; it does not outlive the block."""
    command = [sys.executable, "-m", "tfperf.tuning.member", str(opened.path), project.place_as_json(opened.place)]
    command.append(str(os.getpid()))
    with _log(opened, name).open("ab", buffering=0) as log:
        log.write(b"internal sweep\n")
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=attempt.environment(**more)
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=_FAREWELL_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _check(opened: Project, members: dict[str, subprocess.Popen[bytes]]) -> None:
    """Raises when a process of the sweep has failed: the others would wait for it."""
    for name, member in members.items():
        if member.poll():
            if member.returncode in (130, -2):
                raise KeyboardInterrupt
            log = _log(opened, name)
            last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            raise TfperfError(
                f"A process of the sweep ended with exit code {member.returncode}: {' '.join(last)} All it said is in "
                f"{log}. Run the same command again to go on."
            )


def _log(opened: Project, name: str) -> pathlib.Path:
    return opened.path / f"{name or 'tuner'}-{socket.gethostname()}.log"


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _outcome(
    opened: Project, benchmark: Benchmark, found: Sequence[Trial], *, search_s: float, workers: int
) -> result.SweepResult:
    asked = opened.asked
    captured = {"division": "internal", **environment.capture(devices.present())}
    chosen = trials_table.best_of(found, objective=asked.objective)
    together = (
        f"{workers} trials ran at a time and shared the machine: their times and rates are not those of one alone."
    )
    return result.SweepResult(
        benchmark=benchmark.name,
        valid=chosen is not None,
        reasons=() if chosen is not None else (f"no trial has a {asked.objective}",),
        status="success" if chosen is not None else "failed",
        config=config.as_dict(asked),
        environment=captured,
        objective=asked.objective,
        direction="min" if asked.objective == "time_to_target" else "max",
        trials=best.trials_of(found),
        best=None if chosen is None else chosen.name,
        best_values={} if chosen is None else chosen.values,
        default_values={field: config.value_of(asked.base, field) for field, _ in asked.space},
        measurements=(result.Measurement(name="search", value=search_s, unit="s"),),
        notes=(together,) if workers > 1 else (),
    )


def _judged(
    opened: Project,
    outcome: result.SweepResult,
    chosen: Trial,
    *,
    closed_rules: ClosedRules,
    workers: int,
    shown: LiveTable,
) -> result.SweepResult:
    """The outcome with the best trial repeated beside the default, and its config written down."""
    asked = opened.asked
    best_spec = best.spec_of(asked, chosen.values)
    violations = tuple(closed_rules(best_spec))
    judged = dataclasses.replace(outcome, closed_rules=best.rulings(chosen.values, violations))
    if asked.repeats:
        shown.say(f"repeating trial {chosen.name} and the default over {asked.repeats} new seeds each")
        repeated = _repeats(opened, chosen, workers=workers if asked.objective == "quality" else 1)
        compared = comparison.compare(repeated["default"], repeated["best"], direction=outcome.direction)
        judged = dataclasses.replace(judged, comparison=compared)
    best.write(opened.path / best.NAME, best_spec, outcome=judged, violations=violations)
    return judged


def _repeats(opened: Project, chosen: Trial, *, workers: int) -> dict[str, list[float | None]]:
    """The objective of the best and the default values by seed; the seeds are the same, and new to both."""
    kinds: dict[str, dict[str, object]] = {"default": {}, "best": dict(chosen.values)}
    given_up = threading.Event()
    with futures.ThreadPoolExecutor(max_workers=workers) as pool:
        waiting = {
            kind: [
                pool.submit(_repeat, opened, kind, values, number, given_up) for number in range(opened.asked.repeats)
            ]
            for kind, values in kinds.items()
        }
        try:
            return {kind: [each.result().objective for each in runs] for kind, runs in waiting.items()}
        except BaseException:
            given_up.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _repeat(opened: Project, kind: str, values: dict[str, object], number: int, given_up: threading.Event) -> Trial:
    asked, place = opened.asked, opened.place
    seed = trials.seed_of({"repeat": number}, sweep_seed=asked.seed)
    varied = config.varied(asked.base, values, options_of=options_of, division=spec.Division.INTERNAL, seed=seed)
    return attempt.run(
        opened.path / REPEATS / kind / str(number),
        Trial(name=str(number), values=values, seed=seed, max_epochs=varied.max_epochs),
        asked=varied,
        job=Job(
            objective=asked.objective,
            max_epochs=varied.max_epochs,
            data_dir=None if place.data_dir is None else str(place.data_dir),
            device=place.device,
        ),
        limit_s=asked.trial_limit_s,
        given_up=given_up,
    )
