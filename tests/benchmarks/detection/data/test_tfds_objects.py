"""Sets of TensorFlow Datasets with the features of `coco/2017` and of `voc`, prepared on disk."""

import io
import pathlib

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tests.benchmarks.detection.data.annotated_folders import in_pixels, jpeg
from tfperf import spec
from tfperf.benchmarks.benchmark import Feed
from tfperf.benchmarks.detection.data.data import open_data
from tfperf.benchmarks.detection.data.preprocessing import DetectionPreprocessing
from tfperf.benchmarks.detection.data.samples import open_samples
from tfperf.benchmarks.detection.data.sources import DetectionTfds
from tfperf.errors import MissingDataError

PREPROCESSING = DetectionPreprocessing(classes=3, size=24, crop_samples=1)


class TinyCoco(tfds.core.GeneratorBasedBuilder):
    """The features of `coco/2017`; image i has i objects, one of which may have no area."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        parts = {
            "area": np.int64,
            "bbox": tfds.features.BBoxFeature(),
            "id": np.int64,
            "is_crowd": np.bool_,
            "label": tfds.features.ClassLabel(names=("ant", "bee", "cat")),
        }
        features = {
            "image": tfds.features.Image(encoding_format="jpeg"),
            "image/filename": tfds.features.Text(),
            "image/id": np.int64,
            "objects": tfds.features.Sequence(parts),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(0, 5), "validation": self._generate_examples(5, 8)}

    def _generate_examples(self, begin, end):
        for number in range(begin, end):
            objects = [
                {
                    "area": 33 + place,
                    "bbox": tfds.features.BBox(ymin=0.1, xmin=0.2, ymax=0.5, xmax=0.2 if place == 3 else 0.8),
                    "id": place,
                    "is_crowd": place == 1,
                    "label": place % 3,
                }
                for place in range(number % 5)
            ]
            image = io.BytesIO(jpeg(number))
            yield (
                number,
                {"image": image, "image/filename": f"{number}.jpg", "image/id": 900 + number, "objects": objects},
            )


class TinyVoc(tfds.core.GeneratorBasedBuilder):
    """Some of the features of `voc`, which has no id, no crowds and no areas."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        parts = {
            "bbox": tfds.features.BBoxFeature(),
            "is_difficult": np.bool_,
            "label": tfds.features.ClassLabel(names=("ant", "bee", "cat")),
        }
        features = {"image": tfds.features.Image(), "image/filename": tfds.features.Text()}
        features["objects"] = tfds.features.Sequence(parts)
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {name: self._generate_examples(name) for name in ("train", "test")}

    def _generate_examples(self, name):
        for number in range(3):
            box = {"bbox": tfds.features.BBox(ymin=0.0, xmin=0.0, ymax=0.5, xmax=0.5), "is_difficult": True, "label": 2}
            yield number, {"image": io.BytesIO(jpeg(number)), "image/filename": f"{name}{number}.jpg", "objects": [box]}


@pytest.fixture(scope="module", params=["tfrecord", "array_record"])
def coco(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    root = tmp_path_factory.mktemp(request.param)
    TinyCoco(data_dir=root, file_format=request.param).download_and_prepare()
    return root


def test_cocos_features_are_evaluated_and_served(coco: pathlib.Path) -> None:
    data = spec.Data(source=DetectionTfds(name="tiny_coco", most_objects=4))
    opened = open_data(data, PREPROCESSING, coco)
    assert (opened.train_examples, opened.eval_examples) == (5, 3)
    ((_, targets, weights),) = opened.evaluation(Feed(batch_size=3)).as_numpy_iterator()
    rows = {number: place for place, number in enumerate(targets["number"].tolist())}
    assert sorted(rows) == [905, 906, 907]
    assert weights.tolist() == [1, 1, 1]
    third = rows[907]  # two objects
    assert targets["classes"][third].tolist() == [0, 1, -1, -1]
    assert in_pixels(targets["boxes"][third][:2]) == [[8, 3, 32, 15]] * 2
    assert targets["crowd"][third].tolist() == [False, True, False, False]
    assert targets["areas"][third].tolist() == [33, 34, 0, 0]
    assert targets["size"][third].tolist() == [30, 40]
    ((_, targets),) = opened.train(Feed(batch_size=5)).take(1).as_numpy_iterator()
    assert (targets["classes"] >= 0).sum() <= 0 + 1 + 2 + 3 + 3  # one of the last image's four has no area
    samples = open_samples(data, PREPROCESSING, coco)
    assert sorted(samples.names()) == ["5.jpg", "6.jpg", "7.jpg"]
    assert samples.labels().classes.names == ("ant", "bee", "cat")
    assert sorted(len(image.boxes) for image in samples.labels().images) == [0, 1, 2]


def test_vocs_features_are_enough(tmp_path: pathlib.Path) -> None:
    TinyVoc(data_dir=tmp_path).download_and_prepare()
    source = DetectionTfds(name="tiny_voc", eval_split="test")
    opened = open_data(spec.Data(source=source), PREPROCESSING, tmp_path)
    ((_, targets, _),) = opened.evaluation(Feed(batch_size=3)).as_numpy_iterator()
    assert len(set(targets["number"].tolist())) == 3
    assert targets["classes"].shape == (3, 100)
    assert targets["difficult"][:, 0].tolist() == [True] * 3
    assert not targets["crowd"].any()
    assert targets["areas"][:, 0].tolist() == [300, 300, 300]


def test_sets_that_do_not_fit_are_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(MissingDataError, match="TFDS has no data set 'no_such_set'"):
        open_data(spec.Data(source=DetectionTfds(name="no_such_set")), PREPROCESSING, tmp_path)
    with pytest.raises(MissingDataError, match=r"coco/2017.* is not prepared in .*; runs do not download"):
        open_data(spec.Data(source=DetectionTfds()), PREPROCESSING, tmp_path)
    TinyVoc(data_dir=tmp_path).download_and_prepare()
    with pytest.raises(MissingDataError, match="it has no split 'validation', but test, train"):
        open_data(spec.Data(source=DetectionTfds(name="tiny_voc")), PREPROCESSING, tmp_path)
    with pytest.raises(ValueError, match="most_objects must be 1 or more, got 0"):
        DetectionTfds(most_objects=0)
