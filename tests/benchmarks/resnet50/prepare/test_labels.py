"""Validation images get their labels from a text file or the devkit, or the file that can't be read is named."""

import io
import pathlib

import numpy as np
import pytest
import scipy.io

from tests.benchmarks.resnet50.prepare.tiny_imagenet import (
    CLASSES,
    prepare,
    records,
    tar,
    validation_classes,
    validation_files,
)
from tfperf.errors import DamagedDataError


def test_validation_images_get_the_labels_of_the_text_file(archives: pathlib.Path, tmp_path: pathlib.Path) -> None:
    prepare(archives, tmp_path / "out")
    found = {
        e["image/filename"].decode(): e["image/class/synset"].decode() for e in records(tmp_path / "out", "validation")
    }
    assert found == dict(zip(validation_files(), validation_classes(), strict=True))


def test_validation_images_get_the_labels_of_the_devkit(archives: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (archives / "imagenet_2012_validation_synset_labels.txt").unlink()
    numbers = {"n02105855": 1, "n01440764": 2, "n01443537": 3}
    synsets = np.array(
        [(number, name) for name, number in numbers.items()], [("ILSVRC2012_ID", "O"), ("WNID", "O")]
    ).reshape(-1, 1)
    meta = io.BytesIO()
    scipy.io.savemat(meta, {"synsets": synsets})
    truth = "".join(f"{numbers[name]}\n" for name in validation_classes())
    data = "ILSVRC2012_devkit_t12/data"
    files = {f"{data}/meta.mat": meta.getvalue(), f"{data}/ILSVRC2012_validation_ground_truth.txt": truth.encode()}
    (archives / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(tar(files, "w:gz"))
    prepare(archives, tmp_path / "out")
    found = {
        e["image/filename"].decode(): e["image/class/synset"].decode() for e in records(tmp_path / "out", "validation")
    }
    assert found == dict(zip(validation_files(), validation_classes(), strict=True))


def test_labels_may_begin_with_a_byte_order_mark(archives: pathlib.Path, tmp_path: pathlib.Path) -> None:
    labels = archives / "imagenet_2012_validation_synset_labels.txt"
    labels.write_bytes(b"\xef\xbb\xbf" + labels.read_bytes())
    assert prepare(archives, tmp_path / "out").classes == CLASSES


def test_labels_in_another_encoding_are_named(archives: pathlib.Path, tmp_path: pathlib.Path) -> None:
    labels = archives / "imagenet_2012_validation_synset_labels.txt"
    labels.write_text(labels.read_text(), encoding="utf-16")
    with pytest.raises(DamagedDataError, match=r"synset_labels\.txt is not UTF-8 text: .* Save it as UTF-8"):
        prepare(archives, tmp_path / "out")


def test_a_devkit_of_something_else_is_named(archives: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (archives / "imagenet_2012_validation_synset_labels.txt").unlink()
    (archives / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(tar({"readme.txt": b""}, "w:gz"))
    with pytest.raises(DamagedDataError, match=r"ILSVRC2012_devkit_t12\.tar\.gz can't be read: KeyError"):
        prepare(archives, tmp_path / "out")
