"""Archives and folders that lack something or are damaged are named, and other files in them are ignored."""

import os
import pathlib
import tarfile
from collections.abc import Callable

import pytest

from tests.benchmarks.resnet50.prepare.tiny_imagenet import contents, prepare, tar, write
from tfperf.errors import DamagedDataError, MissingDataError, TfperfError

Damage = Callable[[pathlib.Path], object]


def test_files_that_are_no_images_are_counted(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    write(tree / "train/n01440764/Thumbs.db", b"")
    write(tree / "train/n01440764/._a.JPEG", b"")
    write(tree / "train/readme.txt", b"")
    notes = prepare(tree, tmp_path / "out").notes
    assert len(notes) == 1
    assert notes[0].startswith("ignored files that are not named as images: 3, first ")


def _without(path: str) -> Damage:
    return lambda source: (source / path).unlink()


def _cut(path: str) -> Damage:
    return lambda source: os.truncate(source / path, (source / path).stat().st_size // 2)


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (_without("ILSVRC2012_img_train.tar"), MissingDataError, "holds neither ILSVRC2012_img_train.tar nor a folder"),
        (_without("ILSVRC2012_img_val.tar"), MissingDataError, "holds no ILSVRC2012_img_val.tar, validation or val"),
        (
            _without("imagenet_2012_validation_synset_labels.txt"),
            MissingDataError,
            "holds no labels of the validation images. Put ILSVRC2012_devkit_t12.tar.gz there",
        ),
        (_cut("ILSVRC2012_img_train.tar"), DamagedDataError, "img_train.tar is damaged or was not downloaded whole"),
        (_cut("ILSVRC2012_img_val.tar"), DamagedDataError, "img_val.tar is damaged or was not downloaded whole"),
        (
            _cut("imagenet_2012_validation_synset_labels.txt"),
            DamagedDataError,
            "3 validation labels for 6 validation images",
        ),
        (
            lambda source: (source / "imagenet_2012_validation_synset_labels.txt").write_text("n09999999\n" * 6),
            DamagedDataError,
            "validation images of classes without training images: n09999999",
        ),
        (
            lambda source: (source / "ILSVRC2012_bbox_train_v2.tar.gz").write_bytes(b"no archive"),
            DamagedDataError,
            "ILSVRC2012_bbox_train_v2.tar.gz can't be read",
        ),
    ],
)
def test_archives_that_are_missing_or_damaged_are_named(
    archives: pathlib.Path, tmp_path: pathlib.Path, damage: Damage, error: type[TfperfError], message: str
) -> None:
    damage(archives)
    with pytest.raises(error) as raised:
        prepare(archives, tmp_path / "out")
    assert message in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_a_class_folder_without_images_is_named(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    write(tree / "train/n00000001/readme.txt", b"")
    with pytest.raises(MissingDataError, match="class folders without images: n00000001"):
        prepare(tree, tmp_path / "out")


def _repacked(path: pathlib.Path, **more: bytes) -> None:
    with tarfile.open(path) as archive:
        files = {member.name: archive.extractfile(member).read() for member in archive}
    path.write_bytes(tar({**{name.replace("__", "."): content for name, content in more.items()}, **files}))


def test_other_files_in_an_archive_are_left_out_and_counted(archives: pathlib.Path, tmp_path: pathlib.Path) -> None:
    prepare(archives, tmp_path / "without")
    _repacked(archives / "ILSVRC2012_img_train.tar", README__txt=b"Thank you for downloading\n" * 99)
    _repacked(archives / "ILSVRC2012_img_val.tar", README=b"hello")
    assert any("files that are not named as images: 2" in note for note in prepare(archives, tmp_path / "with").notes)
    assert contents(tmp_path / "with") == contents(tmp_path / "without")


def test_an_image_beside_the_class_archives_is_refused(archives: pathlib.Path, tmp_path: pathlib.Path) -> None:
    _repacked(archives / "ILSVRC2012_img_train.tar", n01440764_1__JPEG=b"image")
    with pytest.raises(MissingDataError, match=r"n01440764_1\.JPEG is an image outside of a class archive"):
        prepare(archives, tmp_path / "out")


def test_a_damaged_class_archive_is_named(archives: pathlib.Path, tmp_path: pathlib.Path) -> None:
    _repacked(archives / "ILSVRC2012_img_train.tar", n99999999__tar=b"no archive" * 99)
    with pytest.raises(DamagedDataError, match=r"n99999999\.tar in it can't be read as an archive"):
        prepare(archives, tmp_path / "out")


def test_a_download_that_is_no_archive_shows_how_it_begins(archives: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (archives / "ILSVRC2012_img_train.tar").write_bytes(b"<!DOCTYPE html><html>log in first</html>" * 99)
    with pytest.raises(DamagedDataError, match=r"is not a tar archive: .* It begins with b'<!DOCTYPE html>"):
        prepare(archives, tmp_path / "out")
