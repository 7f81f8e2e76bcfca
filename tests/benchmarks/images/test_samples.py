"""Every source gives any evaluation image by its number, as evaluation sees it, and names what is damaged."""

import dataclasses
import io
import pathlib
import shutil
from collections.abc import Sequence

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.benchmarks.images.photographs import CLASSES, Photographs, PhotographSet
from tfperf import spec
from tfperf.benchmarks.benchmark import Feed, OpenSamples
from tfperf.benchmarks.images.data import open_data
from tfperf.benchmarks.images.samples import open_samples
from tfperf.benchmarks.images.sources import Folder, ImageNetRecords, Tfds
from tfperf.benchmarks.resnet50 import preprocessing
from tfperf.benchmarks.resnet50.options import Options
from tfperf.benchmarks.shapes.source import Shapes
from tfperf.errors import DamagedDataError, MissingDataError

TRAIN, EVAL = 12, 23
PREPROCESSING = preprocessing.of(Options(image_size=32, classes=len(CLASSES)))
SHARDED = ImageNetRecords(train_shards=2, eval_shards=3)
SOURCES = ("listed", "class_folders", "tfrecords", "beasts_tfrecord", "beasts_array_record")


def jpeg(number: int) -> bytes:
    """A photograph that no other one equals."""
    file = io.BytesIO()
    noise = np.random.default_rng(number).integers(0, 256, (4, 5 + number % 3, 3), np.uint8)
    Image.fromarray(noise).resize((50 + number % 5, 40)).save(file, "JPEG", quality=95)
    return file.getvalue()


PHOTOS = Photographs(train=TRAIN, evaluation=EVAL, jpeg=jpeg, shards=SHARDED)


class Beasts(PhotographSet):
    """A TFDS set of the same photographs."""

    photographs = PHOTOS


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pathlib.Path]:
    """The data directory of every source."""
    found = {name: tmp_path_factory.mktemp(name) for name in SOURCES}
    PHOTOS.write_listed(found["listed"])
    PHOTOS.write_class_folders(found["class_folders"])
    PHOTOS.write_tfrecords(found["tfrecords"])
    for name in ("beasts_tfrecord", "beasts_array_record"):
        Beasts(data_dir=found[name], file_format=name.removeprefix("beasts_")).download_and_prepare()
    return found


def source_of(name: str) -> object:
    if name.startswith("beasts"):
        return Tfds(name="beasts")
    return SHARDED if name == "tfrecords" else Folder()


def opened(name: str, root: pathlib.Path) -> OpenSamples:
    return open_samples(spec.Data(source=source_of(name)), PREPROCESSING, root)


def images_of(samples: OpenSamples, numbers: Sequence[int]) -> np.ndarray:
    """The images of samples, which have no other input."""
    loaded = samples.load(numbers)
    assert all(len(sample) == 1 for sample in loaded)
    return np.stack([image for (image,) in loaded]) if loaded else np.empty((0, 32, 32, 3), np.float32)


def evaluated(name: str, root: pathlib.Path) -> dict[bytes, int]:
    """The images of the evaluation in training, with their labels."""
    evaluation = open_data(spec.Data(source=source_of(name)), PREPROCESSING, root).evaluation(Feed(batch_size=EVAL))
    ((images, labels, _),) = evaluation.as_numpy_iterator()
    return {image.tobytes(): int(label.argmax()) for image, label in zip(images, labels, strict=True)}


@pytest.mark.parametrize("name", SOURCES)
def test_all_samples_are_those_of_the_evaluation_in_training(name: str, roots: dict[str, pathlib.Path]) -> None:
    samples = opened(name, roots[name])
    images = images_of(samples, range(samples.total))
    assert (samples.total, images.shape, images.dtype) == (EVAL, (EVAL, 32, 32, 3), np.float32)
    found = {image.tobytes(): int(label) for image, label in zip(images, samples.labels(), strict=True)}
    assert found == evaluated(name, roots[name])
    assert len(found) == EVAL


@pytest.mark.parametrize("name", SOURCES)
def test_samples_come_by_number_in_any_order_and_again(name: str, roots: dict[str, pathlib.Path]) -> None:
    samples = opened(name, roots[name])
    images = images_of(samples, range(EVAL))
    numbers = [22, 0, 7, 7, 13, 1, 21, 2]
    np.testing.assert_array_equal(images_of(samples, numbers), images[numbers])
    assert list(samples.load([])) == []


