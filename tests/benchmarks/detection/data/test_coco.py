"""COCO's json: what is read, and what becomes of a file that contradicts itself."""

import json
import pathlib
from typing import Any

import numpy as np
import pytest

from tests.benchmarks.detection.data.annotated_folders import coco_json, in_pixels, write_coco
from tfperf import spec
from tfperf.benchmarks.benchmark import Feed
from tfperf.benchmarks.detection.data import coco
from tfperf.benchmarks.detection.data.data import open_data
from tfperf.benchmarks.detection.data.preprocessing import DetectionPreprocessing
from tfperf.benchmarks.detection.data.sources import CocoFolder, OpenImagesFolder
from tfperf.errors import DamagedDataError, MissingDataError

CATEGORIES = {90: "toothbrush", 1: "person", 13: "stop sign"}
TRAIN_IMAGES = {7: "a.jpg", 3: "b.jpg", 9: "c.jpg"}
THINGS: list[tuple[int, int, list[object]]] = [
    (3, 90, [1, 2, 10, 10]),
    (7, 1, [0, 0, 40, 30]),
    (3, 1, [5.5, 5, 4.25, 20]),
]


def train() -> dict[str, Any]:
    return coco_json(TRAIN_IMAGES, THINGS, categories=CATEGORIES)


def evaluation() -> dict[str, Any]:
    return coco_json({11: "d.jpg", 12: "e.jpg"}, [(12, 13, [1, 1, 8, 8])], categories=CATEGORIES)


def folder(
    tmp_path: pathlib.Path, first: dict[str, Any] | None = None, second: dict[str, Any] | None = None
) -> pathlib.Path:
    return write_coco(tmp_path / "set", first or train(), second or evaluation(), source=CocoFolder())


def test_reads_images_objects_and_categories_with_gaps(tmp_path: pathlib.Path) -> None:
    content = train()
    content["annotations"][0] |= {"iscrowd": 1, "area": 33.5}
    found = coco.read(CocoFolder(), folder(tmp_path, content))
    assert found.classes.names == ("person", "stop sign", "toothbrush")
    assert found.classes.category_ids == (1, 13, 90)
    annotations = found.train.annotations
    assert annotations.image_ids == ("7", "3")
    assert annotations.files == ("train2017/a.jpg", "train2017/b.jpg")
    image = annotations.image(1)
    assert in_pixels(image.boxes) == [[1, 2, 11, 12], [5.5, 5, 9.75, 25]]
    assert image.classes.tolist() == [2, 0]
    assert image.crowd.tolist() == [True, False]
    assert image.areas.tolist() == [33.5, 85]
    assert found.evaluation.annotations.image_ids == ("11", "12")
    assert found.notes == ("training: images without objects, left out of training: 1 (9)",)


def test_the_order_of_arrays_and_objects_makes_no_difference(tmp_path: pathlib.Path) -> None:
    content = train()
    turned = dict(reversed(content.items()))
    one = coco.read(CocoFolder(), folder(tmp_path / "one", content))
    other = coco.read(CocoFolder(), folder(tmp_path / "other", turned))
    assert one.classes == other.classes
    assert np.array_equal(one.train.annotations.boxes, other.train.annotations.boxes)
    assert one.train.annotations.image_ids == other.train.annotations.image_ids


def test_openimages_keeps_images_without_objects(tmp_path: pathlib.Path) -> None:
    source = OpenImagesFolder()
    root = write_coco(tmp_path / "set", train(), evaluation(), source=source)
    found = coco.read(source, root)
    assert found.train.annotations.image_ids == ("7", "3", "9")
    assert found.train.annotations.files[0] == "train/data/a.jpg"


@pytest.mark.parametrize(
    ("box", "kept", "note"),
    [
        ([10, 5, 0, 9], [], "objects without area, left out: 1 (annotation 103 of image 3)"),
        (
            [30, 9, -20, 4],
            [[10, 9, 30, 13]],
            "objects whose corners are swapped, put in order: 1 (annotation 103 of image 3)",
        ),
        ([50, 5, 9, 9], [], "objects wholly outside their image, left out: 1 (annotation 103 of image 3)"),
        (
            [30, 5, 30, 9],
            [[30, 5, 40, 14]],
            "objects partly outside their image, clipped to it: 1 (annotation 103 of image 3)",
        ),
        (
            [float("nan"), 5, 9, 9],
            [],
            "objects with a corner that is not a finite number, left out: 1 (annotation 103 of image 3)",
        ),
        (
            ["1", 5, 9, 9],
            [],
            "objects with a corner that is not a finite number, left out: 1 (annotation 103 of image 3)",
        ),
        ([1, 5, 9], [], "objects with a corner that is not a finite number, left out: 1 (annotation 103 of image 3)"),
        (
            [1, 5, 9, 10**299],
            [[1, 5, 10, 30]],
            "objects partly outside their image, clipped to it: 1 (annotation 103 of image 3)",
        ),
    ],
)
def test_damaged_boxes_follow_their_rule(
    tmp_path: pathlib.Path, box: list[object], kept: list[object], note: str
) -> None:
    content = coco_json({7: "a.jpg", 3: "b.jpg"}, [*THINGS, (3, 13, box)], categories=CATEGORIES)
    found = coco.read(CocoFolder(), folder(tmp_path, content))
    assert in_pixels(found.train.annotations.image(1).boxes) == [[1, 2, 11, 12], [5.5, 5, 9.75, 25], *kept]
    assert found.notes == (f"training: {note}",)


