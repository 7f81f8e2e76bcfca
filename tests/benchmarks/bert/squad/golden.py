"""What the reference makes of a few questions.

The windows are those of create_squad_data.py (language/bert of mlcommons/inference), the answers those of
accuracy-squad.py there, and the scores those of evaluate_v1.1.py, run outside the project.
"""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np

from tfperf.benchmarks.bert.encoder_config import Encoder
from tfperf.benchmarks.bert.squad import text
from tfperf.benchmarks.bert.squad.options import SquadOptions
from tfperf.benchmarks.text.vocabulary import Vocabulary
from tfperf.benchmarks.text.wordpiece import WordPiece

GOLDEN = json.loads((pathlib.Path(__file__).parents[3] / "golden" / "squad.json").read_text())
CASES: list[dict[str, Any]] = GOLDEN["cases"]
CONTENT = json.dumps(GOLDEN["questions"]).encode()


def case_id(case: dict[str, Any]) -> str:
    """A short name."""
    return f"windows of {case['sequence_length']}"


def questions() -> text.QuestionSet:
    """The questions."""
    return text.parse(CONTENT, name="golden.json")


def cutter() -> WordPiece:
    """The tokenizer with their vocabulary."""
    return WordPiece(Vocabulary(pieces=tuple(GOLDEN["vocabulary"]), name="golden"))


def options(case: dict[str, Any]) -> SquadOptions:
    """The options of a case."""
    encoder = Encoder(vocabulary_size=len(GOLDEN["vocabulary"]))
    sizes = {name: case[name] for name in ("sequence_length", "stride", "question_length")}
    return SquadOptions(encoder=encoder, **sizes)


def logits(window: int, size: int) -> np.ndarray:
    """The logits that the reference was given for a window, float32 [size, 2]; many are equal."""
    values = [
        [((window * 131 + token * 37 * (side + 1) + token * token * (3 - side)) % 97) / 8 for side in (0, 1)]
        for token in range(size)
    ]
    return np.array(values, np.float32).reshape(size, 2)
