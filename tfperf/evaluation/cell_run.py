"""Runs the phases on one combination: by LoadGen where it has them, else by tfperf's issuer, here or in a process."""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections.abc import Iterator

from tfperf import spec as specs
from tfperf.errors import TfperfError
from tfperf.evaluation import cell_process, executables, official
from tfperf.evaluation.built import BuiltForms
from tfperf.evaluation.cell_child import CellJob
from tfperf.evaluation.examples import Examples, Kept
from tfperf.evaluation.grid import Combination
from tfperf.evaluation.issuer import ModelInstance
from tfperf.evaluation.loads import Cell, Loads, Measured, Surroundings
from tfperf.evaluation.request_files import RequestFiles
from tfperf.evaluation.sent import Sender, SentModel, UnsendableError

CELL_LOG = "cells.log"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measuring:
    """What all combinations of an evaluation have in common.

    Attributes:
        spec: what is measured.
        examples: the data.
        kept: its samples in memory.
        first: the inputs of its first batch.
        built: the executables in this process.
        sender: sends them to another; None if nothing can be sent, as where the user's own pipeline is measured.
        around: what goes on beside the loads.
        run_dir: gets LoadGen's logs.
        scratch: a directory that is deleted afterwards.
        apart: whether every combination runs in a process of its own.
    """

    spec: specs.EvaluateSpec
    examples: Examples
    kept: Kept
    first: tuple[object, ...]
    built: BuiltForms
    sender: Sender | None
    around: Surroundings
    run_dir: pathlib.Path
    scratch: pathlib.Path
    apart: bool

    @property
    def request_files(self) -> RequestFiles | None:
        """Where the rows of every request go."""
        return RequestFiles(folder=self.run_dir / "requests") if self.spec.save_requests else None


