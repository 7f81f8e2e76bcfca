"""The results of runs, as values that are written to and read from `result.json`."""

from tfperf.result.bottleneck import Bottleneck, Limit
from tfperf.result.energy import EnergyDomain, EnergyStatus, energy_lines, without_number
from tfperf.result.evaluate import (
    Consistency,
    EvaluateResult,
    Judged,
    LoadCurve,
    LoadPhase,
    Steadiness,
    SteadinessVerdict,
)
from tfperf.result.infer import Candidate, InferResult, Probe
from tfperf.result.machine_use import GpuUse, MachineUse, use_lines
from tfperf.result.measurement import MISSED, SCHEMA, TIMED_ONLY, UNTARGETED_TRIAL, Measurement, Percentile, Quality
from tfperf.result.stored import Result, as_dict, machine_use, parse, read, write
from tfperf.result.sweep import Comparison, SweepResult, SweepTrial
from tfperf.result.train import TrainResult

__all__ = [
    "MISSED",
    "SCHEMA",
    "TIMED_ONLY",
    "UNTARGETED_TRIAL",
    "Bottleneck",
    "Candidate",
    "Comparison",
    "Consistency",
    "EnergyDomain",
    "EnergyStatus",
    "EvaluateResult",
    "GpuUse",
    "InferResult",
    "Judged",
    "Limit",
    "LoadCurve",
    "LoadPhase",
    "MachineUse",
    "Measurement",
    "Percentile",
    "Probe",
    "Quality",
    "Result",
    "Steadiness",
    "SteadinessVerdict",
    "SweepResult",
    "SweepTrial",
    "TrainResult",
    "as_dict",
    "energy_lines",
    "machine_use",
    "parse",
    "read",
    "use_lines",
    "without_number",
    "write",
]
