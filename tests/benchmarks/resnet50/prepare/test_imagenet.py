"""Prepares tiny ImageNets, archives and all, and reads the records back as training does."""

import json
import pathlib

import pytest
import tensorflow as tf

from tests.benchmarks.resnet50.prepare.tiny_imagenet import (
    CLASSES,
    contents,
    encoded,
    prepare,
    records,
    train_files,
    validation_files,
    visible,
    write,
    write_tree,
)
from tfperf.benchmarks.prepare import journal
from tfperf.benchmarks.resnet50.prepare import imagenet
from tfperf.errors import UsageError


def test_archives_become_records_with_their_bytes_untouched(archives: pathlib.Path, tmp_path: pathlib.Path) -> None:
    prepare(archives, tmp_path / "out")
    wanted = {pathlib.Path(name).name: content for name, content in train_files().items()}
    found = {example["image/filename"].decode(): example for example in records(tmp_path / "out", "train")}
    assert found.keys() == wanted.keys()
    for name, example in found.items():
        height, width, channels = tf.io.decode_jpeg(wanted[name], channels=3).shape
        assert example["image/encoded"] == wanted[name]
        assert (example["image/height"], example["image/width"]) == (height, width)
        assert (example["image/channels"], example["image/format"]) == (channels, b"JPEG")
        assert example["image/colorspace"] == b"RGB"
        assert example["image/class/synset"].decode() == name.split("_")[0]
        assert example["image/class/label"] == CLASSES.index(name.split("_")[0]) + 1
        assert example["image/object/bbox/xmin"].size == 0


def test_a_flat_validation_folder_is_labelled_like_the_archive(archives: pathlib.Path, tmp_path: pathlib.Path) -> None:
    prepare(archives, tmp_path / "from_archive")
    (archives / "ILSVRC2012_img_val.tar").unlink()
    for name, content in validation_files().items():
        write(archives / "validation" / name, content)
    prepare(archives, tmp_path / "from_folder")
    assert contents(tmp_path / "from_folder") == contents(tmp_path / "from_archive")


@pytest.mark.parametrize("validation", ["validation", "val"])
def test_class_folders_give_the_same_files_as_archives(
    archives: pathlib.Path, tmp_path: pathlib.Path, validation: str
) -> None:
    prepare(archives, tmp_path / "from_archives", workers=3)
    prepare(write_tree(tmp_path / "tree", validation), tmp_path / "from_tree", workers=1)
    assert len(contents(tmp_path / "from_tree")) == 5
    assert contents(tmp_path / "from_tree") == contents(tmp_path / "from_archives")


def test_counts_tell_the_examples_of_each_file(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    prepared = prepare(tree, tmp_path / "out", train_shards=5)
    counts = json.loads((tmp_path / "out/counts.json").read_text())
    assert counts == {
        "train": {f"train-{n:05d}-of-00005": count for n, count in enumerate([2, 2, 3, 2, 3])},
        "validation": {"validation-00000-of-00002": 3, "validation-00001-of-00002": 3},
        "bytes": {path.name: path.stat().st_size for path in (tmp_path / "out").glob("*-of-*")},
        "classes": list(CLASSES),
    }
    for name, count in {**counts["train"], **counts["validation"]}.items():
        assert len(list(tf.data.TFRecordDataset(str(tmp_path / "out" / name)))) == count
    assert prepared.train == counts["train"]
    assert visible(tmp_path / "out") == sorted([*counts["train"], *counts["validation"], "counts.json", journal.FILE])


def test_images_of_a_class_are_spread_over_the_files(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    prepare(tree, tmp_path / "out", train_shards=1)
    labels = [int(example["image/class/label"]) for example in records(tmp_path / "out", "train")]
    assert sorted(labels) != labels


def test_counts_of_imagenet_are_verified(archives: pathlib.Path, tmp_path: pathlib.Path) -> None:
    said: list[str] = []
    request = imagenet.ImageNetRequest(source=archives, data_dir=tmp_path / "out", train_shards=1, eval_shards=1)
    prepared = imagenet.prepare(request, said.append)
    note = "not the complete ImageNet ILSVRC2012: 12 training and 6 validation images, "
    note += "where MLPerf has 1,281,167 and 50,000"
    assert prepared.notes == (note,)
    found = "found 12 training and 6 validation images of 3 classes"
    assert said == [f"listing the images of {archives}", found, f"note: {note}"]


def test_a_thousand_wordnet_folders_are_imagenet(tmp_path: pathlib.Path) -> None:
    for number in range(1000):
        write(tmp_path / f"tree/train/n{number:08d}/a.JPEG", encoded(1))
    write(tmp_path / "tree/val/n00000000/b.JPEG", encoded(2))
    prepared = prepare(tmp_path / "tree", tmp_path / "out", eval_shards=1)
    assert "1,000 training and 1 validation images" in prepared.notes[0]


def test_more_files_than_images_are_refused(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with pytest.raises(UsageError, match="7 validation files were requested and there are 6 examples"):
        prepare(tree, tmp_path / "out", eval_shards=7)


def test_a_data_dir_that_cannot_be_made_is_named(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    write(tmp_path / "file", b"")
    with pytest.raises(UsageError, match=r"--data_dir .*/file/out can't be written: Not a directory"):
        prepare(tree, tmp_path / "file/out")


def test_the_source_is_not_written_into(tree: pathlib.Path) -> None:
    with pytest.raises(UsageError, match="--data_dir must differ from --source"):
        prepare(tree, tree)
