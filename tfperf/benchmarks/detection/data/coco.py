"""Reads annotations in COCO's json (https://cocodataset.org/#format-data), those of OpenImages for MLPerf too."""

from __future__ import annotations

import array
import collections
import dataclasses
import math
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfperf import git_lfs
from tfperf.benchmarks.detection.data import damage, image_size, json_stream
from tfperf.benchmarks.detection.data.annotations import ClassList
from tfperf.benchmarks.detection.data.assembly import ImageList, RawObjects, assemble, without_unannotated
from tfperf.benchmarks.detection.data.damage import Findings
from tfperf.benchmarks.detection.data.found import AnnotatedSplit, FoundAnnotations
from tfperf.benchmarks.detection.data.sources import CocoFolder
from tfperf.errors import DamagedDataError, MissingDataError

_ARRAYS = ("images", "categories", "annotations")
_SHOWN = 10


class _Misfit(ValueError):
    """What in a file is not COCO's json."""


@dataclasses.dataclass(kw_only=True)
class _Columns:
    """What a file says, in memory that grows with the number of objects and not with their outlines.

    Images and categories that objects name are numbered in the order in which they first occur.
    """

    images: dict[int | str, tuple[str, int, int]] = dataclasses.field(default_factory=dict)
    categories: dict[int, str] = dataclasses.field(default_factory=dict)
    named_images: dict[int | str, int] = dataclasses.field(default_factory=dict)
    named_categories: dict[object, int] = dataclasses.field(default_factory=dict)
    owners: Any = dataclasses.field(default_factory=lambda: array.array("i"))
    kinds: Any = dataclasses.field(default_factory=lambda: array.array("i"))
    corners: Any = dataclasses.field(default_factory=lambda: array.array("d"))
    areas: Any = dataclasses.field(default_factory=lambda: array.array("d"))
    crowd: bytearray = dataclasses.field(default_factory=bytearray)
    ids: Any = dataclasses.field(default_factory=lambda: array.array("q"))

    def add(self, name: str, element: Any) -> None:
        """Adds an element of the array called `name`."""
        if not isinstance(element, dict):
            raise _Misfit(f"holds {str(element)[:40]!r} among its {name}, where COCO has objects")
        {"images": self._add_image, "categories": self._add_category, "annotations": self._add_object}[name](element)

    def _add_image(self, image: Mapping[str, Any]) -> None:
        image_id, file = _id(image, "id", "an image"), image.get("file_name")
        if not isinstance(file, str) or not file or ".." in pathlib.PurePath(file).parts or file.startswith("/"):
            raise _Misfit(f"image {image_id}: file_name is {file!r}, accepted are names inside the folder of images")
        if image_id in self.images:
            raise _Misfit(f"lists image {image_id} twice")
        width, height = (_side(image.get(side)) for side in ("width", "height"))
        self.images[image_id] = (file, width, height)

    def _add_category(self, category: Mapping[str, Any]) -> None:
        number, name = category.get("id"), category.get("name")
        if not isinstance(number, int) or isinstance(number, bool):
            raise _Misfit(f"a category's id is {number!r}, accepted are whole numbers")
        if not isinstance(name, str) or not name:
            raise _Misfit(f"category {number}: its name is {name!r}")
        if number in self.categories or name in self.categories.values():
            raise _Misfit(f"lists category {number} {name!r} twice")
        self.categories[number] = name

    def _add_object(self, thing: Mapping[str, Any]) -> None:
        image_id = _id(thing, "image_id", "an annotation")
        if "bbox" not in thing or "category_id" not in thing:
            raise _Misfit(
                f"an annotation of image {image_id} lacks a bbox or a category_id: it is not one of detection"
            )
        category = thing["category_id"]
        category = category if isinstance(category, (int, str)) else repr(category)
        self.owners.append(self.named_images.setdefault(image_id, len(self.named_images)))
        self.kinds.append(self.named_categories.setdefault(category, len(self.named_categories)))
        self.corners.extend(_corners(thing["bbox"]))
        area = _number(thing.get("area"))
        self.areas.append(area if area > 0 else math.nan)
        self.crowd.append(thing.get("iscrowd") in (1, True))
        annotation_id = thing.get("id")
        usable = isinstance(annotation_id, int) and 0 <= annotation_id < 2**63
        self.ids.append(annotation_id if usable else len(self.ids))


