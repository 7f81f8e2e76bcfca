"""The embedded captions become sequences, cut and masked as MLPerf's text is."""

import collections
from typing import Any

import numpy as np
import pytest

from tfperf import spec
from tfperf.benchmarks.benchmark import Feed, OpenData
from tfperf.benchmarks.bert.encoder_config import Encoder
from tfperf.benchmarks.bert.pretraining import captions, data
from tfperf.benchmarks.bert.pretraining.captions import CaptionExamples
from tfperf.benchmarks.bert.pretraining.options import PretrainingOptions
from tfperf.benchmarks.bert.pretraining.source import ShapeCaptions
from tfperf.benchmarks.shapes.vocabulary import VOCABULARY
from tfperf.errors import ConfigError, MissingDataError

OPTIONS = PretrainingOptions(
    encoder=Encoder(hidden_size=8, layers=1, heads=1, vocabulary_size=len(VOCABULARY)),
    sequence_length=64,
    predictions=10,
)
MASK = VOCABULARY.ids["[MASK]"]


@pytest.fixture(scope="module")
def written() -> CaptionExamples:
    return captions.write("train", 1000, OPTIONS, duplicates=10)


def opened(source: ShapeCaptions, options: PretrainingOptions = OPTIONS, **more: Any) -> OpenData:
    return data.open_data(spec.Data(source=source, **more), options, None)


def unmasked(examples: CaptionExamples) -> np.ndarray:
    ids = examples.input_ids.copy()
    rows, places = np.nonzero(examples.masked_lm >= 0)
    ids[rows, examples.masked_lm_positions[rows, places]] = examples.masked_lm[rows, places]
    return ids


def test_sequences_are_captions_and_questions(written: CaptionExamples) -> None:
    for row, ids in enumerate(unmasked(written)):
        pieces = [VOCABULARY.pieces[number] for number in ids]
        length = int(written.input_mask[row].sum())
        first = int(np.argmax(written.segment_ids[row]))
        assert pieces[0] == "[CLS]"
        assert [place for place, piece in enumerate(pieces) if piece == "[SEP]"] == [first - 1, length - 1]
        assert set(pieces[length:]) <= {"[PAD]"}
        assert "[UNK]" not in pieces


def test_tokens_are_masked_in_the_shares_of_the_reference(written: CaptionExamples) -> None:
    used = written.masked_lm >= 0
    lengths = written.input_mask.sum(axis=1)
    assert used.sum(axis=1).tolist() == [min(10, max(1, round(length * 0.15))) for length in lengths.tolist()]
    rows, places = np.nonzero(used)
    shown = written.input_ids[rows, written.masked_lm_positions[rows, places]]
    assert np.mean(shown == MASK) == pytest.approx(0.8, abs=0.02)
    assert np.mean(shown == written.masked_lm[used]) == pytest.approx(0.1, abs=0.02)
    assert 0.4 < written.next_sentence.mean() < 0.65


def test_the_same_sequences_are_written_each_time(written: CaptionExamples) -> None:
    again = captions.write("train", 1000, OPTIONS, duplicates=10)
    assert all((one == other).all() for one, other in zip(written, again, strict=True))
    validation = captions.write("validation", 1000, OPTIONS, duplicates=10)
    assert (validation.input_ids != written.input_ids).any()


@pytest.mark.parametrize("pipelines", [1, 3])
def test_evaluation_sees_each_sequence_once(pipelines: int) -> None:
    found = opened(ShapeCaptions(train_examples=20, eval_examples=50))
    feeds = [Feed(batch_size=8, pipelines=pipelines, index=index) for index in range(pipelines)]
    shares = [list(found.evaluation(feed).as_numpy_iterator()) for feed in feeds]
    assert len({len(share) for share in shares}) == 1
    seen = [
        inputs["input_ids"][row].tobytes() + targets["masked_lm"][row].tobytes()
        for share in shares
        for inputs, targets, weights in share
        for row in np.nonzero(weights)[0]
    ]
    wanted = captions.write("validation", 50, OPTIONS, duplicates=1)
    rows = [ids.tobytes() + words.tobytes() for ids, words in zip(wanted.input_ids, wanted.masked_lm, strict=True)]
    assert collections.Counter(seen) == collections.Counter(rows)


def test_training_repeats_all_sequences_in_another_order() -> None:
    found = opened(ShapeCaptions(train_examples=24, eval_examples=2))
    batches = found.train(Feed(batch_size=8, seed=3, deterministic=True)).as_numpy_iterator()
    first, second = ([row.tobytes() for _ in range(3) for row in next(batches)[0]["input_ids"]] for _ in range(2))
    assert sorted(first) == sorted(second)
    assert first != second
    with pytest.raises(MissingDataError, match="24 training examples can't be shared by 25 pipelines"):
        found.train(Feed(batch_size=1, pipelines=25, index=24))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError) as raised:
        opened(ShapeCaptions(), PretrainingOptions(sequence_length=8, predictions=1))
    assert raised.value.violations == (
        f"model.encoder.vocabulary_size must be {len(VOCABULARY)} for the embedded captions, got 30522.",
        "model.sequence_length must be 16 or more, got 8.",
    )
    with pytest.raises(ConfigError, match=r"^data.skip_corrupt must be 0: no record of text is skipped; got 1.$"):
        opened(ShapeCaptions(), skip_corrupt=1)
    with pytest.raises(ConfigError, match=r"^data.source: got 3. Accepted: PretrainingRecords, ShapeCaptions.$"):
        data.open_data(spec.Data(source=3), OPTIONS, None)
