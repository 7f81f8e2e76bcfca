"""Where questions come from, as a config gives it."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from tfperf.spec.requirement import require


@dataclasses.dataclass(frozen=True, kw_only=True)
class SquadFiles:
    """Files of SQuAD v1.1 in the data directory; serving reads the training file for calibration only.

    Args:
        train_file: questions to train on.
        eval_file: questions to evaluate.
        vocabulary: the `vocab.txt` of the checkpoint.
        lower_case: whether the vocabulary is uncased.
    """

    KEY: ClassVar[str] = "squad"
    NEEDS_DATA_DIR: ClassVar[bool] = True

    train_file: str = "train-v1.1.json"
    eval_file: str = "dev-v1.1.json"
    vocabulary: str = "vocab.txt"
    lower_case: bool = True

    def __post_init__(self) -> None:
        files = ("train_file", "eval_file", "vocabulary")
        require(*((bool(getattr(self, name)), name, getattr(self, name), "the name of a file") for name in files))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShapeQuestions:
    """The embedded questions: about the captions of scenes, with a vocabulary of the words that occur in them.

    Args:
        train_examples: scenes with questions to train on.
        eval_examples: scenes with questions to evaluate.
    """

    KEY: ClassVar[str] = "shape_questions"
    EMBEDDED: ClassVar[bool] = True

    train_examples: int = 4096
    eval_examples: int = 1024

    def __post_init__(self) -> None:
        require(
            (self.train_examples > 0, "train_examples", self.train_examples, "1 or more"),
            (self.eval_examples > 0, "eval_examples", self.eval_examples, "1 or more"),
        )


SOURCES = (SquadFiles, ShapeQuestions)
