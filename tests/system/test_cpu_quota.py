"""The quota of processors, from the files of control groups."""

import os
import pathlib

import pytest

from tfperf.system import cpu_quota, devices


@pytest.fixture
def files(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """Writes the control groups that the process sees; None as the process's list of groups stands for no Linux."""

    def write(groups: str | None, **contents: str) -> None:
        monkeypatch.setattr(cpu_quota, "_PROC", tmp_path / "proc")
        monkeypatch.setattr(cpu_quota, "_CGROUP", tmp_path / "cgroup")
        if groups is not None:
            (tmp_path / "proc" / "self").mkdir(parents=True)
            (tmp_path / "proc" / "self" / "cgroup").write_text(groups)
        for name, content in contents.items():
            path = tmp_path / "cgroup" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content + "\n")

    return write


V2 = "0::/kubepods/pod1\n"
V1 = "3:memory:/x\n2:cpuacct,cpu:/docker/1\n1:cpuset:/\n0::/\n"


@pytest.mark.parametrize(
    ("groups", "contents", "quota"),
    [
        pytest.param(None, {}, None, id="no Linux"),
        pytest.param(V2, {}, None, id="no files"),
        pytest.param(V2, {"kubepods/pod1/cpu.max": "max 100000"}, None, id="no limit"),
        pytest.param(V2, {"kubepods/pod1/cpu.max": "150000 100000"}, 1.5, id="version 2"),
        pytest.param("0::/\n", {"cpu.max": "200000 100000"}, 2.0, id="version 2 in its own namespace"),
        pytest.param(
            V2, {"kubepods/pod1/cpu.max": "400000 100000", "kubepods/cpu.max": "300000 100000"}, 3.0, id="above"
        ),
        pytest.param(V2, {"kubepods/pod1/cpu.max": "max 100000", "cpu.max": "50000 100000"}, 0.5, id="only above"),
        pytest.param(
            V1,
            {"cpuacct,cpu/docker/1/cpu.cfs_quota_us": "250000", "cpuacct,cpu/docker/1/cpu.cfs_period_us": "100000"},
            2.5,
            id="version 1",
        ),
        pytest.param(
            V1, {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "50000"}, 2.0, id="version 1 in a container"
        ),
        pytest.param(
            V1, {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "50000"}, None, id="version 1 without limit"
        ),
    ],
)
def test_reads_the_least_quota(groups, contents, quota, files):
    files(groups, **contents)
    assert cpu_quota.cpus() == quota


@pytest.mark.parametrize(("quota", "cores"), [("250000", 2), ("50000", 1), ("1600000", 16), ("9900000", 16)])
def test_the_usable_cores_are_whole_ones_within_the_quota(quota, cores, files, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    files("0::/\n", **{"cpu.max": f"{quota} 100000"})
    assert devices.usable_cores() == cores
    assert devices.present()["cpu_logical_cores"] == cores
