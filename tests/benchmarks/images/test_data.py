"""Every source is found with its counts and its fingerprint, and says what is wrong."""

import dataclasses
import pathlib
import shutil

import numpy as np
import pytest

from tests.benchmarks.images.grey_photographs import EVAL, PREPROCESSING, SHARDED, TRAIN
from tfperf import spec
from tfperf.benchmarks.benchmark import Feed
from tfperf.benchmarks.images.data import open_data
from tfperf.benchmarks.images.sources import Folder, Tfds
from tfperf.benchmarks.shapes.source import Shapes
from tfperf.errors import MissingDataError


def test_counts_are_known_before_reading(opened):
    assert (opened.train_examples, opened.eval_examples) == (TRAIN, EVAL)


def test_the_embedded_data_feeds_the_same_batches(tmp_path):
    source = Shapes(train_examples=16, eval_examples=6)
    opened = open_data(spec.Data(source=source), dataclasses.replace(PREPROCESSING, classes=8), tmp_path)
    assert (opened.train_examples, opened.eval_examples) == (16, 6)
    images, labels = next(opened.train(Feed(batch_size=16)).as_numpy_iterator())
    assert len(np.unique(labels.argmax(axis=1))) > 2
    assert images.std() > 10
    weights = [weights for *_, weights in opened.evaluation(Feed(batch_size=4)).as_numpy_iterator()]
    np.testing.assert_array_equal(weights, [[1, 1, 1, 1], [1, 1, 0, 0]])


def test_fingerprints_follow_the_list_of_examples(listed, tmp_path):
    data = spec.Data(source=Folder())
    shutil.copytree(listed, tmp_path, dirs_exist_ok=True)
    assert open_data(data, PREPROCESSING, tmp_path).fingerprint == open_data(data, PREPROCESSING, listed).fingerprint
    lines = (tmp_path / "labels.csv").read_text().splitlines()
    (tmp_path / "labels.csv").write_text("\n".join(lines[:-1]))
    assert open_data(data, PREPROCESSING, tmp_path).fingerprint != open_data(data, PREPROCESSING, listed).fingerprint


@pytest.mark.parametrize("data_dir", [None, pathlib.Path("/nowhere")])
@pytest.mark.parametrize("source", [Folder(), SHARDED])
def test_a_missing_data_dir_is_refused(source, data_dir):
    with pytest.raises(MissingDataError, match=r"Pass --data_dir|Pass the folder"):
        open_data(spec.Data(source=source), PREPROCESSING, data_dir)


def test_another_number_of_classes_says_what_to_set(listed, tfrecords, animals):
    other = dataclasses.replace(PREPROCESSING, classes=10)
    for source, root in ((Folder(), listed), (Tfds(name="animals"), animals["tfrecord"])):
        with pytest.raises(MissingDataError, match=r"--set model\.classes=3"):
            open_data(spec.Data(source=source), other, root)
