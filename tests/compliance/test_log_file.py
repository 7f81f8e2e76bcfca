"""Logs from anywhere: pipes, archives, other encodings, older formats, and files of several runs or of great size."""

import dataclasses
import gzip
import os
import pathlib
import subprocess
import sys
import threading
import tracemalloc

import pytest

from tfperf.compliance import checker, log
from tfperf.compliance.verdict import Verdict
from tfperf.errors import UsageError
from tfperf.events import Event

STATISTICS = (
    ':::MLLOG {"key": "tracked_stats", "value": {"throughput": 1.0}, "metadata": {}, "time_ms": 1800000000000}\n'
)


def _check(path: pathlib.Path) -> Verdict:
    (verdict,) = checker.check(path)
    return verdict


def test_a_second_run_in_the_file_is_named(write_log) -> None:
    path = write_log(status="aborted")
    first = path.read_text().splitlines(keepends=True)
    path.write_text("".join(first[:-1]) + write_log(pathlib.Path("again.txt")).read_text())
    verdict = _check(path)
    (violation,) = verdict.violations
    assert (violation.line, verdict.status, verdict.minutes, verdict.structure) == (
        len(first),
        "several runs",
        None,
        "broken",
    )
    assert violation.message.startswith("A second run begins in this line, with submission_benchmark")
    assert not verdict.good


def test_a_second_run_of_a_custom_benchmark_is_named(write_log) -> None:
    own = {"submission_benchmark": "custom", "submission_division": "internal"}

    def change(event: Event) -> Event:
        metadata = {} if event.key == "quality_target" else event.metadata
        return dataclasses.replace(event, value=own.get(event.key, event.value), metadata=metadata)

    path = write_log(change=change)
    once = path.read_text()
    path.write_text(once * 2)
    verdict = _check(path)
    assert (verdict.status, verdict.minutes, verdict.structure) == ("several runs", None, "broken")
    assert (verdict.compliant, verdict.violations[0].line) == (None, len(once.splitlines()) + 1)


def test_a_log_of_several_workers_is_one_run(write_log) -> None:
    path = write_log()
    lines = path.read_text().splitlines(keepends=True)
    place = next(place for place, line in enumerate(lines) if '"run_start"' in line)
    path.write_text("".join([*lines[: place + 1], lines[place], *lines[place + 1 :]]))
    assert _check(path).status == "success"


def test_an_event_that_shares_its_line_is_named(write_log) -> None:
    path = write_log()
    text = path.read_text()
    path.write_text(text.replace('"key": "cache_clear"', '"key": "seed_of_data"', 1))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0] + lines[1], *lines[2:]]) + "\n")
    (remark,) = (remark for remark in _check(path).remarks if remark.line == 1)
    assert remark.message == (
        "submission_benchmark is lost: another event follows it in the same line, and MLPerf's checker reads only the "
        "last."
    )


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("utf-16", "UTF-16"), ("utf-16-le", "UTF-16LE"), ("utf-16-be", "UTF-16BE"), ("utf-32", "UTF-32")],
)
def test_another_encoding_is_named(write_log, encoding: str, name: str) -> None:
    path = write_log()
    path.write_bytes(path.read_text().encode(encoding))
    for asked in (path, path.parent):
        verdict = _check(asked)
        assert (verdict.status, verdict.good) == ("unreadable", False)
        message = verdict.violations[0].message
        assert message.startswith(f"The file is in {name}; MLPerf's logs are in UTF-8.")
        assert f"iconv -f {name} -t UTF-8" in message


def test_one_unreadable_log_does_not_hide_the_others(write_log) -> None:
    good, bad = (write_log(pathlib.Path("runs") / f"result_{index}.txt") for index in range(2))
    bad.write_bytes(bad.read_text().encode("utf-16"))
    assert [(pathlib.Path(found.path).name, found.status) for found in checker.check(good.parent)] == [
        ("result_0.txt", "success"),
        ("result_1.txt", "unreadable"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        ':::MLL 1560228742.05 cache_clear: {"value": null, "metadata": {"lineno": 0}}\n',
        ':::MLPv0.5.0 resnet 1541613604.95 (run.py:1) run_start: {"x": 1}\n',
    ],
)
def test_a_log_before_mllog_is_named_as_such(tmp_path: pathlib.Path, line: str) -> None:
    for name in ("result_0.txt", "old.log"):
        (tmp_path / name).write_text(line)
        verdict = _check(tmp_path / name)
        assert verdict.status == "unreadable"
        assert "v0.5 or v0.6, in a format before MLLOG" in verdict.violations[0].message


def test_a_packed_log_is_read(write_log) -> None:
    path = write_log(pathlib.Path("packed") / "result_0.txt")
    packed = path.with_name("result_0.txt.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    for asked in (packed, packed.parent):
        assert (_check(asked).path, _check(asked).compliant) == (str(packed), True)


def test_a_damaged_archive_is_told(tmp_path: pathlib.Path) -> None:
    whole = gzip.compress(b"hello" * 1000)
    for damaged in (whole[:-9], b"no archive", whole[:20] + b"\0\0\0" + whole[23:]):
        (tmp_path / "log.txt.gz").write_bytes(damaged)
        verdict = _check(tmp_path / "log.txt.gz")
        assert verdict.violations[0].message.startswith("The archive can't be unpacked: ")


def test_a_pipe_is_read(write_log, tmp_path: pathlib.Path) -> None:
    path, pipe = write_log(), tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(path.read_bytes()))
    writer.start()
    verdict = _check(pipe)
    writer.join()
    assert (verdict.path, verdict.compliant) == (str(pipe), True)


def test_standard_input_is_read(write_log) -> None:
    text = write_log().read_text()
    program = [sys.executable, "-m", "tfperf", "check", "-"]
    done = subprocess.run(program, input=text, env={**os.environ}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "COMPLIANT: -")


def test_nothing_at_a_path_is_still_told(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        checker.check(tmp_path / "result_0.txt.gz")


def test_a_large_log_is_read_in_little_memory(write_log, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_log()
    small = _check(path)
    lines = path.read_text().splitlines(keepends=True)
    place = next(place for place, line in enumerate(lines) if '"run_start"' in line) + 1
    path.write_text("".join([*lines[:place], STATISTICS * 20_000, *lines[place:]]))
    monkeypatch.setattr(log, "_LARGE_BYTES", 1 << 20)
    tracemalloc.start()
    large = _check(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert path.stat().st_size > 2_000_000
    assert peak < 4_000_000
    assert (large.compliant, large.minutes, large.violations) == (True, small.minutes, ())


def test_a_violation_in_a_large_log_has_its_line(write_log, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_log(
        change=lambda event: None if event.key == "seed" else event,
    )
    lines = path.read_text().replace('"lars_epsilon", "value": 0.0', '"lars_epsilon", "value": 1e-07')
    path.write_text(STATISTICS * 5 + lines)
    monkeypatch.setattr(log, "_LARGE_BYTES", 10)
    (violation,) = _check(path).violations
    assert '"lars_epsilon"' in path.read_text().splitlines()[violation.line - 1]
