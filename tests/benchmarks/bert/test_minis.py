"""The small versions of BERT run by their configs from the embedded data to a result."""

import pathlib

import pytest

from tfperf import benchmarks, config
from tfperf import spec as specs
from tfperf.run.train import train
from tfperf.workspace import Workspace

CPU = specs.Device(kind="cpu")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "source", "metric"),
    [("bert-mini", "shape_captions", "masked_lm_accuracy"), ("bert-mini-squad", "shape_questions", "f1")],
)
def test_untrained_networks_are_scored_and_miss_their_targets(
    name: str, source: str, metric: str, tmp_path: pathlib.Path
) -> None:
    changes = [
        "max_steps=2",
        "optimizer.adamw.warmup_steps=0",
        "global_batch_size=8",
        "evaluation.every_samples=16",
        f"data.source={{{source}: {{train_examples: 16, eval_examples: 16}}}}",
    ]
    spec = config.load(name, task_of=benchmarks.task, overrides=changes)
    workspace = Workspace(output_dir=tmp_path, name=name, device=CPU)
    outcome, _ = train(spec, benchmarks.get(spec.benchmark), workspace=workspace)
    assert (outcome.status, outcome.quality.metric, outcome.quality.reached) == ("aborted", metric, False)
    assert outcome.quality.value is not None
    assert 0 <= outcome.quality.value < outcome.quality.target
