"""Cuts documents into pairs of segments and masks some of their tokens, as MLPerf's reference does.

The rules, and the order in which random numbers are drawn, are those of create_pretraining_data.py, so the same text
and seed give the same instances.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

from tfperf.benchmarks.bert.pretraining.prepare.chance import Chance
from tfperf.benchmarks.bert.pretraining.prepare.recipe import Recipe
from tfperf.benchmarks.text.vocabulary import CLASSIFY, MASK, SEPARATOR, Vocabulary

Document: TypeAlias = Sequence[Sequence[int]]
"""The ids of the pieces of each sentence; no sentence is empty."""

_OTHER_DOCUMENT_TRIES = 10
_MASKED, _KEPT_OF_REST = 0.8, 0.5  # 80 % [MASK], 10 % unchanged, 10 % another piece


class Instance(NamedTuple):
    """One pair of segments: `[CLS]` first `[SEP]` second `[SEP]`.

    Attributes:
        ids: the tokens, some of them masked.
        first: how many of them belong to the first segment, with `[CLS]` and its `[SEP]`.
        positions: where the masked tokens are, ascending.
        labels: what stood there.
        is_random_next: whether the second segment comes from elsewhere.
    """

    ids: list[int]
    first: int
    positions: list[int]
    labels: list[int]
    is_random_next: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tokens:
    """The ids that masking needs to know."""

    classify: int
    separator: int
    mask: int
    count: int

    @classmethod
    def of(cls, vocabulary: Vocabulary) -> Tokens:
        """Those of a vocabulary."""
        ids = vocabulary.ids
        return cls(classify=ids[CLASSIFY], separator=ids[SEPARATOR], mask=ids[MASK], count=len(vocabulary))


def instances(documents: list[Document], tokens: Tokens, recipe: Recipe, chance: Chance) -> Iterator[Instance]:
    """The instances, `recipe.duplicates` times from each document, which are shuffled first.

    The reference shuffles what this returns once more, with the numbers that `chance` gives next.

    Args:
        documents: none is empty; they are left in another order.
        tokens: ids of the vocabulary.
        recipe: lengths and shares.
        chance: the stream of random numbers.
    """
    chance.shuffle(documents)
    for _ in range(recipe.duplicates):
        for number in range(len(documents)):
            yield from _of_document(documents, number, tokens, recipe=recipe, chance=chance)


def _of_document(
    documents: Sequence[Document], number: int, tokens: Tokens, *, recipe: Recipe, chance: Chance
) -> Iterator[Instance]:
    document = documents[number]
    longest = recipe.sequence_length - 3  # without [CLS] and two [SEP]
    target = longest
    if chance.share() < recipe.short_share:
        target = chance.between(2, longest)
    begin = end = length = 0
    while end < len(document):
        length += len(document[end])
        end += 1
        if length < target and end < len(document):
            continue
        sentences = end - begin
        taken = chance.between(1, sentences - 1) if sentences > 1 else 1
        first = _joined(document, begin, begin + taken)
        is_random_next = sentences == 1 or chance.share() < 0.5
        if is_random_next:
            second = _from_elsewhere(documents, number, target - len(first), chance)
            end = begin + taken  # what follows is used by the next instance
        else:
            second = _joined(document, begin + taken, end)
        first, second = _truncated(first, second, longest, chance)
        pair = [tokens.classify, *first, tokens.separator, *second, tokens.separator]
        ids, positions, labels = _masked(pair, len(first), tokens, recipe=recipe, chance=chance)
        yield Instance(ids, len(first) + 2, positions, labels, is_random_next)
        begin, length = end, 0


def _joined(document: Document, begin: int, end: int) -> list[int]:
    return list(itertools.chain.from_iterable(document[begin:end]))


def _from_elsewhere(documents: Sequence[Document], number: int, wanted: int, chance: Chance) -> list[int]:
    """At least `wanted` tokens from a random place of, most likely, another document, if it has as many."""
    for _ in range(_OTHER_DOCUMENT_TRIES):
        other = chance.between(0, len(documents) - 1)
        if other != number:
            break
    document = documents[other]
    found: list[int] = []
    for place in range(chance.between(0, len(document) - 1), len(document)):
        found += document[place]
        if len(found) >= wanted:
            break
    return found


def _truncated(first: list[int], second: list[int], longest: int, chance: Chance) -> tuple[list[int], list[int]]:
    """Both without tokens at their ends, always one less of the longer, until they are short enough together."""
    (begin, end), (second_begin, second_end) = (0, len(first)), (0, len(second))
    for _ in range(len(first) + len(second) - longest):
        at_front = chance.share() < 0.5
        if end - begin > second_end - second_begin:
            begin, end = (begin + 1, end) if at_front else (begin, end - 1)
        else:
            second_begin, second_end = (second_begin + 1, second_end) if at_front else (second_begin, second_end - 1)
    return first[begin:end], second[second_begin:second_end]


def _masked(
    pair: list[int], first: int, tokens: Tokens, *, recipe: Recipe, chance: Chance
) -> tuple[list[int], list[int], list[int]]:
    """The tokens with some masked, where these are, and what stood there."""
    candidates = [*range(1, first + 1), *range(first + 2, len(pair) - 1)]
    chance.shuffle(candidates)
    count = min(recipe.predictions, max(1, round(len(pair) * recipe.masked_share)))
    positions = candidates[:count]
    masked = pair.copy()
    for position in positions:
        if chance.share() < _MASKED:
            masked[position] = tokens.mask
        elif chance.share() >= _KEPT_OF_REST:
            masked[position] = chance.between(0, tokens.count - 1)
    positions.sort()
    return masked, positions, [pair[position] for position in positions]
