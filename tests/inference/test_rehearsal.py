import threading
from typing import Any

import numpy as np
import pytest

from tests.inference import null_models
from tfperf.inference import rehearsal
from tfperf.inference.job import ScenarioName, Settings

QUICK = {1: 1e4, 8: 2e4}


def settings(scenario: ScenarioName = "Offline", **changes: Any) -> Settings:
    values = {"mode": "performance", "min_duration_s": 1.0, "performance_samples": 16, **changes}
    return Settings(loadgen_model="resnet50", scenario=scenario, **values)


def test_is_at_most_the_rate_of_the_model_and_leaves_no_thread() -> None:
    threads = threading.active_count()
    rate = rehearsal.samples_per_s(null_models.served(sleep_s=1e-3), settings(), execution_ns=QUICK)
    assert 400 < rate <= 8000
    assert threading.active_count() == threads


def test_counts_what_the_sut_takes_itself() -> None:
    rate = rehearsal.samples_per_s(null_models.served(), settings(), execution_ns={1: 900.0, 8: 1000.0})
    assert 1000 < rate < 4e6


def test_raises_what_the_model_raises() -> None:
    def respond(outputs: np.ndarray) -> np.ndarray:
        raise ValueError("not for noise")

    served = null_models.served()
    with pytest.raises(ValueError, match="not for noise"):
        rehearsal.samples_per_s(type(served)(**{**vars(served), "respond": respond}), settings(), execution_ns=QUICK)


@pytest.mark.parametrize(
    ("asked", "execution_ns", "needed"),
    [
        (settings(), QUICK, True),
        (settings(), {1: 1e6, 8: 2e7}, True),
        (settings(), {1: 1e8, 8: 1e8}, False),
        (settings(expected_qps=100.0), QUICK, False),
        (settings(mode="accuracy"), QUICK, False),
        (settings("Server", target_qps=1.0), QUICK, False),
    ],
)
def test_is_needed_where_the_model_is_quick_and_the_rate_unknown(
    asked: Settings, execution_ns: dict[int, float], needed: bool
) -> None:
    assert rehearsal.is_needed(asked, execution_ns=execution_ns) == needed
