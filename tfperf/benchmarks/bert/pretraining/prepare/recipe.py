"""How text becomes pre-training records."""

from __future__ import annotations

import dataclasses

from tfperf.spec.requirement import require

_SHORTEST = 5  # [CLS] and two [SEP], and a piece for each segment


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """How text becomes pre-training records; the defaults are MLPerf's (README.md of its BERT reference).

    Args:
        sequence_length: tokens in a record, padding included.
        predictions: most tokens that are masked in a record.
        masked_share: share of the tokens that are masked.
        short_share: share of the documents that are cut into sequences of a random, shorter length.
        duplicates: how often each document is used, each time cut and masked in another way.
        seed: the seed, the same for each file.
    """

    sequence_length: int = 512
    predictions: int = 76
    masked_share: float = 0.15
    short_share: float = 0.1
    duplicates: int = 10
    seed: int = 12345

    def __post_init__(self) -> None:
        require(
            (self.sequence_length >= _SHORTEST, "sequence_length", self.sequence_length, f"{_SHORTEST} or more"),
            (
                0 < self.predictions <= self.sequence_length,
                "predictions",
                self.predictions,
                f"1 to sequence_length={self.sequence_length}",
            ),
            (0 < self.masked_share < 1, "masked_share", self.masked_share, "between 0 and 1"),
            (0 <= self.short_share <= 1, "short_share", self.short_share, "0 to 1"),
            (self.duplicates > 0, "duplicates", self.duplicates, "1 or more"),
        )
