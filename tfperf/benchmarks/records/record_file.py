"""TFRecord files: where their records are, how to read one of them, and whether a file is complete."""

from __future__ import annotations

import array
import bisect
import os
import pathlib
import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import tensorflow as tf

from tfperf.benchmarks.records.reason import reason_of
from tfperf.errors import DamagedDataError

# A record is a length (8 bytes) and its checksum (4), the payload, and the payload's checksum (4).
_LENGTH, _FRAME = struct.Struct("<Q"), 16


class Part(NamedTuple):
    """`take` records of a file after its first `skip`, the file holding `holds`."""

    path: pathlib.Path
    skip: int
    take: int
    holds: int


class RecordLocation(NamedTuple):
    """The byte at which a record of a file begins, and its number in that file."""

    path: pathlib.Path
    record: int
    offset: int


class Index:
    """Where the records of several files are. A file is read through when the first of its records is needed."""

    def __init__(self, parts: Iterable[Part]) -> None:
        """Nothing is read yet; `parts` are consumed as needed."""
        self._coming = iter(parts)
        self._parts: list[Part] = []
        self._begins: list[int] = []
        self._total = 0
        self._offsets: dict[int, Sequence[int]] = {}

    def find(self, number: int) -> RecordLocation:
        """The location of record `number`, counted from 0 over all parts.

        Raises:
            DamagedDataError: its file ends in the middle of a record, or holds a different number of records.
            IndexError: all parts together hold fewer records.
        """
        while number >= self._total:
            self._take_part(number)
        index = bisect.bisect_right(self._begins, number) - 1
        part = self._parts[index]
        if index not in self._offsets:
            self._offsets[index] = _checked_offsets(part)
        record = part.skip + number - self._begins[index]
        return RecordLocation(part.path, record, self._offsets[index][record])

    def _take_part(self, number: int) -> None:
        part = next(self._coming, None)
        if part is None:
            raise IndexError(f"There is no record {number}: the files hold {self._total}.")
        self._parts.append(part)
        self._begins.append(self._total)
        self._total += part.take


def read(path: tf.Tensor, offset: tf.Tensor) -> tf.Tensor:
    """The record that begins at byte `offset` of the file, its checksums verified; for use in tf.data."""
    found = tf.raw_ops.TFRecordDatasetV2(filenames=[path], compression_type="", buffer_size=0, byte_offsets=[offset])
    records = tf.data.experimental.from_variant(found, tf.TensorSpec([], tf.string))
    return records.take(1).get_single_element()


def count(path: pathlib.Path) -> int:
    """The records in the file, by their lengths alone: no payload is read.

    Raises:
        DamagedDataError: the file ends in the middle of a record.
    """
    return len(_offsets(path))


def _checked_offsets(part: Part) -> Sequence[int]:
    offsets = _offsets(part.path)
    if len(offsets) != part.holds:
        raise DamagedDataError(
            f"{part.path} holds {len(offsets)} records, {part.holds} were expected. Replace it, or correct the count."
        )
    return offsets


def _offsets(path: pathlib.Path) -> Sequence[int]:
    size, offset, offsets = path.stat().st_size, 0, array.array("q")
    with path.open("rb", buffering=0) as file:
        while offset < size:
            length = os.pread(file.fileno(), _LENGTH.size, offset)
            end = offset + _FRAME + _LENGTH.unpack(length)[0] if len(length) == _LENGTH.size else size + 1
            if end > size:
                raise DamagedDataError(
                    f"{path}: record {len(offsets)} at byte {offset} does not end within the file's {size} bytes."
                    " The file is truncated, or is not a TFRecord file. Replace it."
                )
            offsets.append(offset)
            offset = end
    return offsets


def damage(path: pathlib.Path) -> str | None:
    """What is wrong with the file, or None. Reads all of it and verifies every checksum."""
    try:
        count(path)
        for _ in tf.data.TFRecordDataset(str(path)):
            pass
    except DamagedDataError as error:
        return str(error)
    except tf.errors.DataLossError as error:
        return f"{path}: {reason_of(error)}"
    except (OSError, tf.errors.OpError) as error:
        return f"{path} can't be read: {error}"
    return None
