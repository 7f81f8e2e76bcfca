"""What this machine lets a compiled form have: its precisions, its threads, its cache of compilations."""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Mapping

from tfperf.errors import TfperfError
from tfperf.system import devices

# As Linux spells them. oneDNN rewrites graphs to bfloat16 on x86 from AVX512 on, computing in float32 inside where the
# processor has no bfloat16 instructions (`IsDataTypeSupportedByOneDNNOnThisCPU` in TensorFlow's mkl_graph_util.h).
_REWRITES_BFLOAT16 = frozenset({"avx512f", "avx_ne_convert", "bf16"})
_COMPUTES_BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"})


class UnavailableError(TfperfError):
    """A compiled form that this machine or this model can't have, and why."""


def offered(form: str) -> str | None:
    """Why a form can't be had on this machine, as far as can be told without TensorFlow; None when it may be had."""
    kind, _, precision = form.partition("-")
    gpu = has_gpu()
    if precision == "float16" and not gpu:
        return "float16 is computed by GPUs, and no NVIDIA GPU is visible here"
    if precision != "bfloat16" or (gpu and kind == "xla"):
        return None
    if gpu:
        return "TensorFlow rewrites graphs to bfloat16 for processors only, and this machine serves on a GPU"
    return _bfloat16_refusal(kind, cpu_flags())


def cpu_flags() -> frozenset[str]:
    """The processor's instruction sets as Linux names them; empty where it does not say."""
    info = pathlib.Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8") if info.exists() else ""
    match = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return frozenset(match[1].split()) if match else frozenset()


def has_gpu() -> bool:
    """Whether an NVIDIA GPU is there and not hidden by CUDA_VISIBLE_DEVICES."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip()
    return visible not in ("", "-1") and devices.present()["gpu_count"] != 0


def set_threads(threads: int, *, instances: int = 1) -> None:
    """Gives one operation of TensorFlow this many threads, and lets the operations of one instance follow each other.

    To be called in a fresh process before TensorFlow has run anything.

    Raises:
        RuntimeError: TensorFlow has started already with other numbers.
    """
    import tensorflow as tf

    # All instances share TensorFlow's threads. With one for an operation it uses none of them, but the caller's own.
    tf.config.threading.set_intra_op_parallelism_threads(threads * instances if threads > 1 else 1)
    tf.config.threading.set_inter_op_parallelism_threads(instances)


def environment(form: str, cache: pathlib.Path) -> Mapping[str, str]:
    """Environment variables under which a process should build or open the form, set before TensorFlow starts.

    XLA then keeps what it compiled in the directory `cache`, and takes it from there in the next process.
    """
    if not form.startswith("xla-"):
        return {}
    flags = [os.environ.get("TF_XLA_FLAGS", ""), f"--tf_xla_persistent_cache_directory={cache}"]
    return {"TF_XLA_FLAGS": " ".join(flag for flag in flags if flag)}


def _bfloat16_refusal(kind: str, flags: frozenset[str]) -> str | None:
    needed = _COMPUTES_BFLOAT16 if kind == "xla" else _REWRITES_BFLOAT16
    if flags and not flags & needed:
        return f"this processor has no bfloat16: none of {', '.join(sorted(needed))} is among its instruction sets"
    return None
