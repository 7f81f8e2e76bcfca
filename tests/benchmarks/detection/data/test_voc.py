"""Pascal VOC folders: what is read, and what becomes of each kind of damage."""

import pathlib
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from tests.benchmarks.detection.data.annotated_folders import in_pixels, jpeg, write_voc, xml
from tfperf.benchmarks.detection.data import image_size, voc
from tfperf.benchmarks.detection.data.sources import VocFolder
from tfperf.errors import DamagedDataError, MissingDataError

GOOD = {
    "a": [("cat", (1, 2, 11, 12)), ("hard", (5, 5, 40, 30))],
    "b": [("ant", (0, 0, 40, 30))],
    "c": [("cat", (3.5, 2, 11.25, 12))],
    "d": [],
}
LISTS = {"trainval": ["b", "a"], "test": ["c", "d"]}


def test_reads_images_in_the_order_of_the_lists(tmp_path: pathlib.Path) -> None:
    found = voc.read(VocFolder(), write_voc(tmp_path / "set", GOOD, lists=LISTS))
    assert found.classes.names == ("ant", "cat", "hard")
    assert found.classes.category_ids == (1, 2, 3)
    train, evaluation = found.train.annotations, found.evaluation.annotations
    assert (train.image_ids, train.files) == (("b", "a"), ("JPEGImages/b.jpg", "JPEGImages/a.jpg"))
    image = train.image(1)
    assert (image.image_id, image.width, image.height) == ("a", 40, 30)
    assert in_pixels(image.boxes) == [[1, 2, 11, 12], [5, 5, 40, 30]]
    assert image.classes.tolist() == [1, 2]
    assert image.difficult.tolist() == [False, True]
    assert image.crowd.tolist() == [False, False]
    assert image.areas.tolist() == [100, 35 * 25]
    assert (train.most_objects, len(evaluation), len(evaluation.image(1).boxes)) == (2, 2, 0)
    assert found.notes == ()


def test_reads_the_objects_of_real_photographs(shared_data: pathlib.Path) -> None:
    folder = shared_data / "bccd-voc"
    found = voc.read(VocFolder(), folder)
    assert found.notes == (
        "training: objects without area, left out: 2 (BloodImage_00338 object 13, BloodImage_00343 object 4)",
    )
    annotations = found.train.annotations
    image_size.check(annotations, folder)
    assert (len(annotations), len(found.evaluation.annotations)) == (292, 72)
    for number in range(0, 292, 30):  # an independent reading of the same files
        image = annotations.image(number)
        root = ElementTree.parse(folder / "Annotations" / f"{image.image_id}.xml").getroot()
        corners = [
            [float(box.findtext(side)) for side in ("xmin", "ymin", "xmax", "ymax")] for box in root.iter("bndbox")
        ]
        assert in_pixels(image.boxes, width=640, height=480) == [c for c in corners if c[0] < c[2] and c[1] < c[3]]
    counts = sum(np.bincount(split.annotations.classes) for split in (found.train, found.evaluation))
    # SOURCES of the set: 361 platelets, 4,155 red and 372 white cells; two of the red ones have no area.
    assert dict(zip(found.classes.names, counts.tolist(), strict=True)) == {"Platelets": 361, "RBC": 4153, "WBC": 372}


@pytest.mark.parametrize(
    ("box", "kept", "note"),
    [
        ((10, 5, 10, 9), [], "objects without area, left out: 1 (a object 2)"),
        ((30, 9, 10, 5), [[10, 5, 30, 9]], "objects whose corners are swapped, put in order: 1 (a object 2)"),
        ((50, 5, 60, 9), [], "objects wholly outside their image, left out: 1 (a object 2)"),
        ((-5, 5, 60, 9), [[0, 5, 40, 9]], "objects partly outside their image, clipped to it: 1 (a object 2)"),
        ((30, 5, 40.75, 9), [[30, 5, 40, 9]], None),
        ((10, 5, 10 + 1e-7, 9), [], "objects without area, left out: 1 (a object 2)"),
        (
            ("nan", 5, 10, 9),
            [],
            "objects with a corner that is not a finite number, left out: 1 (a object 2)",
        ),
        ((1, 5, "inf", 9), [], "objects with a corner that is not a finite number, left out: 1 (a object 2)"),
        ((1, "five", 10, 9), [], "objects with a corner that is not a finite number, left out: 1 (a object 2)"),
    ],
)
def test_damaged_boxes_follow_their_rule(
    tmp_path: pathlib.Path, box: tuple[object, ...], kept: list[object], note: str | None
) -> None:
    things = {"a": [("cat", (1, 2, 11, 12)), ("cat", box)], "b": [("cat", (1, 2, 11, 12))]}
    found = voc.read(VocFolder(), write_voc(tmp_path / "set", things, lists={"trainval": ["a"], "test": ["b"]}))
    assert in_pixels(found.train.annotations.image(0).boxes) == [[1, 2, 11, 12], *kept]
    assert found.notes == (() if note is None else (f"training: {note}",))


def test_images_without_objects_are_left_out_of_training_alone(tmp_path: pathlib.Path) -> None:
    lists = {"trainval": ["d", "a", "b"], "test": ["c", "e"]}
    found = voc.read(VocFolder(), write_voc(tmp_path / "set", {**GOOD, "e": [], "f": []}, lists=lists))
    assert found.train.annotations.image_ids == ("a", "b")
    assert in_pixels(found.train.annotations.image(1).boxes) == [[0, 0, 40, 30]]
    assert found.evaluation.annotations.image_ids == ("c", "e")
    assert found.notes == (
        "training: images without objects, left out of training: 1 (d)",
        "evaluation: image files that are not listed, ignored: 1 (f)",
    )


