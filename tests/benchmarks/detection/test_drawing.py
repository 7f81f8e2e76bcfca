"""Drawings of detections: what is marked where, and in which color."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from tfperf.benchmarks.detection import drawing
from tfperf.benchmarks.detection.drawing import Drawn

GREY = (128, 128, 128)
HALF = np.array([[0.25, 0.25, 0.75, 0.75]])


def image(width: int = 400, height: int = 200) -> Image.Image:
    return drawing.panel(drawing.png(Image.new("RGB", (width, height), GREY)))


def objects(boxes: np.ndarray, *classes: int, scores: list[float] | None = None) -> Drawn:
    found = None if scores is None else np.array(scores)
    return Drawn(boxes=boxes, classes=np.array(classes, int), scores=found)


NONE = objects(np.empty((0, 4)), scores=[])


def panels(sheet: Image.Image) -> tuple[Image.Image, Image.Image]:
    """Both copies without the caption above and the gap between."""
    width, height = sheet.size
    side, top = (width - 8) // 2, 22
    return sheet.crop((0, top, side, height)), sheet.crop((side + 8, top, width, height))


def changed(panel: Image.Image) -> tuple[int, int, int, int] | None:
    """The part of a grey image that is marked: left, top, right, bottom."""
    marked = (np.asarray(panel) != GREY).any(axis=2)
    rows, columns = (np.flatnonzero(marked.any(axis=axis)) for axis in (1, 0))
    return (columns[0], rows[0], columns[-1], rows[-1]) if len(rows) else None


def test_objects_are_on_the_left_and_detections_on_the_right() -> None:
    true, found = objects(HALF, 0), objects(HALF + np.array([0, 0.2, 0.1, 0.2]), 1, scores=[0.875])
    left, right = panels(drawing.beside(image(), true=true, found=found, classes=("cat", "dog")))
    assert left.size == right.size == (400, 200)
    x1, y1, x2, y2 = changed(left)
    assert (x1, x2, y2) == (99, 301, 151)
    assert y1 < 49  # the label is above the box
    assert changed(right)[::2] == (99, 341)
    assert left.getpixel((200, 150)) != right.getpixel((200, 190)), "classes have colors of their own"


def test_a_label_stays_inside_the_image() -> None:
    corner = objects(np.array([[0.98, 0.0, 1.5, 0.02]]), 0, scores=[0.5])
    _, right = panels(drawing.beside(image(), true=NONE, found=corner, classes=("a class with a long name",)))
    x1, y1, x2, y2 = changed(right)
    assert (x2, y1) == (399, 0)
    assert x1 < 300
    assert y2 < 30


def test_detections_of_low_scores_are_not_drawn() -> None:
    found = objects(np.repeat(HALF, 2, axis=0), 0, 0, scores=[0.29, 0.1])
    assert changed(panels(drawing.beside(image(), true=NONE, found=found, classes=("cat",)))[1]) is None
    least = drawing.beside(image(), true=NONE, found=found, classes=("cat",), least=0.1)
    assert changed(panels(least)[1]) is not None


@pytest.mark.parametrize(
    ("size", "panel"), [((96, 96), (320, 320)), ((640, 480), (480, 360)), ((5000, 1), (480, 1)), ((1, 1), (320, 320))]
)
def test_a_panel_has_a_size_at_which_labels_can_be_read(size: tuple[int, int], panel: tuple[int, int]) -> None:
    drawn = drawing.beside(image(*size), true=objects(HALF, 7), found=NONE, classes=("cat",))
    assert panels(drawn)[0].size == panel


@pytest.mark.parametrize(("kind", "file"), [("PNG", drawing.png), ("JPEG", drawing.jpeg)])
def test_a_drawing_becomes_a_file(kind: str, file: Callable[[Image.Image], bytes]) -> None:
    drawn = drawing.beside(image(), true=objects(HALF, 0), found=NONE, classes=("cat",))
    opened = Image.open(io.BytesIO(file(drawn)))
    assert (opened.format, opened.size) == (kind, drawn.size)


def test_a_file_that_is_no_image_is_refused() -> None:
    with pytest.raises(OSError, match="cannot identify image"):
        drawing.panel(b"no image")
