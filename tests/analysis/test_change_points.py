"""Changes of level are found where they are, and rarely where there are none."""

import math

import numpy as np
import pytest
import ruptures

from tfperf.analysis import change_points


def series(random: np.random.Generator, *steps: tuple[int, float], noise: float = 0.03) -> np.ndarray:
    """Runs around levels: so many of each, around each level."""
    levels = np.concatenate([np.full(count, math.log(level)) for count, level in steps])
    return np.exp(levels + random.normal(0, noise, len(levels)))


@pytest.mark.parametrize("heavy", [False, True], ids=["normal", "heavy tails"])
def test_noise_alone_has_a_change_in_at_most_one_series_of_twenty(heavy: bool) -> None:
    random = np.random.default_rng(3)
    noise = random.standard_t(3, (400, 60)) / math.sqrt(3) if heavy else random.normal(0, 1, (400, 60))
    alarms = [bool(change_points.find(np.exp(0.03 * each))) for each in noise]
    assert np.mean(alarms) <= 0.05


def test_a_step_of_ten_percent_is_found_at_its_place_after_ten_runs() -> None:
    random = np.random.default_rng(4)
    found = [change_points.find(series(random, (40, 1.0), (10, 1.1))) for _ in range(200)]
    hits = [each for each in found if len(each) == 1 and abs(each[0].place - 40) <= 2]
    assert len(hits) >= 180
    assert np.median([each[0].ratio for each in hits]) == pytest.approx(1.1, rel=0.01)


def test_a_regression_and_its_repair_are_two_changes() -> None:
    found = change_points.find(series(np.random.default_rng(5), (20, 5.0), (12, 6.0), (20, 5.0)))
    assert [each.place for each in found] == [20, 32]
    assert [each.ratio for each in found] == pytest.approx([1.2, 1 / 1.2], rel=0.03)
    assert all(each.p < change_points.SIGNIFICANCE for each in found)


def test_one_outlier_and_short_or_equal_series_have_no_change() -> None:
    values = series(np.random.default_rng(6), (40, 1.0))
    values[20] *= 3
    assert change_points.find(values) == ()
    assert change_points.find([1.0, 1.0, 1.0, 2.0, 2.0]) == ()
    assert change_points.find([1.0] * 30) == ()


def test_a_step_between_equal_values_is_a_change() -> None:
    assert [each.place for each in change_points.find([1.0] * 10 + [1.2] * 10)] == [10]


def test_the_places_are_those_of_another_search_of_the_same_cost() -> None:
    """Dynamic programming over all ways to cut the series, with as many changes."""
    values = series(np.random.default_rng(7), (15, 1.0), (15, 1.3), (15, 1.1))
    places = [each.place for each in change_points.find(values)]
    exact = ruptures.Dynp(model="l2", min_size=change_points.SEGMENT, jump=1).fit(np.log(values)).predict(n_bkps=2)
    assert places == exact[:-1] == [15, 30]
