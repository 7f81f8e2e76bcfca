"""The samples on which forms are compared."""

from tests.inference.small_classifier import compared
from tfperf.inference.comparison_samples import ComparisonSamples
from tfperf.inference.executable import Bucket

ROLES = ("timed", "calibrating", "judged")


def test_judges_on_other_samples_than_those_that_calibrate() -> None:
    used = ComparisonSamples.of(compared(), [Bucket(1)], judges=True)
    rows = {id: {sample[0].tobytes() for sample in samples} for id, samples in vars(used).items() if id in ROLES}
    assert len(rows["calibrating"]) == len(rows["judged"]) == 16
    assert len(rows["timed"]) == 1  # the largest batch
    assert not rows["calibrating"] & rows["judged"]
    assert used.numbers != sorted(used.numbers)
    assert set(used.numbers) == set(range(1, 32, 2))  # both are evenly spaced, if samples are sorted by class