def read(
    source: CocoFolder, folder: pathlib.Path, *, needs_training: bool = True, check_files: bool = True
) -> FoundAnnotations:
    """Reads the annotations of both splits; no image is decoded.

    Classes are numbered in the order of the numbers of their categories, as MLPerf's references number those of COCO
    and OpenImages. Damaged annotations are treated as `damage` says.

    Args:
        source: where what is.
        folder: the data directory.
        needs_training: whether to read the training annotations, which are larger by far.
        check_files: whether to refuse a data set of which image files are missing.

    Raises:
        MissingDataError: a file or folder is missing.
        DamagedDataError: a file is not COCO's json or contradicts itself, or the splits differ in their categories.
    """
    held_out = _columns(folder / source.eval_json, "eval_json")
    numbers = sorted(held_out.categories)
    classes = ClassList(names=tuple(held_out.categories[number] for number in numbers), category_ids=tuple(numbers))
    train = None
    if needs_training:
        columns = _columns(folder / source.train_json, "train_json")
        _check_same_categories(columns, held_out, source, folder)
        train = _assembled(
            columns, classes, folder, json=source.train_json, images=source.train_images, check_files=check_files
        )
        if not source.keep_unannotated:
            train = dataclasses.replace(train, annotations=without_unannotated(train.annotations, train.findings))
        if not len(train.annotations):
            raise MissingDataError(f"{folder / source.train_json} holds no image with an object that can be used.")
    evaluation = _assembled(
        held_out, classes, folder, json=source.eval_json, images=source.eval_images, check_files=check_files
    )
    return FoundAnnotations(folder=folder, classes=classes, train=train, evaluation=evaluation)


def _check_same_categories(train: _Columns, held_out: _Columns, source: CocoFolder, folder: pathlib.Path) -> None:
    if train.categories != held_out.categories:
        differing = sorted(set(train.categories.items()) ^ set(held_out.categories.items()))
        shown = ", ".join(f"{number} {name!r}" for number, name in differing[:_SHOWN])
        raise DamagedDataError(
            f"{folder / source.train_json} and {source.eval_json} list different categories: {shown} are not in both. "
            "Use two files of the same data set."
        )


def _columns(path: pathlib.Path, field: str) -> _Columns:
    if not path.is_file():
        raise MissingDataError(f"{path} is missing. Put it there, or name another file as {field}.")
    if git_lfs.is_pointer(path):
        raise MissingDataError(f"{path} was not fetched: it is a pointer of Git LFS. Run `git lfs pull` there.")
    columns, counts = _Columns(), collections.Counter[str]()
    try:
        for name, element in json_stream.elements(path, _ARRAYS):
            columns.add(name, element)
            counts[name] += 1
    except _Misfit as error:
        raise DamagedDataError(f"{path} {error}.") from error
    except (ValueError, OverflowError) as error:
        raise DamagedDataError(f"{path} is not COCO's json: {error}. Fetch it again.") from error
    lacking = [name for name in ("images", "categories", "annotations") if not counts[name]]
    if lacking:
        raise DamagedDataError(
            f"{path} is not COCO's json: it has no {' and no '.join(lacking)}. Accepted are the annotations of object "
            "detection, such as instances_val2017.json."
        )
    return columns


def _assembled(
    columns: _Columns, classes: ClassList, folder: pathlib.Path, *, json: str, images: str, check_files: bool
) -> AnnotatedSplit:
    findings = Findings()
    ids = list(columns.images)
    files = [file for file, _, _ in columns.images.values()]
    _look_at_files(folder / images, files, findings, refuse=check_files)
    sizes = [
        (width, height) if width and height else image_size.of(folder / images / file)
        for file, width, height in columns.images.values()
    ]
    listed = ImageList(
        image_ids=[str(image_id) for image_id in ids],
        files=[f"{images}/{file}" for file in files],
        widths=[width for width, _ in sizes],
        heights=[height for _, height in sizes],
    )
    objects = _objects(columns, classes, folder / json, findings)
    annotations = assemble(listed, objects, findings)
    findings.check(total=len(columns.owners), place=str(folder / json))
    return AnnotatedSplit(annotations=annotations, findings=findings)


