"""Small folders of images with boxes, in the layouts that are read."""

import io
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from tfperf.benchmarks.detection.data.sources import CocoFolder

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


def coco_json(
    images: Mapping[int, str],
    things: Sequence[tuple[int, int, Sequence[object]]],
    *,
    categories: Mapping[int, str],
) -> dict[str, Any]:
    """Images by id, objects as (image id, category, x, y, width, height), and categories, as COCO writes them."""
    return {
        "info": {"year": 2017},
        "images": [
            {"id": number, "file_name": file, "width": WIDTH, "height": HEIGHT} for number, file in images.items()
        ],
        "annotations": [
            {"id": 100 + place, "image_id": image, "category_id": category, "bbox": list(box), "iscrowd": 0}
            for place, (image, category, box) in enumerate(things)
        ],
        "categories": [{"id": number, "name": name} for number, name in categories.items()],
    }


def write_coco(
    root: pathlib.Path, train: Mapping[str, Any], evaluation: Mapping[str, Any], *, source: CocoFolder
) -> pathlib.Path:
    """Both files and an image for each that they list."""
    brightness = 0
    for content, json_path, folder in (
        (train, source.train_json, source.train_images),
        (evaluation, source.eval_json, source.eval_images),
    ):
        (root / json_path).parent.mkdir(parents=True, exist_ok=True)
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / json_path).write_text(json.dumps(content))
        for image in content["images"]:
            (root / folder / image["file_name"]).write_bytes(jpeg(brightness))
            brightness += 1
    return root
