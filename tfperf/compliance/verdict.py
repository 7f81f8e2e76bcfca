"""What a check of a training log, of all runs of a result, of an inference run or of a sweep comes to."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal


@dataclasses.dataclass(frozen=True, kw_only=True)
class Violation:
    """Something in a log that the rules do not allow.

    Attributes:
        message: what is wrong, in plain words.
        line: where in the file, from 1; None where it concerns no single line, such as a missing key.
        key: the event it concerns.
        source: who says so: MLCommons' checker of training logs (`mlperf_logging`), its checker of inference results
            (`submission_checker`), whose rule tfperf applied itself, or `tfperf`.
    """

    message: str
    line: int | None = None
    key: str | None = None
    source: Literal["mlperf_logging", "submission_checker", "tfperf"] = "tfperf"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """The outcome for one path.

    Attributes:
        path: the log, the folder that holds all runs of a result, the run directory of an inference run, or the
            directory of a sweep or of one trial.
        kind: `train` for the log of one run, `train_result` for the runs that make one result, `infer` for one
            inference run, `sweep` for what an internal sweep wrote, which is never good.
        benchmark: as the log names it.
        division: as the log names it.
        ruleset: by which the log was checked; for an inference run the round whose seeds it used, such as `v6.1`.
        compliant: the official checker's verdict. None where it has none to give: minis, benchmarks of one's own and
            internal runs are no MLPerf benchmarks, whatever their logs say. On an inference run the official checker is
            not run; tfperf asks of its logs what that checker asks.
        structure: for those, whether the log is built as the rules ask.
        minutes: on the clock; for a result its score.
        status: `success`, `incomplete`, or what else the log says.
        violations: what keeps it from being `good`.
        remarks: what the official checker does not look at and a reviewer would.
        notes: how the verdict was reached.
    """

    path: str
    kind: Literal["train", "train_result", "infer", "sweep"]
    benchmark: str | None = None
    division: str | None = None
    ruleset: str | None = None
    compliant: bool | None = None
    structure: Literal["ok", "broken"] | None = None
    minutes: float | None = None
    status: str = "incomplete"
    violations: tuple[Violation, ...] = ()
    remarks: tuple[Violation, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether nothing speaks against it, be it an MLPerf log or not."""
        return not self.violations and (self.compliant is True or self.structure == "ok")


def as_dict(verdict: Verdict) -> dict[str, Any]:
    """The verdict as plain JSON values."""
    return dataclasses.asdict(verdict)
