"""A small text and its vocabulary, of which the reference script made the records in tests/golden."""

import hashlib
import pathlib
import random
import string
from collections.abc import Iterable, Sequence

from tfperf.benchmarks.text.vocabulary import SPECIAL

WORDS = (
    *("the", "large", "small", "red", "green", "ring", "star", "cross", "moves"),
    *("stands", "left", "right", "of", "above", "and", "then", "never"),
)
PIECES = (
    *SPECIAL,
    *WORDS,
    ",",
    ".",
    "?",
    *string.ascii_lowercase,
    *(f"##{letter}" for letter in string.ascii_lowercase),
)


def vocabulary_file(folder: pathlib.Path) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "vocab.txt"
    path.write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    return path


def text(seed: int, *, documents: int = 12) -> str:
    """Documents of one to nine sentences, some longer than a sequence, with odd blanks, accents and unknown words."""
    chance = random.Random(seed)
    odd = ("Étoile", "x-ray", "  ", "中", "\u200b", "zzz\tqqq", "ring.")
    parts = ["\n\n   \n"]
    for _ in range(documents):
        for _ in range(chance.randint(1, 9)):
            words = [chance.choice(WORDS) for _ in range(chance.choice((1, 5, 8, 12, 90)))]
            words.insert(chance.randint(0, len(words)), chance.choice(odd))
            parts.append(" ".join(words).capitalize() + " .\n")
        parts.append(chance.choice(("\n", "\n\n", " \t\n")))
    return "".join(parts)


def write_source(folder: pathlib.Path, *, files: int = 3, documents: int = 12) -> pathlib.Path:
    """What `prepare wikipedia` reads."""
    vocabulary_file(folder)
    for number in range(files):
        path = folder / f"part-{number:05d}-of-{files:05d}"
        path.write_text(text(number, documents=documents), encoding="utf-8")
    (folder / "eval.txt").write_text(text(99), encoding="utf-8")
    return folder


def digest(records: Iterable[bytes]) -> str:
    found = hashlib.sha256()
    for record in records:
        found.update(hashlib.sha256(record).digest())
    return found.hexdigest()


def contents(folder: pathlib.Path, names: Sequence[str]) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names}
