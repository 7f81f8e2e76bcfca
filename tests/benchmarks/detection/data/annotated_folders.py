"""Small folders of images with boxes, in the layouts that are read."""

import io
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 40, 30
Box = tuple[object, object, object, object]


def jpeg(number: int, *, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """A photograph that is told from the others by its brightness."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), (9 * number, 9 * number, 9 * number)).save(file, "JPEG", quality=95)
    return file.getvalue()


def png(number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT), (9 * number, 9 * number, 9 * number)).save(file, "PNG")
    return file.getvalue()


def xml(things: Sequence[tuple[str, Box]], *, size: tuple[int, int] | None = (WIDTH, HEIGHT)) -> str:
    """An annotation of Pascal VOC."""
    stated = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>" if size else ""
    corners = ("xmin", "ymin", "xmax", "ymax")
    objects = [
        f"<object><name>{name}</name><difficult>{int(name == 'hard')}</difficult><bndbox>"
        + "".join(f"<{corner}>{value}</{corner}>" for corner, value in zip(corners, box, strict=True))
        + "</bndbox></object>"
        for name, box in things
    ]
    return f"<annotation>{stated}{''.join(objects)}</annotation>"


def write_voc(
    root: pathlib.Path, things: Mapping[str, Sequence[tuple[str, Box]]], *, lists: Mapping[str, Sequence[str]] | None
) -> pathlib.Path:
    """Images of these names with these objects, and these lists of names; None writes no list."""
    for folder in ("Annotations", "JPEGImages"):
        (root / folder).mkdir(parents=True)
    for number, (name, objects) in enumerate(things.items()):
        (root / "Annotations" / f"{name}.xml").write_text(xml(objects))
        (root / "JPEGImages" / f"{name}.jpg").write_bytes(jpeg(number))
    if lists is not None:
        (root / "ImageSets" / "Main").mkdir(parents=True)
        for name, ids in lists.items():
            (root / "ImageSets" / "Main" / f"{name}.txt").write_text("".join(f"{each}\n" for each in ids))
    return root


def in_pixels(boxes: np.ndarray, *, width: int = WIDTH, height: int = HEIGHT) -> list[list[float]]:
    """Boxes in shares of the image as pixels, rounded to what float32 holds."""
    return np.round(boxes.astype(np.float64) * [width, height, width, height], 4).tolist()