@pytest.mark.parametrize("name", SOURCES)
def test_a_number_that_there_is_not_is_refused(name: str, roots: dict[str, pathlib.Path]) -> None:
    samples = opened(name, roots[name])
    for number in (-1, EVAL):
        with pytest.raises(ValueError, match=rf"Samples have the numbers 0 to {EVAL - 1}, got {number}\."):
            images_of(samples, [0, number])


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("listed", "12.jpg"),
        ("class_folders", "val/ant/a_photo_12.JPEG"),
        ("tfrecords", "ILSVRC2012_val_00000012.JPEG"),
    ],
)
def test_names_are_those_of_the_images_without_white_space(
    name: str, first: str, roots: dict[str, pathlib.Path]
) -> None:
    names = opened(name, roots[name]).names()
    assert names[0] == first
    assert len(set(names)) == EVAL


@pytest.mark.parametrize("name", ["beasts_tfrecord", "beasts_array_record"])
def test_names_in_a_tfds_set_are_its_file_names(name: str, roots: dict[str, pathlib.Path]) -> None:
    samples = opened(name, roots[name])
    assert sorted(samples.names()) == sorted(f"{number}.jpg" for number in range(TRAIN, TRAIN + EVAL))
    assert [int(each.removesuffix(".jpg")) % len(CLASSES) for each in samples.names()] == list(samples.labels())


def test_records_without_a_name_are_called_by_their_place(tmp_path: pathlib.Path) -> None:
    names = opened("tfrecords", PHOTOS.write_tfrecords(tmp_path, named=False)).names()
    assert (names[0], names[8]) == ("validation-00000-of-00003_record_0", "validation-00001-of-00003_record_0")


def test_a_part_of_a_tfds_split_is_numbered_on_its_own(roots: dict[str, pathlib.Path]) -> None:
    part = Tfds(name="beasts", eval_split="validation[5:9]")
    some = open_samples(spec.Data(source=part), PREPROCESSING, roots["beasts_tfrecord"])
    whole = opened("beasts_tfrecord", roots["beasts_tfrecord"])
    np.testing.assert_array_equal(images_of(some, range(some.total)), images_of(whole, range(5, 9)))


@pytest.mark.parametrize("name", SOURCES)
def test_calibration_takes_training_images_of_several_classes(name: str, roots: dict[str, pathlib.Path]) -> None:
    samples = opened(name, roots[name])
    calibration = samples.calibration(9)
    images, labels = images_of(calibration, range(calibration.total)), calibration.labels()
    assert (images.shape, images.dtype, len(labels)) == ((9, 32, 32, 3), np.float32, 9)
    assert len(set(labels)) > 1
    assert not {image.tobytes() for image in images} & {image.tobytes() for image in images_of(samples, range(EVAL))}
    assert len(calibration.names()) == 9
    assert samples.calibration(1000).total == TRAIN
    with pytest.raises(ValueError, match="Samples have the numbers 0 to 8, got 9"):
        calibration.load([9])


@pytest.mark.parametrize("name", ["class_folders", "tfrecords"])
def test_without_a_training_split_all_but_the_calibration_works(
    name: str, roots: dict[str, pathlib.Path], tmp_path: pathlib.Path
) -> None:
    (PHOTOS.write_class_folders if name == "class_folders" else PHOTOS.write_tfrecords)(tmp_path, training=False)
    samples, whole = opened(name, tmp_path), opened(name, roots[name])
    np.testing.assert_array_equal(images_of(samples, [4, 2]), images_of(whole, [4, 2]))
    np.testing.assert_array_equal(samples.labels(), whole.labels())
    assert samples.names() == whole.names()
    with pytest.raises(MissingDataError, match=r"holds no photographs for training|train-00000-of-00002"):
        samples.calibration(4)


def test_a_tfds_set_without_a_training_split_works_too(roots: dict[str, pathlib.Path]) -> None:
    source = Tfds(name="beasts", train_split="nothing")
    samples = open_samples(spec.Data(source=source), PREPROCESSING, roots["beasts_tfrecord"])
    assert images_of(samples, [3]).shape == (1, 32, 32, 3)
    with pytest.raises(MissingDataError, match="it has no split 'nothing', but train, validation"):
        samples.calibration(4)


def test_the_embedded_data_has_samples(tmp_path: pathlib.Path) -> None:
    source = Shapes(train_examples=16, eval_examples=6)
    samples = open_samples(spec.Data(source=source), dataclasses.replace(PREPROCESSING, classes=8), tmp_path)
    images = images_of(samples, [5, 0])
    assert (samples.total, images.shape) == (6, (2, 32, 32, 3))
    assert images.std() > 10
    assert images_of(samples.calibration(4), range(4)).shape == (4, 32, 32, 3)


def test_fingerprints_follow_the_evaluation_split_alone(roots: dict[str, pathlib.Path], tmp_path: pathlib.Path) -> None:
    shutil.copytree(roots["listed"], tmp_path, dirs_exist_ok=True)
    labels = tmp_path / "labels.csv"
    lines = labels.read_text().splitlines()
    fingerprint = opened("listed", tmp_path).fingerprint
    labels.write_text("\n".join([lines[0], *lines[2:]]))
    assert opened("listed", tmp_path).fingerprint == fingerprint
    labels.write_text("\n".join(lines[:-1]))
    assert opened("listed", tmp_path).fingerprint != fingerprint


