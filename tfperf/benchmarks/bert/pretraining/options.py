"""The options of BERT's pre-training."""

from __future__ import annotations

import dataclasses

from tfperf.benchmarks.bert.encoder_config import Encoder
from tfperf.spec.requirement import require


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainingOptions:
    """Masked-LM and next-sentence pre-training; the defaults are MLPerf's.

    Args:
        encoder: the encoder.
        sequence_length: tokens in a sequence, padding included.
        predictions: masked tokens in a sequence, padding included.
        checkpoint: the checkpoint to start from, in the data directory: a TF1 or TF2 checkpoint prefix, or a
            `.safetensors` file; None starts from the initialisers.
    """

    encoder: Encoder = dataclasses.field(default_factory=Encoder)
    sequence_length: int = 512
    predictions: int = 76
    checkpoint: str | None = None

    def __post_init__(self) -> None:
        longest = self.encoder.max_positions
        require(
            (
                0 < self.sequence_length <= longest,
                "sequence_length",
                self.sequence_length,
                f"1 to encoder.max_positions={longest}",
            ),
            (
                0 < self.predictions <= self.sequence_length,
                "predictions",
                self.predictions,
                f"1 to sequence_length={self.sequence_length}",
            ),
            (self.checkpoint != "", "checkpoint", self.checkpoint, "a path, or null"),
        )
