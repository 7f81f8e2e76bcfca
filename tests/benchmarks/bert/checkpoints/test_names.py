"""The variables of BERT are as many, and as large, as published."""

import math
from collections.abc import Sequence

import pytest

from tfperf.benchmarks.bert.checkpoints import names
from tfperf.benchmarks.bert.encoder_config import Encoder

BASE = Encoder(hidden_size=768, layers=12, heads=12, intermediate_size=3072)
BOTH: Sequence[names.Head] = ("pooler", "masked_lm", "next_sentence")


# The paper has 110M and 340M (Devlin et al. 2019, section 3); transformers counts these for its BertModel and
# BertForPreTraining of bert-base-uncased and bert-large-uncased.
@pytest.mark.parametrize(
    ("encoder", "heads", "parameters"),
    [
        (BASE, ("pooler",), 109_482_240),
        (BASE, BOTH, 110_106_428),
        (Encoder(), ("pooler",), 335_141_888),
        (Encoder(), BOTH, 336_226_108),
    ],
)
def test_counts_the_published_parameters(encoder: Encoder, heads: Sequence[names.Head], parameters: int) -> None:
    assert sum(math.prod(shape) for shape in names.shapes(encoder, heads).values()) == parameters