def test_without_lists_every_fifth_image_is_held_out(tmp_path: pathlib.Path) -> None:
    things = {f"photo{number:02d}": [("cat", (1, 2, 11, 12))] for number in range(12)}
    found = voc.read(VocFolder(), write_voc(tmp_path / "set", things, lists=None))
    assert found.evaluation.annotations.image_ids == ("photo04", "photo09")
    assert len(found.train.annotations) == 10


def test_an_image_says_its_size_where_the_annotation_does_not(tmp_path: pathlib.Path) -> None:
    folder = write_voc(tmp_path / "set", GOOD, lists=LISTS)
    (folder / "Annotations" / "b.xml").write_text(xml([("ant", (0, 0, 16, 10))], size=None))
    (folder / "JPEGImages" / "b.jpg").write_bytes(jpeg(1, width=16, height=10))
    image = voc.read(VocFolder(), folder).train.annotations.image(0)
    assert (image.width, image.height, image.boxes.tolist()) == (16, 10, [[0, 0, 1, 1]])


def test_an_image_of_another_size_is_refused(tmp_path: pathlib.Path) -> None:
    folder = write_voc(tmp_path / "set", GOOD, lists=LISTS)
    (folder / "JPEGImages" / "a.jpg").write_bytes(jpeg(0, width=30, height=40))
    with pytest.raises(DamagedDataError) as caught:
        image_size.check(voc.read(VocFolder(), folder).train.annotations, folder)
    assert str(caught.value).splitlines() == [
        f"{folder}: images of another size than their annotations say: 1",
        "  JPEGImages/a.jpg: annotated as 40 x 30, is 30 x 40",
        "Restore the images that were annotated, or correct the annotations.",
    ]


def test_a_file_that_is_no_image_is_refused(tmp_path: pathlib.Path) -> None:
    folder = write_voc(tmp_path / "set", GOOD, lists=LISTS)
    (folder / "JPEGImages" / "a.jpg").write_bytes(b"<html>")
    with pytest.raises(DamagedDataError, match=r"a\.jpg is no image"):
        image_size.check(voc.read(VocFolder(), folder).train.annotations, folder)


def test_much_damage_is_refused(tmp_path: pathlib.Path) -> None:
    centres = [("cat", (20, 20, 9, 9))] * 30 + [("cat", (1, 1, 9, 9))] * 8
    with pytest.raises(DamagedDataError) as caught:
        voc.read(VocFolder(), write_voc(tmp_path / "set", {**GOOD, "a": centres}, lists=LISTS))
    assert str(caught.value).splitlines() == [
        f"{tmp_path / 'set'}: too many of its 39 objects are damaged:",
        "  objects whose corners are swapped, put in order: 30 "
        "(a object 1, a object 2, a object 3, a object 4, a object 5 and 25 more)",
        "Their boxes may be in another form than this layout has. Correct them.",
    ]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"Annotations/a.xml": None}, MissingDataError, "a has no annotation Annotations/a.xml"),
        ({"JPEGImages/c.jpg": None}, MissingDataError, "c has no image JPEGImages/c.jpg"),
        ({"Annotations/a.xml": "<annotation><object>"}, DamagedDataError, "a.xml: no element found"),
        ({"Annotations/a.xml": "<html/>"}, DamagedDataError, "begins with <html>, where Pascal VOC has <annotation>"),
        ({"Annotations/a.xml": xml([("", (1, 2, 3, 4))])}, DamagedDataError, "a.xml: object 1 has no name"),
        ({"Annotations/a.xml": xml([], size=(-1, 30))}, DamagedDataError, "a.xml: its size is -1 x 30"),
        ({"Annotations/c.xml": xml([("dog", (1, 2, 3, 4))])}, DamagedDataError, "no training image shows dog"),
        ({"ImageSets/Main/test.txt": None}, MissingDataError, "holds the lists trainval. Name two of them"),
        ({"ImageSets/Main/test.txt": ""}, MissingDataError, "holds no images for evaluation"),
        (
            {"ImageSets/Main/test.txt": "a\nc\n"},
            DamagedDataError,
            "images in both trainval.txt and test.txt: 1, such as a",
        ),
        ({"ImageSets/Main/test.txt": "c\nc\n"}, DamagedDataError, "lists c 2 times"),
        ({"JPEGImages/a.jpeg": ""}, DamagedDataError, "holds both a.jpeg and a.jpg"),
    ],
)
def test_a_folder_that_contradicts_itself_is_refused(
    tmp_path: pathlib.Path, change: dict[str, str | None], error: type[Exception], message: str
) -> None:
    folder = write_voc(tmp_path / "set", GOOD, lists=LISTS)
    for name, content in change.items():
        (folder / name).unlink() if content is None else (folder / name).write_text(content)
    with pytest.raises(error, match=message.replace(".", r"\.").replace("(", r"\(")):
        voc.read(VocFolder(), folder)


def test_another_folder_is_refused_with_what_it_holds(tmp_path: pathlib.Path) -> None:
    (tmp_path / "VOC2012").mkdir()
    with pytest.raises(MissingDataError, match="holds no folder Annotations, but VOC2012"):
        voc.read(VocFolder(), tmp_path)


def test_two_lists_are_needed() -> None:
    with pytest.raises(ValueError, match="eval_list must be another list than train_list, got 'all'"):
        VocFolder(train_list="all", eval_list="all")
