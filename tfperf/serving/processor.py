"""The processor of a measurement. The child processes compute on it, and this process stays off it."""

from __future__ import annotations

from typing import Any

from tfperf import spec as specs
from tfperf.errors import UsageError
from tfperf.system import devices


def check_device(device: specs.Device | None) -> None:
    """Refuses a device that can't serve.

    Raises:
        UsageError: the device is a TPU or more than one processor, or a GPU on a machine without one.
    """
    if device is None:
        return
    if device.kind == "tpu" or (device.count or 1) > 1:
        received = device.kind if device.count is None else f"{device.kind}:{device.count}"
        raise UsageError(f"--device: serving takes one processor: auto, cpu or gpu; got {received}.")
    if device.kind == "gpu" and not _gpus():
        raise UsageError(f"--device gpu needs 1 GPU, TensorFlow sees 0. {devices.summary()}")


def _gpus() -> int:
    """How many GPUs TensorFlow finds. Listing them doesn't take their memory."""
    import tensorflow as tf

    return len(tf.config.list_physical_devices("GPU"))


def hide_accelerators() -> None:
    """Keeps TensorFlow in this process off GPUs, whose memory the child processes need.

    If TensorFlow has already initialised its devices in this process, it keeps them.
    """
    import tensorflow as tf

    try:
        tf.config.set_visible_devices([], "GPU")
    except RuntimeError:  # TensorFlow has already initialised its devices
        return


def described(processor: tuple[str, str] | None) -> dict[str, Any]:
    """The processors of this machine and, once a child process has reported it, the one that computed.

    Args:
        processor: the kind (`cpu` or `gpu`) and the name of the one that computed; None before it is known.
    """
    present = devices.present()
    if processor is None:
        return dict(present)
    kind, name = processor
    platform = f"1x {name}" if kind == "gpu" else f"{present['cpu_logical_cores']} cores of {name}"
    return {
        **present,
        "platform": platform,
        "strategy": "none",
        "replicas": 1,
        "devices": [f"/device:{kind.upper()}:0"],
        "tensor_float_32": False,  # `machine.set_up` turns it off
    }
