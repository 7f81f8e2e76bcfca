"""The verdict of a check of a training log, of the runs of a result, of an inference run or of a sweep."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

About = Literal["structure", "target", "rules"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Violation:
    """Something that the rules do not allow.

    Attributes:
        message: what is wrong.
        line: the line number, from 1; None if no single line is wrong, as with a missing key.
        key: the key that it concerns; None if none.
        source: where the rule comes from: MLCommons' checker of training logs (`mlperf_logging`), its checker of
            inference results (`submission_checker`), whose rules tfperf applies itself, or `tfperf`.
        about: what it concerns: the `structure` of the files; the `target`, or what LoadGen demands of a measurement;
            or the other `rules`.
    """

    message: str
    line: int | None = None
    key: str | None = None
    source: Literal["mlperf_logging", "submission_checker", "tfperf"] = "tfperf"
    about: About = "rules"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """The outcome for one path.

    Attributes:
        path: a log, the folder with all runs of a result, the run directory of an inference run, or the directory of a
            sweep or of one trial.
        kind: `train` for the log of one run, `train_result` for the runs of one result, `infer` for an inference run,
            `loadgen` for LoadGen's logs in a folder without a result of tfperf, `sweep` for the files of an internal
            sweep, which are never good, `evaluate` for an evaluation.
        benchmark: its name in the log.
        division: its division in the log.
        ruleset: the ruleset that the log was checked by; for an inference run the round whose seeds it used, such as
            `v6.1`.
        compliant: the official checker's verdict. None if it does not apply: minis, custom benchmarks and internal
            runs are not MLPerf benchmarks, whatever their logs say. For an inference run tfperf applies the rules of
            the official checker without running it. For LoadGen's logs alone only some of them can be applied: False
            where one is broken, else None.
        structure: whether the files are whole and hold what they must, whether or not the target was reached. If
            `compliant` is None, the rules that apply to the log are part of this.
        target: whether the run reached its target; None if it has none or has not ended, or if nothing shows it.
        minutes: minutes on the clock; for a result its score, with its scaling.
        scaling: the factor in a score, above 1 for converging faster than the reference; None without a score.
        status: `success`, `incomplete`, or another status from the log.
        violations: the broken rules, because of which it is not `good`.
        remarks: what a reviewer would notice and the official checker ignores.
        notes: how the verdict was reached.
    """

    path: str
    kind: Literal["train", "train_result", "infer", "loadgen", "sweep", "evaluate"]
    benchmark: str | None = None
    division: str | None = None
    ruleset: str | None = None
    compliant: bool | None = None
    structure: Literal["ok", "broken"] | None = None
    target: Literal["reached", "not reached"] | None = None
    minutes: float | None = None
    scaling: float | None = None
    status: str = "incomplete"
    violations: tuple[Violation, ...] = ()
    remarks: tuple[Violation, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether nothing is wrong with it, whether or not it is an MLPerf log."""
        accepted = self.structure == "ok" if self.compliant is None else self.compliant
        return not self.violations and accepted


def broken(violations: Sequence[Violation], *, by_rules: bool) -> Literal["ok", "broken"]:
    """The state of the structure.

    Args:
        violations: all that were found.
        by_rules: whether a broken rule breaks the structure, as where there is no other verdict on the rules.
    """
    breaking = ("structure", "rules") if by_rules else ("structure",)
    return "broken" if any(violation.about in breaking for violation in violations) else "ok"


def as_dict(verdict: Verdict) -> dict[str, Any]:
    """The verdict as plain JSON values."""
    return dataclasses.asdict(verdict)
