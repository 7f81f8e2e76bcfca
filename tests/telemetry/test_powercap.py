"""Energy counters of processors, on made-up trees in the layouts of Intel and of AMD."""

import os
import pathlib
from collections.abc import Mapping

import pytest

from tfperf.telemetry import powercap

INTEL = {
    "intel-rapl:0": "package-0",
    "intel-rapl:0:0": "core",
    "intel-rapl:0:1": "uncore",
    "intel-rapl:0:2": "dram",
    "intel-rapl:1": "package-1",
    "intel-rapl:1:0": "dram",
    "intel-rapl:2": "psys",
    "intel-rapl-mmio:0": "package-0",
}
AMD = {"intel-rapl:0": "package-0", "intel-rapl:0:0": "core"}


def tree(root: pathlib.Path, zones: Mapping[str, str]) -> pathlib.Path:
    for number, (folder, name) in enumerate(zones.items()):
        (root / folder).mkdir(parents=True)
        (root / folder / "name").write_text(f"{name}\n")
        (root / folder / "energy_uj").write_text(f"{1_000_000 + number}\n")
        (root / folder / "max_energy_range_uj").write_text("262143328850\n")
    return root


def test_takes_packages_and_their_memory_once_and_the_platform_apart(tmp_path):
    found = powercap.find(tree(tmp_path, INTEL)).zones
    assert [(zone.name, zone.kind, powercap.read(zone)) for zone in found] == [
        ("package-0", "package", 1_000_000),
        ("package-0 dram", "dram", 1_000_003),
        ("package-1", "package", 1_000_004),
        ("package-1 dram", "dram", 1_000_005),
        ("psys", "psys", 1_000_006),
    ]
    assert {zone.max_uj for zone in found} == {262_143_328_850}


def test_finds_no_memory_zone_where_amd_has_none(tmp_path):
    found = powercap.find(tree(tmp_path, AMD)).zones
    assert [(zone.name, zone.kind, zone.reason) for zone in found] == [("package-0", "package", "")]


def test_finds_memory_inside_the_folder_of_its_package(tmp_path):
    tree(tmp_path, {"intel-rapl:0": "package-0", "intel-rapl:0/intel-rapl:0:0": "dram"})
    assert [zone.name for zone in powercap.find(tmp_path).zones] == ["package-0", "package-0 dram"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_says_how_to_allow_a_counter_that_only_root_may_read(tmp_path):
    counter = tree(tmp_path, AMD) / "intel-rapl:0" / "energy_uj"
    counter.chmod(0)
    (zone,) = powercap.find(tmp_path).zones
    assert f"sudo chmod a+r {counter}" in zone.reason
    assert powercap.read(zone) is None


def test_names_a_counter_that_holds_no_number(tmp_path):
    counter = tree(tmp_path, AMD) / "intel-rapl:0" / "energy_uj"
    counter.write_text("")
    (zone,) = powercap.find(tmp_path).zones
    assert zone.reason.startswith(f"{counter} can't be read (")
    assert powercap.read(zone) is None


def test_says_why_there_is_nothing_to_read(tmp_path):
    missing = powercap.find(tmp_path / "none")
    assert missing.zones == ()
    assert missing.reason == (
        f"this machine has no {tmp_path / 'none'}: a virtual machine, a container without it, or a processor without "
        "RAPL"
    )
    assert powercap.find(tmp_path).reason.startswith(f"{tmp_path} has no zone of a processor: ")
