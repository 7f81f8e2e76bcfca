"""The questions of a source, and the tokenizer that belongs to them."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from tfperf.benchmarks import data_directory
from tfperf.benchmarks.bert.squad import text
from tfperf.benchmarks.bert.squad.options import SquadOptions
from tfperf.benchmarks.bert.squad.sources import SOURCES, ShapeQuestions, SquadFiles
from tfperf.benchmarks.bert.squad.text import Answer, AskedQuestion, QuestionSet
from tfperf.benchmarks.text import vocabulary
from tfperf.benchmarks.text.wordpiece import WordPiece
from tfperf.errors import ConfigError

if TYPE_CHECKING:
    from tfperf.benchmarks.shapes import draw

_PHRASE = re.compile(r"a (?:large|small|tiny) (?P<color>\w+) (?P<kind>\w+)")


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
    contexts = tuple(description.caption for description in described)
    questions = [
        AskedQuestion(id=f"{split}-{scene:08d}-{number}", text=asked, context=scene, answers=(answer,))
        for scene, description in enumerate(described)
        for number, (asked, answer) in enumerate(_asked(description))
    ]
    return QuestionSet(
        name=f"questions about the {split} scenes",
        contexts=contexts,
        questions=tuple(questions),
        digest=hashlib.sha256(repr((contexts, questions)).encode()).hexdigest(),
    )


def _asked(description: draw.Description) -> Iterator[tuple[str, Answer]]:
    """The questions about a scene, and a question for each shape whose answer is the shape's phrase.

    Answers go on to the end of the phrase, "red ring" and not "red": they hold a word of the question, which a network
    of two layers learns to find within minutes. The bare property stands one to five tokens before that word.
    """
    caption = description.caption
    phrases = list(_PHRASE.finditer(caption))
    for asked in description.questions:
        phrase = next(phrase for phrase in phrases if asked.answer_start < phrase.end())
        start = min(asked.answer_start, phrase.start("color"))
        yield asked.question, Answer(caption[start : phrase.end()], start)
    for phrase in phrases:
        yield f"which is the {phrase['kind']}?", Answer(phrase[0], phrase.start())
