"""Reads a folder in the layout of Pascal VOC (http://host.robots.ox.ac.uk/pascal/VOC/voc2012/)."""

from __future__ import annotations

import collections
import dataclasses
import math
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np

from tfperf.benchmarks.detection.data import damage, image_size
from tfperf.benchmarks.detection.data.annotations import ClassList
from tfperf.benchmarks.detection.data.assembly import ImageList, RawObjects, assemble, without_unannotated
from tfperf.benchmarks.detection.data.damage import Findings
from tfperf.benchmarks.detection.data.found import AnnotatedSplit, FoundAnnotations
from tfperf.benchmarks.detection.data.sources import VocFolder
from tfperf.errors import DamagedDataError, MissingDataError

LISTS = pathlib.PurePath("ImageSets", "Main")
ANNOTATIONS, IMAGES = "Annotations", "JPEGImages"
_HELD_OUT = 5  # without lists, every fifth image
_SUFFIXES = (".jpg", ".jpeg", ".png")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_SHOWN = 10


class _Thing(NamedTuple):
    """One object of an xml file."""

    class_name: str
    corners: tuple[float, ...]
    difficult: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Described:
    """What an xml file says about its image; a side of 0 is not stated."""

    width: int
    height: int
    things: tuple[_Thing, ...]


def read(source: VocFolder, folder: pathlib.Path) -> FoundAnnotations:
    """Reads the annotations of both splits; no image is decoded.

    Corners are taken as they are written, in pixels from the left and upper edge, as MLPerf's reference takes them
    (mlcommons/training, retired_benchmarks/ssd-v1/ssd/utils.py, VOCDetection). Classes are those of the training
    images, in the order of their names. Damaged annotations are treated as `damage` says.

    Raises:
        MissingDataError: a folder, a list, an image or its annotation is missing.
        DamagedDataError: an xml file can't be read, or the held-out images show classes that training lacks.
    """
    annotated = _files(folder, ANNOTATIONS, (".xml",))
    pictured = _files(folder, IMAGES, _SUFFIXES)
    train_ids, eval_ids = _lists(source, folder, sorted(annotated))
    _check_there(folder, [*train_ids, *eval_ids], annotated=annotated, pictured=pictured)
    described = _described(folder, [*train_ids, *eval_ids], annotated)
    classes = _classes(folder, [described[each] for each in train_ids], [described[each] for each in eval_ids])
    splits = []
    for ids in (train_ids, eval_ids):
        findings = Findings()
        files = [f"{IMAGES}/{pictured[image_id]}" for image_id in ids]
        found = [described[image_id] for image_id in ids]
        images = ImageList(image_ids=ids, files=files, **_sizes(folder, files, found))
        objects = _objects(ids, found, classes)
        annotations = assemble(images, objects, findings)
        findings.check(total=len(objects.owners), place=str(folder))
        splits.append(AnnotatedSplit(annotations=annotations, findings=findings))
    train, evaluation = splits
    kept = without_unannotated(train.annotations, train.findings)
    unlisted = sorted(pictured.keys() - {*train_ids, *eval_ids})
    evaluation.findings.add(damage.UNLISTED, len(unlisted), unlisted)
    train = dataclasses.replace(train, annotations=kept)
    return FoundAnnotations(folder=folder, classes=classes, train=train, evaluation=evaluation)


def _files(folder: pathlib.Path, name: str, suffixes: Sequence[str]) -> dict[str, str]:
    """The files of a subfolder by their names without suffix."""
    if not (folder / name).is_dir():
        present = ", ".join(sorted(os.listdir(folder))[:_SHOWN]) or "nothing"
        raise MissingDataError(
            f"{folder} holds no folder {name}, but {present}. Pass the folder that holds {ANNOTATIONS} and {IMAGES}, "
            "such as VOCdevkit/VOC2012."
        )
    paths = (pathlib.PurePath(file) for file in sorted(os.listdir(folder / name)))
    found = [path for path in paths if path.suffix.lower() in suffixes and not path.name.startswith(".")]
    by_stem = {path.stem: path.name for path in found}
    if len(by_stem) < len(found):
        twice = next(path for path in found if by_stem[path.stem] != path.name)
        raise DamagedDataError(
            f"{folder / name} holds both {twice} and {by_stem[twice.stem]}: whose is the annotation? Remove one."
        )
    return by_stem


def _lists(source: VocFolder, folder: pathlib.Path, annotated: Sequence[str]) -> tuple[list[str], list[str]]:
    """The ids of the training and of the held-out images."""
    if not (folder / LISTS).is_dir():
        held_out = list(annotated[_HELD_OUT - 1 :: _HELD_OUT])
        train = [image_id for number, image_id in enumerate(annotated, start=1) if number % _HELD_OUT]
    else:
        train, held_out = (_listed(folder, name) for name in (source.train_list, source.eval_list))
    both = sorted(set(train) & set(held_out))
    if both:
        raise DamagedDataError(
            f"{folder / LISTS}: images in both {source.train_list}.txt and {source.eval_list}.txt: {len(both)}, such "
            f"as {both[0]}. They don't show the quality on held-out data: remove them from one list."
        )
    for name, ids in (("training", train), ("evaluation", held_out)):
        if not ids:
            raise MissingDataError(f"{folder} holds no images for {name}.")
    return train, held_out


