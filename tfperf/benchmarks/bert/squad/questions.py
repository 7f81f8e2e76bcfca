"""The questions of a source, and the tokenizer that belongs to them."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Callable

from tfperf.benchmarks import data_directory
from tfperf.benchmarks.bert.squad import text
from tfperf.benchmarks.bert.squad.options import SquadOptions
from tfperf.benchmarks.bert.squad.sources import SOURCES, ShapeQuestions, SquadFiles
from tfperf.benchmarks.bert.squad.text import Answer, AskedQuestion, QuestionSet
from tfperf.benchmarks.text import vocabulary
from tfperf.benchmarks.text.wordpiece import WordPiece
from tfperf.errors import ConfigError


@dataclasses.dataclass(frozen=True, kw_only=True)
class FoundQuestions:
    """The questions of a source.

    Attributes:
        cutter: the tokenizer.
        training: () -> the questions to train on, read when they are needed.
        evaluation: () -> the questions to evaluate.
        cache_dir: where windows may be kept; None keeps none.
    """

    cutter: WordPiece
    training: Callable[[], QuestionSet]
    evaluation: Callable[[], QuestionSet]
    cache_dir: pathlib.Path | None


def find(source: object, options: SquadOptions, data_dir: pathlib.Path | None) -> FoundQuestions:
    """Finds the questions of `source`; reads the vocabulary and nothing else.

    Raises:
        ConfigError: it is not one of SOURCES.
        MissingDataError: the data directory or the vocabulary is not there.
        DamagedDataError: the vocabulary is damaged.
        UsageError: the vocabulary has another size than the encoder.
    """
    if isinstance(source, ShapeQuestions):
        from tfperf.benchmarks.shapes.vocabulary import VOCABULARY

        found = FoundQuestions(
            cutter=WordPiece(VOCABULARY),
            training=functools.partial(about_shapes, "train", source.train_examples),
            evaluation=functools.partial(about_shapes, "validation", source.eval_examples),
            cache_dir=None,
        )
    elif isinstance(source, SquadFiles):
        folder = data_directory.readable(data_dir, reads="SQuAD")
        found = FoundQuestions(
            cutter=WordPiece(vocabulary.read(folder / source.vocabulary), lower_case=source.lower_case),
            training=functools.partial(text.read, folder / source.train_file),
            evaluation=functools.partial(text.read, folder / source.eval_file),
            cache_dir=folder,
        )
    else:
        accepted = ", ".join(kind.__name__ for kind in SOURCES)
        raise ConfigError((f"data.source: got {source!r}. Accepted: {accepted}.",))
    vocabulary.check_size(found.cutter.vocabulary, options.encoder.vocabulary_size)
    return found


def about_shapes(split: str, scenes: int) -> QuestionSet:
    """The questions about the first scenes of a split of the embedded data: the scenes of the same number there."""
    from tfperf.benchmarks.shapes import draw

    described = [draw.description(split, index) for index in range(scenes)]
    questions = [
        AskedQuestion(
            id=f"{split}-{scene:08d}-{number}",
            text=asked.question,
            context=scene,
            answers=(Answer(asked.answer, asked.answer_start),),
        )
        for scene, description in enumerate(described)
        for number, asked in enumerate(description.questions)
    ]
    return QuestionSet(
        name=f"questions about the {split} scenes",
        contexts=tuple(description.caption for description in described),
        questions=tuple(questions),
        digest=hashlib.sha256(repr(described).encode()).hexdigest(),
    )
