"""A trial is ended early only when the trials before it say so."""

import pytest

from tfperf import spec
from tfperf.tuning.early_stop import below_median

RULE = spec.EarlyStopping(after_epochs=2, after_trials=2)
GOOD = ((1, 0.4), (2, 0.6), (3, 0.8))
FAIR = ((1, 0.2), (2, 0.4), (3, 0.6))


def test_a_trial_below_the_median_of_the_averages_gets_a_reason_with_both_numbers() -> None:
    said = below_median([(1, 0.1), (2, 0.2)], rivals=[GOOD, FAIR], rule=RULE)
    assert (
        said
        == "quality 0.2000 after epoch 2, below the median 0.4000 of the averages of 2 earlier trials up to that epoch"
    )


@pytest.mark.parametrize(
    ("curve", "rivals"),
    [
        pytest.param([(1, 0.0)], [GOOD, FAIR], id="too early"),
        pytest.param([(1, 0.0), (2, 0.0)], [GOOD], id="too few others"),
        pytest.param([(1, 0.0), (2, 0.0)], [GOOD, ((1, 0.5),)], id="others that did not come so far"),
        pytest.param([(1, 0.5), (2, 0.0)], [GOOD, FAIR], id="its best is good enough"),
        pytest.param([(1, 0.0), (2, 0.0)], [], id="the first one"),
    ],
)
def test_a_trial_continues(curve: list[tuple[int, float]], rivals: list[tuple[tuple[int, float], ...]]) -> None:
    assert below_median(curve, rivals=rivals, rule=RULE) == ""
