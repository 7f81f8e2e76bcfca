"""TFRecord files are counted, or refused by name."""

import dataclasses
import json
import shutil

import pytest

from tests.benchmarks.images.grey_photographs import EVAL, PREPROCESSING, SHARDED, TRAIN, expected, read
from tfperf import spec
from tfperf.benchmarks.benchmark import Feed
from tfperf.benchmarks.images.data import open_data
from tfperf.benchmarks.images.sources import ImageNetRecords
from tfperf.benchmarks.records import record_file
from tfperf.errors import DamagedDataError, MissingDataError


@pytest.mark.parametrize("cycle_length", [1, 4])
def test_files_that_are_read_together_change_the_order_alone(cycle_length, tfrecords):
    source = dataclasses.replace(SHARDED, cycle_length=cycle_length)
    opened = open_data(spec.Data(source=source), PREPROCESSING, tfrecords)
    assert sorted(row for row in read(opened.evaluation(Feed(batch_size=4))) if row[2]) == expected(training=False)


def test_record_counts_are_read_from_counts_json_or_from_the_lengths(tfrecords, tmp_path):
    def opened():
        found = open_data(spec.Data(source=SHARDED), PREPROCESSING, tmp_path)
        return found.train_examples, found.eval_examples

    assert record_file.count(tfrecords / "train-00000-of-00004") == 7
    shutil.copytree(tfrecords, tmp_path, dirs_exist_ok=True)
    counts = {f"train-{shard:05d}-of-00004": 100 for shard in range(4)}
    sizes = {name: (tmp_path / name).stat().st_size for name in counts}
    (tmp_path / "counts.json").write_text(json.dumps({"train": counts, "bytes": sizes}))
    assert opened() == (400, EVAL)
    sizes["train-00000-of-00004"] += 1  # that file was replaced since
    (tmp_path / "counts.json").write_text(json.dumps({"train": counts, "bytes": sizes}))
    assert opened() == (307, EVAL)
    (tmp_path / "counts.json").write_text(json.dumps({"train": counts}))
    assert opened() == (TRAIN, EVAL)


def test_as_many_files_as_imagenet_has_are_counted_too(tfrecords, tmp_path):
    for name in ("validation-00000-of-00003", "validation-00001-of-00003", "validation-00002-of-00003"):
        shutil.copy(tfrecords / name, tmp_path)
    for shard in range(1024):
        shutil.copy(tfrecords / "train-00000-of-00004", tmp_path / f"train-{shard:05d}-of-01024")
    source = ImageNetRecords(train_shards=1024, eval_shards=3)
    assert open_data(spec.Data(source=source), PREPROCESSING, tmp_path).train_examples == 7 * 1024


def test_tfrecords_may_lie_in_a_folder_for_each_split(tfrecords, tmp_path):
    for split in ("train", "validation"):
        (tmp_path / split).mkdir()
        for path in tfrecords.glob(f"{split}-*"):
            shutil.copy(path, tmp_path / split)
    assert open_data(spec.Data(source=SHARDED), PREPROCESSING, tmp_path).eval_examples == EVAL


def test_tfrecords_of_another_number_of_shards_are_refused(tfrecords):
    with pytest.raises(MissingDataError) as caught:
        open_data(spec.Data(source=ImageNetRecords(train_shards=8, eval_shards=3)), PREPROCESSING, tfrecords)
    assert str(caught.value) == (
        f"{tfrecords} must hold 8 files train-00000-of-00008 to train-00007-of-00008; it holds 4 files, of 4 shards."
        " Pass --set data.source.tfrecords.train_shards=4, or the folder of 8 shards."
    )


def test_missing_tfrecords_are_named(tfrecords, tmp_path):
    shutil.copytree(tfrecords, tmp_path, dirs_exist_ok=True)
    (tmp_path / "validation-00001-of-00003").unlink()
    with pytest.raises(MissingDataError, match="1 are missing: validation-00001-of-00003"):
        open_data(spec.Data(source=SHARDED), PREPROCESSING, tmp_path)


def test_a_truncated_tfrecord_is_named_with_the_offset(tfrecords, tmp_path):
    shutil.copytree(tfrecords, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "train-00002-of-00004"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DamagedDataError, match=rf"{path}: record 5 at byte \d+ does not end within the file"):
        open_data(spec.Data(source=SHARDED), PREPROCESSING, tmp_path)
