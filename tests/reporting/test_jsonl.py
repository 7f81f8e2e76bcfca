"""Tests of events as JSON lines."""

import json
import math
import resource
import subprocess
import sys

import pytest

from tfperf import errors, events
from tfperf.reporting import jsonl

EVENTS = [
    events.Event(key="init_start", time_s=1700000000.25),
    events.Event(key="submission_org", time_s=1700000001.0, value="Müller & 株式会社"),
    events.Event(
        key="tracked_stats",
        time_s=1700000002.0,
        value={"loss": 0.5, "throughput": 1234.5},
        metadata={"step": 10, "epoch_num": 1},
    ),
    events.Event(key="cache_clear", time_s=1700000003.0, value=True),
]


def written(path, recorded=EVENTS):
    sink = jsonl.JsonLines(path)
    for event in recorded:
        sink.emit(event)
    sink.close()
    return path


def test_writes_one_json_object_per_event(tmp_path):
    path = written(tmp_path / "events.jsonl", EVENTS[2:])

    assert path.read_text(encoding="utf-8") == (
        '{"time_s": 1700000002.0, "key": "tracked_stats", "value": {"loss": 0.5, "throughput": 1234.5}, '
        '"metadata": {"step": 10, "epoch_num": 1}}\n'
        '{"time_s": 1700000003.0, "key": "cache_clear", "value": true, "metadata": {}}\n'
    )


def test_reads_back_what_was_written(tmp_path):
    assert jsonl.read_events(written(tmp_path / "events.jsonl")) == EVENTS


def test_reads_an_empty_file_as_no_events(tmp_path):
    assert jsonl.read_events(written(tmp_path / "events.jsonl", [])) == []


def test_keeps_infinite_and_missing_numbers_in_strict_json(tmp_path):
    value = {"loss": math.nan, "others": [math.inf, -math.inf, 1.5]}
    path = written(tmp_path / "events.jsonl", [events.Event(key="tracked_stats", time_s=1.0, value=value)])

    strict = json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert strict["value"] == {"loss": "NaN", "others": ["Infinity", "-Infinity", 1.5]}
    (read,) = jsonl.read_events(path)
    assert math.isnan(read.value["loss"])
    assert read.value["others"] == [math.inf, -math.inf, 1.5]


def test_refuses_an_existing_file(tmp_path):
    path = written(tmp_path / "events.jsonl")

    with pytest.raises(errors.UsageError) as failure:
        jsonl.JsonLines(path)

    assert str(failure.value) == (
        f"{path} exists, and the events of a run are never overwritten. Choose another directory or move the file."
    )
    assert jsonl.read_events(path) == EVENTS


@pytest.mark.parametrize("lost", [1, 2, 30, 60])
def test_a_last_line_that_was_cut_off_is_left_out(tmp_path, lost):
    path = written(tmp_path / "events.jsonl")
    path.write_bytes(path.read_bytes()[:-lost])

    assert jsonl.read_events(path) == EVENTS[: len(EVENTS) - (lost > 1)]


def test_zeros_that_a_power_cut_left_at_the_end_are_left_out(tmp_path):
    path = written(tmp_path / "events.jsonl")
    path.write_bytes(path.read_bytes() + bytes(100))

    assert jsonl.read_events(path) == EVENTS


@pytest.mark.parametrize("line", [b"junk", b"5", b"\xff\xfe", b'{"key": "run_start"}', b""])
def test_a_damaged_line_is_named(tmp_path, line):
    path = written(tmp_path / "events.jsonl")
    path.write_bytes(line + b"\n" + path.read_bytes())

    with pytest.raises(errors.DamagedDataError) as failure:
        jsonl.read_events(path)

    assert str(failure.value) == (
        f"{path}, line 1: got {line!r}, expected one JSON object with the fields time_s, key, value and metadata. "
        "Only a last line may be incomplete; restore the file."
    )


def test_a_killed_process_loses_no_event(tmp_path):
    path = tmp_path / "events.jsonl"
    program = (
        "import os, pathlib, signal, sys\n"
        "from tfperf import events\n"
        "from tfperf.reporting import jsonl\n"
        "sink = jsonl.JsonLines(pathlib.Path(sys.argv[1]))\n"
        "for step in range(100): sink.emit(events.Event(key='tracked_stats', metadata={'step': step}))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )

    subprocess.run([sys.executable, "-c", program, str(path)], check=False)

    assert [event.metadata["step"] for event in jsonl.read_events(path)] == list(range(100))


def test_a_full_disk_is_an_error(tmp_path):
    sink = jsonl.JsonLines(tmp_path / "events.jsonl")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(OSError):
            sink.emit(EVENTS[0])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    sink.close()


def test_a_value_that_is_not_plain_is_refused(tmp_path):
    sink = jsonl.JsonLines(tmp_path / "events.jsonl")

    with pytest.raises(TypeError):
        sink.emit(events.Event(key="seed", value=object()))

    sink.close()
