"""Threads and devices are part of the grid: each combination of them runs in a process of its own."""

import pathlib

import numpy as np
import pytest

import tfperf
from tfperf import spec
from tfperf.errors import DeviceError
from tfperf.evaluation import grid, placement
from tfperf.evaluation.evaluate import evaluate


def chosen(**changes) -> spec.EvaluateSpec:
    phases = (spec.WarmUp(iterations=2), spec.Concurrency(streams=(2,), duration_s=0.3))
    return spec.EvaluateSpec(**{"phases": phases, **changes})


def test_the_grid_is_that_of_all_five() -> None:
    found = list(
        grid.combinations(
            chosen(batch_size=(1, 4), threads=(1, None), device=("cpu", "cpu:2"), instances=(1, 2)), ["as_given"]
        )
    )
    assert len(found) == len(set(found)) == 16
    assert str(found[0]) == "as_given, batch 1, cpu, 1 thread"


def test_devices_share_the_cores() -> None:
    assert placement.count("auto") == placement.count("gpu") == 1
    assert placement.count("gpu:4") == 4
    assert placement.threads_of(None, instances=64, device="cpu:2") == 1
    assert placement.threads_of(3, instances=64, device="cpu:2") == 3


def test_several_gpus_are_visible_where_several_are_asked_for(tmp_path: pathlib.Path, monkeypatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,6,7")
    assert placement.environment("as_given", "gpu:2", cache=tmp_path)["CUDA_VISIBLE_DEVICES"] == "5,6"
    assert placement.environment("as_given", "gpu", cache=tmp_path)["CUDA_VISIBLE_DEVICES"] == "5"
    assert placement.environment("as_given", "cpu:2", cache=tmp_path)["CUDA_VISIBLE_DEVICES"] == "-1"


def test_a_function_has_no_grid_of_threads(tmp_path: pathlib.Path) -> None:
    with pytest.raises(DeviceError, match="threads: 1, 2, device: auto need a process for each"):
        tfperf.evaluate(lambda x: x, np.ones((4, 2)), config=chosen(threads=(1, 2)))


@pytest.mark.slow
@pytest.mark.parametrize("executable", ["as_given", "graph-float32", "function-float32", "litert-float32"])
def test_threads_and_devices_are_measured_in_processes_of_their_own(tmp_path: pathlib.Path, executable: str) -> None:
    import keras

    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(3, "softmax")])
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    data = np.random.default_rng(1).random((40, 8, 8, 3), "float32"), np.arange(40) % 3
    where = tfperf.Workspace(output_dir=tmp_path, name="test")
    found = evaluate(
        model,
        data,
        config=chosen(threads=(1, 2), device=("cpu", "cpu:2"), executable=(executable,), save_requests=True),
        workspace=where,
    ).result
    assert found.valid, found.reasons
    assert [(phase.device, phase.threads, phase.instances) for phase in found.phases] == [
        ("cpu", 1, 1),
        ("cpu", 2, 1),
        ("cpu:2", 1, 2),
        ("cpu:2", 2, 2),
    ]
    assert all(phase.requests > 10 and phase.issuer == "tfperf" for phase in found.phases)
    (run_dir,) = tmp_path.iterdir()
    assert len(list((run_dir / "requests").glob("*.csv"))) == 4


@pytest.mark.slow
def test_a_form_opened_on_a_device_runs_there(tmp_path: pathlib.Path) -> None:
    """In a process whose processor is two devices, each instance answers on its own."""
    import subprocess
    import sys

    program = f"""
import numpy as np, keras, pathlib
from tfperf.benchmarks.tensor import Tensor
from tfperf.evaluation import placement
from tfperf.inference import forms
from tfperf.inference.executable import Bucket
placement.set_up("cpu:2", threads=1, instances=1)
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
tensors = dict(inputs=(Tensor(name="x", shape=(4,)),), outputs=(Tensor(name="y", shape=(3,)),))
for form in ("graph-float32", "function-float32"):
    folder = pathlib.Path({str(tmp_path)!r}) / form
    forms.build(form, model, folder, **tensors)
    opened = placement.opened(
        lambda: forms.open_form(form, folder, buckets=[Bucket(2)], threads=1), "cpu:2", instances=1)
    for each in opened:
        staged = each.stage(each.encode((np.ones((2, 4), "float32"),)))
        print(form, each._placed[-5:], [tensor.device[-5:] for tensor in staged.args])
        assert np.allclose(each.run(staged)[0], model(np.ones((2, 4))))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{form} {device} ['{device}']"
        for form in ("graph-float32", "function-float32")
        for device in ("CPU:0", "CPU:1")
    ]
