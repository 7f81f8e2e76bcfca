"""Held-out images as samples, by number, from every kind of source."""

import pathlib

import numpy as np
import pytest

from tests.benchmarks.detection.data.annotated_folders import coco_json, in_pixels, jpeg, write_coco
from tfperf import spec
from tfperf.benchmarks.benchmark import Feed, OpenSamples
from tfperf.benchmarks.detection.data.data import open_data
from tfperf.benchmarks.detection.data.prepare import DetectionRequest, prepare
from tfperf.benchmarks.detection.data.preprocessing import DetectionPreprocessing
from tfperf.benchmarks.detection.data.samples import DetectionTruth, open_samples
from tfperf.benchmarks.detection.data.sources import CocoFolder, DetectionRecords, DrawnScenes
from tfperf.errors import DamagedDataError, MissingDataError

PREPROCESSING = DetectionPreprocessing(classes=2, size=24)
CATEGORIES = {4: "ant", 9: "bee"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Four training and three held-out images, the last of them without objects."""
    train = coco_json(
        {number: f"t{number}.jpg" for number in range(4)},
        [(number, 4, [number, 1, 5, 5]) for number in range(4)],
        categories=CATEGORIES,
    )
    held_out = [(21, 9, [1, 2, 10, 10]), (20, 4, [0, 0, 40, 30]), (20, 9, [3, 3, 6, 6])]
    evaluation = coco_json({20: "a b.jpg", 21: "b.jpg", 22: "c.jpg"}, held_out, categories=CATEGORIES)
    return write_coco(tmp_path_factory.mktemp("coco") / "set", train, evaluation, source=CocoFolder())


@pytest.fixture(scope="module")
def prepared(folder: pathlib.Path) -> pathlib.Path:
    data_dir = folder.parent / "records"
    request = DetectionRequest(layout=CocoFolder(), source=folder, data_dir=data_dir, train_shards=2, eval_shards=1)
    prepare(request, lambda line: None)
    return data_dir


def opened(source: object, data_dir: pathlib.Path | None) -> OpenSamples:
    return open_samples(spec.Data(source=source), PREPROCESSING, data_dir)


def test_samples_are_what_evaluation_sees(folder: pathlib.Path) -> None:
    samples = opened(CocoFolder(), folder)
    assert (samples.total, samples.names()) == (3, ("20", "21", "22"))
    data = open_data(spec.Data(source=CocoFolder()), PREPROCESSING, folder)
    ((images, targets, _),) = data.evaluation(Feed(batch_size=3, deterministic=True)).as_numpy_iterator()
    for number, (image,) in zip((2, 0), samples.load([2, 0]), strict=True):
        assert np.array_equal(image, images[number])
    truth = samples.labels()
    assert isinstance(truth, DetectionTruth)
    assert truth.classes.category_ids == (4, 9)
    first = truth.images[0]
    assert (first.image_id, first.width, first.height) == ("20", 40, 30)
    assert in_pixels(first.boxes) == [[0, 0, 40, 30], [3, 3, 9, 9]]
    assert first.classes.tolist() == [0, 1]
    assert np.array_equal(first.areas, targets["areas"][0])
    assert len(truth.images[2].boxes) == 0


def test_records_hold_the_same_samples_in_their_order(folder: pathlib.Path, prepared: pathlib.Path) -> None:
    from_folder, from_records = opened(CocoFolder(), folder), opened(DetectionRecords(), prepared)
    assert sorted(from_records.names()) == sorted(from_folder.names())
    for number, name in enumerate(from_records.names()):
        other = from_folder.names().index(name)
        assert np.array_equal(from_records.load([number])[0][0], from_folder.load([other])[0][0])
        assert np.array_equal(from_records.labels().images[number].boxes, from_folder.labels().images[other].boxes)


def test_serving_needs_no_training_images(folder: pathlib.Path, prepared: pathlib.Path, tmp_path: pathlib.Path) -> None:
    for name in ("annotations", "val2017"):
        (tmp_path / name).symlink_to(folder / name)
    samples = opened(CocoFolder(train_json="none.json"), tmp_path)
    assert samples.total == 3
    with pytest.raises(MissingDataError, match=r"none\.json is missing"):
        samples.calibration(2)


def test_calibration_takes_training_images(folder: pathlib.Path, prepared: pathlib.Path) -> None:
    calibration = opened(CocoFolder(), folder).calibration(3)
    assert calibration.names() == ("0", "1", "2")
    assert opened(DetectionRecords(), prepared).calibration(10).total == 4


def test_scenes_are_samples() -> None:
    source = DrawnScenes(train_examples=5, eval_examples=4)
    samples = open_samples(spec.Data(source=source), DetectionPreprocessing(classes=8, size=32), None)
    assert samples.names() == tuple(f"validation-{number:08d}" for number in range(4))
    assert samples.load([3])[0][0].shape == (32, 32, 3)
    assert samples.calibration(2).names() == ("train-00000000", "train-00000001")


def test_a_damaged_sample_is_named(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    held_out = coco_json({20: "a.jpg", 21: "b.jpg"}, [(20, 4, [1, 1, 5, 5])], categories=CATEGORIES)
    root = write_coco(tmp_path / "set", held_out, held_out, source=CocoFolder())
    (root / "val2017" / "b.jpg").write_bytes(jpeg(3)[:-20])
    samples = opened(CocoFolder(), root)
    with pytest.raises(DamagedDataError, match=r"val2017/b\.jpg: .*\n.*inference leaves no example out"):
        samples.load([0, 1])
    with pytest.raises(ValueError, match="Samples have the numbers 0 to 1, got 2"):
        samples.load([2])
