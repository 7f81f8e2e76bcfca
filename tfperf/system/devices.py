"""The processors of this machine, and the strategy that runs a model on the chosen ones."""

from __future__ import annotations

import os
import pathlib
import platform
import re
from typing import TYPE_CHECKING, Any, Literal

from tfperf.errors import UsageError
from tfperf.spec import Device, DeviceKind

if TYPE_CHECKING:
    import tensorflow as tf

Jit = Literal["step", "gradients", "none"]


def parse(text: str) -> Device | None:
    """Parses `--device`: `cpu`, `cpu:2` (two logical devices), `gpu`, `gpu:4` or `tpu`; returns None for `auto`.

    Raises:
        UsageError: the text is none of these.
    """
    if text == "auto":
        return None
    match = re.fullmatch(r"(cpu|gpu)(?::([1-9][0-9]*))?|(tpu)", text)
    if match is None:
        raise UsageError(f"--device must be auto, cpu, cpu:N, gpu, gpu:N or tpu, got {text!r}.")
    count = int(match[2]) if match[2] else None
    kind: DeviceKind = "tpu" if match[3] else "gpu" if match[1] == "gpu" else "cpu"
    return Device(kind=kind, count=count)


def strategy_for(device: Device | None, *, workers: int = 1) -> tf.distribute.Strategy:
    """The strategy for the device.

    One device gets OneDeviceStrategy, several MirroredStrategy, several workers MultiWorkerMirroredStrategy, a TPU
    TPUStrategy.

    Args:
        device: None takes all GPUs if there are any, otherwise the CPU.
        workers: processes that take part, as TF_CONFIG names them.

    Raises:
        UsageError: the machine doesn't have the device; the message says what it has.
    """
    import tensorflow as tf

    if device is not None and device.kind == "tpu":
        return _tpu_strategy()
    gpus = tf.config.list_physical_devices("GPU")
    kind: DeviceKind = device.kind if device else "gpu" if gpus else "cpu"
    count = device.count if device else None
    found = len(gpus) if kind == "gpu" else count or 1
    if found < (count or 1):
        flag = f"--device {kind}{f':{count}' if count else ''}"
        raise UsageError(f"{flag} needs {count or 1} GPUs, TensorFlow sees {len(gpus)}. {summary()}")
    if kind == "gpu":
        tf.config.set_visible_devices(gpus[: count or found], "GPU")
    elif count:
        _split_cpu(count)
    if workers > 1:
        return tf.distribute.MultiWorkerMirroredStrategy()
    names = [f"/{kind}:{index}" for index in range(count or found)]
    if len(names) == 1:
        return tf.distribute.OneDeviceStrategy(names[0])
    # TensorFlow's collectives of logical CPU devices mix up two models of different shapes in one process.
    reduction = tf.distribute.ReductionToOneDevice() if kind == "cpu" else None
    return tf.distribute.MirroredStrategy(names, cross_device_ops=reduction)


def jit_of(strategy: tf.distribute.Strategy, *, choice: Literal["auto", "on", "off"] = "auto") -> Jit:
    """What XLA should compile.

    With `auto` it is the whole step on one GPU, forward and backward on several GPUs, and nothing on a CPU, where
    compiled convolutions took twice the time. A whole step can't be compiled under MirroredStrategy, whose variables
    live on several devices. A TPU compiles everything by itself.
    """
    if choice == "off" or (choice == "auto" and "gpu" not in _kinds(strategy)):
        return "none"
    return "step" if strategy.num_replicas_in_sync == 1 else "gradients"


def describe(strategy: tf.distribute.Strategy) -> dict[str, Any]:
    """The processors of this machine, a name for the system, and how the strategy uses which processors."""
    return {
        **present(),
        "platform": platform_name(strategy),
        "strategy": type(strategy).__name__.removesuffix("V1"),
        "replicas": strategy.num_replicas_in_sync,
        "devices": list(strategy.extended.worker_devices),
    }


def platform_name(strategy: tf.distribute.Strategy) -> str:
    """A name for the system: the number and the kind of the processors it runs on."""
    found, kinds, replicas = present(), _kinds(strategy), strategy.num_replicas_in_sync
    if "gpu" in kinds:
        return f"{replicas}x {found['gpu']}"
    return f"{replicas}x TPU core" if "tpu" in kinds else f"{found['cpu_logical_cores']} cores of {found['cpu']}"


def present() -> dict[str, int | str]:
    """The processors of this machine, found without TensorFlow: name of the CPU, logical cores, GPUs, TPU chips."""
    gpus = [_gpu_name(path) for path in sorted(pathlib.Path("/proc/driver/nvidia/gpus").glob("*/information"))]
    return {
        "cpu": cpu_name(),
        "cpu_logical_cores": _usable_cores(),
        "gpu": ", ".join(sorted(set(gpus))) or "none",
        "gpu_count": len(gpus),
        "tpu_chips": len(list(pathlib.Path("/dev").glob("accel[0-9]*"))),
    }


def cpu_name() -> str:
    """The CPU as the operating system names it."""
    info = pathlib.Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8") if info.exists() else ""
    match = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return match[1].strip() if match else platform.processor() or platform.machine()


def _kinds(strategy: tf.distribute.Strategy) -> set[str]:
    return {device.split(":")[-2].lower() for device in strategy.extended.worker_devices}


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _gpu_name(information: pathlib.Path) -> str:
    match = re.search(r"^Model:\s*(.+)$", information.read_text(encoding="utf-8"), re.MULTILINE)
    return match[1].strip() if match else "NVIDIA GPU"


def summary() -> str:
    """A sentence on the CPU cores and the GPUs of this machine, for messages."""
    found = present()
    advice = " For GPUs install tfperf[gpu]." if found["gpu_count"] else ""
    return f"This machine has {found['cpu_logical_cores']} CPU cores and {found['gpu_count']} NVIDIA GPUs.{advice}"


def _split_cpu(count: int) -> None:
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    if len(tf.config.get_logical_device_configuration(cpu) or [None]) == count:
        return
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    except RuntimeError as error:
        raise UsageError(f"cpu:{count} must be chosen before TensorFlow is used in this process: {error}") from error


def _tpu_strategy() -> tf.distribute.Strategy:
    import tensorflow as tf

    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect("")
    except (ValueError, tf.errors.OpError) as error:
        raise UsageError(f"--device tpu: no TPU can be reached: {error}. {summary()}") from error
    return tf.distribute.TPUStrategy(resolver)