def test_objects_of_unlisted_images_and_unlisted_files_are_counted(tmp_path: pathlib.Path) -> None:
    content = coco_json({7: "a.jpg", 3: "b.jpg"}, [(5, 1, [1, 1, 2, 2]), *THINGS], categories=CATEGORIES)
    root = folder(tmp_path, content)
    (root / "val2017" / "f.jpg").write_bytes(b"")
    assert coco.read(CocoFolder(), root).notes == (
        "training: objects of images that are not listed, left out: 1 (annotation 100 of image 5)",
        "evaluation: image files that are not listed, ignored: 1 (f.jpg)",
    )


def test_unknown_categories_are_refused_by_name(tmp_path: pathlib.Path) -> None:
    content = coco_json(TRAIN_IMAGES, [*THINGS, (9, 91, [1, 1, 2, 2]), (9, 2, [1, 1, 2, 2])], categories=CATEGORIES)
    with pytest.raises(DamagedDataError) as caught:
        coco.read(CocoFolder(), folder(tmp_path, content))
    assert str(caught.value).splitlines()[1:] == [
        "  annotation 103 of image 9: category 91",
        "  annotation 104 of image 9: category 2",
        "Add the categories, or remove the annotations.",
    ]


def test_missing_images_are_refused_unless_they_may_be(tmp_path: pathlib.Path) -> None:
    root = folder(tmp_path)
    (root / "train2017" / "b.jpg").unlink()
    with pytest.raises(MissingDataError, match=r"listed images that are missing: 1\n  b\.jpg\n"):
        coco.read(CocoFolder(), root)
    assert len(coco.read(CocoFolder(), root, check_files=False).train.annotations) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": [3]}, "holds '3' among its images, where COCO has objects"),
        ({"images": [{"id": 1}]}, "image 1: file_name is None"),
        ({"images": [{"id": 1, "file_name": "../a.jpg"}]}, "image 1: file_name is '../a.jpg'"),
        ({"images": [{"id": None, "file_name": "a"}]}, "holds an image whose id is None"),
        ({"images": [{"id": 1, "file_name": "a"}] * 2}, "lists image 1 twice"),
        ({"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]}, "lists category 2 'a' twice"),
        ({"categories": [{"id": "1", "name": "a"}]}, "a category's id is '1'"),
        ({"categories": [{"id": 1}]}, "category 1: its name is None"),
        ({"annotations": [{"image_id": 7, "caption": "a cat"}]}, "lacks a bbox or a category_id"),
        ({"annotations": {}}, "is not COCO's json: annotations must be an array"),
        ({"annotations": []}, "is not COCO's json: it has no annotations"),
        ({"images": [], "categories": []}, "it has no images and no categories"),
    ],
)
def test_a_file_that_is_not_coco_is_refused(tmp_path: pathlib.Path, change: dict[str, Any], message: str) -> None:
    root = folder(tmp_path)
    (root / CocoFolder().train_json).write_text(json.dumps(train() | change))
    with pytest.raises(DamagedDataError) as caught:
        coco.read(CocoFolder(), root)
    assert message in str(caught.value)


def test_splits_of_different_categories_are_refused(tmp_path: pathlib.Path) -> None:
    other = coco_json({11: "d.jpg"}, [(11, 13, [1, 1, 8, 8])], categories={13: "stop sign", 14: "meter"})
    with pytest.raises(DamagedDataError, match="1 'person', 14 'meter', 90 'toothbrush' are not in both"):
        coco.read(CocoFolder(), folder(tmp_path, None, other))


def test_missing_files_are_named(tmp_path: pathlib.Path) -> None:
    root = folder(tmp_path)
    with pytest.raises(MissingDataError, match=r"nowhere is not a folder"):
        coco.read(CocoFolder(train_images="nowhere"), root)
    with pytest.raises(MissingDataError, match=r"nothing\.json is missing"):
        coco.read(CocoFolder(eval_json="nothing.json"), root)
    (root / "lfs.json").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(MissingDataError, match=r"git lfs pull"):
        coco.read(CocoFolder(eval_json="lfs.json"), root)
    with pytest.raises(ValueError, match="eval_json must be another file than train_json"):
        CocoFolder(eval_json=CocoFolder().train_json)


def test_a_folder_is_read_as_batches(tmp_path: pathlib.Path) -> None:
    data = open_data(spec.Data(source=CocoFolder()), DetectionPreprocessing(classes=3, size=32), folder(tmp_path))
    assert (data.train_examples, data.eval_examples) == (2, 2)
    ((_, targets, _),) = data.evaluation(Feed(batch_size=2, deterministic=True))
    assert targets["classes"].numpy().tolist() == [[-1], [1]]
