"""The values of the ResNet benchmarks."""

import pytest

from tfperf import benchmarks


@pytest.mark.parametrize("name", ["resnet50", "resnet50_mini"])
def test_the_benchmarks_serve_what_they_train(name: str) -> None:
    benchmark = benchmarks.get(name)
    task = benchmark.inference
    assert task is not None
    assert task.options == benchmark.training.options
    assert task.quality.value == pytest.approx(0.99 * task.reference_quality, abs=1e-9)
    (probabilities,) = task.outputs(task.options)
    assert probabilities.shape == (task.options.classes,)


def test_the_target_is_that_of_the_rules() -> None:
    task = benchmarks.get("resnet50").inference
    assert task is not None
    assert (task.quality.value, [str(each) for each in task.inputs(task.options)]) == (
        0.756954,
        ["image: float32 [n, 224, 224, 3]"],
    )
