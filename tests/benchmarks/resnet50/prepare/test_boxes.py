"""Bounding boxes come from the annotations or the reference's csv file, or the file that can't be read is named."""

import csv
import pathlib
import tarfile

import numpy as np
import pytest

from tests.benchmarks.resnet50.prepare.tiny_imagenet import CLASSES, prepare, records, tar
from tfperf.errors import DamagedDataError

ANNOTATION = """<annotation><folder>{folder}</folder><filename>%s</filename>
<size><width>200</width><height>100</height><depth>3</depth></size>{objects}</annotation>"""
OBJECT = """<object><name>{name}</name><bndbox><xmin>{x[0]}</xmin><ymin>{y[0]}</ymin>
<xmax>{x[1]}</xmax><ymax>{y[1]}</ymax></bndbox></object>"""


def annotation(folder: str, *boxes: tuple[str, tuple[int, int], tuple[int, int]]) -> bytes:
    objects = "".join(OBJECT.format(name=name, x=x, y=y) for name, x, y in boxes)
    return ANNOTATION.format(folder=folder, objects=objects).encode()


def boxes_of(data_dir: pathlib.Path) -> dict[str, list[list[float]]]:
    corners = [f"image/object/bbox/{corner}" for corner in ("xmin", "ymin", "xmax", "ymax")]
    found = {}
    for example in records(data_dir, "train"):
        boxes = np.stack([example[corner] for corner in corners], axis=1)
        assert example["image/object/bbox/label"].tolist() == [example["image/class/label"]] * len(boxes)
        if len(boxes):
            found[example["image/filename"].decode()] = boxes.round(4).tolist()
    return found


def test_boxes_come_from_the_annotations_by_the_rules_of_the_reference(
    archives: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    dog, fish = CLASSES[2], CLASSES[0]
    files = {
        f"{dog}/{dog}_0.xml": annotation(dog, (dog, (20, 60), (10, 90)), ("Scottish_deerhound", (0, 100), (0, 50))),
        f"{dog}/{dog}_1.xml": annotation(dog, (dog, (220, -20), (90, 10))),  # corners swapped, beyond the image
        f"{dog}/{dog}_2.xml": annotation(dog, (dog, (50, 50), (10, 90)), (fish, (0, 9), (0, 9))),  # no area; a fish
        "n99999999/n99999999_0.xml": annotation("n99999999", ("n99999999", (1, 2), (1, 2))),  # not of the 1000
    }
    (archives / "ILSVRC2012_bbox_train_v2.tar.gz").write_bytes(tar(files, "w:gz"))
    prepare(archives, tmp_path / "out")
    assert boxes_of(tmp_path / "out") == {
        f"{dog}_0.JPEG": [pytest.approx([0.1, 0.1, 0.3, 0.9]), pytest.approx([0.0, 0.0, 0.5, 0.5])],
        f"{dog}_1.JPEG": [pytest.approx([0.0, 0.1, 1.0, 0.9])],
    }


def test_boxes_come_from_the_csv_file_of_the_reference(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    name = "n01443537_2.JPEG"
    with (tree / "imagenet_2012_bounding_boxes.csv").open("w", newline="") as file:
        csv.writer(file).writerows([(name, "0.0060", "0.2620", "0.7545", "0.9940"), (name, 0, 0, 1, 1)])
    prepare(tree, tmp_path / "out")
    assert boxes_of(tmp_path / "out") == {
        name: [pytest.approx([0.006, 0.262, 0.7545, 0.994], abs=1e-4), [0.0, 0.0, 1.0, 1.0]]
    }


def test_a_directory_named_like_an_annotation_is_none(archives: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with tarfile.open(archives / "ILSVRC2012_bbox_train_v2.tar.gz", "w:gz") as archive:
        directory = tarfile.TarInfo(f"{CLASSES[0]}/{CLASSES[0]}_0.xml")
        directory.type = tarfile.DIRTYPE
        archive.addfile(directory)
    prepare(archives, tmp_path / "out")
    assert boxes_of(tmp_path / "out") == {}


def test_a_csv_file_in_another_encoding_is_named(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tree / "imagenet_2012_bounding_boxes.csv").write_text("a.JPEG,0,0,1,1\n", encoding="utf-16")
    with pytest.raises(DamagedDataError, match=r"boxes\.csv is not a csv file in UTF-8: .* Make it again"):
        prepare(tree, tmp_path / "out")


def test_a_csv_file_of_something_else_is_named_with_its_line(tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tree / "imagenet_2012_bounding_boxes.csv").write_text("a.JPEG,0,0,1,1\nb.JPEG,0,0,one,1\n")
    with pytest.raises(DamagedDataError, match=r"boxes\.csv:2: expected name,xmin,ymin,xmax,ymax, got \['b\.JPEG'"):
        prepare(tree, tmp_path / "out")
