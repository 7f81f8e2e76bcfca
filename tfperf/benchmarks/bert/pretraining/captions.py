"""The embedded text: captions of scenes, each with questions and answers about the scene.

A scene is a document: its caption is the first sentence, and each question with its answer is another. So a masked word
of a caption can often be read in an answer, and the other way round. Documents are cut and masked as MLPerf's text is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tfperf.benchmarks.bert.pretraining.options import PretrainingOptions
from tfperf.benchmarks.bert.pretraining.prepare.chance import Chance
from tfperf.benchmarks.bert.pretraining.prepare.instances import Document, Instance, Tokens, instances
from tfperf.benchmarks.bert.pretraining.prepare.recipe import Recipe
from tfperf.benchmarks.shapes import draw
from tfperf.benchmarks.shapes.vocabulary import VOCABULARY
from tfperf.errors import ConfigError

_WORD = re.compile(r"\w+|[^\w\s]")
_SHORTEST = 16

Integers = npt.NDArray[np.int32]


class CaptionExamples(NamedTuple):
    """Sequences as arrays, n rows each, named as the features of the records of text are."""

    input_ids: Integers
    input_mask: Integers
    segment_ids: Integers
    masked_lm_positions: Integers
    masked_lm: Integers
    next_sentence: Integers


def check(options: PretrainingOptions) -> None:
    """Refuses a model that the captions don't fit.

    Raises:
        ConfigError: its vocabulary has another size, or its sequences are too short.
    """
    size, pieces = options.encoder.vocabulary_size, len(VOCABULARY)
    problems = []
    if size != pieces:
        problems.append(f"model.encoder.vocabulary_size must be {pieces} for the embedded captions, got {size}.")
    if options.sequence_length < _SHORTEST:
        problems.append(f"model.sequence_length must be {_SHORTEST} or more, got {options.sequence_length}.")
    if problems:
        raise ConfigError(tuple(problems))


def write(split: str, examples: int, options: PretrainingOptions, *, duplicates: int) -> CaptionExamples:
    """The sequences of a split.

    Args:
        split: `train` or `validation`.
        examples: how many.
        options: the length of a sequence, and how many of its tokens are masked at most.
        duplicates: how often each scene is used.
    """
    scenes = max(2, -(-examples // duplicates))  # each gives one sequence or more
    recipe = Recipe(sequence_length=options.sequence_length, predictions=options.predictions, duplicates=duplicates)
    chance = Chance(recipe.seed)
    made = list(
        instances([_document(split, number) for number in range(scenes)], Tokens.of(VOCABULARY), recipe, chance)
    )
    chance.shuffle(made)
    return _arrays(made[:examples], options)


def _document(split: str, number: int) -> Document:
    described = draw.description(split, number)
    asked = (f"{each.question} {each.answer}" for each in described.questions)
    return [[VOCABULARY.ids[word] for word in _WORD.findall(sentence)] for sentence in (described.caption, *asked)]


def _arrays(made: list[Instance], options: PretrainingOptions) -> CaptionExamples:
    length, predictions = options.sequence_length, options.predictions
    return CaptionExamples(
        input_ids=_filled((each.ids for each in made), length),
        input_mask=_filled(([1] * len(each.ids) for each in made), length),
        segment_ids=_filled(([0] * each.first + [1] * (len(each.ids) - each.first) for each in made), length),
        masked_lm_positions=_filled((each.positions for each in made), predictions),
        masked_lm=_filled((each.labels for each in made), predictions, filling=-1),
        next_sentence=np.array([each.is_random_next for each in made], np.int32),
    )


def _filled(rows: Iterator[list[int]], length: int, *, filling: int = 0) -> Integers:
    return np.array([row + [filling] * (length - len(row)) for row in rows], np.int32)
