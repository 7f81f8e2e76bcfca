"""What runs in the process of a combination: opens the model there, and sends the phases by tfperf's own issuer."""

from __future__ import annotations

import dataclasses
import pathlib
import pickle
import signal
import time
from collections.abc import Callable

import numpy as np

from tfperf import spec as specs
from tfperf.evaluation import request_files, sent
from tfperf.evaluation.examples import Kept
from tfperf.evaluation.executables import FromMemory, of_opened
from tfperf.evaluation.grid import Combination
from tfperf.evaluation.loads import Cell, Loads, Surroundings, unsaved
from tfperf.evaluation.sent import SentModel
from tfperf.inference.reports import Reports

_SAYS_S = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class CellJob:
    """What a process measures; picklable.

    Attributes:
        spec: the evaluation.
        model: the executable and the samples.
        combination: what it is called.
        batch_size: samples in a request.
        phases: the phases to run.
        repeat: which repeat they are.
        peak_per_s: the most requests per second so far.
        started_s: seconds of the evaluation before this.
        folder: gets the loads that were measured, a file each.
        requests: where the CSV files of the requests go; None for none.
    """

    spec: specs.EvaluateSpec
    model: SentModel
    combination: Combination
    batch_size: int
    phases: tuple[specs.Phase, ...]
    repeat: int
    peak_per_s: float
    started_s: float
    folder: pathlib.Path
    requests: request_files.RequestFiles | None


def run(job: CellJob, reports: Reports) -> None:
    """Runs a job; reports `opened`, `look` now and then, a `load` for each that was measured, and `ended`."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was measured is kept
    begin_s = time.perf_counter() - job.started_s
    opened = sent.open_forms(job.model)
    kept = Kept(inputs=tuple(np.array(array) for array in sent.open_samples(job.model)))
    requests = kept.requests(job.batch_size)
    answers = [of_opened(each) for each in opened]
    for answer in answers:
        answer(requests[0])
    reports.say("opened")
    cell = Cell(
        combination=job.combination,
        batch_size=job.batch_size,
        instances=[FromMemory(answer, requests) for answer in answers],
        traces=lambda: sum(each.traces() for each in dict.fromkeys(opened)),
    )
    save = unsaved if job.requests is None else job.requests.opened
    around = Surroundings(begin_s=begin_s, on_look=_says(reports), save=save)
    measuring = Loads(job.spec, cell, around=around, peak_per_s=job.peak_per_s)
    number = 0
    for phase in job.phases:
        for measured in measuring.run(phase, repeat=job.repeat):
            path = job.folder / f"{number}.load"
            path.write_bytes(pickle.dumps(measured))
            reports.say("load", path=str(path), peak_per_s=measuring.peak_per_s)
            number += 1
            if measured.phase.status != "ended":
                reports.say("ended")
                return
    reports.say("ended")


def _says(reports: Reports) -> Callable[[str, int], None]:
    said_s = [0.0]

    def look(load: str, requests: int) -> None:
        now = time.perf_counter()
        if now - said_s[0] > _SAYS_S:
            said_s[0] = now
            reports.say("look", load=load, requests=requests)

    return look
