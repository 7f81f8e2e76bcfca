"""`counts.json`, in which `tfperf prepare` notes how many records each file holds."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from tfperf import json_text
from tfperf.benchmarks.records import record_file
from tfperf.errors import DamagedDataError

FILE = "counts.json"
SIZES = "bytes"  # in it: the size of each file when it was counted
SPLITS = ("train", "validation")


def content(data_dir: pathlib.Path) -> Mapping[str, Any]:
    """What `counts.json` says; empty if it is not there or holds something else than an object.

    Raises:
        DamagedDataError: it is not JSON.
    """
    path = data_dir / FILE
    if not path.is_file():
        return {}
    try:
        found = json_text.parse(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DamagedDataError(f"{path} is not JSON: {error}. Delete it: the records will be counted.") from error
    return found if isinstance(found, dict) else {}


def known(data_dir: pathlib.Path) -> Mapping[pathlib.Path, int]:
    """The records of the files that still have the size that they had when they were counted.

    Raises:
        DamagedDataError: `counts.json` is not JSON.
    """
    noted = content(data_dir)
    sizes = _object(noted.get(SIZES))
    found = {
        folder / name: count
        for split in SPLITS
        for name, count in _object(noted.get(split)).items()
        if isinstance(count, int) and count >= 0 and pathlib.PurePath(name).name == name
        for folder in (data_dir, data_dir / split)
    }
    return {file: count for file, count in found.items() if _size(file) == sizes.get(file.name, -1)}


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _size(file: pathlib.Path) -> int | None:
    try:
        return file.stat().st_size if file.is_file() else None
    except (OSError, ValueError):  # no name that a file can have
        return None


def damage(paths: Iterable[pathlib.Path], known: Mapping[pathlib.Path, int]) -> tuple[str, ...]:
    """What is wrong with the files, one line each. Reads all of them, and verifies every checksum.

    Args:
        paths: TFRecord files.
        known: as `known` returned it: a file that holds another number of records is damaged.
    """
    files = tuple(paths)
    lines = [line for path in files if (line := record_file.damage(path))]
    if lines:
        return tuple(lines)
    found = [(path, record_file.count(path), known[path]) for path in files if path in known]
    return tuple(
        f"{path} holds {records} records, {FILE} says {count}. Delete {FILE}: they will be counted."
        for path, records, count in found
        if records != count
    )
