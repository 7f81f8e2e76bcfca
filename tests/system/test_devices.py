"""Devices are chosen by name; for a missing one the message lists what is there."""

import pytest

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
    assert described["platform"].endswith(str(described["cpu"]))
