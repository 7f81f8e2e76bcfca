"""TFRecord files as bytes: how many records one holds, and whether it is whole."""

from __future__ import annotations

import os
import pathlib
import struct

import tensorflow as tf

from tfperf.benchmarks.resnet50.reason import reason_of
from tfperf.errors import DamagedDataError

# A record is a length (8 bytes) and its checksum (4), the payload, and the payload's checksum (4).
_LENGTH, _FRAME = struct.Struct("<Q"), 16


def count(path: pathlib.Path) -> int:
    """The records in the file, by their lengths alone: no payload is read.

    Raises:
        DamagedDataError: the file ends in the middle of a record.
    """
    size, offset, records = path.stat().st_size, 0, 0
    with path.open("rb", buffering=0) as file:
        while offset < size:
            length = os.pread(file.fileno(), _LENGTH.size, offset)
            end = offset + _FRAME + _LENGTH.unpack(length)[0] if len(length) == _LENGTH.size else size + 1
            if end > size:
                raise DamagedDataError(
                    f"{path}: record {records} at byte {offset} does not end within the file's {size} bytes."
                    " The file is truncated, or no TFRecord file. Replace it."
                )
            offset, records = end, records + 1
    return records


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
