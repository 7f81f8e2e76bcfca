"""Files that are not JPEGs, and files in both splits, are named before anything is decoded."""

import dataclasses
import shutil

import pytest

from tests.benchmarks.images.grey_photographs import EVAL, PREPROCESSING, TRAIN, png
from tests.benchmarks.images.photographs import CLASSES
from tfperf import spec
from tfperf.benchmarks.images import file_check
from tfperf.benchmarks.images.data import open_data, open_splits
from tfperf.benchmarks.images.sources import Folder
from tfperf.benchmarks.images.sources.split import Splits
from tfperf.errors import DamagedDataError


def test_a_file_of_another_format_is_named_before_anything_is_decoded(listed, tmp_path):
    shutil.copytree(listed, tmp_path, dirs_exist_ok=True)
    (tmp_path / "3.jpg").write_bytes(png(3))
    (tmp_path / "30.jpg").write_bytes(b"")
    with pytest.raises(DamagedDataError) as caught:
        open_data(spec.Data(source=Folder()), PREPROCESSING, tmp_path)
    assert str(caught.value).splitlines() == [
        "2 files can't be read as JPEGs:",
        f"  {tmp_path}/3.jpg: is a PNG, not a JPEG",
        f"  {tmp_path}/30.jpg: the file is empty",
        "Convert them to JPEG, as tfperf prepare imagenet does. Open and internal runs may skip them: "
        "--set data.skip_corrupt=2.",
    ]
    assert open_data(spec.Data(source=Folder(), skip_corrupt=2), PREPROCESSING, tmp_path).train_examples == TRAIN


def test_the_same_image_in_both_splits_is_refused(class_folders, tmp_path):
    shutil.copytree(class_folders, tmp_path, dirs_exist_ok=True)
    shutil.copy(tmp_path / "train" / "ant" / "a photo 03.JPEG", tmp_path / "validation" / "bee" / "another name.jpg")
    with pytest.raises(DamagedDataError) as caught:
        open_data(spec.Data(source=Folder()), PREPROCESSING, tmp_path)
    assert str(caught.value).splitlines()[:2] == [
        f"1 of {EVAL + 1} files for evaluation are training files, too:",
        "  validation/bee/another name.jpg is train/ant/a photo 03.JPEG",
    ]


def test_a_few_shared_images_are_reported_and_accepted(listed, monkeypatch, caplog):
    monkeypatch.setattr(file_check, "_MOST_SHARED", 0.2)
    opened = open_splits(Folder(), classes=len(CLASSES), data_dir=listed)
    first = opened.train.ends()[0]
    shared = dataclasses.replace(opened.evaluation, ends=lambda: (first, *opened.evaluation.ends()))
    file_check.check(Splits(opened.train, shared), skip_corrupt=0)
    assert f"1 of {EVAL + 1} files for evaluation are training files, too" in caplog.text


def test_a_shared_image_is_found_among_files_of_its_size_and_ending(class_folders, tmp_path):
    shutil.copytree(class_folders, tmp_path, dirs_exist_ok=True)
    content = (tmp_path / "train" / "ant" / "a photo 03.JPEG").read_bytes()
    for name in ("alike 1.jpg", "alike 2.jpg"):
        alike = content[:100] + name[6:7].encode() + content[101:]
        (tmp_path / "train" / "ant" / name).write_bytes(alike)
    (tmp_path / "validation" / "ant" / "alike 2.jpg").write_bytes(alike)
    with pytest.raises(DamagedDataError) as caught:
        open_data(spec.Data(source=Folder()), PREPROCESSING, tmp_path)
    assert str(caught.value).splitlines()[1:-1] == ["  validation/ant/alike 2.jpg is train/ant/alike 2.jpg"]


def test_files_that_may_be_skipped_are_not_taken_for_one_image(listed, tmp_path):
    shutil.copytree(listed, tmp_path, dirs_exist_ok=True)
    for name in ("3.jpg", "30.jpg"):  # one of each split
        (tmp_path / name).write_bytes(b"")
    assert open_data(spec.Data(source=Folder(), skip_corrupt=2), PREPROCESSING, tmp_path).train_examples == TRAIN