def test_a_corrupt_image_is_named_and_never_skipped(roots: dict[str, pathlib.Path], tmp_path: pathlib.Path) -> None:
    shutil.copytree(roots["listed"], tmp_path, dirs_exist_ok=True)
    (tmp_path / "20.jpg").write_bytes(jpeg(20)[:-200])
    samples = open_samples(spec.Data(source=Folder(), skip_corrupt=5), PREPROCESSING, tmp_path)
    with pytest.raises(DamagedDataError) as caught:
        images_of(samples, range(EVAL))
    lines = str(caught.value).splitlines()
    assert lines[0] == "1 unusable example:"
    assert lines[1].startswith(f"  {tmp_path / '20.jpg'}: jpeg::Uncompress failed. Invalid JPEG data")
    assert lines[2] == "Replace it: inference leaves no example out."
    assert samples.diagnose(caught.value) is caught.value
    assert samples.diagnose(ValueError("no")) is None
    assert images_of(samples, [0]).shape == (1, 32, 32, 3), "the others can be read"


def test_an_image_that_disappears_is_named(roots: dict[str, pathlib.Path], tmp_path: pathlib.Path) -> None:
    shutil.copytree(roots["listed"], tmp_path, dirs_exist_ok=True)
    samples = opened("listed", tmp_path)
    (tmp_path / "13.jpg").unlink()
    assert len(samples.labels()) == EVAL, "labels need no image"
    with pytest.raises(DamagedDataError, match=r"13\.jpg: .*No such file"):
        images_of(samples, [0, 1, 2])


def test_a_garbled_record_is_named(roots: dict[str, pathlib.Path], tmp_path: pathlib.Path) -> None:
    shutil.copytree(roots["tfrecords"], tmp_path, dirs_exist_ok=True)
    path = tmp_path / "validation-00001-of-00003"
    content = bytearray(path.read_bytes())
    content[-300] ^= 255
    path.write_bytes(content)
    samples = opened("tfrecords", tmp_path)
    with pytest.raises(DamagedDataError, match=rf"{path} record 7: corrupted record at "):
        images_of(samples, range(EVAL))


def test_a_label_out_of_range_is_named(tmp_path: pathlib.Path) -> None:
    path = PHOTOS.write_tfrecords(tmp_path) / "validation-00002-of-00003"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(PHOTOS.record(1, 0))
        writer.write(PHOTOS.record(2, 3))
    with pytest.raises(DamagedDataError, match=rf"{path} record 1: its label is class 3, accepted are 0 to 2"):
        opened("tfrecords", tmp_path).labels()


def test_a_truncated_file_is_named(roots: dict[str, pathlib.Path], tmp_path: pathlib.Path) -> None:
    shutil.copytree(roots["tfrecords"], tmp_path, dirs_exist_ok=True)
    path = tmp_path / "validation-00000-of-00003"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DamagedDataError, match=rf"{path}: record 7 at byte \d+ does not end within the file"):
        opened("tfrecords", tmp_path)


def test_a_file_of_another_number_of_records_than_announced_is_named(
    roots: dict[str, pathlib.Path], tmp_path: pathlib.Path
) -> None:
    shutil.copytree(roots["tfrecords"], tmp_path, dirs_exist_ok=True)
    counts = ", ".join(f'"validation-{shard:05d}-of-00003": 7' for shard in range(3))
    sizes = ", ".join(f'"{path.name}": {path.stat().st_size}' for path in tmp_path.glob("validation-*"))
    (tmp_path / "counts.json").write_text(f'{{"validation": {{{counts}}}, "bytes": {{{sizes}}}}}')
    with pytest.raises(DamagedDataError, match="validation-00000-of-00003 holds 8 records, 7 were expected"):
        opened("tfrecords", tmp_path).load([0])


@pytest.mark.parametrize("source", [Folder(), SHARDED])
@pytest.mark.parametrize("data_dir", [None, pathlib.Path("/nowhere")])
def test_a_missing_data_dir_is_refused(source: object, data_dir: pathlib.Path | None) -> None:
    with pytest.raises(MissingDataError, match=r"Pass --data_dir|Pass the folder"):
        open_samples(spec.Data(source=source), PREPROCESSING, data_dir)


def test_an_empty_data_dir_is_refused_with_the_accepted_layouts(tmp_path: pathlib.Path) -> None:
    with pytest.raises(MissingDataError, match=r"found an empty folder; accepted are a file .* or val/CLASS/\*\.jpg"):
        opened("class_folders", tmp_path)
    with pytest.raises(MissingDataError, match=r"validation-00000-of-00003 to .*; there is none"):
        opened("tfrecords", tmp_path)