def _listed(folder: pathlib.Path, name: str) -> list[str]:
    path = folder / LISTS / f"{name}.txt"
    if not path.is_file():
        others = sorted(each.stem for each in (folder / LISTS).glob("*.txt"))[:_SHOWN]
        raise MissingDataError(
            f"{path} is missing; {LISTS} holds the lists {', '.join(others) or 'of nothing'}. Name two of them as "
            "data.source.voc.train_list and eval_list."
        )
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    ids = [words[0] for line in lines if (words := line.split())]
    twice, times = collections.Counter(ids).most_common(1)[0] if ids else ("", 0)
    if times > 1:
        raise DamagedDataError(f"{path} lists {twice} {times} times. List each image once.")
    return ids


def _check_there(
    folder: pathlib.Path, ids: Sequence[str], *, annotated: dict[str, str], pictured: dict[str, str]
) -> None:
    problems = [f"{each} has no annotation {ANNOTATIONS}/{each}.xml" for each in ids if each not in annotated]
    problems += [f"{each} has no image {IMAGES}/{each}.jpg" for each in ids if each not in pictured]
    if problems:
        raise MissingDataError(_report(f"{folder}: listed images that are incomplete: {len(problems)}", problems))


def _described(folder: pathlib.Path, ids: Sequence[str], annotated: dict[str, str]) -> dict[str, _Described]:
    described, problems = {}, []
    for image_id in ids:
        path = folder / ANNOTATIONS / annotated[image_id]
        try:
            described[image_id] = _parsed(path)
        except (ElementTree.ParseError, ValueError, OSError) as error:
            problems.append(f"{path.name}: {error}")
    if problems:
        raise DamagedDataError(_report(f"{folder / ANNOTATIONS}: damaged annotations: {len(problems)}", problems))
    return described


def _parsed(path: pathlib.Path) -> _Described:
    root = ElementTree.fromstring(path.read_bytes())
    if root.tag != "annotation":
        raise ValueError(f"begins with <{root.tag}>, where Pascal VOC has <annotation>")
    sides = [_number(root.findtext(f"size/{side}", "0")) for side in ("width", "height")]
    if not all(side >= 0 and side.is_integer() for side in sides):
        raise ValueError(f"its size is {sides[0]:g} x {sides[1]:g}")
    return _Described(width=int(sides[0]), height=int(sides[1]), things=tuple(_things(root)))


def _things(root: ElementTree.Element) -> Iterator[_Thing]:
    for number, thing in enumerate(root.findall("object"), start=1):
        name = thing.findtext("name", "").strip()
        if not name:
            raise ValueError(f"object {number} has no name")
        corners = tuple(_number(thing.findtext(f"bndbox/{corner}", "nan")) for corner in _CORNERS)
        yield _Thing(name, corners, difficult=thing.findtext("difficult", "0").strip() == "1")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _classes(folder: pathlib.Path, train: Sequence[_Described], evaluation: Sequence[_Described]) -> ClassList:
    in_train, in_evaluation = (
        {thing.class_name for each in split for thing in each.things} for split in (train, evaluation)
    )
    strangers = sorted(in_evaluation - in_train)
    if strangers:
        raise DamagedDataError(
            f"{folder}: no training image shows {', '.join(strangers[:_SHOWN])}, and held-out images do. Correct the "
            "names or the lists."
        )
    if not in_train:
        raise MissingDataError(f"{folder}: no training image has an object.")
    names = tuple(sorted(in_train))
    return ClassList(names=names, category_ids=tuple(range(1, len(names) + 1)))


def _sizes(folder: pathlib.Path, files: Sequence[str], described: Sequence[_Described]) -> dict[str, list[int]]:
    """The sizes as stated; where none is, the image says it."""
    sides = [
        (each.width, each.height) if each.width and each.height else image_size.of(folder / file)
        for file, each in zip(files, described, strict=True)
    ]
    return {"widths": [width for width, _ in sides], "heights": [height for _, height in sides]}


def _objects(ids: Sequence[str], described: Sequence[_Described], classes: ClassList) -> RawObjects:
    number_of = {name: number for number, name in enumerate(classes.names)}
    places = [(owner, place) for owner, each in enumerate(described) for place in range(len(each.things))]
    things = [thing for each in described for thing in each.things]
    return RawObjects(
        owners=np.array([owner for owner, _ in places], np.int64),
        corners=np.array([thing.corners for thing in things], np.float64).reshape(-1, 4),
        classes=np.array([number_of[thing.class_name] for thing in things], np.int32),
        crowd=np.zeros(len(things), np.bool_),
        difficult=np.array([thing.difficult for thing in things], np.bool_),
        areas=np.full(len(things), np.nan),
        name=_namer(ids, places),
    )


def _namer(ids: Sequence[str], places: Sequence[tuple[int, int]]) -> Callable[[int], str]:
    def name(number: int) -> str:
        owner, place = places[number]
        return f"{ids[owner]} object {place + 1}"

    return name


def _report(title: str, problems: Sequence[str]) -> str:
    more = [f"... and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
    return "\n".join([title, *(f"  {line}" for line in (*problems[:_SHOWN], *more))])
