"""Bounding boxes of ImageNet's training images, for the random crop of training."""

from __future__ import annotations

import csv
import pathlib
import tarfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple
from xml.etree import ElementTree

from tfperf.errors import DamagedDataError

ARCHIVE = "ILSVRC2012_bbox_train_v2.tar.gz"
CSV_FILE = "imagenet_2012_bounding_boxes.csv"


class Box(NamedTuple):
    """Corners as shares of the image's width and height."""

    xmin: float
    ymin: float
    xmax: float
    ymax: float


def read(source: pathlib.Path, classes: Collection[str]) -> dict[str, tuple[Box, ...]]:
    """The boxes of each annotated image, by file name; empty where none were downloaded.

    Read from the csv file that TensorFlow's preparation script makes (name,xmin,ymin,xmax,ymax), or from the XML
    archive by the rules of that script: corners are put in order and clipped to the image, boxes without area and
    boxes of another of the `classes` than the image's are left out.

    Raises:
        DamagedDataError: a file can't be read.
    """
    if (source / CSV_FILE).is_file():
        return _grouped(_from_csv(source / CSV_FILE))
    if (source / ARCHIVE).is_file():
        return _grouped(_from_archive(source / ARCHIVE, frozenset(classes)))
    return {}


def _grouped(boxes: Iterator[tuple[str, Box]]) -> dict[str, tuple[Box, ...]]:
    grouped: dict[str, tuple[Box, ...]] = {}
    for name, box in boxes:
        if box.xmin < box.xmax and box.ymin < box.ymax:
            grouped[name] = (*grouped.get(name, ()), box)
    return grouped


def _from_csv(path: pathlib.Path) -> Iterator[tuple[str, Box]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            for number, row in enumerate(csv.reader(lines), start=1):
                yield _from_row(row, place=f"{path}:{number}")
    except (csv.Error, UnicodeDecodeError) as error:
        raise DamagedDataError(f"{path} is not a csv file in UTF-8: {error}. Make it again.") from error


def _from_row(row: Sequence[str], *, place: str) -> tuple[str, Box]:
    try:
        name, *corners = row
        return name, Box(*map(float, corners))
    except (TypeError, ValueError) as error:
        raise DamagedDataError(f"{place}: expected name,xmin,ymin,xmax,ymax, got {row!r:.200}.") from error


def _from_archive(path: pathlib.Path, classes: frozenset[str]) -> Iterator[tuple[str, Box]]:
    try:
        with tarfile.open(path, "r:gz") as archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # half a million would stay in memory
                file = pathlib.PurePath(member.name)
                if member.isfile() and file.suffix == ".xml" and file.parent.name in classes:
                    for box in _in_annotation(archive, member, classes):
                        yield f"{file.stem}.JPEG", box
    except (tarfile.TarError, EOFError, OSError, ElementTree.ParseError, ValueError, zlib.error) as error:
        raise DamagedDataError(f"{path} can't be read: {error!r}. Download it again.") from error


def _in_annotation(archive: tarfile.TarFile, member: tarfile.TarInfo, classes: frozenset[str]) -> Iterator[Box]:
    content = archive.extractfile(member)
    assert content is not None  # it is a file
    annotation = ElementTree.fromstring(content.read())
    width, height = (float(annotation.findtext(f"size/{side}", "nan")) for side in ("width", "height"))
    for thing in annotation.iter("object"):
        # A dog's box may carry a plain word such as Scottish_deerhound; only another class's id tells another thing.
        if thing.findtext("name") not in classes - {pathlib.PurePath(member.name).parent.name}:
            x = sorted(_clipped(thing, corner, width) for corner in ("xmin", "xmax"))
            y = sorted(_clipped(thing, corner, height) for corner in ("ymin", "ymax"))
            yield Box(x[0], y[0], x[1], y[1])


def _clipped(thing: ElementTree.Element, corner: str, length: float) -> float:
    share = float(thing.findtext(f"bndbox/{corner}", "nan")) / length
    if share != share:
        raise ValueError(f"an annotation without {corner} or size")
    return min(max(share, 0.0), 1.0)
