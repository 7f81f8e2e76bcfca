"""A vocabulary of word pieces."""

from __future__ import annotations

import collections
import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Mapping, Sequence

from tfperf import git_lfs
from tfperf.errors import DamagedDataError, MissingDataError, UsageError

PADDING, UNKNOWN, CLASSIFY, SEPARATOR, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
SPECIAL = (PADDING, UNKNOWN, CLASSIFY, SEPARATOR, MASK)
"""The pieces that every vocabulary of BERT holds."""

_NAMES_IN_A_MESSAGE = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """The word pieces in the order of their ids.

    Args:
        pieces: no two are alike, none is empty, and those of `SPECIAL` are among them.
        name: the file that it was read from, or another name for messages.
    """

    pieces: tuple[str, ...]
    name: str

    def __post_init__(self) -> None:
        defects = list(_defects(self.pieces))
        if defects:
            raise DamagedDataError(
                f"{self.name} is not a vocabulary of BERT: {'; '.join(defects)}. It must hold one word piece a line, "
                "each once, as the vocab.txt of a BERT checkpoint does."
            )

    @functools.cached_property
    def ids(self) -> Mapping[str, int]:
        """The id of each piece."""
        return {piece: number for number, piece in enumerate(self.pieces)}

    @functools.cached_property
    def digest(self) -> str:
        """The SHA-256 of the pieces, the same whatever the file's line ends."""
        return hashlib.sha256("\n".join(self.pieces).encode("utf-8")).hexdigest()

    def __len__(self) -> int:
        return len(self.pieces)


def read(path: pathlib.Path) -> Vocabulary:
    """Reads a `vocab.txt`: one piece a line, in the order of the ids. Blanks around a piece don't count.

    Raises:
        MissingDataError: the file is not there or can't be read.
        DamagedDataError: it is no vocabulary; says which lines are wrong.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MissingDataError(
            f"The vocabulary {path} can't be read: {error.strerror or error}. Put the vocab.txt of the checkpoint "
            "there."
        ) from error
    if content.startswith(git_lfs.POINTER):
        raise DamagedDataError(
            f"{path} is a Git LFS pointer, not a vocabulary. Run git lfs pull where it comes from, and copy the file."
        )
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DamagedDataError(
            f"{path}, line {line}: byte 0x{content[error.start]:02x} is not UTF-8. Download the vocabulary again, or "
            "convert it to UTF-8."
        ) from error
    # Only a line feed ends a line, as in the original's readline: a piece may be one of Unicode's other separators.
    lines = text.removesuffix("\n").split("\n")
    return Vocabulary(pieces=tuple(line.strip() for line in lines), name=str(path))


def check_size(vocabulary: Vocabulary, expected: int) -> None:
    """Refuses a vocabulary of another size than the encoder's: its ids would mean other pieces, or be out of range.

    Raises:
        UsageError: says both sizes.
    """
    if len(vocabulary) != expected:
        raise UsageError(
            f"{vocabulary.name} has {len(vocabulary):,} word pieces, and model.encoder.vocabulary_size is "
            f"{expected:,}. Take the vocabulary that belongs to the checkpoint, or set vocabulary_size to its size."
        )


def _defects(pieces: Sequence[str]) -> list[str]:
    counts = collections.Counter(pieces)
    empty = [str(number) for number, piece in enumerate(pieces, start=1) if not piece]
    repeated = [repr(piece) for piece, count in counts.items() if count > 1 and piece]
    missing = [piece for piece in SPECIAL if piece not in counts]
    return [
        f"{what} {_listed(names)}"
        for what, names in (("empty lines", empty), ("repeated pieces", repeated), ("missing pieces", missing))
        if names
    ]


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMES_IN_A_MESSAGE
    return ", ".join(names[:_NAMES_IN_A_MESSAGE]) + (f" and {more:,} more" if more > 0 else "")
