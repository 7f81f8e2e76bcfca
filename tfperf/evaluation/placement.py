"""The devices of a combination: how a process of its own gets them, and opens the model on each."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Callable, Mapping

from tfperf import spec as specs
from tfperf.errors import DeviceError
from tfperf.inference import forms
from tfperf.inference.forms import machine
from tfperf.system import devices

_VISIBLE_GPUS = "CUDA_VISIBLE_DEVICES"


def parsed(device: str) -> specs.Device | None:
    """A device of a spec; None for `auto`."""
    return devices.parse(device)


def count(device: str) -> int:
    """How many devices there are, each with instances of its own."""
    found = parsed(device)
    return 1 if found is None else found.count or 1


def threads_of(threads: int | None, *, instances: int, device: str) -> int:
    """CPU threads per operation: those asked for, else an even share of the cores."""
    return threads or max(1, devices.usable_cores() // (instances * count(device)))


def environment(form: str, device: str, *, cache: pathlib.Path) -> Mapping[str, str]:
    """The environment variables of a process that opens a form, see `machine.environment`."""
    variables = dict(machine.environment(form, cache=cache, device=parsed(device)))
    several = count(device)
    if several > 1 and variables.get(_VISIBLE_GPUS, "-1") != "-1":
        given = os.environ.get(_VISIBLE_GPUS, "").strip()
        visible = given.split(",") if given else [str(number) for number in range(several)]
        variables[_VISIBLE_GPUS] = ",".join(each.strip() for each in visible[:several])
    return variables


def set_up(device: str, *, threads: int, instances: int) -> None:
    """Sets TensorFlow's threads and devices in a process of its own, before TensorFlow has run anything.

    Raises:
        DeviceError: there are fewer such devices.
    """
    import tensorflow as tf

    chosen, several = parsed(device), count(device)
    machine.set_up(threads=threads, instances=instances * several, device=chosen)
    if several == 1 or chosen is None:
        return
    if chosen.kind == "cpu":
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * several)
        return
    found = len(tf.config.list_physical_devices("GPU"))
    if found < several:
        raise DeviceError(f"device: {device} needs {several} GPUs, TensorFlow sees {found}. {devices.summary()}")


def opened(open_one: Callable[[], forms.Opened], device: str, *, instances: int) -> tuple[forms.Opened, ...]:
    """The instances of a form on every device, one device after the other.

    Args:
        open_one: opens the form, which then stays on the device in whose scope this is called.
        device: as the spec names it.
        instances: how many on each device.
    """
    import tensorflow as tf

    chosen, several = parsed(device), count(device)
    found: list[forms.Opened] = []
    for number in range(several):
        where = tf.device(f"/{chosen.kind}:{number}") if chosen and several > 1 else contextlib.nullcontext()
        with where:
            first = open_one()
            found += [first, *(first.another() for _ in range(instances - 1))]
    return tuple(found)
