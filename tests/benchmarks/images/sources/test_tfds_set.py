"""TFDS sets that are not prepared, not known or not of labelled images are refused."""

import pytest
import tensorflow_datasets as tfds

from tests.benchmarks.images.grey_photographs import PREPROCESSING
from tfperf import spec
from tfperf.benchmarks.images.data import open_data
from tfperf.benchmarks.images.sources import Tfds, tfds_set
from tfperf.errors import MissingDataError


def test_an_unprepared_tfds_set_says_how_to_prepare_it(tmp_path):
    with pytest.raises(MissingDataError, match=r"not prepared in .*; runs do not download.* ILSVRC2012_img_train\.tar"):
        open_data(spec.Data(source=Tfds()), PREPROCESSING, tmp_path)


def test_an_unknown_tfds_set_or_split_is_refused(tmp_path, animals):
    with pytest.raises(MissingDataError, match="no data set 'no_such_set'"):
        open_data(spec.Data(source=Tfds(name="no_such_set")), PREPROCESSING, tmp_path)
    source = Tfds(name="animals", eval_split="test")
    with pytest.raises(MissingDataError, match="no split 'test', but train, validation"):
        open_data(spec.Data(source=source), PREPROCESSING, animals["tfrecord"])


def test_tfds_sets_of_other_features_are_refused(tmp_path):
    with pytest.raises(MissingDataError, match="features image and label are needed"):
        tfds_set.builder_splits(_captions(tmp_path), train="train", evaluation="train", classes=3)


def _captions(root):
    class Captions(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = tfds.features.FeaturesDict({"caption": tfds.features.Text()})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            yield 0, {"caption": "none"}

    builder = Captions(data_dir=root)
    builder.download_and_prepare()
    return builder
