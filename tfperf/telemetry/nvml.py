"""NVIDIA GPUs through NVML: energy, power, use, clocks, temperature, throttling, and who computes on them.

Reading them starts nothing on the GPU. NVML covers whole boards: in a MIG partition the neighbours are included.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

# What holds back the clocks, by the bits of `nvmlDeviceGetCurrentClocksEventReasons` (nvml.h). Idle clocks and clocks
# that somebody set are no throttling.
THROTTLING = {
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x10: "synchronised boost",
    0x20: "thermal (software)",
    0x40: "thermal (hardware)",
    0x80: "power brake",
}
_MIG_NOTE = "the board is split (MIG): its other partitions are included"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gpu:
    """One GPU.

    Attributes:
        index: its number in TensorFlow, among the GPUs that this process may use.
        uuid: NVIDIA's identifier.
        name: the model.
        has_counter: whether it counts its energy (from Volta on); otherwise its power is integrated.
        has_power: whether its power can be read.
        limit_watts: its power limit; None if unknown.
        reason: why its energy can't be measured; empty if it can.
        note: what a reader of its energy should know.
    """

    index: int
    uuid: str
    name: str
    has_counter: bool
    has_power: bool
    limit_watts: float | None = None
    reason: str = ""
    note: str = ""


class Gpus:
    """The GPUs that this process may use.

    Args:
        library: `pynvml`, or a double of it; None imports it.
        visible: the value of CUDA_VISIBLE_DEVICES; None if it is not set.

    Attributes:
        found: the GPUs.
        reason: why there are none; empty if there are.
    """

    def __init__(self, *, library: Any = None, visible: str | None = None) -> None:
        self.found: tuple[Gpu, ...] = ()
        self.reason = ""
        self._handles: list[Any] = []
        try:
            self._nvml = _library() if library is None else library
            self._nvml.nvmlInit()
        except ImportError as error:
            self.reason = f"nvidia-ml-py is missing ({error}); install it with `pip install nvidia-ml-py`"
            return
        except self._nvml.NVMLError as error:
            self.reason = f"NVML does not start ({error}): no NVIDIA driver here, or not inside this container"
            return
        try:
            present = [self._nvml.nvmlDeviceGetHandleByIndex(n) for n in range(self._nvml.nvmlDeviceGetCount())]
            handles = self._visible(present, visible)
            self.found = tuple(self._described(index, handle) for index, handle in enumerate(handles))
            self._handles = handles
        except self._nvml.NVMLError as error:
            self.reason = f"NVML can't list the GPUs ({error})"
            return
        if not self.found:
            self.reason = (
                "this machine has no NVIDIA GPU"
                if not present
                else f"CUDA_VISIBLE_DEVICES={visible!r} hides all {len(present)} NVIDIA GPUs"
            )

    def energy(self, index: int) -> tuple[int | None, float | None]:
        """The energy counter in millijoules and the power in watts; None for what can't be read."""
        gpu, handle = self.found[index], self._handles[index]
        counted = self._asked(self._nvml.nvmlDeviceGetTotalEnergyConsumption, handle) if gpu.has_counter else None
        power_mw = self._asked(self._nvml.nvmlDeviceGetPowerUsage, handle) if gpu.has_power else None
        return counted, None if power_mw is None else power_mw / 1e3

    def use(self, index: int) -> Mapping[str, float | None]:
        """What else NVML says about the GPU now; None for what it does not know."""
        nvml, handle = self._nvml, self._handles[index]
        rates = self._asked(nvml.nvmlDeviceGetUtilizationRates, handle)
        memory = self._asked(nvml.nvmlDeviceGetMemoryInfo, handle)
        return {
            "percent": None if rates is None else rates.gpu,
            "memory_bytes": None if memory is None else memory.used,
            "clock_mhz": self._asked(nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_SM),
            "memory_clock_mhz": self._asked(nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_MEM),
            "temperature_c": self._asked(nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU),
            "throttling": self._throttling(handle),
        }

    def processes(self, index: int) -> tuple[int, ...] | None:
        """The ids of the processes that compute on the GPU, as its driver sees them; None if it doesn't tell."""
        running = self._asked(self._nvml.nvmlDeviceGetComputeRunningProcesses, self._handles[index])
        return None if running is None else tuple(process.pid for process in running)

    def _described(self, index: int, handle: Any) -> Gpu:
        nvml = self._nvml
        limit_mw = self._asked(nvml.nvmlDeviceGetEnforcedPowerLimit, handle)
        mig = self._asked(nvml.nvmlDeviceGetMigMode, handle)
        has_counter = self._asked(nvml.nvmlDeviceGetTotalEnergyConsumption, handle) is not None
        has_power = self._asked(nvml.nvmlDeviceGetPowerUsage, handle) is not None
        return Gpu(
            index=index,
            uuid=_text(nvml.nvmlDeviceGetUUID(handle)),
            name=_text(nvml.nvmlDeviceGetName(handle)),
            has_counter=has_counter,
            has_power=has_power,
            limit_watts=None if limit_mw is None else limit_mw / 1e3,
            reason="" if has_counter or has_power else "NVML reads neither energy nor power of this GPU",
            note=_MIG_NOTE if mig and mig[0] else "",
        )

    def _visible(self, handles: Sequence[Any], visible: str | None) -> list[Any]:
        """The GPUs that CUDA shows, in its order, which ends at the first entry that names none.

        Numbers count as in NVML, by the place on the bus. CUDA counts so for GPUs of one model.
        """
        if visible is None:
            return list(handles)
        by_uuid = {_text(self._nvml.nvmlDeviceGetUUID(handle)): handle for handle in handles}
        found: list[Any] = []
        for entry in (part.strip() for part in visible.split(",")):
            named = [handle for uuid, handle in by_uuid.items() if entry.startswith("GPU-") and uuid.startswith(entry)]
            if len(named) == 1:
                found += named
            elif entry.isdigit() and int(entry) < len(handles):
                found.append(handles[int(entry)])
            else:
                break
        return found

    def _throttling(self, handle: Any) -> int | None:
        nvml = self._nvml
        asked = getattr(nvml, "nvmlDeviceGetCurrentClocksEventReasons", None)
        bits = self._asked(asked or nvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle)
        return None if bits is None else bits & sum(THROTTLING)

    def _asked(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The answer of NVML; None if this GPU or driver does not support the question."""
        try:
            return function(*arguments)
        except self._nvml.NVMLError:
            return None


def visible() -> str | None:
    """The GPUs that CUDA may use in this process, as the environment names them; None for all."""
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def throttled_by(bits: int) -> tuple[str, ...]:
    """The reasons in a set of throttling bits."""
    return tuple(name for bit, name in THROTTLING.items() if bits & bit)


def _library() -> Any:
    import pynvml

    return pynvml


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
