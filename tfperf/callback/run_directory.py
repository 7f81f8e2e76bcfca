"""The run directory of training driven by an external loop: the log, the events, TensorBoard and the result."""

from __future__ import annotations

import dataclasses
import itertools
import os
import pathlib
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from tfperf import benchmarks, manifest, result
from tfperf import spec as specs
from tfperf.analysis import bottleneck
from tfperf.benchmarks.benchmark import Benchmark, TrainingTask
from tfperf.compliance import mllog, official_benchmarks
from tfperf.compliance.logged_benchmark import MLPERF_MARK, TARGET_KEY
from tfperf.errors import ArgumentError
from tfperf.events import Event, Fanout, Sink
from tfperf.reporting import jsonl, tensorboard
from tfperf.system import cluster, devices, environment
from tfperf.telemetry import observation
from tfperf.telemetry.recorder import Recorder
from tfperf.telemetry_log import Window
from tfperf.training.goal import Goal
from tfperf.training.meter import Meter, Unit

if TYPE_CHECKING:
    import tensorflow as tf

AD_HOC = "custom"
IfTaken = Literal["number", "refuse"]
_CLAIM = "environment.json"
_MARKS = (_CLAIM, "mllog.txt", "events.jsonl", "result.json", manifest.NAME)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunIdentity:
    """The benchmark and the goal of a run.

    Attributes:
        benchmark: the benchmark; None if the caller named none.
        goal: the metric and the target.
    """

    benchmark: Benchmark | None
    goal: Goal

    @property
    def name(self) -> str:
        """The benchmark's name; `custom` if there is no benchmark."""
        return AD_HOC if self.benchmark is None else self.benchmark.name

    @property
    def task(self) -> TrainingTask | None:
        """How the benchmark is trained; None if there is no benchmark."""
        return None if self.benchmark is None else benchmarks.training_task(self.benchmark)

    @property
    def unit(self) -> Unit:
        """What `epoch_num` counts in the log: samples where the rules of an MLPerf benchmark count them."""
        if self.benchmark is None or self.task is None or not benchmarks.is_mlperf(self.benchmark):
            return "epochs"
        counts_samples = official_benchmarks.named(self.task.submission_benchmark).counts_samples
        return "samples" if counts_samples else "epochs"

    @property
    def division(self) -> specs.Division:
        """Open for a benchmark: tfperf can't know whether a model that it didn't build follows the closed rules."""
        return specs.Division.INTERNAL if self.benchmark is None else specs.Division.OPEN


class MeasuredRunDirectory:
    """One run's directory and the sinks in it. Workers other than the chief write nothing and drop the events.

    Args:
        path: the path at which to create it.
        identity: the benchmark and the goal.
        config: the arguments as plain values, for TensorBoard's hyper-parameters.
        strategy: the model's distribution strategy.
        if_taken: what to do if `path` holds a run: `number` takes the first free one of `<path>-2`, `<path>-3`, ...
        telemetry: what to record about this machine.

    Attributes:
        path: the path of the directory.
        sink: receives the events.
        environment: the machine and the software.

    Raises:
        ArgumentError: it can't be made, or holds a run and `if_taken` is `refuse`.
    """

    def __init__(
        self,
        path: pathlib.Path,
        *,
        identity: RunIdentity,
        config: Mapping[str, Any],
        strategy: tf.distribute.Strategy,
        if_taken: IfTaken = "number",
        telemetry: specs.TelemetrySpec,
    ) -> None:
        check(path, if_taken=if_taken)
        self.path = path
        self.environment = environment.capture(_processors(strategy))
        self.sink: Sink = Fanout(())
        self._board: tensorboard.TensorBoard | None = None
        self._telemetry = telemetry
        self._recorder: Recorder | None = None
        if cluster.from_environment().is_chief:
            self.path = _claimed(path)
            self._open(identity, config)
        self._announce(identity)

    @property
    def written(self) -> bool:
        """Whether this process writes it."""
        return self._board is not None

    def observed(
        self, outcome: result.TrainResult, meter: Meter, *, input_share: float | None = None
    ) -> result.TrainResult:
        """Ends the recording. The result then has what was recorded of the machine while the clock ran."""
        if self._recorder is None:
            return outcome
        windows = []
        if meter.span_ns is not None:
            begin_ns, end_ns = meter.span_ns
            windows.append(Window(name="training", begin_ns=begin_ns, end_ns=end_ns, samples=meter.examples))
        with self._recorder as recorder:
            found = observation.together([recorder.finish(windows)])
        workers = cluster.from_environment().workers
        why = f"{workers} workers took part, and the callback observes the machine of the first one only"
        energy = found.energy if workers == 1 else tuple(result.without_number(each, why) for each in found.energy)
        notes = (*outcome.notes, *((recorder.failure,) if recorder.failure else ()))
        limits = () if input_share is None else (bottleneck.of_training(input_share=input_share, window="training"),)
        return dataclasses.replace(outcome, energy=energy, use=found.use, bottlenecks=limits, notes=notes)

    def finish(self, outcome: result.TrainResult) -> None:
        """Writes the result and closes everything."""
        if self._board is None:
            return
        result.write(self.path / "result.json", outcome)
        self._board.finish(outcome)
        self.sink.close()
        manifest.write(self.path, division=outcome.division, code_version=str(self.environment["code_version"]))

    def _open(self, identity: RunIdentity, config: Mapping[str, Any]) -> None:
        environment.write(self.path / _CLAIM, self.environment)
        goal = identity.goal
        hparams = tensorboard.flat(config)
        self._board = tensorboard.TensorBoard(self.path, metric=goal.metric or "", target=goal.target, hparams=hparams)
        self.sink = Fanout(
            (mllog.MllogSink(self.path / "mllog.txt"), jsonl.JsonLines(self.path / "events.jsonl"), self._board)
        )
        if self._telemetry.rate_hz:
            self._recorder = Recorder(self.path, self._telemetry)

    def _announce(self, identity: RunIdentity) -> None:
        """Emits who runs what, as the first events of the log."""
        submitted = specs.Submission()
        mlperf = identity.benchmark is not None and benchmarks.is_mlperf(identity.benchmark)
        name = identity.task.submission_benchmark if identity.task is not None and mlperf else identity.name
        self.sink.emit(Event(key="submission_benchmark", value=name))
        self.sink.emit(Event(key="submission_division", value=str(identity.division)))
        self.sink.emit(Event(key="submission_org", value=submitted.org))
        self.sink.emit(Event(key="submission_platform", value=self.environment["platform"]))
        self.sink.emit(Event(key="submission_status", value=submitted.status))
        if identity.goal.target is not None:
            self.sink.emit(Event(key=TARGET_KEY, value=identity.goal.target, metadata=_target_metadata(identity)))
        self.sink.emit(Event(key="init_start"))


