"""Damaged files and records are named, which TensorFlow's errors don't do."""

import shutil

import tensorflow as tf

from tests.benchmarks.images.grey_photographs import PHOTOS, PREPROCESSING, SHARDED, damaged_folder, failure, jpeg
from tfperf import spec
from tfperf.benchmarks.benchmark import Feed
from tfperf.benchmarks.images.data import open_data
from tfperf.benchmarks.images.sources import Folder
from tfperf.errors import DamagedDataError


def too_large(number: int) -> bytes:
    """A JPEG of few bytes whose header says 65,500 x 65,500 pixels, more than TensorFlow decodes at once."""
    encoded = jpeg(number)
    size = encoded.index(b"\xff\xc0") + 5
    return encoded[:size] + (65500).to_bytes(2, "big") * 2 + encoded[size + 4 :]


def test_an_image_that_training_decodes_in_part_is_not_blamed_for_a_damaged_one(listed, tmp_path):
    root = damaged_folder(listed, tmp_path, 3)
    (root / "5.jpg").write_bytes(too_large(5))
    opened = open_data(spec.Data(source=Folder()), PREPROCESSING, root)
    error = tf.errors.InvalidArgumentError(None, None, "IteratorGetNext: Invalid JPEG data")
    assert [line.split(":")[0] for line in str(opened.diagnose(error)).splitlines()[1:-1]] == [f"  {root}/3.jpg"]
    (root / "3.jpg").write_bytes(jpeg(3))
    assert [line.split(":")[0] for line in str(opened.diagnose(error)).splitlines()[1:-1]] == [f"  {root}/5.jpg"]


def test_corrupt_images_are_named_and_counted(listed, tmp_path):
    root = damaged_folder(listed, tmp_path, 3, 17, 30)
    opened = open_data(spec.Data(source=Folder()), PREPROCESSING, root)
    found = failure(opened, opened.train(Feed(batch_size=13)), batches=3)
    assert isinstance(found, DamagedDataError)
    lines = str(found).splitlines()
    assert lines[0] == "3 unusable examples:"
    assert [line.split(":")[0].strip() for line in lines[1:4]] == [str(root / f"{n}.jpg") for n in (17, 3, 30)]
    assert lines[4] == ("Replace them. Open and internal runs may skip corrupt images: --set data.skip_corrupt=3.")


def test_errors_that_do_not_come_from_reading_are_not_explained(listed):
    opened = open_data(spec.Data(source=Folder()), PREPROCESSING, listed)
    assert opened.diagnose(ValueError("no")) is None
    assert opened.diagnose(tf.errors.InvalidArgumentError(None, None, "shapes differ")) is None


def test_corrupt_images_and_labels_in_tfrecords_are_named_by_record(tfrecords, tmp_path):
    shutil.copytree(tfrecords, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "validation-00001-of-00003"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(PHOTOS.record(1, 0))
        writer.write(PHOTOS.record(2, 3))
        writer.write(PHOTOS.record(2, 0).replace(b"\xff\xd8\xff", b"\xff\xd8\x00"))
    opened = open_data(spec.Data(source=SHARDED), PREPROCESSING, tmp_path)
    lines = str(failure(opened, opened.evaluation(Feed(batch_size=4)), batches=3)).splitlines()
    assert lines[0] == "2 unusable examples:"
    assert lines[1] == f"  {path} record 1: its label is class 3, accepted are 0 to 2"
    assert lines[2].startswith(f"  {path} record 2: ")


def test_garbled_tfrecords_are_named(tfrecords, tmp_path):
    shutil.copytree(tfrecords, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "train-00001-of-00004"
    content = bytearray(path.read_bytes())
    content[300] ^= 255
    path.write_bytes(content)
    opened = open_data(spec.Data(source=SHARDED), PREPROCESSING, tmp_path)
    lines = str(failure(opened, opened.train(Feed(batch_size=26)), batches=1)).splitlines()
    assert lines[0] == "1 damaged file:"
    assert lines[1].startswith(f"  {path}: corrupted record at ")
