"""A vocabulary is trained, the same of the same text."""

import pathlib
import subprocess
import sys

from tests.benchmarks.bert.pretraining.prepare import small_text
from tfperf.benchmarks.text import vocabulary_training
from tfperf.benchmarks.text.vocabulary import SPECIAL, Vocabulary


def test_the_same_text_gives_the_same_vocabulary(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "text"
    path.write_text(small_text.text(1, documents=40), encoding="utf-8")
    trained = vocabulary_training.train([path], size=100)
    assert len(Vocabulary(pieces=trained, name="trained")) == 100
    assert trained[: len(SPECIAL)] == SPECIAL
    characters = [piece for piece in trained[len(SPECIAL) :] if len(piece) == 1]
    assert characters == sorted(characters)
    assert "é" not in characters  # an uncased vocabulary has no accents
    program = "import pathlib, sys; from tfperf.benchmarks.text import vocabulary_training\n"
    program += "print(*vocabulary_training.train([pathlib.Path(sys.argv[1])], size=100), sep='\\n')"
    again = subprocess.run([sys.executable, "-c", program, path], check=True, capture_output=True, encoding="utf-8")
    assert tuple(again.stdout.split("\n")[:-1]) == trained
