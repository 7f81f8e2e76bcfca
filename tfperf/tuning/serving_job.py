"""What the process of a serving trial is told: what to measure, with which model and data."""

from __future__ import annotations

import dataclasses
import json
import pathlib

from tfperf import config, spec
from tfperf.directory import Place
from tfperf.inference.weights import Weights

NAME = "job.json"
SPEC = "internal-sweep-trial.yaml"  # run directories are called after it


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServingJob:
    """One trial to measure; its spec lies beside it.

    Attributes:
        arguments: of `tfperf infer`: the model, and where and on what to run.
        division: always `internal`.
    """

    arguments: tuple[str, ...]
    division: str = "internal"


def arguments(trained: Weights, place: Place) -> tuple[str, ...]:
    """The arguments that name the model, the data and the device."""
    return (
        f"--weights={trained.path}",
        *(("--trust_model",) if trained.trusted else ()),
        *((f"--data_dir={place.data_dir}",) if place.data_dir is not None else ()),
        *((f"--device={place.device.kind}",) if place.device is not None else ()),
    )


def files(job: ServingJob, asked: spec.InferSpec) -> dict[str, str]:
    """The job and its spec as files of the trial's directory: name -> text."""
    return {SPEC: config.dump(asked), NAME: json.dumps(dataclasses.asdict(job), indent=2) + "\n"}


def read(directory: pathlib.Path) -> ServingJob:
    """Reads what `files` gave."""
    fields = json.loads((directory / NAME).read_text(encoding="utf-8"))
    return ServingJob(**{**fields, "arguments": tuple(fields["arguments"])})
