"""Sources that don't fit the model or are damaged are refused, and damage that shows while reading is named."""

import pathlib
import shutil

import pytest
import tensorflow as tf

from tests.benchmarks.detection.data.annotated_folders import jpeg, png, write_voc
from tfperf import spec
from tfperf.benchmarks.benchmark import Feed
from tfperf.benchmarks.detection.data.data import open_data
from tfperf.benchmarks.detection.data.preprocessing import DetectionPreprocessing
from tfperf.benchmarks.detection.data.sources import DrawnScenes, VocFolder
from tfperf.benchmarks.images.sources import Folder
from tfperf.errors import ConfigError, DamagedDataError, MissingDataError

PREPROCESSING = DetectionPreprocessing(classes=1, size=32)


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    things = {f"photo{number}": [("cat", (1, 2, 11, 12))] for number in range(6)}
    lists = {"trainval": [f"photo{number}" for number in range(4)], "test": ["photo4", "photo5"]}
    return write_voc(tmp_path / "set", things, lists=lists)


def test_another_number_of_classes_is_refused(folder: pathlib.Path) -> None:
    with pytest.raises(MissingDataError) as caught:
        open_data(spec.Data(source=VocFolder()), DetectionPreprocessing(classes=3, size=32), folder)
    assert str(caught.value) == "1 classes found (cat), the model has 3. Pass --set model.classes=1."


def test_a_folder_is_needed() -> None:
    with pytest.raises(MissingDataError, match=r"none was given\. Pass --data_dir\."):
        open_data(spec.Data(source=VocFolder()), PREPROCESSING, None)


def test_other_sources_are_refused() -> None:
    accepted = "DrawnScenes, DetectionRecords, DetectionTfds, VocFolder, CocoFolder, OpenImagesFolder"
    with pytest.raises(ConfigError, match=rf"data\.source: got Folder.* Accepted: {accepted}\."):
        open_data(spec.Data(source=Folder()), PREPROCESSING, None)


def test_corrupt_images_are_not_skipped() -> None:
    with pytest.raises(ConfigError, match=r"data\.skip_corrupt must be 0 for images with boxes, got 2"):
        open_data(spec.Data(source=DrawnScenes(), skip_corrupt=2), DetectionPreprocessing(classes=8, size=32), None)


def test_images_of_another_format_are_refused(folder: pathlib.Path) -> None:
    (folder / "JPEGImages" / "photo1.jpg").write_bytes(png(1))
    with pytest.raises(DamagedDataError, match=r"photo1\.jpg: is a PNG, not a JPEG"):
        open_data(spec.Data(source=VocFolder()), PREPROCESSING, folder)


def test_the_same_image_in_both_splits_is_refused(folder: pathlib.Path) -> None:
    shutil.copy(folder / "JPEGImages" / "photo0.jpg", folder / "JPEGImages" / "photo4.jpg")
    with pytest.raises(DamagedDataError, match="1 of 2 files for evaluation are training files, too"):
        open_data(spec.Data(source=VocFolder()), PREPROCESSING, folder)


def test_a_damaged_image_is_named(folder: pathlib.Path) -> None:
    whole = jpeg(2)
    (folder / "JPEGImages" / "photo2.jpg").write_bytes(whole[:-20])
    data = open_data(spec.Data(source=VocFolder()), PREPROCESSING, folder)
    with pytest.raises(tf.errors.OpError) as caught:
        list(data.train(Feed(batch_size=1)).take(4))
    diagnosis = data.diagnose(caught.value)
    assert isinstance(diagnosis, DamagedDataError)
    assert f"{folder}/JPEGImages/photo2.jpg: " in str(diagnosis)
    assert "skip_corrupt" not in str(diagnosis)


def test_a_changed_annotation_changes_the_fingerprint(folder: pathlib.Path) -> None:
    before = open_data(spec.Data(source=VocFolder()), PREPROCESSING, folder).fingerprint
    assert open_data(spec.Data(source=VocFolder()), PREPROCESSING, folder).fingerprint == before
    path = folder / "Annotations" / "photo0.xml"
    path.write_text(path.read_text().replace("<xmin>1<", "<xmin>2<"))
    assert open_data(spec.Data(source=VocFolder()), PREPROCESSING, folder).fingerprint != before


@pytest.mark.parametrize("field", ["train_examples", "eval_examples"])
def test_scenes_are_one_or_more(field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} must be 1 or more, got 0"):
        DrawnScenes(**{field: 0})
