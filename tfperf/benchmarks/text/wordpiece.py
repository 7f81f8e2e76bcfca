"""Text as word pieces, identical to the original's `FullTokenizer` (google-research/bert, tokenization.py).

The `tokenizers` package does the work where it is exact. Texts with a character that it may treat differently take a
slower path, in Python: a capital sigma at the end of a word, ideographs of extension E, private-use characters, and
scripts younger than its tables.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, final

from tfperf.benchmarks.text import basic_words
from tfperf.benchmarks.text.vocabulary import UNKNOWN, Vocabulary

# `max_input_chars_per_word` of the original and of MLPerf Training's copy; transformers has 100.
_LONGEST_WORD = 200
_CONTINUED = "##"

# Characters that every version of Unicode since 8.0 and `tokenizers` 0.23 treat as the original does; the test compares
# them one by one. Latin, Greek but the capital sigma, Cyrillic, punctuation, symbols, kana, ideographs, Hangul.
_EXACT = (
    "\\x00-\\u03a2\\u03a4-\\u052f\\u1e00-\\u206f\\u20a0-\\u20bf\\u2100-\\u218b\\u2190-\\u23fa\\u2460-\\u26ff"
    "\\u3000-\\u30ff\\u4e00-\\u9fd5\\uac00-\\ud7a3\\uff01-\\uffee"
)
_INEXACT = re.compile(f"[^{_EXACT}]")


class Encoded(NamedTuple):
    """The pieces of a text.

    Attributes:
        ids: the id of each piece.
        spans: where each piece comes from: text[start:end] for (start, end). Characters that vanish, such as accents,
            may be left out at the ends.
    """

    ids: list[int]
    spans: list[tuple[int, int]]


@final
class WordPiece:
    """Cuts texts into the pieces of a vocabulary.

    `[SEP]` and the like in a text are text: they are cut into pieces as any other.
    """

    def __init__(self, vocabulary: Vocabulary, *, lower_case: bool = True) -> None:
        """Prepares the vocabulary for look-ups.

        Args:
            vocabulary: the pieces.
            lower_case: whether the vocabulary is uncased: case and accents don't count.
        """
        self.vocabulary = vocabulary
        self.lower_case = lower_case
        self._library = _library(vocabulary, lower_case=lower_case)

    @property
    def fingerprint(self) -> str:
        """Differs between tokenizers that may give different ids."""
        import tokenizers

        facts = ("wordpiece 1", self.vocabulary.digest, self.lower_case, _LONGEST_WORD, tokenizers.__version__)
        return hashlib.sha256(repr(facts).encode()).hexdigest()

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of the pieces of each text."""

        def in_library(exact: list[str]) -> Iterator[list[int]]:
            return (found.ids for found in self._library.encode_batch_fast(exact, add_special_tokens=False))

        return _by_either(texts, in_library, lambda text: self._in_python(text).ids)

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """The pieces of each text, with their places in it."""

        def in_library(exact: list[str]) -> Iterator[Encoded]:
            return (
                Encoded(found.ids, found.offsets)
                for found in self._library.encode_batch(exact, add_special_tokens=False)
            )

        return _by_either(texts, in_library, self._in_python)

    def pieces(self, text: str) -> list[str]:
        """The pieces of one text."""
        return [self.vocabulary.pieces[number] for number in self.ids([text])[0]]

    def _in_python(self, text: str) -> Encoded:
        encoded = Encoded([], [])
        for word in basic_words.split(text, lower_case=self.lower_case):
            for number, start, stop in self._cut(word.text):
                encoded.ids.append(number)
                encoded.spans.append((min(word.places[start:stop]), max(word.places[start:stop]) + 1))
        return encoded

    def _cut(self, word: str) -> list[tuple[int, int, int]]:
        """The pieces of a word, the longest first from its beginning: (id, start, stop) of each."""
        unknown = [(self.vocabulary.ids[UNKNOWN], 0, len(word))]
        if len(word) > _LONGEST_WORD:
            return unknown
        cut: list[tuple[int, int, int]] = []
        start = 0
        while start < len(word):
            mark = _CONTINUED if start else ""
            stops = range(len(word), start, -1)
            stop = next((stop for stop in stops if mark + word[start:stop] in self.vocabulary.ids), None)
            if stop is None:
                return unknown
            cut.append((self.vocabulary.ids[mark + word[start:stop]], start, stop))
            start = stop
        return cut


def _by_either(
    texts: Sequence[str], in_library: Callable[[list[str]], Iterator[Any]], in_python: Callable[[str], Any]
) -> list[Any]:
    """Each text by the library, all together, or by Python where the library may not be exact; in their order."""
    exact = [not _INEXACT.search(text) for text in texts]
    found = in_library([text for text, fits in zip(texts, exact, strict=True) if fits])
    return [next(found) if fits else in_python(text) for text, fits in zip(texts, exact, strict=True)]


def _library(vocabulary: Vocabulary, *, lower_case: bool) -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    model = models.WordPiece(
        dict(vocabulary.ids), unk_token=UNKNOWN, max_input_chars_per_word=_LONGEST_WORD, continuing_subword_prefix="##"
    )
    found = Tokenizer(model)
    found.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=lower_case, lowercase=lower_case
    )
    found.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return found
