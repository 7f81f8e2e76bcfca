"""The processor time of a process."""

import os
import pathlib
import time

import pytest

from tfperf.system import processor_time


@pytest.mark.skipif(not pathlib.Path("/proc/self/stat").exists(), reason="needs /proc")
def test_counts_the_time_that_a_process_computes():
    before = processor_time.used_s(os.getpid())
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass
    after = processor_time.used_s(os.getpid())
    assert before is not None and after is not None
    assert after - before >= 0.15


def test_a_process_that_is_gone_has_none(tmp_path, monkeypatch):
    monkeypatch.setattr(processor_time, "_PROC", tmp_path)
    assert processor_time.used_s(1) is None
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "stat").write_text("")
    assert processor_time.used_s(1) is None
    (tmp_path / "1" / "stat").write_text("1 (a (b) c) S 0 0 0 0 0 0 0 0 0 0 250 50 0 0\n")
    assert processor_time.used_s(1) == pytest.approx(300 / os.sysconf("SC_CLK_TCK"))
