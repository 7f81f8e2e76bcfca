"""Student's t against SciPy."""

import pytest

from tfperf.analysis import student

FREEDOMS = (0.7, 1, 2, 3.3, 4, 10, 29.5, 1e3, 1e6)


@pytest.mark.parametrize("freedom", FREEDOMS)
@pytest.mark.parametrize("t", [0, 0.1, 1, 2.5, -7, 40])
def test_probabilities_are_those_of_scipy(t, freedom):
    scipy_stats = pytest.importorskip("scipy.stats")
    expected = 2 * scipy_stats.t.sf(abs(t), freedom)
    assert student.two_sided(t, freedom=freedom) == pytest.approx(expected, rel=1e-8, abs=1e-200)


@pytest.mark.parametrize("freedom", FREEDOMS)
@pytest.mark.parametrize("level", [0.001, 0.025, 0.5, 0.8, 0.975])
def test_quantiles_are_those_of_scipy(level, freedom):
    scipy_stats = pytest.importorskip("scipy.stats")
    assert student.quantile(level, freedom=freedom) == pytest.approx(scipy_stats.t.ppf(level, freedom), rel=1e-8)


def test_printed_table_of_t():
    assert [round(student.quantile(0.975, freedom=freedom), 4) for freedom in (1, 4, 9, 29)] == [
        12.7062,
        2.7764,
        2.2622,
        2.0452,
    ]


def test_an_infinite_statistic_has_no_probability():
    assert student.two_sided(float("inf"), freedom=3) == 0


def test_names_what_is_wrong():
    with pytest.raises(ValueError, match=r"freedom must be above 0, got 0\. A mean of n values has n - 1\."):
        student.two_sided(1, freedom=0)
    with pytest.raises(
        ValueError, match=r"level must be between 0 and 1, got 97\.5\. The 97\.5th percentile is 0\.975\."
    ):
        student.quantile(97.5, freedom=3)
