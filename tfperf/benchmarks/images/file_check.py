"""What is wrong with the files of a folder, found before a run without decoding them."""

from __future__ import annotations

import collections
import functools
import hashlib
import pathlib
from collections.abc import Iterator, Mapping, Sequence

from absl import logging

from tfperf.benchmarks.images import file_format
from tfperf.benchmarks.images.diagnosis import listed
from tfperf.benchmarks.images.sources.split import FileEnds, Splits
from tfperf.errors import DamagedDataError

_MOST_SHARED = 0.01  # of the evaluation images; ImageNet itself has a few photographs twice


def check(splits: Splits, *, skip_corrupt: int) -> None:
    """Reads the ends of the files of a folder, and of no other source.

    Args:
        splits: both splits.
        skip_corrupt: how many files the run may leave out.

    Raises:
        DamagedDataError: more files than that are not JPEGs, or many evaluation images are training images, too.
    """
    train, evaluation = splits.train.ends(), splits.evaluation.ends()
    foreign = {
        file.path: why for file in (*train, *evaluation) if (why := file_format.why_not_jpeg(file.head)) is not None
    }
    if len(foreign) > skip_corrupt:
        lines = listed([f"{path}: {why}" for path, why in foreign.items()])
        raise DamagedDataError(
            f"{_files(len(foreign))} can't be read as JPEGs:\n{lines}\nConvert them to JPEG, as tfperf "
            f"prepare imagenet does. Open and internal runs may skip them: --set data.skip_corrupt={len(foreign)}."
        )
    used = [[file for file in half if file.path not in foreign] for half in (train, evaluation)]
    shared = [f"{ours.title} is {theirs.title}" for ours, theirs in _in_both(*used)]
    if not shared:
        return
    message = f"{len(shared)} of {_files(len(evaluation))} for evaluation are training files, too:\n{listed(shared)}"
    if len(shared) > _MOST_SHARED * len(evaluation):
        raise DamagedDataError(f"{message}\nThey don't show the quality on held-out data: remove them from one split.")
    logging.warning("%s", message)


def _in_both(train: Sequence[FileEnds], evaluation: Sequence[FileEnds]) -> Iterator[tuple[FileEnds, FileEnds]]:
    """The evaluation files with the content of a training file, each with the first such file."""
    alike = collections.defaultdict(list)
    for file in train:
        alike[file.size, file.tail].append(file)

    @functools.cache
    def by_content(size: int, tail: bytes) -> Mapping[bytes, FileEnds]:
        return {_digest(file): file for file in reversed(alike[size, tail])}

    for file in evaluation:
        if (file.size, file.tail) in alike:
            twin = by_content(file.size, file.tail).get(_digest(file))
            if twin is not None:
                yield file, twin


def _digest(file: FileEnds) -> bytes:
    return hashlib.sha256(pathlib.Path(file.path).read_bytes()).digest()


def _files(count: int) -> str:
    return f"{count:,} file{'' if count == 1 else 's'}"
