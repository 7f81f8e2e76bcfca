"""The machine and the software of a run."""

from __future__ import annotations

import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

_PACKAGES = ("tfperf", "tensorflow", "keras", "tensorflow-datasets", "numpy", "mlperf-logging", "tensorboard")
# Whatever changes how TensorFlow, XLA, a library below them or Python's memory computes, by the start of its name.
_VARIABLES = (
    "CUBLAS_",
    "CUDA_",
    "CUDNN_",
    "GLIBC_TUNABLES",
    "GOMP_",
    "KERAS_BACKEND",
    "KMP_",
    "LD_PRELOAD",
    "MALLOC_",
    "MKL_",
    "NCCL_",
    "NVIDIA_TF32_OVERRIDE",
    "NVIDIA_VISIBLE_DEVICES",
    "OMP_",
    "ONEDNN_",
    "SLURM_JOB_ID",
    "TF_",
    "TPU_",
    "XLA_",
)


def capture(processors: Mapping[str, Any]) -> dict[str, Any]:
    """What a result needs to be understood later, as plain values.

    Args:
        processors: what is known about the processors and how the run uses them.
    """
    return {
        **processors,
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "operating_system": platform.platform(),
        "python": platform.python_version(),
        "packages": packages(),
        "code_version": code_version(),
        "commit": commit(),
        "variables": {name: value for name, value in sorted(os.environ.items()) if name.startswith(_VARIABLES)},
        "command": sys.argv,
    }


def packages() -> dict[str, str]:
    """The versions of the packages that decide what a run computes and how it is checked."""
    return {name: _version(name) for name in _PACKAGES}


def write(path: pathlib.Path, captured: Mapping[str, Any]) -> None:
    """Writes what `capture` returned as JSON."""
    path.write_text(json.dumps(dict(captured), indent=2) + "\n", encoding="utf-8")


def code_version() -> str:
    """tfperf's version and, in a source tree, its commit, with `+changes` where files differ from it."""
    source = pathlib.Path(__file__).resolve().parents[2]
    if not (source / ".git").exists():
        return _version("tfperf")
    return f"{_version('tfperf')} {_described(source) or 'unknown commit'}"


def commit() -> str | None:
    """The commit of the tree that the run was started in, usually that of the user's code; None outside of one."""
    return _described(pathlib.Path.cwd())


def _described(tree: pathlib.Path) -> str | None:
    git = ["git", "-C", str(tree), "describe", "--always", "--dirty=+changes", "--exclude=*"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip() or None
    except (OSError, subprocess.CalledProcessError):  # no git on this machine, or no commit in this tree
        return None


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
