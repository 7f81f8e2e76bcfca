"""What is wrong with the files of a folder, found before a run without decoding them."""

from __future__ import annotations

import collections
from collections.abc import Iterator, Sequence

from absl import logging

from tfperf.benchmarks.images import file_format
from tfperf.benchmarks.images.sources.split import FileEnds, Splits
from tfperf.errors import DamagedDataError

_SHOWN = 10
_MOST_SHARED = 0.01  # of the evaluation images; ImageNet itself has a few photographs twice


def check(splits: Splits, *, skip_corrupt: int) -> None:
    """Reads the ends of the files of a folder, and of no other source.

    Args:
        splits: both splits.
        skip_corrupt: how many files the run may leave out.

    Raises:
        DamagedDataError: more files are no JPEGs, or many evaluation images are training images, too.
    """
    train, evaluation = splits.train.ends(), splits.evaluation.ends()
    foreign = [
        f"{file.path}: {why}"
        for file in (*train, *evaluation)
        if (why := file_format.why_not_jpeg(file.head)) is not None
    ]
    if len(foreign) > skip_corrupt:
        raise DamagedDataError(
            f"{_files(len(foreign))} can't be read as JPEGs:\n{_listed(foreign)}\nConvert them to JPEG, as tfperf "
            f"prepare imagenet does. Open and internal runs may skip them: --set data.skip_corrupt={len(foreign)}."
        )
    shared = [f"{ours.title} is {theirs.title}" for ours, theirs in _in_both(train, evaluation)]
    if not shared:
        return
    message = f"{len(shared)} of {_files(len(evaluation))} for evaluation are training files, too:\n{_listed(shared)}"
    if len(shared) > _MOST_SHARED * len(evaluation):
        raise DamagedDataError(
            f"{message}\nThe quality on them is not one on held-out data: remove them from one split."
        )
    logging.warning("%s", message)


def _in_both(train: Sequence[FileEnds], evaluation: Sequence[FileEnds]) -> Iterator[tuple[FileEnds, FileEnds]]:
    """The evaluation files with the content of a training file, each with that one."""
    alike = collections.defaultdict(list)
    for file in train:
        alike[file.size, file.tail].append(file)
    for file in evaluation:
        candidates = alike.get((file.size, file.tail), [])
        content = file.path.read_bytes() if candidates else b""
        twin = next((each for each in candidates if each.path.read_bytes() == content), None)
        if twin is not None:
            yield file, twin


def _files(count: int) -> str:
    return f"{count:,} file{'' if count == 1 else 's'}"


def _listed(lines: Sequence[str]) -> str:
    more = [f"... and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return "\n".join(f"  {line}" for line in (*lines[:_SHOWN], *more))
