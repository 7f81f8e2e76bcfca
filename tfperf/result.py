"""What came out of a run, as values that are written to and read from `result.json`."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any, Literal

SCHEMA = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measurement:
    """One measured number, with its unit."""

    name: str
    value: float
    unit: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quality:
    """The quality that training reached; `value` is None when no evaluation was made."""

    metric: str
    value: float | None
    target: float
    reached: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainResult:
    """The outcome of one training run.

    Attributes:
        benchmark: the benchmark's name.
        division: closed, open or internal.
        valid: whether `time_to_train_s` may be quoted: the target was reached and nothing failed.
        reasons: why the result is not valid, in plain words; empty when it is.
        closed_eligible: whether the result keeps every rule of the closed division that tfperf can see.
        closed_ineligible_because: the rules that it does not keep, in plain words.
        status: `success` when the target was reached, else `aborted`.
        config: the resolved spec.
        environment: the machine and the software.
        time_to_train_s: seconds from `run_start` to `run_stop`; None unless the target was reached.
        run_s: seconds on the clock, whatever the outcome.
        quality: the last evaluation.
        epochs: epochs trained when the clock stopped.
        examples_per_s: training examples per second of training time, evaluations left out.
        skipped_examples: corrupt examples that the run was told to leave out, each by name.
        measurements: further numbers.
    """

    benchmark: str
    division: str
    valid: bool
    reasons: tuple[str, ...]
    closed_eligible: bool
    closed_ineligible_because: tuple[str, ...]
    status: Literal["success", "aborted"]
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    time_to_train_s: float | None
    run_s: float
    quality: Quality
    epochs: int
    examples_per_s: float | None
    skipped_examples: tuple[str, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    kind: Literal["train"] = "train"
    schema: int = SCHEMA


def write(path: pathlib.Path, result: TrainResult) -> None:
    """Writes the result as JSON; a reader sees the whole file or none."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(as_dict(result), indent=2, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(partial, path)


def as_dict(result: TrainResult) -> dict[str, Any]:
    """The result as plain JSON values."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(result), allow_nan=False))
    return plain


def read(path: pathlib.Path) -> TrainResult:
    """Reads what `write` wrote.

    Raises:
        ValueError: the file is not a result of this schema.
    """
    fields = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(fields, dict) or fields.get("schema") != SCHEMA or fields.get("kind") != "train":
        raise ValueError(f"{path} is not a tfperf training result of schema {SCHEMA}.")
    fields["quality"] = Quality(**fields["quality"])
    fields["measurements"] = tuple(Measurement(**measurement) for measurement in fields["measurements"])
    for name in ("reasons", "closed_ineligible_because", "skipped_examples"):
        fields[name] = tuple(fields[name])
    return TrainResult(**fields)
