"""A folder that can't be used is refused with everything that is wrong with it."""

import pathlib
import shutil

import pytest

from tests.benchmarks.images.grey_photographs import PREPROCESSING, TRAIN, jpeg, png
from tfperf import spec
from tfperf.benchmarks.images.data import open_data
from tfperf.benchmarks.images.sources import Folder, folder
from tfperf.errors import MissingDataError


def test_everything_wrong_with_a_folder_is_reported_at_once(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    (tmp_path / "labels.csv").write_text("path,class,split\na.jpg,ant,train\nb.jpg,bee,dev\n")
    with pytest.raises(MissingDataError) as caught:
        open_data(spec.Data(source=Folder()), PREPROCESSING, tmp_path)
    assert str(caught.value).splitlines()[1:] == [
        "  labels.csv line 3: split is 'dev', accepted are train, val, validation, test.",
        "  labels.csv line 3: there is no file 'b.jpg'.",
    ]


def test_a_class_folder_without_photographs_is_refused(class_folders, tmp_path):
    shutil.copytree(class_folders, tmp_path, dirs_exist_ok=True)
    (tmp_path / "train" / "dog").mkdir()
    with pytest.raises(MissingDataError, match=r"train/dog holds no \.jpg or \.jpeg file"):
        open_data(spec.Data(source=Folder()), PREPROCESSING, tmp_path)


def test_images_of_other_formats_in_class_folders_are_not_left_out_silently(class_folders, tmp_path):
    shutil.copytree(class_folders, tmp_path, dirs_exist_ok=True)
    for number in range(9):
        (tmp_path / "train" / "ant" / f"{number}.png").write_bytes(png(number))
    message = r"train/ant holds 9 images in another format than JPEG, such as 0\.png\. Convert or remove them\."
    with pytest.raises(MissingDataError, match=message):
        open_data(spec.Data(source=Folder()), PREPROCESSING, tmp_path)


def test_a_list_that_names_a_file_twice_is_refused(listed, tmp_path):
    shutil.copytree(listed, tmp_path, dirs_exist_ok=True)
    with (tmp_path / "labels.csv").open("a") as file:
        file.write("0.jpg,ant,val\n1.jpg,bee,train\n")
    with pytest.raises(MissingDataError) as caught:
        open_data(spec.Data(source=Folder()), PREPROCESSING, tmp_path)
    assert str(caught.value).splitlines()[1:] == [
        "  labels.csv: 0.jpg is listed for training and for evaluation.",
        "  labels.csv: 1.jpg is listed 2 times.",
    ]


def test_an_empty_folder_is_refused_with_the_accepted_layouts(tmp_path):
    with pytest.raises(MissingDataError, match=r"found an empty folder; accepted are a file labels\.csv"):
        open_data(spec.Data(source=Folder()), PREPROCESSING, tmp_path)


def test_names_that_tensorflow_can_not_open_are_refused(tmp_path: pathlib.Path) -> None:
    message = r"can't open files whose names are not UTF-8, such as '.*odd\\udcff\.jpg'; found 1\. Rename them"
    with pytest.raises(MissingDataError, match=message):
        folder.files([tmp_path / "ü.jpg", tmp_path / "odd\udcff.jpg"], [0, 1])


def test_hidden_files_are_no_photographs(class_folders, tmp_path):
    shutil.copytree(class_folders, tmp_path, dirs_exist_ok=True)
    for name in ("._a photo 03.JPEG", "._a drawing.png"):  # as macOS writes them beside the files that it copies
        (tmp_path / "train" / "ant" / name).write_bytes(b"Mac OS X")
    assert open_data(spec.Data(source=Folder()), PREPROCESSING, tmp_path).train_examples == TRAIN
