"""Results as `result.json`."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from tfperf import field_types, json_text, whole_file
from tfperf.result.bottleneck import Bottleneck
from tfperf.result.energy import EnergyDomain
from tfperf.result.evaluate import Consistency, EvaluateResult, Judged, LoadCurve, LoadPhase, Steadiness
from tfperf.result.infer import Candidate, InferResult, Probe
from tfperf.result.machine_use import GpuUse, MachineUse
from tfperf.result.measurement import SCHEMA, Measurement, Percentile, Quality
from tfperf.result.sweep import Comparison, SweepResult, SweepTrial
from tfperf.result.train import TrainResult

Result = TrainResult | InferResult | SweepResult | EvaluateResult


def write(path: pathlib.Path, result: Result) -> None:
    """Writes the result as JSON, atomically."""
    whole_file.write(path, json.dumps(as_dict(result), indent=2, allow_nan=False) + "\n")


def as_dict(result: Result) -> dict[str, Any]:
    """The result as plain JSON values."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(result), allow_nan=False))
    return plain


def read(path: pathlib.Path) -> Result:
    """Reads what `write` wrote.

    Raises:
        ValueError: the file is not a result of this schema.
    """
    return parse(path.read_text(encoding="utf-8"), source=str(path))


def parse(content: str, *, source: str) -> Result:
    """The result in `content`.

    Args:
        content: the text of a `result.json`.
        source: its name in messages.

    Raises:
        ValueError: it is not a result of this schema.
    """
    fields = json_text.parse(content)
    if not isinstance(fields, dict) or fields.get("schema") != SCHEMA or str(fields.get("kind")) not in _READERS:
        raise ValueError(f"{source} is not a tfperf result of schema {SCHEMA}.")
    try:
        fields["measurements"] = tuple(Measurement(**measurement) for measurement in fields["measurements"])
        for name in ("reasons", "closed_ineligible_because"):
            fields[name] = tuple(fields[name])
        if fields["kind"] != "sweep":
            fields |= _observed(fields)
        found = _READERS[fields["kind"]](fields)
        field_types.check(found)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{source} was not written by tfperf: {type(error).__name__}: {error}") from error
    except ValueError as error:
        raise ValueError(f"{source} was not written by tfperf: {error}") from error
    return found


def _observed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The energy, the use and the bottlenecks. Results of earlier versions have none."""
    return {
        "energy": tuple(EnergyDomain(**each) for each in fields.get("energy", ())),
        "use": tuple(machine_use(each) for each in fields.get("use", ())),
        "bottlenecks": tuple(
            Bottleneck(**{**each, "evidence": tuple(each["evidence"])}) for each in fields.get("bottlenecks", ())
        ),
    }


def machine_use(fields: Mapping[str, Any]) -> MachineUse:
    """The use of a machine from its plain JSON values."""
    gpus = tuple(GpuUse(**{**each, "throttled_by": tuple(each["throttled_by"])}) for each in fields["gpus"])
    return MachineUse(**{**fields, "gpus": gpus})


def _train_result(fields: dict[str, Any]) -> TrainResult:
    fields["quality"] = Quality(**fields["quality"])
    for name in ("skipped_examples", "notes"):
        fields[name] = tuple(fields.get(name, ()))
    return TrainResult(**fields)


def _infer_result(fields: dict[str, Any]) -> InferResult:
    fields["metric"] = None if fields["metric"] is None else Measurement(**fields["metric"])
    fields["accuracy"] = None if fields["accuracy"] is None else Quality(**fields["accuracy"])
    for name in ("batch_sizes", "notes"):
        fields[name] = tuple(fields[name])
    for name, kind in (("candidates", Candidate), ("percentiles", Percentile), ("search", Probe)):
        fields[name] = tuple(kind(**value) for value in fields[name])
    return InferResult(**fields)


def _sweep_result(fields: dict[str, Any]) -> SweepResult:
    fields["trials"] = tuple(SweepTrial(**trial) for trial in fields["trials"])
    fields["notes"] = tuple(fields["notes"])
    if fields["comparison"] is not None:
        compared = fields["comparison"]
        fields["comparison"] = Comparison(
            **{**compared, "default": tuple(compared["default"]), "best": tuple(compared["best"])}
        )
    return SweepResult(**fields)


def _evaluate_result(fields: dict[str, Any]) -> EvaluateResult:
    fields["notes"] = tuple(fields["notes"])
    fields["judged"] = tuple(Judged(**each) for each in fields["judged"])
    fields["phases"] = tuple(_load_phase(each) for each in fields["phases"])
    fields["curves"] = tuple(
        LoadCurve(**{**each, "points": tuple(tuple(point) for point in each["points"])}) for each in fields["curves"]
    )
    fields["repeats"] = tuple(
        Consistency(**{**each, "values": tuple(each["values"])}) for each in fields.get("repeats", ())
    )
    return EvaluateResult(**fields)


def _load_phase(fields: dict[str, Any]) -> LoadPhase:
    metric, steadiness = fields["metric"], fields.get("steadiness")
    return LoadPhase(
        **{
            **fields,
            "steadiness": None
            if steadiness is None
            else Steadiness(**{**steadiness, "because": tuple(steadiness["because"])}),
            "metric": None if metric is None else Measurement(**metric),
            "percentiles": tuple(Percentile(**each) for each in fields["percentiles"]),
            "reasons": tuple(fields["reasons"]),
            "notes": tuple(fields["notes"]),
            "span_ns": tuple(fields.get("span_ns", ())),
        }
    )


_READERS: Mapping[str, Callable[[dict[str, Any]], Result]] = {
    "train": _train_result,
    "infer": _infer_result,
    "sweep": _sweep_result,
    "evaluate": _evaluate_result,
}
