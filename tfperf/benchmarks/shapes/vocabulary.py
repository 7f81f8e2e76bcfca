"""The word pieces of captions and questions: each word is one piece."""

from __future__ import annotations

from tfperf.benchmarks.shapes import outlines, scene
from tfperf.benchmarks.text.vocabulary import SPECIAL, Vocabulary

# Besides colors and kinds. The ids of trained models depend on the order: only append, after the kinds.
_WORDS = (
    *("a", "large", "small", "tiny", "left", "right", "of", "above", "below"),
    *("what", "color", "is", "the", "how", "big", "which", "shape", "where", "as", "seen", "from"),
    *(",", "?"),
)

VOCABULARY = Vocabulary(pieces=(*SPECIAL, *_WORDS, *scene.COLORS, *outlines.KINDS), name="the words of captions")
"""All of them, with the special pieces of BERT first."""
