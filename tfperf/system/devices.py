"""The processors of this machine, and the strategy that runs a model on the chosen ones."""

from __future__ import annotations

import os
import pathlib
import platform
import re
from typing import TYPE_CHECKING, Any, Literal

from tfperf.errors import UsageError
from tfperf.spec import Device, DeviceKind
from tfperf.system import cpu_quota, multi_worker
from tfperf.system.cluster import Cluster

if TYPE_CHECKING:
    import tensorflow as tf

Jit = Literal["step", "gradients", "none"]

_GPU_THREADS = 2  # that launch kernels, for each GPU

# PCI devices of TPU v2 and v3, v4, v5p, v5e, v6e and v7x: `_TPU_PCI_DEVICE_IDS` of JAX's hardware_utils.py.
_GOOGLE, _TPU_IDS = "0x1ae0", ("0x0027", "0x005e", "0x0062", "0x0063", "0x006f", "0x0076")
_DEVICE_FILES, _PCI_DEVICES = pathlib.Path("/dev"), pathlib.Path("/sys/bus/pci/devices")


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


def strategy_for(device: Device | None, *, workers: Cluster | None = None) -> tf.distribute.Strategy:
    """The strategy for the device.

    One device gets OneDeviceStrategy, several MirroredStrategy, several workers MultiWorkerMirroredStrategy, a TPU
    TPUStrategy.

    TensorFlow sees no other GPU than those of the strategy, and none under `cpu`, so that none of their memory is taken
    and MultiWorkerMirroredStrategy, which uses every GPU that it sees, runs where it was told to.

    Args:
        device: None takes all GPUs if there are any, otherwise the CPU.
        workers: the processes that take part, which must all be here; None for this one alone.

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
        # TensorFlow reads both when it opens the GPUs, and has no other way to set them. In its default mode the
        # threads of the input pipeline also launch kernels, and a GPU waits for a busy one.
        os.environ.setdefault("TF_GPU_THREAD_MODE", "gpu_private")
        os.environ.setdefault("TF_GPU_THREAD_COUNT", str(_GPU_THREADS))
    _show_gpus(gpus[: count or found] if kind == "gpu" else [], device)
    if kind == "cpu" and count:
        _split_cpu(count)
    if workers is not None and workers.workers > 1:
        return multi_worker.strategy(workers)
    names = [f"/{kind}:{index}" for index in range(count or found)]
    if len(names) == 1:
        return tf.distribute.OneDeviceStrategy(names[0])
    # TensorFlow's collectives of logical CPU devices mix up two models of different shapes in one process.
    reduction = tf.distribute.ReductionToOneDevice() if kind == "cpu" else None
    return tf.distribute.MirroredStrategy(names, cross_device_ops=reduction)


def jit_of(strategy: tf.distribute.Strategy, *, choice: Literal["auto", "on", "off"] = "auto") -> Jit:
    """What XLA should compile.

    With `auto` it is the whole step on one GPU, the gradients and the update on each of several GPUs, and nothing on a
    CPU, where compiled convolutions took twice the time. A whole step can't be compiled under MirroredStrategy, whose
    variables live on several devices. A TPU compiles everything by itself.
    """
    kinds = _kinds(strategy)
    if choice == "off" or "tpu" in kinds or (choice == "auto" and "gpu" not in kinds):
        return "none"
    return "step" if strategy.num_replicas_in_sync == 1 else "gradients"


def input_threads(strategy: tf.distribute.Strategy) -> int | None:
    """CPU threads for the input pipeline alone: those that don't launch work on GPUs or copy to them.

    As in the MLPerf reference for ResNet, each GPU has two threads that launch and one that copies; see `strategy_for`.
    None on a CPU, where the pipeline and the model share all threads.
    """
    gpus = [device for device in strategy.extended.worker_devices if "GPU" in device]
    return max(1, usable_cores() - (_GPU_THREADS + 1) * len(gpus)) if gpus else None


def describe(strategy: tf.distribute.Strategy) -> dict[str, Any]:
    """The processors of this machine, a name for the system, and how the strategy uses which processors.

    `tensor_float_32` says whether GPUs that can compute float32 products in TF32 do so.
    """
    import tensorflow as tf

    return {
        **present(),
        "platform": platform_name(strategy),
        "strategy": type(strategy).__name__.removesuffix("V1"),
        "replicas": strategy.num_replicas_in_sync,
        "devices": list(strategy.extended.worker_devices),
        "tensor_float_32": "gpu" in _kinds(strategy) and tf.config.experimental.tensor_float_32_execution_enabled(),
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
        "cpu_logical_cores": usable_cores(),
        "gpu": ", ".join(sorted(set(gpus))) or "none",
        "gpu_count": len(gpus),
        "tpu_chips": _tpu_chips(),
    }


def cpu_name() -> str:
    """The CPU as the operating system names it."""
    info = pathlib.Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8") if info.exists() else ""
    match = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return match[1].strip() if match else platform.processor() or platform.machine()


def usable_cores() -> int:
    """Logical cores that this process may use: those that it may run on, or the whole ones in its quota if fewer.

    Only Linux has a quota, and knows where a process may run; elsewhere, such as on macOS, all cores count.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota.cpus()
    return cores if quota is None else max(1, min(cores, int(quota)))


