"""The quality of fine-tuning, computed from the logits of all windows: F1 and exact match."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np

from tfperf.benchmarks.bert.squad.predictions import Exam, Span, best_span, predictions
from tfperf.benchmarks.bert.squad.score import score

# What a host sends of each window: its number and its best span. No span starts at token 0, which is [CLS].
_BEST = np.dtype([("window", "<i4"), ("start", "<i4"), ("end", "<i4"), ("score", "<f8")])


@final
class SpanScorer:
    """Answers each window as it is seen, and scores the answers of all hosts together."""

    def __init__(self, exam: Exam) -> None:
        """Knows the questions that are evaluated.

        Args:
            exam: the same on all hosts.
        """
        self._exam = exam
        self._best: list[np.ndarray] = []

    def reset(self) -> None:
        """Forgets everything seen, before an evaluation."""
        self._best.clear()

    def update(self, targets: Any, predictions: Any, weights: np.ndarray) -> None:
        """Adds one batch.

        Args:
            targets: int [n, 3]; the last is the number of the window.
            predictions: float [n, length, 2], the logits of each token.
            weights: [n]; 0 for windows that only pad the batch.
        """
        for window, logits in zip(targets[weights > 0, -1].tolist(), predictions[weights > 0], strict=True):
            span = best_span(logits, window, self._exam) or Span(0, 0, 0.0)
            self._best.append(np.array((window, *span), _BEST))

    def seen(self) -> bytes:
        """The best spans of the windows seen."""
        return b"".join(best.tobytes() for best in self._best)

    def result(self, seen: Sequence[bytes]) -> Mapping[str, float]:
        """`f1` and `exact_match` from 0 to 1, over the questions whose windows were seen."""
        found = np.frombuffer(b"".join(seen), _BEST)
        spans = {
            int(window): Span(int(start), int(end), float(total)) if start else None
            for window, start, end, total in found.tolist()
        }
        questions = self._exam.questions(spans) if spans else []
        scores = score(predictions(spans, self._exam) if spans else {}, questions)
        return {"f1": scores.f1, "exact_match": scores.exact_match}
