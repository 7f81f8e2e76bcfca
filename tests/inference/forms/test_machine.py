"""What a form needs of the machine, and the process that serves it on the chosen device."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from tfperf import spec
from tfperf.inference.forms import machine


def test_float16_needs_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert machine.offered("xla-float16") == "float16 is computed by GPUs, and no NVIDIA GPU is visible here"
    assert machine.offered("xla-float32") is None


def test_what_is_offered_follows_the_chosen_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "has_gpu", lambda: True)
    cpu, gpu = spec.Device(kind="cpu"), spec.Device(kind="gpu")
    assert machine.offered("xla-float16") is None
    assert machine.offered("xla-float16", gpu) is None
    assert machine.offered("xla-float16", cpu) == "float16 needs a GPU, and --device is cpu"
    assert machine.offered("graph-bfloat16", gpu) == (
        "TensorFlow rewrites graphs to bfloat16 for processors only, and this machine serves on a GPU"
    )
    monkeypatch.setattr(machine, "cpu_flags", lambda: frozenset({"avx512f"}))
    assert machine.offered("graph-bfloat16", cpu) is None


@pytest.mark.parametrize(
    ("parent", "device", "child"),
    [
        pytest.param(None, None, "0", id="auto takes the first GPU"),
        pytest.param("3,1", None, "3", id="of the visible ones"),
        pytest.param("3,1", spec.Device(kind="gpu"), "3", id="so does gpu"),
        pytest.param("3,1", spec.Device(kind="cpu"), "-1", id="cpu hides them"),
        pytest.param("", None, "-1", id="none is visible"),
    ],
)
def test_the_child_sees_the_chosen_device_alone(
    parent: str | None, device: spec.Device | None, child: str, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.setattr("tfperf.system.devices.present", lambda: {"gpu_count": 2})
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if parent is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", parent)
    found = machine.environment("graph-float32", cache=tmp_path, device=device)
    assert found == {"CUDA_VISIBLE_DEVICES": child}


def test_a_gpu_that_tensorflow_does_not_find_is_refused_in_the_child() -> None:
    program = """
from tfperf import spec
from tfperf.inference.forms import machine
machine.set_up(threads=1, device=spec.Device(kind="cpu"))
print(machine.computes("graph-float32").kind, machine.computes("graph-float32").name != "")
try:
    machine.set_up(threads=1, device=spec.Device(kind="gpu"))
except machine.UnavailableError as error:
    print(error)
"""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120, env=environment
    )
    assert found.stdout.splitlines() == [
        "cpu True",
        "--device gpu: TensorFlow finds no GPU it can use. Install tfperf[gpu] and check nvidia-smi, or pass "
        "--device cpu.",
    ]


def test_sets_threads_and_true_float32_and_keeps_what_xla_compiled_in_a_fresh_process(tmp_path: pathlib.Path) -> None:
    program = """
import os, sys, json, pathlib
from tfperf.inference.forms import machine
os.environ.update(machine.environment("xla-float32", cache=pathlib.Path(sys.argv[1])))
machine.set_up(threads=3)
import tensorflow as tf
tf.function(lambda x: x * 2, jit_compile=True)(tf.ones(3))
exact = not tf.config.experimental.tensor_float_32_execution_enabled()
print(json.dumps([tf.config.threading.get_intra_op_parallelism_threads(), len(os.listdir(sys.argv[1])), exact]))
"""
    found = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True, timeout=120
    )
    assert json.loads(found.stdout) == [3, 1, True]
