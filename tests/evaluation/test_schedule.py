"""Requests are due when the phase says, however many there are."""

import pathlib

import numpy as np
import pytest

from tfperf.errors import DamagedDataError, MissingDataError
from tfperf.evaluation import schedule


def whole(parts):
    return np.concatenate(list(parts))


def test_a_constant_rate_is_evenly_spaced() -> None:
    due = whole(schedule.constant(2000.0, 20.0))
    assert len(due) == 40_000
    np.testing.assert_allclose(np.diff(due), 0.0005)


def test_random_arrivals_have_the_rate_and_repeat_by_seed() -> None:
    due = whole(schedule.poisson(1000.0, 50.0, seed=3))
    assert len(due) == pytest.approx(50_000, rel=0.02)
    gaps = np.diff(due)
    assert (gaps >= 0).all()
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.02)  # exponential
    np.testing.assert_array_equal(due, whole(schedule.poisson(1000.0, 50.0, seed=3)))


def test_random_arrivals_go_on_until_there_are_enough() -> None:
    assert len(whole(schedule.poisson(10.0, 0.1, seed=1, least=459))) == 459


@pytest.mark.parametrize(("first", "last"), [(0.0, 100.0), (100.0, 10.0), (50.0, 50.0)])
def test_a_ramp_has_its_rates_at_both_ends(first: float, last: float) -> None:
    due = whole(schedule.ramp(first, last, 100.0))
    assert len(due) == (first + last) / 2 * 100
    assert due[-1] <= 100
    for begin in (0, 45, 90):
        rate = ((due >= begin) & (due < begin + 10)).sum() / 10
        assert rate == pytest.approx(first + (last - first) * (begin + 5) / 100, abs=0.3)


def test_a_spike_begins_and_ends_when_it_should() -> None:
    due = whole(schedule.spike(10.0, 100.0, after_s=2.0, spike_s=1.0, duration_s=5.0))
    assert len(due) == 20 + 100 + 20
    assert ((due >= 2) & (due < 3)).sum() == 100
    assert (np.diff(due) >= -1e-12).all()


def test_recorded_arrivals_start_at_once_and_may_be_sent_faster(tmp_path: pathlib.Path) -> None:
    (tmp_path / "times").write_text("# seconds\n100\n100.5\n\n102\n", encoding="utf-8")
    np.testing.assert_allclose(whole(schedule.recorded(tmp_path / "times", speed=2.0)), [0, 0.25, 1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\nx\n", "line 2: expected a time in seconds, got 'x'"),
        ("2\n1\n", "line 2: times must not decrease, got 1"),
        ("\n", "holds no arrival times"),
        ("nan\n", "line 1: expected a time"),
    ],
)
def test_damaged_arrivals_are_named(tmp_path: pathlib.Path, text: str, message: str) -> None:
    (tmp_path / "times").write_text(text, encoding="utf-8")
    with pytest.raises(DamagedDataError, match=message):
        schedule.recorded(tmp_path / "times", speed=1.0)


def test_missing_arrivals_are_missing_data() -> None:
    with pytest.raises(MissingDataError) as raised:
        schedule.recorded(pathlib.Path("/nowhere/times"), speed=1.0)
    assert raised.value.exit_code == 2