def _objects(columns: _Columns, classes: ClassList, path: pathlib.Path, findings: Findings) -> RawObjects:
    """The objects of listed images; the others are added to the findings."""
    place_of = {image_id: place for place, image_id in enumerate(columns.images)}
    class_of = {number: place for place, number in enumerate(classes.category_ids)}
    owner_of = np.array([place_of.get(image_id, -1) for image_id in columns.named_images], np.int64)
    kind_of = np.array([class_of.get(_as_int(each), -1) for each in columns.named_categories], np.int64)
    owners, kinds = owner_of[np.asarray(columns.owners)], kind_of[np.asarray(columns.kinds)]
    image_ids = list(columns.named_images)
    raw_owners = columns.owners

    def name(number: int) -> str:
        return f"annotation {columns.ids[number]} of image {image_ids[raw_owners[number]]}"

    unknown = np.flatnonzero(kinds < 0)
    if len(unknown):
        strange = list(columns.named_categories)
        shown = [f"{name(number)}: category {strange[columns.kinds[number]]}" for number in unknown[:_SHOWN].tolist()]
        raise DamagedDataError(
            f"{path}: annotations of categories that it does not list: {len(unknown):,}\n"
            + "\n".join(f"  {line}" for line in shown)
            + "\nAdd the categories, or remove the annotations."
        )
    stray = np.flatnonzero(owners < 0)
    findings.add(damage.STRAY, len(stray), [name(number) for number in stray[: findings.room(damage.STRAY)].tolist()])
    kept = np.flatnonzero(owners >= 0)
    corners = np.asarray(columns.corners, np.float64).reshape(-1, 4)[kept]
    return RawObjects(
        owners=owners[kept],
        corners=corners,
        classes=kinds[kept],
        crowd=np.frombuffer(bytes(columns.crowd), np.bool_)[kept],
        difficult=np.zeros(len(kept), np.bool_),
        areas=np.asarray(columns.areas, np.float64)[kept],
        name=lambda number: name(int(kept[number])),
    )


def _look_at_files(folder: pathlib.Path, files: Sequence[str], findings: Findings, *, refuse: bool) -> None:
    """Refuses listed images that are not there, and notes those that are not listed."""
    if not folder.is_dir():
        raise MissingDataError(
            f"{folder} is not a folder. Put the images there, or name another as train_images or eval_images."
        )
    present = {name for name in os.listdir(folder) if not name.startswith(".")}
    absent = [file for file in files if file not in present and not _is_file(folder / file)]
    if absent and refuse:
        more = [f"  ... and {len(absent) - _SHOWN:,} more"] if len(absent) > _SHOWN else []
        lines = "\n".join([*(f"  {file}" for file in absent[:_SHOWN]), *more])
        raise MissingDataError(
            f"{folder}: listed images that are missing: {len(absent):,}\n{lines}\nFetch them, or leave them out with "
            "`tfperf prepare ... --skip_unreadable`."
        )
    unlisted = sorted(name for name in present - set(files) if _is_file(folder / name))
    findings.add(damage.UNLISTED, len(unlisted), unlisted)


def _is_file(path: pathlib.Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # no name that a file can have
        return False


def _id(element: Mapping[str, Any], field: str, kind: str) -> int | str:
    found = element.get(field)
    if isinstance(found, (int, str)) and not isinstance(found, bool):
        return found
    raise _Misfit(f"holds {kind} whose {field} is {found!r}, accepted are numbers and names")


def _as_int(category: object) -> int:
    return category if isinstance(category, int) else -1


def _side(value: object) -> int:
    """Pixels; 0 where none are stated."""
    if isinstance(value, (int, float)) and 0 < value < 2**31 and value == int(value):
        return int(value)
    return 0


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan


def _corners(box: object) -> tuple[float, float, float, float]:
    """X1, y1, x2, y2 of COCO's x, y, width, height."""
    if not isinstance(box, list) or len(box) != 4:
        return (math.nan,) * 4
    x, y, width, height = map(_number, box)
    return x, y, x + width, y + height
