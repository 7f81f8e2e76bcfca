"""A run that may skip corrupt images skips no more than it may, and nothing else."""

import numpy as np
import pytest

from tests.benchmarks.images.grey_photographs import (
    PREPROCESSING,
    SHARDED,
    TRAIN,
    damaged_folder,
    expected,
    failure,
    read,
)
from tfperf import spec
from tfperf.benchmarks.benchmark import Feed
from tfperf.benchmarks.images.data import open_data
from tfperf.benchmarks.images.sources import Folder, Tfds


def test_a_run_that_may_skip_leaves_corrupt_images_out_and_names_each_once(listed, tmp_path, caplog):
    root = damaged_folder(listed, tmp_path, 3, 30)
    opened = open_data(spec.Data(source=Folder(), skip_corrupt=2), PREPROCESSING, root)
    trained = {row[0] for row in read(opened.train(Feed(batch_size=5)), batches=12)}
    assert trained == set(range(TRAIN)) - {3}
    rows = read(opened.evaluation(Feed(batch_size=4)))
    assert sorted(row for row in rows if row[2] > 0) == [row for row in expected(training=False) if row[0] != 30]
    assert len(rows) == 12
    warned = [record.getMessage().split(": ")[0] for record in caplog.records if "corrupt" in record.getMessage()]
    assert sorted(warned) == sorted(f"Skipped a corrupt image, {root / f'{n}.jpg'}" for n in (3, 30))


@pytest.mark.parametrize("source", ["tfrecords", "animals"])
def test_a_run_that_may_skip_reads_whole_images_unchanged(source, tfrecords, animals):
    given, root = (SHARDED, tfrecords) if source == "tfrecords" else (Tfds(name="animals"), animals["tfrecord"])
    feed = Feed(batch_size=13, seed=3, deterministic=True)
    plain, skipping = (
        next(open_data(spec.Data(source=given, skip_corrupt=n), PREPROCESSING, root).train(feed).as_numpy_iterator())
        for n in (0, 1)
    )
    for left, right in zip(plain, skipping, strict=True):
        np.testing.assert_array_equal(left, right)


def test_more_corrupt_images_than_may_be_skipped_fail_with_their_names(listed, tmp_path):
    root = damaged_folder(listed, tmp_path, 3, 17, 30)
    opened = open_data(spec.Data(source=Folder(), skip_corrupt=1), PREPROCESSING, root)
    lines = str(failure(opened, opened.train(Feed(batch_size=13)), batches=3)).splitlines()
    assert lines[0] == "2 corrupt images were found, data.skip_corrupt allows 1:"
    assert {line.split(":")[0].strip() for line in lines[1:3]} == {str(root / "3.jpg"), str(root / "17.jpg")}