class CellRun:
    """The phases on one combination.

    Args:
        measuring: what is measured.
        combination: the combination.
        first_of_form: whether phases that don't depend on the batch size are measured.
    """

    def __init__(self, measuring: Measuring, combination: Combination, *, first_of_form: bool) -> None:
        self._measuring, self._combination, self._first_of_form = measuring, combination, first_of_form
        self._peak_per_s = 0.0
        self._here: tuple[int, Loads] | None = None
        self._cell_number = len(list(measuring.scratch.glob("cell-*")))

    def run(self) -> Iterator[Measured]:
        """The loads, one after the other, until one does not end as it should."""
        for repeat in range(1, self._measuring.spec.repeats + 1):
            for phases in self._grouped():
                for measured in self._run(phases, repeat):
                    yield measured
                    if measured.phase.status != "ended":
                        return

    def _grouped(self) -> Iterator[tuple[specs.Phase, ...]]:
        """The phases of LoadGen each by itself, and between them those that one process can run in turn."""
        group: list[specs.Phase] = []
        for phase in self._measuring.spec.phases:
            alone = isinstance(phase, specs.MultiStreamLoad) or self._is_official(phase)
            if isinstance(phase, specs.MultiStreamLoad) and not self._first_of_form:
                continue
            if alone and any(not isinstance(each, specs.WarmUp) for each in group):
                yield tuple(group)
                group = []
            if alone:
                yield (*group, phase)
                group = []
            else:
                group.append(phase)
        if any(not isinstance(each, specs.WarmUp) for each in group):
            yield tuple(group)

    def _is_official(self, phase: specs.Phase) -> bool:
        spec = self._measuring.spec
        return (
            spec.issuer == "auto"
            and self._measuring.sender is not None
            and official.is_official(phase, batch_size=self._combination.batch_size)
        )

    def _run(self, phases: tuple[specs.Phase, ...], repeat: int) -> Iterator[Measured]:
        *_, phase = phases
        why = ""
        if self._is_official(phase) and isinstance(phase, official.LoadgenPhase):
            try:
                yield self._under_loadgen(phase, repeat)
                return
            except UnsendableError as error:
                why = str(error)
        for measured in self._by_own_issuer(phases, repeat):
            yield self._noted(measured, why)

    def _noted(self, measured: Measured, why: str) -> Measured:
        """Says why LoadGen did not send a load that it has."""
        phase = measured.phase
        if phase.phase not in official.PHASES or self._measuring.spec.issuer != "auto":
            return measured
        note = f"Sent by tfperf's own issuer, not by LoadGen: {why or self._not_official()}."
        return dataclasses.replace(measured, phase=dataclasses.replace(phase, notes=(*phase.notes, note)))

    def _not_official(self) -> str:
        if self._measuring.spec.measure == "pipeline":
            return "the user's own pipeline stays in this process"
        if self._measuring.around.together is not None:
            return "LoadGen measures one host"
        return "its SingleStream sends single samples"

    def _under_loadgen(self, phase: official.LoadgenPhase, repeat: int) -> Measured:
        measuring = self._measuring
        assert measuring.sender is not None  # else the phase is not official
        parent = measuring.run_dir / "loadgen"
        number = len({path.name.partition("-")[0] for path in parent.glob("*")}) + 1
        started_s = time.perf_counter() - measuring.around.begin_s
        outcome = official.measure(
            phase,
            self._combination,
            measuring.sender,
            log_dir=parent / f"{number:02d}-{specs.phase_name(phase)}",
            hang_after_s=measuring.spec.hang_after_s,
            on_look=measuring.around.look,
        )
        found = official.phase_of(
            phase, self._combination, outcome, started_s=started_s, repeat=repeat, clocks=measuring.around.clocks
        )
        if measuring.request_files is not None:
            official.save_requests(outcome, measuring.request_files.opened(found.phase))
        if found.status == "ended":
            self._peak_per_s = max(self._peak_per_s, found.samples_per_s / self._combination.batch_size)
        return Measured(phase=found, rows=None, failure=outcome.failure or None)

    def _by_own_issuer(self, phases: tuple[specs.Phase, ...], repeat: int) -> Iterator[Measured]:
        multi = next((each for each in phases if isinstance(each, specs.MultiStreamLoad)), None)
        size = self._combination.batch_size if multi is None else multi.samples_per_query
        if self._measuring.apart:
            yield from self._apart(phases, repeat, size)
            return
        if self._here is None or self._here[0] != size:
            self._here = (size, Loads(self._measuring.spec, self._cell(size), around=self._measuring.around))
        loads = self._here[1]
        loads.peak_per_s = max(loads.peak_per_s, self._peak_per_s)
        for phase in phases:
            for measured in loads.run(phase, repeat=repeat):
                yield measured
                if measured.phase.status != "ended":
                    return
        self._peak_per_s = loads.peak_per_s

    def _apart(self, phases: tuple[specs.Phase, ...], repeat: int, size: int) -> Iterator[Measured]:
        measuring = self._measuring
        job = CellJob(
            spec=measuring.spec,
            model=self._sent(size),
            combination=self._combination,
            batch_size=size,
            phases=phases,
            repeat=repeat,
            peak_per_s=self._peak_per_s,
            started_s=time.perf_counter() - measuring.around.begin_s,
            folder=measuring.scratch / f"cell-{self._cell_number}-{repeat}-{size}-{time.perf_counter_ns()}",
            requests=measuring.request_files,
        )

        def note_peak(peak_per_s: float) -> None:
            self._peak_per_s = max(self._peak_per_s, peak_per_s)

        yield from cell_process.measure(
            job, log=measuring.run_dir / CELL_LOG, on_look=measuring.around.on_look, on_peak=note_peak
        )

    def _sent(self, size: int) -> SentModel:
        assert self._measuring.sender is not None  # checked before anything is measured
        try:
            return self._measuring.sender.send(self._combination, batch_sizes=(size,))
        except UnsendableError as error:
            raise TfperfError(
                f"threads and device need a process of their own, to which this model can't be sent: {error}. Leave "
                "out threads and device, or set one of each and evaluate in a fresh process."
            ) from error

    def _cell(self, batch_size: int) -> Cell:
        measuring, combination = self._measuring, self._combination
        executable = measuring.built.get(combination.executable)
        if measuring.spec.measure == "pipeline":
            assert measuring.examples.make is not None  # checked at the start
            piped = [
                executables.FromPipeline(executable, measuring.examples.make, first=measuring.first, instance=index)  # type: ignore[arg-type]
                for index in range(combination.instances)
            ]
            return Cell(
                combination=dataclasses.replace(combination, batch_size=len(measuring.first[0])),  # type: ignore[arg-type]
                batch_size=len(measuring.first[0]),  # type: ignore[arg-type]
                instances=piped,
                traces=lambda: executable.traces,
                samples=lambda: sum(each.samples for each in piped),
            )
        requests = measuring.kept.requests(batch_size)
        made: list[ModelInstance] = [
            executables.FromMemory(executable.prepare(requests[0], instance=index), requests)
            for index in range(combination.instances)
        ]
        return Cell(combination=combination, batch_size=batch_size, instances=made, traces=lambda: executable.traces)
