"""Energy by domain: exact joules on made-up counters of both vendors and on a double of NVML."""

import dataclasses
import json
import os

import pytest

from tests.telemetry.test_nvml import Double
from tests.telemetry.test_powercap import AMD, INTEL, tree
from tfperf import spec, telemetry_log
from tfperf.telemetry import components, domains, nvml, powercap
from tfperf.telemetry.sampler import Sampler
from tfperf.telemetry_log import MachineLog, Window

NOTHING = spec.EnergyEstimates()
WRAPS_AT = 262_143_328_850


class NoGpu(Double):
    def __getattr__(self, name):
        return (lambda: 0) if name == "nvmlDeviceGetCount" else super().__getattr__(name)


class CountingGpu(Double):
    """Its first GPU has used 1.5 J more at each reading; nobody else computes on them."""

    mj = 1000

    def __getattr__(self, name):
        if name == "nvmlDeviceGetTotalEnergyConsumption":
            return self.count
        if name == "nvmlDeviceGetComputeRunningProcesses":
            return lambda handle: []
        return super().__getattr__(name)

    def count(self, handle):
        if handle:
            self.refuse()
        self.mj += 1500
        return self.mj


def recorded(root, change=None, *, library=None, readings=2):
    """A log of some readings; `change` is called between them."""
    gpus = nvml.Gpus(library=library or NoGpu())
    sampler = Sampler(powercap.find(root), gpus, root=os.getpid(), rate_hz=1)
    rows = []
    for number in range(readings):
        if number and change:
            change()
        rows.append(sampler.read(everything=True))
    return MachineLog(header=json.loads(json.dumps(sampler.header)), rows=tuple(json.loads(json.dumps(rows))))


def whole(log, samples=None):
    return Window(name="training", begin_ns=log.rows[0]["at_ns"], end_ns=log.rows[-1]["at_ns"], samples=samples)


def found(log, *, estimates=NOTHING, others=(), samples=None):
    window = whole(log, samples)
    own = components.components(log, window, estimates=estimates)
    made = domains.domains([own, *others], window, began_s=1e9, samples=samples)
    return {each.domain: each for each in made}


def add(root, folder, joules):
    path = root / folder / "energy_uj"
    path.write_text(f"{(int(path.read_text()) + round(joules * 1e6)) % WRAPS_AT}\n")


def test_intels_packages_and_memory_are_added_and_the_platform_is_apart(tmp_path):
    tree(tmp_path, INTEL)

    def change():
        for folder, joules in (("intel-rapl:0", 3), ("intel-rapl:0:0", 2), ("intel-rapl:0:2", 0.5)):
            add(tmp_path, folder, joules)
        for folder, joules in (("intel-rapl:1", 4), ("intel-rapl:1:0", 0.25), ("intel-rapl:2", 20)):
            add(tmp_path, folder, joules)
        add(tmp_path, "intel-rapl-mmio:0", 3)

    energy = found(recorded(tmp_path, change), samples=10)
    joules = {domain: each.joules for domain, each in energy.items() if each.status == "measured"}
    assert joules == {"package": 7.0, "dram": 0.75, "platform": 20.0, "package + dram": 7.75}
    assert energy["package"].joules_per_sample == pytest.approx(0.7)
    assert energy["package"].samples_per_s_per_watt == pytest.approx(10 / 7)
    assert energy["package"].source == "RAPL (powercap)"
    assert energy["gpu"].reason == "this machine has no NVIDIA GPU"


def test_amds_package_wraps_around_and_its_memory_is_unavailable(tmp_path):
    tree(tmp_path, AMD)
    add(tmp_path, "intel-rapl:0", WRAPS_AT / 1e6 - 2)
    energy = found(recorded(tmp_path, lambda: add(tmp_path, "intel-rapl:0", 5), readings=3))
    assert energy["package"].joules == pytest.approx(10.0, abs=1e-9)
    assert (energy["dram"].status, energy["dram"].joules) == ("unavailable", None)
    assert energy["dram"].reason == "the processors here count no energy of their memory"
    assert "package + dram" not in energy


def test_an_unreadable_counter_makes_its_domain_unavailable_not_smaller(tmp_path):
    tree(tmp_path, INTEL)
    (tmp_path / "intel-rapl:1" / "energy_uj").unlink()
    (tmp_path / "intel-rapl:1" / "energy_uj").mkdir()  # which root can't read either
    energy = found(recorded(tmp_path, lambda: add(tmp_path, "intel-rapl:0", 3)))
    assert energy["package"].status == "unavailable"
    assert "energy_uj can't be read (" in energy["package"].reason
    assert energy["dram"].status == "measured"


