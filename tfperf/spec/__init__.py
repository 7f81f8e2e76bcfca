"""Specs: the values a user may set, with their invariants."""

from tfperf.spec.data import Data
from tfperf.spec.device import Device, DeviceKind
from tfperf.spec.division import Division
from tfperf.spec.evaluation import EvaluatedForm, EvaluateSpec
from tfperf.spec.inference import Executable, InferSpec
from tfperf.spec.optimizers import Adam, AdamW, Clip, Lamb, Lars, Momentum, Optimizer, Sgd
from tfperf.spec.phases import (
    Concurrency,
    ConstantRate,
    MultiStreamLoad,
    OfflineLoad,
    Phase,
    RampUp,
    Replay,
    ServerLoad,
    SingleStreamLoad,
    Spike,
    Sustained,
    WarmUp,
    phase_name,
)
from tfperf.spec.scenario import MultiStream, Offline, Scenario, Server, SingleStream
from tfperf.spec.submission import Submission
from tfperf.spec.sweep import Choice, EarlyStopping, Integers, LogUniform, Objective, Range, SweepSpec, Uniform
from tfperf.spec.telemetry import EnergyEstimates, PowerEstimate, TelemetrySpec
from tfperf.spec.training import Evaluation, Jit, Precision, TrainSpec

__all__ = [
    "Adam",
    "AdamW",
    "Choice",
    "Clip",
    "Concurrency",
    "ConstantRate",
    "Data",
    "Device",
    "DeviceKind",
    "Division",
    "EarlyStopping",
    "EnergyEstimates",
    "EvaluateSpec",
    "EvaluatedForm",
    "Evaluation",
    "Executable",
    "InferSpec",
    "Integers",
    "Jit",
    "Lamb",
    "Lars",
    "LogUniform",
    "Momentum",
    "MultiStream",
    "MultiStreamLoad",
    "Objective",
    "Offline",
    "OfflineLoad",
    "Optimizer",
    "Phase",
    "PowerEstimate",
    "Precision",
    "RampUp",
    "Range",
    "Replay",
    "Scenario",
    "Server",
    "ServerLoad",
    "Sgd",
    "SingleStream",
    "SingleStreamLoad",
    "Spike",
    "Submission",
    "Sustained",
    "SweepSpec",
    "TelemetrySpec",
    "TrainSpec",
    "Uniform",
    "WarmUp",
    "phase_name",
]