class NumberNotice:
    """Warns once that a run gets a numbered directory; copies are the same notice.

    Args:
        asked: the path that the caller gave.
    """

    def __init__(self, asked: pathlib.Path) -> None:
        self._asked = asked
        self._given = False

    def __deepcopy__(self, memo: Mapping[int, Any]) -> NumberNotice:
        return self

    def give(self, taken: pathlib.Path) -> None:
        """Warns unless the run got the path that was asked for, or the notice was given before."""
        if taken == self._asked or self._given:
            return
        self._given = True
        warnings.warn(
            f"log_dir {self._asked} holds another run, and a run is never overwritten. This run goes to {taken}, and "
            "each later one to the next number. To get an error instead, pass if_taken='refuse'.",
            stacklevel=2,
        )


def check(path: pathlib.Path, *, if_taken: IfTaken) -> None:
    """Checks that a run directory can be made, without making it.

    Raises:
        ArgumentError: no directory can be made there, or another run is there and `if_taken` is `refuse`.
    """
    if if_taken == "refuse" and _taken(path):
        free = next(each for each in _numbered(path) if not _taken(each))
        raise ArgumentError(
            f"log_dir {path} holds another run, and a run is never overwritten. Choose another, such as {free}, or "
            "leave out if_taken='refuse'."
        )
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not there.is_dir():
        raise ArgumentError(f"log_dir {path} can't be made: {there} is a file. Choose another log_dir.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ArgumentError(f"log_dir {path} can't be written: {there} is read-only. Choose another log_dir.")


def _claimed(path: pathlib.Path) -> pathlib.Path:
    """Makes the first of `path`, `<path>-2`, `<path>-3`, ... that holds no run; no other process gets the same."""
    for each in _numbered(path):
        if _taken(each):
            continue
        try:
            each.mkdir(parents=True, exist_ok=True)
            (each / _CLAIM).touch(exist_ok=False)
        except FileExistsError:  # another process was faster
            continue
        except OSError as error:
            raise ArgumentError(f"log_dir {each} can't be written: {error}. Choose another log_dir.") from error
        return each
    raise AssertionError("numbers don't end")


def _numbered(path: pathlib.Path) -> Iterator[pathlib.Path]:
    return itertools.chain([path], (path.with_name(f"{path.name}-{number}") for number in itertools.count(2)))


def _taken(path: pathlib.Path) -> bool:
    return any((path / mark).exists() for mark in _MARKS)


def _target_metadata(identity: RunIdentity) -> dict[str, Any]:
    mlperf = identity.benchmark is not None and benchmarks.is_mlperf(identity.benchmark)
    found = {"metric": str(identity.goal.metric), "mode": identity.goal.mode, MLPERF_MARK: mlperf}
    if identity.task is None:
        return found
    return {**found, "checked_as": identity.task.submission_benchmark, "ruleset": identity.task.ruleset}


def _processors(strategy: tf.distribute.Strategy) -> dict[str, Any]:
    import tensorflow as tf

    try:
        return devices.describe(strategy)
    except RuntimeError:  # the default strategy names no devices: TensorFlow takes the first GPU, or the CPU
        taken = "/gpu:0" if tf.config.list_logical_devices("GPU") else "/cpu:0"
        return {**devices.describe(tf.distribute.OneDeviceStrategy(taken)), "strategy": "none"}
