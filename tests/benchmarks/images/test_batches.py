"""Every source feeds each training example once an epoch and each evaluation example once."""

import numpy as np
import pytest
import tensorflow as tf

from tests.benchmarks.images.grey_photographs import PREPROCESSING, TRAIN, expected, read
from tfperf import spec
from tfperf.benchmarks.benchmark import Feed
from tfperf.benchmarks.images.data import open_data
from tfperf.benchmarks.images.sources import Folder


def test_training_batches_are_endless_whole_and_shuffled_anew_in_each_epoch(opened):
    dataset = opened.train(Feed(batch_size=13, seed=5))
    assert dataset.cardinality() == tf.data.INFINITE_CARDINALITY
    first, second = (read(dataset, batches=4)[part] for part in (slice(TRAIN), slice(TRAIN, None)))
    assert sorted(first) == sorted(second) == expected(training=True)
    assert expected(training=True) != first != second


def test_shapes_of_batches_are_known_without_reading(opened):
    image, label = (tf.TensorSpec([8, *shape], tf.float32) for shape in ((32, 32, 3), (3,)))
    assert opened.train(Feed(batch_size=8)).element_spec == (image, label)
    assert opened.evaluation(Feed(batch_size=8)).element_spec == (image, label, tf.TensorSpec([8], tf.float32))


def kinds(dataset: tf.data.Dataset) -> set[str]:
    """The operations that a dataset is made of."""
    graph = tf.compat.v1.GraphDef.FromString(tf.raw_ops.DatasetToGraphV2(input_dataset=dataset._variant_tensor).numpy())
    return {node.op for node in graph.node}


@pytest.mark.parametrize("skip_corrupt", [0, 1])
def test_no_single_thread_copies_all_batches(skip_corrupt, class_folders):
    opened = open_data(spec.Data(source=Folder(), skip_corrupt=skip_corrupt), PREPROCESSING, class_folders)
    training, evaluation = (kinds(feeding(Feed(batch_size=4))) for feeding in (opened.train, opened.evaluation))
    assert "ParallelBatchDataset" in evaluation
    assert "BatchDatasetV2" not in evaluation
    assert "ScanDataset" not in training  # it calls a function for each image, one after the other
    # A map before a batch without a filter between them is one parallel operation, which tf.data makes of both.
    assert ("ParallelBatchDataset" in training) == (skip_corrupt > 0)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_images_come_in_the_type_that_the_model_computes_in(dtype, class_folders):
    opened = open_data(spec.Data(source=Folder()), PREPROCESSING, class_folders)
    for feeding in (opened.train, opened.evaluation):
        (whole, *_), (half, *_) = (
            next(iter(feeding(Feed(batch_size=4, seed=1, deterministic=True, compute_dtype=name))))
            for name in ("float32", dtype)
        )
        assert half.dtype == dtype
        np.testing.assert_array_equal(half, tf.cast(whole, dtype))


def test_a_pipeline_may_have_threads_of_its_own(class_folders):
    opened = open_data(spec.Data(source=Folder()), PREPROCESSING, class_folders)
    for feeding in (opened.train, opened.evaluation):
        assert feeding(Feed(batch_size=4, threads=3)).options().threading.private_threadpool_size == 3
        assert feeding(Feed(batch_size=4)).options().threading.private_threadpool_size is None
        assert sum(1 for _ in feeding(Feed(batch_size=4, threads=1)).take(2)) == 2


@pytest.mark.parametrize("pipelines", [1, 2, 5])
def test_pipelines_share_the_evaluation_split_in_equally_many_batches(opened, pipelines):
    shares = [
        read(opened.evaluation(Feed(batch_size=4, pipelines=pipelines, index=index))) for index in range(pipelines)
    ]
    assert len({len(share) for share in shares}) == 1
    assert len(shares[0]) % 4 == 0
    counted = sorted(row for share in shares for row in share if row[2] > 0)
    assert counted == expected(training=False)


def test_pipelines_share_the_training_split(opened):
    shares = [read(opened.train(Feed(batch_size=1, pipelines=2, index=index)), batches=TRAIN) for index in range(2)]
    numbers = [{row[0] for row in share} for share in shares]
    assert not numbers[0] & numbers[1]
    assert numbers[0] | numbers[1] == set(range(TRAIN))


def test_the_same_seed_gives_the_same_batches(opened):
    def batches(seed):
        feed = Feed(batch_size=13, seed=seed, deterministic=True)
        return np.concatenate([images for images, _ in opened.train(feed).take(4).as_numpy_iterator()])

    np.testing.assert_array_equal(batches(1), batches(1))
    assert (batches(1) != batches(2)).any()
