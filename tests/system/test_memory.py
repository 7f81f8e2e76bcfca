import os
import pathlib
import sys

import pytest

from tfperf.system import memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_there_is_less_memory_available_than_the_machine_has() -> None:
    available = memory.available_bytes()
    assert available is not None
    assert 0 < available <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_what_a_process_holds_grows_with_what_it_writes() -> None:
    before = memory.held_bytes(os.getpid())
    kept = bytearray(64 * 2**20)
    kept[:] = b"x" * len(kept)
    after = memory.held_bytes(os.getpid())
    assert before is not None and after is not None
    assert after - before > 32 * 2**20


def test_a_process_that_is_gone_holds_nothing_known() -> None:
    assert memory.held_bytes(2**30) is None


@pytest.mark.parametrize(
    ("files", "left"),
    [
        pytest.param(
            {"memory.max": "1000", "memory.current": "900", "memory.stat": "file 700\ninactive_file 600"}, 700
        ),
        pytest.param({"memory.max": "max", "memory.current": "900", "memory.stat": "inactive_file 600"}, None),
        pytest.param(
            {
                "memory/memory.limit_in_bytes": "1000",
                "memory/memory.usage_in_bytes": "900",
                "memory/memory.stat": "inactive_file 1\ntotal_inactive_file 50",
            },
            150,
        ),
        pytest.param({}, None),
    ],
    ids=["version 2", "no limit", "version 1", "no group"],
)
def test_a_container_leaves_what_files_could_give_back(
    files: dict[str, str], left: int | None, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    whole = memory.available_bytes()
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    assert memory._left_in_container() == left
    available = memory.available_bytes()
    assert whole is not None and available is not None
    assert available == left if left is not None else available > 10**6
