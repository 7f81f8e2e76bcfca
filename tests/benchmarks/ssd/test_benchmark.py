"""The small SSD from its data to its score."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfperf import benchmarks
from tfperf import spec as specs
from tfperf.benchmarks.benchmark import Feed
from tfperf.benchmarks.detection.data.sources import DrawnScenes
from tfperf.training import program

TASK = benchmarks.training_task(benchmarks.get("ssd_mini"))
DATA = specs.Data(source=DrawnScenes(train_examples=8, eval_examples=6))


@pytest.fixture(scope="module")
def trained() -> program.Program:
    """Trained for so long on eight scenes that it finds what is in them."""
    keras.utils.set_random_seed(3)
    model = TASK.build_model(TASK.options)
    TASK.compile_model(model, keras.optimizers.Adam(2e-3), TASK.options)
    return program.build(model, tf.distribute.get_strategy())


def test_targets_of_training_are_boxes_and_classes() -> None:
    data = TASK.open_data(DATA, TASK.options, None)
    images, targets = next(iter(data.train(Feed(batch_size=4))))
    assert (images.shape, images.dtype) == ((4, 96, 96, 3), tf.float32)
    assert (targets.shape[::2], targets.dtype) == ((4, 5), tf.float32)
    classes = targets[..., 4].numpy()
    assert set(classes.ravel().tolist()) <= {-1, *range(8)}
    assert ((targets[..., :4].numpy()[classes >= 0] >= 0) & (targets[..., :4].numpy()[classes >= 0] <= 1)).all()


def test_learns_scenes_and_scores_what_it_finds_in_them(trained: program.Program) -> None:
    data = TASK.open_data(DATA, TASK.options, None)
    (images, targets, weights), *_ = data.evaluation(Feed(batch_size=6))
    joined = tf.concat((targets["boxes"], tf.cast(targets["classes"], tf.float32)[..., None]), -1)
    batches = iter(tf.data.Dataset.from_tensors((images, joined)).repeat())
    losses = trained.train(batches, tf.constant(60)).numpy()
    assert losses[-10:].mean() < 0.5 * losses[0]
    for layer in trained.model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0  # statistics of this batch alone
    trained.model(images, training=True)
    scorer = TASK.scorer(TASK.options)
    scorer.update(targets, trained.model(images, training=False), weights.numpy())
    found = scorer.result([scorer.seen()])
    assert TASK.quality.metric == "map"
    assert found["map"] > 0.3
    assert np.isfinite(list(found.values())).all()


def test_an_untrained_model_misses_the_target() -> None:
    keras.utils.set_random_seed(3)
    model, scorer = TASK.build_model(TASK.options), TASK.scorer(TASK.options)
    data = TASK.open_data(DATA, TASK.options, None)
    for images, targets, weights in data.evaluation(Feed(batch_size=6)):
        scorer.update(targets, model(images, training=False), weights.numpy())
    assert scorer.result([scorer.seen()])["map"] < 0.1
