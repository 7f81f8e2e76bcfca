"""A run's epochs and evaluations are planned in steps."""

import dataclasses

import pytest

from tfperf import spec as specs
from tfperf.benchmarks.shapes.source import Shapes
from tfperf.training import plan

ASKED = specs.TrainSpec(
    benchmark="any",
    division=specs.Division.OPEN,
    global_batch_size=448,
    max_epochs=3,
    optimizer=specs.Sgd(base_learning_rate=0.1),
    data=specs.Data(source=Shapes()),
)


def steps(spec: specs.TrainSpec, **options: int) -> list[tuple[int, bool]]:
    return [(epoch.steps, epoch.evaluated) for epoch in plan.epochs(spec, steps_per_epoch=10, **options)]


def test_epochs_are_evaluated_as_the_spec_says_and_at_the_end() -> None:
    every_second = dataclasses.replace(ASKED, evaluation=specs.Evaluation(every_epochs=2))
    assert steps(every_second) == [(10, False), (10, True), (10, True)]
    assert steps(ASKED, max_epochs=2) == [(10, True), (10, True)]


def test_the_last_epoch_may_be_cut_by_the_steps() -> None:
    assert steps(dataclasses.replace(ASKED, max_epochs=None, max_steps=14)) == [(10, True), (4, True)]


def test_evaluations_in_samples_are_rounded_up_as_in_published_logs() -> None:
    # A log of BERT at batch 448 that the official checker passes has evaluations at 150080, 300160 and 450240 samples.
    ends = plan.evaluation_ends(150_000, batch_size=448, last_step=1100)
    assert [step * 448 for step in ends] == [150_080, 300_160, 450_240, 1100 * 448]


@pytest.mark.parametrize(("every", "expected"), [(1, (1, 2, 3)), (896, (2, 3)), (10**6, (3,)), (448 * 3, (3,))])
def test_no_step_is_evaluated_twice(every: int, expected: tuple[int, ...]) -> None:
    assert plan.evaluation_ends(every, batch_size=448, last_step=3) == expected


def test_a_block_reaches_to_the_next_evaluation() -> None:
    planned = [plan.PlannedEpoch(steps=count, evaluated=count == 3) for count in (1, 2, 3, 4)]
    whole = plan.Plan(epochs=tuple(planned), evaluation_steps=1)
    assert [whole.epochs_to_evaluation(epoch) for epoch in (1, 2, 3, 4)] == [3, 2, 1, 1]
    assert [whole.steps_to_evaluation(epoch) for epoch in (1, 2, 3, 4)] == [6, 5, 3, 4]
