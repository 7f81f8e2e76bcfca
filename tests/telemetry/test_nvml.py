"""GPUs through NVML, on a double of its library, and on this machine's own library."""

import types

import pynvml
import pytest

from tfperf.telemetry import nvml


class Double:
    """Two GPUs of which only the first counts its energy."""

    NVMLError = pynvml.NVMLError
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    def __getattr__(self, name):
        answers = {
            "nvmlInit": lambda: None,
            "nvmlDeviceGetCount": lambda: 2,
            "nvmlDeviceGetHandleByIndex": lambda index: index,
            "nvmlDeviceGetUUID": lambda handle: f"GPU-{handle}{handle}".encode(),
            "nvmlDeviceGetName": lambda handle: "double",
            "nvmlDeviceGetPowerUsage": lambda handle: 250_500 + handle,
            "nvmlDeviceGetEnforcedPowerLimit": lambda handle: 700_000,
            "nvmlDeviceGetUtilizationRates": lambda handle: types.SimpleNamespace(gpu=87, memory=20),
            "nvmlDeviceGetMemoryInfo": lambda handle: types.SimpleNamespace(used=1 << 30),
            "nvmlDeviceGetClockInfo": lambda handle, clock: 1000 * clock,
            "nvmlDeviceGetTemperature": lambda handle, sensor: 61,
            "nvmlDeviceGetCurrentClocksEventReasons": lambda handle: 0x1 | 0x4 | 0x40,
            "nvmlDeviceGetComputeRunningProcesses": lambda handle: [types.SimpleNamespace(pid=7)],
        }
        if name == "nvmlDeviceGetTotalEnergyConsumption":
            return lambda handle: 123_456 if handle == 0 else self.refuse()
        return answers.get(name, lambda *arguments: self.refuse())

    def refuse(self):
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)


def test_reads_energy_and_use():
    gpus = nvml.Gpus(library=Double())
    assert [(gpu.uuid, gpu.has_counter, gpu.has_power, gpu.limit_watts) for gpu in gpus.found] == [
        ("GPU-00", True, True, 700.0),
        ("GPU-11", False, True, 700.0),
    ]
    assert [gpus.energy(0), gpus.energy(1)] == [(123_456, 250.5), (None, 250.501)]
    assert gpus.use(0) == {
        "percent": 87,
        "memory_bytes": 1 << 30,
        "clock_mhz": 1000,
        "memory_clock_mhz": 2000,
        "temperature_c": 61,
        "throttling": 0x44,
    }
    assert nvml.throttled_by(0x44) == ("power cap", "thermal (hardware)")
    assert gpus.processes(0) == (7,)


@pytest.mark.parametrize(
    ("visible", "uuids"),
    [(None, ["GPU-00", "GPU-11"]), ("1,0", ["GPU-11", "GPU-00"]), ("GPU-1", ["GPU-11"]), ("1,-1,0", ["GPU-11"])],
)
def test_numbers_the_gpus_as_cuda_shows_them(visible, uuids):
    found = nvml.Gpus(library=Double(), visible=visible).found
    assert [gpu.uuid for gpu in found] == uuids
    assert [gpu.index for gpu in found] == list(range(len(uuids)))


def test_says_that_cuda_hides_the_gpus():
    assert nvml.Gpus(library=Double(), visible="-1").reason == "CUDA_VISIBLE_DEVICES='-1' hides all 2 NVIDIA GPUs"


def test_says_why_nvml_does_not_start():
    double = Double()
    double.nvmlInit = lambda: (_ for _ in ()).throw(pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND))
    gpus = nvml.Gpus(library=double)
    assert gpus.found == ()
    assert gpus.reason.startswith("NVML does not start (NVML Shared Library Not Found)")
