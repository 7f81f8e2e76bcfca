"""An external power meter's csv file: what is taken, and what is refused with a reason."""

import numpy as np
import pytest

from tfperf.errors import UsageError
from tfperf.telemetry import meter
from tfperf.telemetry.counters import NoEnergyError

NOON = 1_769_860_800  # 2026-01-31 12:00:00 UTC


def written(tmp_path, lines, *, header="timestamp,watts"):
    path = tmp_path / "watts.csv"
    path.write_text("".join(f"{line}\n" for line in [header, *lines]))
    return path


def each_second(begin_s, end_s, watts=100.0):
    return [f"{second},{watts}" for second in range(begin_s, end_s + 1)]


def test_energy_is_exact_over_the_window(tmp_path):
    ramp = [f"{NOON + second},{100 + 10 * second}" for second in range(11)]
    found = meter.read(written(tmp_path, ramp))
    assert found.interval_s == 1
    assert found.joules(begin_s=NOON + 2.5, end_s=NOON + 6.5) == pytest.approx(4 * 145)


def test_takes_epoch_seconds_iso_times_with_a_zone_and_further_columns(tmp_path):
    lines = ["220,2026-01-31T12:00:00Z,5", f"221,{NOON + 1},7", "222,2026-01-31T13:00:02.5+01:00,9"]
    found = meter.read(written(tmp_path, lines, header="volts, Timestamp ,WATTS"))
    np.testing.assert_allclose(found.time_s, [NOON, NOON + 1, NOON + 2.5])
    np.testing.assert_array_equal(found.watts, [5, 7, 9])


def test_a_line_that_is_being_written_is_left_out(tmp_path):
    path = written(tmp_path, each_second(NOON, NOON + 2))
    path.write_text(path.read_text() + f"{NOON + 3},1")
    assert len(meter.read(path).time_s) == 3


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["2026-01-31T12:00:00,5"], r"watts\.csv:2: .* has no time zone: it may be local time\. Write seconds since"),
        (["yesterday,5"], r"watts\.csv:2: Invalid isoformat string: 'yesterday'; the first line is timestamp,watts"),
        ([f"{NOON}000,5"], r"watts\.csv:2: .* is not in seconds since the Unix epoch \(in milliseconds, perhaps\)"),
        ([f"{NOON},-1"], r"watts\.csv:2: -1 is no power in watts"),
        ([f"{NOON},nan"], r"watts\.csv:2: nan is no power in watts"),
        ([f"{NOON}"], r"watts\.csv:2: list index out of range"),
        ([f"{NOON + 1},5", f"{NOON},5"], rf"watts\.csv:3: {NOON} is not after the line before it"),
    ],
)
def test_a_file_that_is_not_a_meters_is_refused_before_anything_runs(tmp_path, lines, message):
    with pytest.raises(UsageError, match=f"^power_source: .*{message}"):
        meter.check(written(tmp_path, lines))


def test_a_missing_file_and_other_columns_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"can't be read: .*\. Start the meter's program before the run$"):
        meter.check(tmp_path / "none.csv")
    with pytest.raises(UsageError, match=r"begins with 'time,power'; the first line is timestamp,watts"):
        meter.check(written(tmp_path, [], header="time,power"))
    meter.check(written(tmp_path, []))  # it has just been started


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            each_second(NOON, NOON + 3) + each_second(NOON + 9, NOON + 20),
            r"has a gap of 6 s between 2026-01-31 12:00:01 UTC and 2026-01-31 12:00:10 UTC; its readings are 1 s apart",
        ),
        (each_second(NOON + 5, NOON + 20), r"begins at 2026-01-31 12:00:05 UTC and does not cover the window from"),
        (
            each_second(NOON + 3600, NOON + 3620),
            r"covers 2026-01-31 13:00:00 UTC to .*: it is 1 h ahead of the window, so its times may be local ones",
        ),
        (each_second(NOON - 19_800, NOON - 19_780), r"it is 5\.5 h behind the window, so its times may be local ones"),
        (
            each_second(NOON + 3000, NOON + 3020),
            r"covers 2026-01-31 12:50:00 UTC to 2026-01-31 12:50:20 UTC, and the window was 2026-01-31 12:00:01 UTC to",
        ),
    ],
)
def test_gaps_and_other_hours_are_no_energy(tmp_path, lines, message):
    found = meter.read(written(tmp_path, lines))
    with pytest.raises(NoEnergyError, match=message):
        found.joules(begin_s=NOON + 1, end_s=NOON + 10)


def test_each_of_several_workers_has_a_file_of_its_own(tmp_path):
    template = f"{tmp_path}/watts-{{worker}}.csv"
    assert meter.file_of(template, worker=1, workers=2) == tmp_path / "watts-1.csv"
    with pytest.raises(
        UsageError, match=r"is one file, and 2 workers take part\. .* such as csv:watts-\{worker\}\.csv"
    ):
        meter.file_of("watts.csv", worker=0, workers=2)
