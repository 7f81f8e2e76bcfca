"""The target of a run is the benchmark's, unless the spec overrides it."""

import dataclasses
from typing import Any

import pytest

from tfperf import spec as specs
from tfperf.benchmarks.benchmark import QualityTarget, quality_of
from tfperf.benchmarks.shapes.source import Shapes


@dataclasses.dataclass(frozen=True)
class Task:
    """What `quality_of` reads of a task."""

    quality: QualityTarget


@pytest.mark.parametrize(("override", "expected"), [(None, 0.75), (0.5, 0.5), (0.0, 0.0)])
def test_the_spec_overrides_the_value_alone(override: float | None, expected: float) -> None:
    task: Any = Task(QualityTarget(metric="accuracy", value=0.75))
    spec = specs.TrainSpec(
        benchmark="any",
        division=specs.Division.OPEN,
        global_batch_size=8,
        max_epochs=1,
        optimizer=specs.Sgd(base_learning_rate=0.1),
        data=specs.Data(source=Shapes()),
        quality_target=override,
    )
    assert quality_of(task, spec) == QualityTarget(metric="accuracy", value=expected)
