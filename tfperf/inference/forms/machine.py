"""What a machine offers to a compiled form: its processors, precisions and threads, and how a child process uses them.

    environment = machine.environment("xla-float32", cache=directory, device=device)   # in the parent
    machine.set_up(threads=2, device=device)                                           # first thing in the child
    machine.computes("xla-float32")                                                    # in the child: Processor(...)

The parent never initialises an accelerator, which would take its memory from the child.
"""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Mapping
from typing import NamedTuple

from tfperf import spec
from tfperf.errors import TfperfError
from tfperf.system import devices

# As Linux spells them. oneDNN rewrites graphs to bfloat16 on x86 from AVX512 on, computing in float32 inside where the
# processor has no bfloat16 instructions (`IsDataTypeSupportedByOneDNNOnThisCPU` in TensorFlow's mkl_graph_util.h).
_REWRITES_BFLOAT16 = frozenset({"avx512f", "avx_ne_convert", "bf16"})
_COMPUTES_BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"})
_VISIBLE_GPUS = "CUDA_VISIBLE_DEVICES"


class UnavailableError(TfperfError):
    """A compiled form isn't available for this machine or this model. The message says why."""


class Processor(NamedTuple):
    """The processor that computes.

    Attributes:
        kind: `cpu` or `gpu`.
        name: the manufacturer's name for it.
    """

    kind: spec.DeviceKind
    name: str


def offered(form: str, device: spec.Device | None = None) -> str | None:
    """Why a form isn't available on a device, if that can be found out without TensorFlow; otherwise None.

    Args:
        form: as in `spec.Executable`.
        device: the device to serve on; None takes a GPU if there is one.
    """
    compiler, _, precision = form.partition("-")
    gpu = serves_on_gpu(device)
    if precision == "float16" and not gpu:
        return (
            "float16 needs a GPU, and --device is cpu"
            if device is not None and device.kind == "cpu"
            else "float16 is computed by GPUs, and no NVIDIA GPU is visible here"
        )
    if precision != "bfloat16" or (gpu and compiler == "xla"):
        return None
    if gpu:
        return "TensorFlow rewrites graphs to bfloat16 for processors only, and this machine serves on a GPU"
    return _bfloat16_refusal(compiler, cpu_flags())


def cpu_flags() -> frozenset[str]:
    """The processor's instruction sets as Linux names them; empty where the system doesn't list them."""
    info = pathlib.Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8") if info.exists() else ""
    match = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return frozenset(match[1].split()) if match else frozenset()


def serves_on_gpu(device: spec.Device | None) -> bool:
    """Whether a form that TensorFlow runs is to run on a GPU."""
    return has_gpu() if device is None else device.kind == "gpu"


def has_gpu() -> bool:
    """Whether there is an NVIDIA GPU that CUDA_VISIBLE_DEVICES doesn't hide."""
    return _visible_gpus() != "-1" and devices.present()["gpu_count"] != 0


def environment(form: str, *, cache: pathlib.Path, device: spec.Device | None = None) -> Mapping[str, str]:
    """The environment variables of a process that builds or opens a form. TensorFlow reads them when it starts.

    Args:
        form: as in `spec.Executable`.
        cache: a directory in which XLA keeps compiled programs for the next process.
        device: the device to serve on. A GPU is the first of the visible ones; the others are hidden.
    """
    variables = {}
    if not serves_on_gpu(device):
        variables[_VISIBLE_GPUS] = "-1"
    elif _visible_gpus() != "-1":
        variables[_VISIBLE_GPUS] = _visible_gpus().split(",")[0].strip()
    if form.startswith("xla-"):
        flags = [os.environ.get("TF_XLA_FLAGS", ""), f"--tf_xla_persistent_cache_directory={cache}"]
        variables["TF_XLA_FLAGS"] = " ".join(flag for flag in flags if flag)
    return variables


def set_up(*, threads: int, instances: int = 1, device: spec.Device | None = None) -> None:
    """Sets TensorFlow's threads, and lets GPU memory grow as needed. Call this before TensorFlow has run anything.

    A form in float32 computes in float32: TF32, TensorFlow's default on GPUs from Ampere on, is turned off.

    Args:
        threads: CPU threads per operation. The operations of one instance run one after the other.
        instances: copies of the model that run at the same time. They share TensorFlow's threads.
        device: the device to serve on, as given to `environment`.

    Raises:
        RuntimeError: TensorFlow has already started with other settings.
        UnavailableError: the device is a GPU and TensorFlow finds none.
    """
    import tensorflow as tf

    # With one thread per operation TensorFlow uses none of its own, but the caller's.
    tf.config.threading.set_intra_op_parallelism_threads(threads * instances if threads > 1 else 1)
    tf.config.threading.set_inter_op_parallelism_threads(instances)
    tf.config.experimental.enable_tensor_float_32_execution(False)
    if not serves_on_gpu(device):
        return
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus and device is not None:
        raise UnavailableError(
            "--device gpu: TensorFlow finds no GPU it can use. Install tfperf[gpu] and check nvidia-smi, or pass "
            "--device cpu."
        )
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)


def computes(form: str) -> Processor:
    """The processor that runs a form in this process. Call this in the child, after `set_up`."""
    import tensorflow as tf

    gpus = [] if form.startswith("litert-") else tf.config.list_physical_devices("GPU")
    if not gpus:
        return Processor("cpu", devices.cpu_name())
    details = tf.config.experimental.get_device_details(gpus[0])
    return Processor("gpu", str(details.get("device_name", "NVIDIA GPU")))


def _visible_gpus() -> str:
    """CUDA_VISIBLE_DEVICES: `-1` when it hides all GPUs, `0` when it is not set."""
    return os.environ.get(_VISIBLE_GPUS, "0").strip() or "-1"


def _bfloat16_refusal(compiler: str, flags: frozenset[str]) -> str | None:
    needed = _COMPUTES_BFLOAT16 if compiler == "xla" else _REWRITES_BFLOAT16
    if flags and not flags & needed:
        return f"this processor has no bfloat16: none of {', '.join(sorted(needed))} is among its instruction sets"
    return None
