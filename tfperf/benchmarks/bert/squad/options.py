"""The options of question answering on SQuAD."""

from __future__ import annotations

import dataclasses

from tfperf.benchmarks.bert.encoder_config import Encoder
from tfperf.spec.requirement import require


@dataclasses.dataclass(frozen=True, kw_only=True)
class SquadOptions:
    """Question answering with BERT; the defaults are those of MLPerf's BERT-large.

    Args:
        encoder: the encoder.
        sequence_length: tokens in a window, padding included.
        stride: tokens between the beginnings of two windows of one context.
        question_length: tokens that are kept of a question.
        best_answers: start and end positions that are combined to answers.
        answer_length: most tokens in an answer.
        checkpoint: the checkpoint that fine-tuning starts from, as in pre-training; None starts from the initialisers.
    """

    encoder: Encoder = dataclasses.field(default_factory=Encoder)
    sequence_length: int = 384
    stride: int = 128
    question_length: int = 64
    best_answers: int = 20
    answer_length: int = 30
    checkpoint: str | None = None

    def __post_init__(self) -> None:
        longest, room = self.encoder.max_positions, self.sequence_length - self.question_length - 3
        require(
            (
                0 < self.sequence_length <= longest,
                "sequence_length",
                self.sequence_length,
                f"1 to encoder.max_positions={longest}",
            ),
            (self.stride > 0, "stride", self.stride, "1 or more"),
            (self.question_length > 0, "question_length", self.question_length, "1 or more"),
            (
                room > 0,
                "question_length",
                self.question_length,
                f"at most {self.sequence_length - 4}, so that a window has room for context",
            ),
            (self.best_answers > 0, "best_answers", self.best_answers, "1 or more"),
            (self.answer_length > 0, "answer_length", self.answer_length, "1 or more"),
            (self.checkpoint != "", "checkpoint", self.checkpoint, "a path, or null"),
        )
