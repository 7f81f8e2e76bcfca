"""Trains a vocabulary of word pieces on text."""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Callable, Sequence

from tfperf.benchmarks.text.vocabulary import SPECIAL, UNKNOWN

_MOST_CHARACTERS = 1000  # rare ones, such as many of Chinese, become unknown pieces, as with BERT's vocabulary


def train(files: Sequence[pathlib.Path], *, size: int) -> tuple[str, ...]:
    """The pieces of an uncased vocabulary: the special ones, the characters, then what is joined, in that order.

    The same text gives the same vocabulary. With the `tokenizers` package alone it would not: it numbers characters in
    the order of a hash table, and those numbers decide which of two equally frequent pairs is joined first. So they are
    numbered here.

    Args:
        files: text in UTF-8.
        size: pieces. Little text yields fewer, and the characters and the special pieces alone may be more.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    normalizer = normalizers.BertNormalizer()
    characters = _characters(files, normalizer.normalize_str)
    numbered = [*SPECIAL, *characters, *(f"##{character}" for character in characters)]
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        special_tokens=numbered,
        initial_alphabet=characters,
        limit_alphabet=len(characters),
        show_progress=False,
    )
    tokenizer.train([str(path) for path in files], trainer)
    ids = tokenizer.get_vocab()
    return tuple(sorted(ids, key=ids.__getitem__))


def _characters(files: Sequence[pathlib.Path], normalize: Callable[[str], str]) -> list[str]:
    """The most frequent characters, sorted."""
    raw: collections.Counter[str] = collections.Counter()
    for path in files:
        raw.update(path.read_text(encoding="utf-8"))
    counts: collections.Counter[str] = collections.Counter()
    for character, count in raw.items():
        for normal in normalize(character).split():
            counts.update(dict.fromkeys(normal, count))
    frequent = sorted(counts, key=lambda character: (-counts[character], character))
    return sorted(frequent[:_MOST_CHARACTERS])
