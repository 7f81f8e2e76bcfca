"""Detections drawn beside the objects that are really there."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

LEAST_SCORE = 0.3
"""Detections with a lower score are not drawn: they would cover the others."""

_LONGEST_SIDE, _SHORTEST_LONG_SIDE = 480, 320  # pixels of a panel
_GAP, _CAPTION, _FONT_SIZE = 8, 22, 12
_Place = tuple[int, int, int, int]  # left, top, right, bottom; pixels

_GROUND, _INK = (24, 26, 30), (240, 240, 240)
# Bright on photographs and on scenes; neighbours differ in lightness too.
_COLORS = (
    *((255, 212, 59), (77, 171, 247), (255, 107, 107), (105, 219, 124), (218, 119, 242)),
    *((255, 169, 77), (102, 217, 232), (252, 194, 215), (192, 235, 117), (229, 219, 255)),
)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """Objects to draw in one image.

    Attributes:
        boxes: float [n, 4], x1, y1, x2, y2 in units of the image.
        classes: int [n], from 0.
        scores: float [n]; None for the objects that are really there.
    """

    boxes: np.ndarray
    classes: np.ndarray
    scores: np.ndarray | None = None

    def at_least(self, score: float) -> Drawn:
        """The objects with this score or a higher one; all that are really there."""
        if self.scores is None:
            return self
        kept = self.scores >= score
        return Drawn(boxes=self.boxes[kept], classes=self.classes[kept], scores=self.scores[kept])


def panel(encoded: bytes) -> Image.Image:
    """Opens an image at a size at which labels can be read.

    Args:
        encoded: an image in a format that Pillow reads.

    Raises:
        OSError: it is no image.
    """
    image = Image.open(io.BytesIO(encoded)).convert("RGB")
    longest = max(image.size)
    wanted = min(max(longest, _SHORTEST_LONG_SIDE), _LONGEST_SIDE)
    width, height = (max(1, round(side * wanted / longest)) for side in image.size)
    return image if wanted == longest else image.resize((width, height), Image.Resampling.BICUBIC)


def beside(
    image: Image.Image, *, true: Drawn, found: Drawn, classes: Sequence[str], least: float = LEAST_SCORE
) -> Image.Image:
    """Two copies of an image: on the left the objects that are there, on the right the detections with their scores.

    Args:
        image: the image, as `panel` opens it.
        true: the objects that are there.
        found: the detections.
        classes: the name of each class; a class without a name is shown by its number.
        least: the lowest score of a detection that is drawn.
    """
    shown = found.at_least(least)
    left = f"ground truth: {len(true.classes)}"
    right = f"detections with a score of {least:g} or more: {len(shown.classes)}"
    width, height = image.size
    sheet = Image.new("RGB", (2 * width + _GAP, height + _CAPTION), _GROUND)
    pen = ImageDraw.Draw(sheet)
    for start, caption, objects in ((0, left, true), (width + _GAP, right, shown)):
        sheet.paste(_marked(image, objects, classes), (start, _CAPTION))
        pen.text((start + 4, 3), caption, fill=_INK, font=_font())
    return sheet


def png(image: Image.Image) -> bytes:
    """The image as a PNG file."""
    return _file(image, "PNG", compress_level=1)  # a third of the time of the default, and a fifth more bytes


def jpeg(image: Image.Image) -> bytes:
    """The image as a JPEG file, which takes a tenth of a PNG's time."""
    return _file(image, "JPEG", quality=90, subsampling=0)


def _marked(image: Image.Image, objects: Drawn, classes: Sequence[str]) -> Image.Image:
    """A copy with the boxes and their labels; the best detection is on top and labelled first."""
    marked = image.copy()
    pen = ImageDraw.Draw(marked)
    scores = np.ones(len(objects.classes)) if objects.scores is None else objects.scores
    order = np.argsort(scores, kind="stable").tolist()
    corners = objects.boxes * np.tile(image.size, 2)
    for number in order:
        _box(pen, corners[number].tolist(), _color(int(objects.classes[number])), within=image.size)
    taken: list[_Place] = []
    for number in reversed(order):
        kind = int(objects.classes[number])
        name = classes[kind] if 0 <= kind < len(classes) else str(kind)
        label = name if objects.scores is None else f"{name} {objects.scores[number]:.2f}"
        taken.append(_label(pen, corners[number].tolist(), label, _color(kind), within=image.size, taken=taken))
    return marked


def _box(
    pen: ImageDraw.ImageDraw, corners: Sequence[float], color: tuple[int, ...], *, within: tuple[int, int]
) -> None:
    x1, y1, x2, y2 = _inside(corners, within)
    pen.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), outline=_GROUND)  # tells a box from a bright image
    pen.rectangle((x1, y1, x2, y2), outline=color, width=2)


def _label(
    pen: ImageDraw.ImageDraw,
    corners: Sequence[float],
    label: str,
    color: tuple[int, ...],
    *,
    within: tuple[int, int],
    taken: Sequence[_Place],
) -> _Place:
    """Writes the label above the box, or where it covers no other label; returns where it is."""
    x1, y1, x2, y2 = _inside(corners, within)
    left, top, right, bottom = pen.textbbox((0, 0), label, font=_font())
    width, height = int(right - left) + 4, int(bottom - top) + 3
    corners_of_label = ((x1, y1 - height), (x1, y2), (x1, y1), (x2 - width, y1 - height), (x2 - width, y2))
    inside = [(max(0, min(x, within[0] - width)), y) for x, y in corners_of_label if 0 <= y <= within[1] - height] or [
        (0, 0)
    ]
    places = [(x, y, x + width, y + height) for x, y in inside]
    place = next((each for each in places if not any(_overlap(each, other) for other in taken)), places[0])
    pen.rectangle(place, fill=color)
    pen.text((place[0] + 2 - left, place[1] + 1 - top), label, fill=_GROUND, font=_font())
    return place


def _overlap(place: _Place, other: _Place) -> bool:
    return place[0] < other[2] and other[0] < place[2] and place[1] < other[3] and other[1] < place[3]


def _inside(corners: Sequence[float], within: tuple[int, int]) -> tuple[int, ...]:
    """The corners in whole pixels of the image, in order."""
    x1, y1, x2, y2 = (int(min(max(round(edge), 0), side - 1)) for edge, side in zip(corners, 2 * within, strict=True))
    return x1, y1, max(x1, x2), max(y1, y2)


def _color(kind: int) -> tuple[int, ...]:
    return _COLORS[kind % len(_COLORS)]


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_FONT_SIZE)


def _file(image: Image.Image, kind: str, **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
