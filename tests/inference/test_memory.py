import os
import sys

import pytest

from tfperf.inference import memory

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
