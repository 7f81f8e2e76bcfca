"""Batches of training and evaluation: every image once, the same again with the same seed, padded to one shape."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests.benchmarks.detection.data.annotated_folders import HEIGHT, WIDTH, write_voc
from tfperf import spec
from tfperf.benchmarks.benchmark import Feed, OpenData
from tfperf.benchmarks.detection.data.color import ColorJitter
from tfperf.benchmarks.detection.data.data import open_data
from tfperf.benchmarks.detection.data.preprocessing import CHANNEL_MEANS, DetectionPreprocessing
from tfperf.benchmarks.detection.data.sources import DrawnScenes, VocFolder
from tfperf.errors import MissingDataError

TRAIN, EVAL = 11, 7
PLAIN = DetectionPreprocessing(classes=2, size=32)
AUGMENTED = DetectionPreprocessing(classes=2, size=32, crop_samples=1, jitter=ColorJitter())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Image i shows i % 4 cats and, where that is 0, a dog if it is for training."""
    names = [f"photo{number:02d}" for number in range(TRAIN + EVAL)]
    things = {}
    for number, name in enumerate(names):
        cats = [("cat", (1 + place, 2, 20 + place, 20)) for place in range(number % 4)]
        things[name] = cats or ([("dog", (5, 6, 30, 28))] if number < TRAIN else [])
    lists = {"trainval": names[:TRAIN], "test": names[TRAIN:]}
    return write_voc(tmp_path_factory.mktemp("voc") / "set", things, lists=lists)


def opened(folder: pathlib.Path, preprocessing: DetectionPreprocessing = PLAIN) -> OpenData:
    return open_data(spec.Data(source=VocFolder()), preprocessing, folder)


def brightness(images: np.ndarray) -> list[int]:
    """The numbers of photographs, which differ in brightness alone."""
    values = (images[..., 0] * 0.229 + CHANNEL_MEANS[0]) * 255
    return np.round(values.mean(axis=(1, 2)) / 9).astype(int).tolist()


def test_evaluation_yields_each_image_once_with_what_scoring_needs(folder: pathlib.Path) -> None:
    data = opened(folder)
    assert (data.train_examples, data.eval_examples) == (TRAIN, EVAL)
    (images, targets, weights), rest = list(data.evaluation(Feed(batch_size=4, deterministic=True)).as_numpy_iterator())
    assert images.shape == (4, 32, 32, 3)
    assert brightness(images) == [11, 12, 13, 14]
    assert targets["number"].tolist() == [0, 1, 2, 3]
    assert targets["size"].tolist() == [[HEIGHT, WIDTH]] * 4
    assert targets["classes"].tolist() == [[0, 0, 0], [-1, -1, -1], [0, -1, -1], [0, 0, -1]]
    expected = np.array([[1, 2, 20, 20], [2, 2, 21, 20], [0, 0, 0, 0]]) / (WIDTH, HEIGHT, WIDTH, HEIGHT)
    assert targets["boxes"][3] == pytest.approx(expected, abs=1e-6)
    assert targets["areas"][3].tolist() == [19 * 18, 19 * 18, 0]
    assert not targets["crowd"].any()
    assert not targets["difficult"].any()
    assert weights.tolist() == [1, 1, 1, 1]
    assert rest[2].tolist() == [1, 1, 1, 0]
    assert rest[1]["number"].tolist() == [4, 5, 6, 0]
    assert rest[1]["classes"].shape == (4, 3)


def test_pipelines_share_evaluation_in_equally_many_batches(folder: pathlib.Path) -> None:
    seen, batches = [], []
    for index in range(3):
        found = list(opened(folder).evaluation(Feed(batch_size=2, pipelines=3, index=index)).as_numpy_iterator())
        batches.append(len(found))
        for _, targets, weights in found:
            seen += targets["number"][weights > 0].tolist()
    assert batches == [2, 2, 2]
    assert sorted(seen) == list(range(EVAL))


def test_training_yields_each_image_once_in_an_epoch(folder: pathlib.Path) -> None:
    data = opened(folder)
    seen: list[int] = []
    for index in range(2):
        share = len(range(index, TRAIN, 2))
        feed = Feed(batch_size=1, pipelines=2, index=index, seed=4)
        for images, targets in data.train(feed).take(share).as_numpy_iterator():
            number = brightness(images)[0]
            assert np.sum(targets["classes"] >= 0) == max(1, number % 4)
            seen.append(number)
    assert sorted(seen) == list(range(TRAIN))


def test_training_repeats_with_its_seed(folder: pathlib.Path) -> None:
    data = opened(folder, AUGMENTED)

    def read(seed: int) -> list[np.ndarray]:
        feed = Feed(batch_size=4, seed=seed, deterministic=True)
        return [array for batch in data.train(feed).take(4).as_numpy_iterator() for array in tf.nest.flatten(batch)]

    first, again, other = read(1), read(1), read(2)
    assert all(np.array_equal(*pair) for pair in zip(first, again, strict=True))
    assert not all(np.array_equal(*pair) for pair in zip(first, other, strict=True))


def test_images_come_in_the_type_that_the_model_computes_in(folder: pathlib.Path) -> None:
    images, targets = next(iter(opened(folder).train(Feed(batch_size=2, compute_dtype="bfloat16"))))
    assert images.dtype == tf.bfloat16
    assert (targets["boxes"].dtype, targets["classes"].dtype) == (tf.float32, tf.int32)
    assert targets["boxes"].shape == (2, 3, 4)


def test_more_pipelines_than_images_are_refused(folder: pathlib.Path) -> None:
    with pytest.raises(MissingDataError, match="11 training images can't be shared by 12 pipelines"):
        opened(folder).train(Feed(batch_size=1, pipelines=12, index=11))


def test_the_embedded_scenes_need_no_folder() -> None:
    source = DrawnScenes(train_examples=40, eval_examples=9)
    data = open_data(spec.Data(source=source), DetectionPreprocessing(classes=8, size=96), None)
    assert (data.train_examples, data.eval_examples) == (40, 9)
    images, targets, weights = next(iter(data.evaluation(Feed(batch_size=10, deterministic=True))))
    assert weights.numpy().tolist() == [1] * 9 + [0]
    assert images.shape == (10, 96, 96, 3)
    assert targets["size"].numpy().tolist() == [[96, 96]] * 9 + [[0, 0]]
    used = targets["classes"].numpy() >= 0
    boxes = targets["boxes"].numpy()[used]
    assert (boxes[:, :2] < boxes[:, 2:]).all()
    assert (
        data.fingerprint
        == open_data(spec.Data(source=source), DetectionPreprocessing(classes=8, size=32), None).fingerprint
    )