def _kinds(strategy: tf.distribute.Strategy) -> set[str]:
    return {device.split(":")[-2].lower() for device in strategy.extended.worker_devices}


def _tpu_chips() -> int:
    """TPU chips of this machine: device files up to v4, PCI devices passed through to the VM from v5 on."""
    files = len(list(_DEVICE_FILES.glob("accel[0-9]*")))
    return files or sum(_is_tpu(path) for path in _PCI_DEVICES.glob("*"))


def _is_tpu(pci_device: pathlib.Path) -> bool:
    try:
        vendor, device = ((pci_device / name).read_text(encoding="ascii").strip() for name in ("vendor", "device"))
    except OSError:  # unplugged meanwhile, or unreadable in a container
        return False
    return vendor == _GOOGLE and device in _TPU_IDS


def _gpu_name(information: pathlib.Path) -> str:
    match = re.search(r"^Model:\s*(.+)$", information.read_text(encoding="utf-8"), re.MULTILINE)
    return match[1].strip() if match else "NVIDIA GPU"


def summary() -> str:
    """A sentence on the CPU cores and the GPUs of this machine, for messages."""
    found = present()
    advice = " For GPUs install tfperf[gpu]." if found["gpu_count"] else ""
    return f"This machine has {found['cpu_logical_cores']} CPU cores and {found['gpu_count']} NVIDIA GPUs.{advice}"


def _show_gpus(gpus: list[Any], device: Device | None) -> None:
    """Hides all other GPUs from TensorFlow.

    Raises:
        UsageError: TensorFlow has already started with others.
    """
    import tensorflow as tf

    if tf.config.get_visible_devices("GPU") == gpus:
        return
    try:
        tf.config.set_visible_devices(gpus, "GPU")
    except RuntimeError as error:
        chosen = "auto" if device is None else device.kind if device.count is None else f"{device.kind}:{device.count}"
        raise UsageError(f"{chosen} must be chosen before TensorFlow is used in this process: {error}") from error


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
    """TPUStrategy on the TPU of this machine, or else on the one that TensorFlow's environment names.

    TensorFlow calls the chips of a TPU VM `local`, and looks for any other name on the network.
    """
    import tensorflow as tf

    name = "local" if _tpu_chips() else ""
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect(name)
    except (ValueError, RuntimeError, OSError, tf.errors.OpError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise UsageError(f"--device tpu: no TPU can be reached: {reason}. {summary()}") from error
    return tf.distribute.TPUStrategy(resolver)
