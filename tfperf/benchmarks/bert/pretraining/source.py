"""Where the text of pre-training comes from, as a config gives it."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import ClassVar

from tfperf.spec.requirement import require


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainingRecords:
    """TFRecords in the reference's layout, such as `tfperf prepare wikipedia` and `tfperf prepare text` write them.

    Training files are `part-00000-of-00500` and so on.

    Args:
        train_shards: number of training files; None takes those that are there, if none is missing.
        eval_file: the file of the evaluation records: `eval_10k` of `prepare wikipedia` and of MLPerf's reference,
            `eval` of `prepare text`.
        cycle_length: files that are read at the same time. Shuffling depends on it.
    """

    KEY: ClassVar[str] = "tfrecords"
    NEEDS_DATA_DIR: ClassVar[bool] = True

    train_shards: int | None = None
    eval_file: str = "eval_10k"
    cycle_length: int = 10

    def __post_init__(self) -> None:
        is_name = bool(self.eval_file) and pathlib.PurePath(self.eval_file).name == self.eval_file
        require(
            (
                self.train_shards is None or self.train_shards > 0,
                "train_shards",
                self.train_shards,
                "1 or more, or null",
            ),
            (is_name, "eval_file", self.eval_file, "the name of a file in the data directory"),
            (self.cycle_length > 0, "cycle_length", self.cycle_length, "1 or more"),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShapeCaptions:
    """The embedded text: captions of scenes and questions about them, written by program in a second or two.

    Args:
        train_examples: sequences in the training split.
        eval_examples: sequences in the validation split.
        duplicates: how often each training scene is used, each time cut and masked in another way.
    """

    KEY: ClassVar[str] = "shape_captions"
    EMBEDDED: ClassVar[bool] = True

    train_examples: int = 16384
    eval_examples: int = 1024
    duplicates: int = 10

    def __post_init__(self) -> None:
        require(
            (self.train_examples > 0, "train_examples", self.train_examples, "1 or more"),
            (self.eval_examples > 0, "eval_examples", self.eval_examples, "1 or more"),
            (self.duplicates > 0, "duplicates", self.duplicates, "1 or more"),
        )


SOURCES = (PretrainingRecords, ShapeCaptions)
