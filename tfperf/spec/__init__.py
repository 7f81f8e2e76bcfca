"""Specs: the values a user may set, with their invariants."""

from tfperf.spec.data import Data
from tfperf.spec.device import Device, DeviceKind
from tfperf.spec.division import Division
from tfperf.spec.inference import Executable, InferSpec
from tfperf.spec.optimizers import Adam, AdamW, Clip, Lamb, Lars, Momentum, Optimizer, Sgd
from tfperf.spec.scenario import MultiStream, Offline, Scenario, Server, SingleStream
from tfperf.spec.submission import Submission
from tfperf.spec.sweep import Choice, EarlyStopping, Integers, LogUniform, Objective, Range, SweepSpec, Uniform
from tfperf.spec.training import Evaluation, Jit, Precision, TrainSpec

__all__ = [
    "Adam",
    "AdamW",
    "Choice",
    "Clip",
    "Data",
    "Device",
    "DeviceKind",
    "Division",
    "EarlyStopping",
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
    "Objective",
    "Offline",
    "Optimizer",
    "Precision",
    "Range",
    "Scenario",
    "Server",
    "Sgd",
    "SingleStream",
    "Submission",
    "SweepSpec",
    "TrainSpec",
    "Uniform",
]
