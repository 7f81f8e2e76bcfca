import dataclasses
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.inference import null_models
from tfperf.benchmarks.tensor import Batch
from tfperf.inference import rehearsal
from tfperf.inference.executable import Bucket
from tfperf.inference.job import ScenarioName, ServedModel, Settings
from tfperf.inference.real_batches import RealBatches

QUICK = {Bucket(1): 1e4, Bucket(8): 2e4}


def settings(scenario: ScenarioName = "Offline", **changes: Any) -> Settings:
    values = {"mode": "performance", "min_duration_s": 1.0, "performance_samples": 16, **changes}
    return Settings(loadgen_model="resnet50", scenario=scenario, **values)


def rate_of(served: ServedModel, execution_ns: dict[Bucket, float]) -> float:
    return rehearsal.samples_per_s(served, RealBatches(served), settings(), execution_ns=execution_ns)


def test_is_at_most_the_rate_of_the_model_and_leaves_no_thread() -> None:
    threads = threading.active_count()
    rate = rate_of(null_models.served(sleep_s=1e-3), QUICK)
    assert 400 < rate <= 8000
    assert threading.active_count() == threads


def test_counts_what_the_sut_takes_itself() -> None:
    rate = rate_of(null_models.served(), {Bucket(1): 900.0, Bucket(8): 1000.0})
    assert 1000 < rate < 4e6


def test_raises_what_the_model_raises() -> None:
    def respond(outputs: Batch, indices: Sequence[int]) -> np.ndarray:
        raise ValueError("no response")

    with pytest.raises(ValueError, match="no response"):
        rate_of(dataclasses.replace(null_models.served(), respond=respond), QUICK)


@pytest.mark.parametrize(
    ("given", "execution_ns", "needed"),
    [
        (settings(), QUICK, True),
        (settings(), {Bucket(1): 1e6, Bucket(8): 2e7}, True),
        (settings(), {Bucket(1): 1e8, Bucket(8): 1e8}, False),
        (settings(expected_qps=100.0), QUICK, False),
        (settings(mode="accuracy"), QUICK, False),
        (settings("Server", target_qps=1.0), QUICK, False),
    ],
)
def test_is_needed_where_the_model_is_quick_and_the_rate_unknown(
    given: Settings, execution_ns: dict[Bucket, float], needed: bool
) -> None:
    assert rehearsal.is_needed(given, execution_ns=execution_ns) == needed
