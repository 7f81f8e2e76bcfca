"""Devices are chosen by name; for a missing one the message lists what is there."""

import os
import pathlib
import socket
import urllib.error
from collections.abc import Sequence
from typing import NoReturn

import pytest
import tensorflow as tf

from tfperf import spec
from tfperf.errors import UsageError
from tfperf.system import devices


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("auto", None),
        ("cpu", spec.Device(kind="cpu")),
        ("cpu:2", spec.Device(kind="cpu", count=2)),
        ("gpu", spec.Device(kind="gpu")),
        ("gpu:8", spec.Device(kind="gpu", count=8)),
        ("tpu", spec.Device(kind="tpu")),
    ],
)
def test_a_device_is_read_from_its_name(text: str, device: spec.Device | None) -> None:
    assert devices.parse(text) == device


@pytest.mark.parametrize("text", ["", "npu", "cpu:0", "gpu:-1", "gpu:x", "tpu:4", "auto:1"])
def test_another_name_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=f"auto, cpu, cpu:N, gpu, gpu:N or tpu, got '{text}'"):
        devices.parse(text)


@pytest.mark.usefixtures("two_cpus")
@pytest.mark.parametrize(
    ("count", "choice", "compiled"),
    [(1, "auto", "none"), (2, "auto", "none"), (1, "on", "step"), (2, "on", "gradients"), (1, "off", "none")],
)
def test_xla_compiles_what_it_can_where_it_pays(count: int, choice: str, compiled: str) -> None:
    names = {1: None, 2: spec.Device(kind="cpu", count=2)}
    assert devices.jit_of(devices.strategy_for(names[count]), choice=choice) == compiled


@pytest.mark.usefixtures("two_cpus")
def test_more_logical_devices_than_exist_are_refused() -> None:
    with pytest.raises(UsageError, match="cpu:3 must be chosen before TensorFlow is used in this process"):
        devices.strategy_for(spec.Device(kind="cpu", count=3))


@pytest.mark.usefixtures("two_cpus")
def test_a_strategy_is_described_with_its_machine() -> None:
    described = devices.describe(devices.strategy_for(spec.Device(kind="cpu", count=2)))
    assert (described["strategy"], described["replicas"]) == ("MirroredStrategy", 2)
    assert described["cpu_logical_cores"] >= 1
    assert described["tensor_float_32"] is False  # no GPU
    assert described["platform"].endswith(str(described["cpu"]))


class Gpus:
    """Stands in for TensorFlow's list of GPUs, as on a machine with two."""

    found = (
        tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU"),
        tf.config.PhysicalDevice("/device:GPU:1", "GPU"),
    )

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, started: bool = False) -> None:
        self.visible = list(self.found)
        self._started = started
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: list(self.found))
        monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind=None: self.visible)
        monkeypatch.setattr(tf.config, "set_visible_devices", self._show)

    def _show(self, devices: Sequence[tf.config.PhysicalDevice], kind: str) -> None:
        assert kind == "GPU"
        if self._started:
            raise RuntimeError("Visible devices cannot be modified after being initialized")
        self.visible = list(devices)


@pytest.mark.usefixtures("two_cpus")
@pytest.mark.parametrize("device", [spec.Device(kind="cpu"), spec.Device(kind="cpu", count=2)])
def test_a_cpu_run_hides_every_gpu(device: spec.Device, monkeypatch: pytest.MonkeyPatch) -> None:
    split = tf.config.list_physical_devices("CPU")
    gpus = Gpus(monkeypatch)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: split if kind == "CPU" else gpus.visible)
    devices.strategy_for(device)
    assert gpus.visible == []


def test_a_gpu_run_sees_no_other_gpu_and_launches_kernels_from_threads_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpus = Gpus(monkeypatch)
    monkeypatch.setenv("TF_GPU_THREAD_COUNT", "4")  # the user's own is kept
    monkeypatch.setenv("TF_GPU_THREAD_MODE", "")
    monkeypatch.delenv("TF_GPU_THREAD_MODE")
    strategy = devices.strategy_for(spec.Device(kind="gpu", count=1))
    assert gpus.visible == [Gpus.found[0]]
    assert (os.environ["TF_GPU_THREAD_MODE"], os.environ["TF_GPU_THREAD_COUNT"]) == ("gpu_private", "4")
    monkeypatch.setattr(devices, "usable_cores", lambda: 16)
    assert devices.input_threads(strategy) == 13


@pytest.mark.usefixtures("two_cpus")
def test_the_input_shares_its_threads_with_a_model_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_GPU_THREAD_MODE", raising=False)
    assert devices.input_threads(devices.strategy_for(spec.Device(kind="cpu", count=2))) is None
    assert "TF_GPU_THREAD_MODE" not in os.environ


def test_a_cpu_run_after_tensorflow_started_on_gpus_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    Gpus(monkeypatch, started=True)
    with pytest.raises(UsageError, match=r"^cpu must be chosen before TensorFlow is used in this process: Visible"):
        devices.strategy_for(spec.Device(kind="cpu"))


def pci_device(folder: pathlib.Path, vendor: str, device: str) -> None:
    folder.mkdir(parents=True)
    (folder / "vendor").write_text(f"{vendor}\n")
    (folder / "device").write_text(f"{device}\n")


@pytest.mark.parametrize("chips", ["accel", "pci", "none"])
def test_the_tpu_of_this_machine_is_local_and_another_is_looked_for(
    chips: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pci_device(tmp_path / "pci" / "0000:00:05.0", "0x1ae0", "0x0062" if chips == "pci" else "0x001f")
    pci_device(tmp_path / "pci" / "0000:00:06.0", "0x10de", "0x0062")
    (tmp_path / ("accel0" if chips == "accel" else "null")).touch()
    monkeypatch.setattr(devices, "_DEVICE_FILES", tmp_path)
    monkeypatch.setattr(devices, "_PCI_DEVICES", tmp_path / "pci")
    asked = []

    def connect(name: str) -> NoReturn:
        asked.append(name)
        raise urllib.error.URLError(socket.gaierror(-2, "Name or service not known"))

    monkeypatch.setattr(tf.distribute.cluster_resolver.TPUClusterResolver, "connect", connect)
    with pytest.raises(UsageError) as refused:
        devices.strategy_for(spec.Device(kind="tpu"))
    assert asked == ["" if chips == "none" else "local"]
    assert str(refused.value) == (
        "--device tpu: no TPU can be reached: <urlopen error [Errno -2] Name or service not known>. "
        f"{devices.summary()}"
    )
    assert devices.present()["tpu_chips"] == int(chips != "none")


def test_cores_are_counted_where_the_system_cannot_say_which_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)  # as on macOS
    assert devices.usable_cores() == os.cpu_count()
