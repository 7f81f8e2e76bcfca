"""One worker, two devices and two workers score the same images alike."""

import json
import pathlib
import subprocess
import sys
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.run import detected
from tests.run.started_workers import ended, start
from tfperf import config
from tfperf import spec as specs
from tfperf.benchmarks.benchmark import Feed
from tfperf.benchmarks.detection.data.sources import DrawnScenes
from tfperf.reporting import jsonl
from tfperf.training import program

EVAL_EXAMPLES = 13  # no multiple of the batch, so that the last one is filled up
STEPS = 60


def learn(data: specs.Data) -> keras.Model:
    """A model that has learned the held-out scenes themselves, so that it finds something in them."""
    keras.utils.set_random_seed(3)
    task = detected.TASK
    model = task.build_model(task.options)
    task.compile_model(model, keras.optimizers.Adam(2e-3), task.options)
    (images, targets, _), *_ = task.open_data(data, task.options, None).evaluation(Feed(batch_size=EVAL_EXAMPLES))
    joined = tf.concat((targets["boxes"], tf.cast(targets["classes"], tf.float32)[..., None]), -1)
    built = program.build(model, tf.distribute.get_strategy())
    built.train(iter(tf.data.Dataset.from_tensors((images, joined)).repeat()), tf.constant(STEPS))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0  # statistics of this batch alone
    model(images, training=True)
    return model


def figures_before_training(told: str, run_dir: pathlib.Path) -> dict[str, Any]:
    """The result's quality before the first step and the figures of the scorer."""
    first = next(
        event.value
        for event in jsonl.read_events(run_dir / "events.jsonl")
        if event.key == "tracked_stats" and "val_map" in event.value
    )
    return {**first, "untrained_quality": json.loads(told)["untrained_quality"]}


@pytest.mark.slow
def test_two_devices_and_two_workers_score_as_one_worker_does(tmp_path: pathlib.Path) -> None:
    data = specs.Data(source=DrawnScenes(train_examples=16, eval_examples=EVAL_EXAMPLES))
    (tmp_path / "data").mkdir()
    weights = {variable.path: variable.numpy() for variable in learn(data).weights}
    np.savez(tmp_path / "data" / "initial.npz", **weights)
    spec = specs.TrainSpec(
        benchmark="tests.run.detected",
        division=specs.Division.INTERNAL,
        global_batch_size=4,
        max_steps=1,
        optimizer=specs.Sgd(base_learning_rate=1e-30),
        data=data,
        model=detected.TASK.options,
        quality_target=1.01,
        evaluation=specs.Evaluation(every_samples=4, at_start=True),
    )
    path = tmp_path / "detected.yaml"
    path.write_text(config.dump(spec), encoding="utf-8")

    def scored(name: str, *flags: str, workers: int = 1) -> dict[str, Any]:
        where = [f"--config={path}", f"--data_dir={tmp_path / 'data'}", f"--output_dir={tmp_path / name}"]
        command = [sys.executable, "-m", "tfperf", "train", *where, "--format=json", *flags]
        if workers > 1:
            (code, told, errors), *_ = ended(start(*[command] * workers)[1])
        else:
            finished = subprocess.run(command, capture_output=True, text=True, check=False)
            code, told, errors = finished.returncode, finished.stdout, finished.stderr
        assert code == 4, errors[-3000:]
        (run_dir,) = (tmp_path / name).iterdir()
        assert json.loads(told)["environment"]["replicas"] == (2 if flags else workers)
        return figures_before_training(told, run_dir)

    alone, mirrored, both = scored("one"), scored("mirrored", "--device=cpu:2"), scored("two", workers=2)
    assert alone["untrained_quality"] > 0.3
    assert [each["val_images"] for each in (alone, mirrored, both)] == [EVAL_EXAMPLES] * 3
    assert [each["val_different"] for each in (alone, mirrored, both)] == [EVAL_EXAMPLES] * 3
    assert [each["val_hosts"] for each in (alone, mirrored, both)] == [1, 1, 2]
    for each in (mirrored, both):
        assert each["untrained_quality"] == pytest.approx(alone["untrained_quality"], abs=1e-6)