def test_a_machine_without_powercap_says_so(tmp_path):
    energy = found(recorded(tmp_path / "none"))
    assert {each.status for each in energy.values()} == {"unavailable"}
    assert energy["package"].reason == energy["dram"].reason
    assert energy["package"].reason.startswith("this machine has no ")


def test_nvmls_counter_is_exact_and_power_is_integrated(tmp_path):
    log = recorded(tmp_path / "none", library=CountingGpu(), readings=3)
    first, second = (each for each in components.components(log, whole(log), estimates=NOTHING) if each.kind == "gpu")
    assert (first.joules, first.source) == (3.0, "NVML energy counter")
    assert second.joules == pytest.approx(250.501 * whole(log).seconds)
    assert second.source == "NVML power, integrated"
    assert "bursts in between are missing" in second.note
    assert "NVML's readings are only sound over 10 s or more" in first.note


def test_a_gpu_that_others_use_is_noted_and_has_no_idle_power(tmp_path):
    log = recorded(tmp_path / "none", library=Double())
    idle = dataclasses.replace(whole(log), name=telemetry_log.IDLE)
    gpu = found(telemetry_log.with_windows(log, [idle]))["gpu"]
    assert "GPU-00 was also used by processes of others (7): their energy is included" in gpu.note
    assert gpu.idle_watts is None


def test_idle_power_is_measured_before_the_run_and_net_is_without_it(tmp_path):
    tree(tmp_path, AMD)
    log = recorded(tmp_path, lambda: add(tmp_path, "intel-rapl:0", 6), readings=3)
    rows = [{**row, "at_ns": index * 2 * 10**9, "cores": [[1.0, 2.0 * index, 0]]} for index, row in enumerate(log.rows)]
    rows[2]["uj"] = {"package-0": rows[1]["uj"]["package-0"] + 100_000_000}
    idle = Window(name=telemetry_log.IDLE, begin_ns=0, end_ns=2 * 10**9)
    log = MachineLog(header=log.header, rows=tuple(rows), windows=(idle,))
    window = Window(name="training", begin_ns=2 * 10**9, end_ns=4 * 10**9)
    (package,) = domains.domains(
        [components.components(log, window, estimates=NOTHING)[:1]], window, began_s=1e9, samples=None
    )
    assert (package.joules, package.watts, package.idle_watts, package.net_joules) == (100.0, 50.0, 3.0, 94.0)
    busy = [{**row, "cores": [[2.0 * index, 1.0, 0]]} for index, row in enumerate(rows)]
    log = MachineLog(header=log.header, rows=tuple(busy), windows=(idle,))
    (package, *_) = components.components(log, window, estimates=NOTHING)
    assert package.idle_watts is None
    assert package.note == "the idle power is unknown: the processors were 100% busy before the run"


def test_only_a_named_domain_is_estimated_and_never_added(tmp_path):
    estimates = spec.EnergyEstimates(package=spec.PowerEstimate(idle_watts=10, full_watts=110))
    log = recorded(tmp_path / "none", library=CountingGpu(), readings=3)
    rows = [{**row, "at_ns": index * 10**9, "cores": [[index, index, 0.0]]} for index, row in enumerate(log.rows)]
    energy = found(MachineLog(header=log.header, rows=tuple(rows)), estimates=estimates)
    package = energy["package"]
    assert (package.status, package.joules) == ("estimated", pytest.approx(2 * 60.0))
    assert package.reason.startswith("not measured: this machine has no ")
    assert energy["dram"].status == "unavailable"
    assert energy["gpu"].status == "measured"
    assert not [domain for domain in energy if "+" in domain]


def test_two_workers_of_one_host_count_it_once_and_two_hosts_are_added(tmp_path):
    tree(tmp_path, AMD)
    log = recorded(tmp_path, lambda: add(tmp_path, "intel-rapl:0", 6))
    own = components.components(log, whole(log), estimates=NOTHING)
    assert found(log, others=[own])["package"].joules == 6.0
    elsewhere = [dataclasses.replace(each, host_id="another", host="b") for each in own]
    assert found(log, others=[elsewhere])["package"].joules == 12.0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": "unavailable", "joules": None, "reason": "no RAPL"}, "package-0 of b: no RAPL"),
        ({"status": "estimated", "reason": "guessed"}, "and estimated energy is never added"),
    ],
)
def test_hosts_are_added_only_if_all_are_measured(tmp_path, change, reason):
    tree(tmp_path, AMD)
    log = recorded(tmp_path, lambda: add(tmp_path, "intel-rapl:0", 6))
    own = components.components(log, whole(log), estimates=NOTHING)
    elsewhere = [dataclasses.replace(each, host_id="another", host="b", **change) for each in own[:1]]
    package = found(log, others=[elsewhere])["package"]
    assert (package.status, package.joules) == ("unavailable", None)
    assert package.reason.endswith(reason)
