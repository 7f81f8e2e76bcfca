"""Whatever the text, the records or the counts of pre-training hold, they are read or explained, soon."""

import json
import pathlib
import random

import numpy as np
import pytest
import tensorflow as tf

from tests.benchmarks.bert.pretraining.prepare import small_text
from tests.fuzz.mutation import damaged, run_all, seeds, with_an_odd_value
from tfperf.benchmarks.benchmark import Feed
from tfperf.benchmarks.bert.encoder_config import Encoder
from tfperf.benchmarks.bert.pretraining import records
from tfperf.benchmarks.bert.pretraining.options import PretrainingOptions
from tfperf.benchmarks.bert.pretraining.prepare import record_process
from tfperf.benchmarks.bert.pretraining.prepare.recipe import Recipe
from tfperf.benchmarks.bert.pretraining.prepare.record_process import TextFile
from tfperf.benchmarks.bert.pretraining.source import PretrainingRecords
from tfperf.benchmarks.text import vocabulary as vocabularies
from tfperf.errors import DamagedDataError, MissingDataError, UsageError

TEXTS, RECORDS, COUNTS = 150, 30, 40
RECIPE = Recipe(sequence_length=32, predictions=5, duplicates=1)
OPTIONS = PretrainingOptions(
    encoder=Encoder(hidden_size=8, layers=1, heads=1, vocabulary_size=len(small_text.PIECES)),
    sequence_length=RECIPE.sequence_length,
    predictions=RECIPE.predictions,
)


@pytest.fixture
def job(tmp_path: pathlib.Path) -> TextFile:
    return TextFile(path=tmp_path / "text", vocabulary=small_text.vocabulary_file(tmp_path), recipe=RECIPE)


@pytest.fixture
def whole(job: TextFile, tmp_path: pathlib.Path) -> dict[str, bytes]:
    """The content of a training and of the evaluation file."""
    vocabulary = vocabularies.read(job.vocabulary)
    for seed, name in enumerate(("part-00000-of-00001", "eval_10k")):
        job.path.write_text(small_text.text(seed, documents=4), encoding="utf-8")
        with tf.io.TFRecordWriter(str(tmp_path / name)) as writer:
            for record in record_process.records(job, vocabulary):
                writer.write(record)
    return small_text.contents(tmp_path, ("part-00000-of-00001", "eval_10k"))


def test_text_becomes_records_or_a_message(job: TextFile) -> None:
    vocabulary = vocabularies.read(job.vocabulary)

    def use(chance: random.Random) -> None:
        job.path.write_bytes(damaged(small_text.text(chance.randrange(9), documents=4).encode(), chance))
        for record in record_process.records(job, vocabulary):
            features = tf.train.Example.FromString(record).features.feature
            assert max(features["input_ids"].int64_list.value) < len(vocabulary)
            assert len(features["input_ids"].int64_list.value) == RECIPE.sequence_length

    cases = ((f"text {number}", lambda chance=chance: use(chance)) for number, chance in seeds(TEXTS))
    ended = run_all(cases, accepted=(DamagedDataError,))
    assert min(ended["accepted"], ended["DamagedDataError"]) > TEXTS / 10, ended


def test_records_are_read_or_explained(whole: dict[str, bytes], tmp_path: pathlib.Path) -> None:
    def use(chance: random.Random) -> None:
        name = chance.choice(list(whole))
        for other, content in whole.items():
            (tmp_path / other).write_bytes(content)
        if chance.random() < 0.5:
            (tmp_path / name).write_bytes(damaged(whole[name], chance))
        else:  # whole records with damage inside
            found = list(tf.data.TFRecordDataset(str(tmp_path / name)).as_numpy_iterator())
            place = chance.randrange(len(found))
            found[place] = damaged(found[place], chance)
            with tf.io.TFRecordWriter(str(tmp_path / name)) as writer:
                for record in found:
                    writer.write(record)
        data = records.open_records(PretrainingRecords(), OPTIONS, tmp_path)
        try:
            for _ in data.train(Feed(batch_size=1)).take(data.train_examples):
                pass
            seen = sum(np.sum(weights) for _, _, weights in data.evaluation(Feed(batch_size=8)).as_numpy_iterator())
            assert seen == data.eval_examples
        except (tf.errors.OpError, UnicodeDecodeError) as error:  # the latter quotes a garbled name
            explained = data.diagnose(error)
            assert isinstance(explained, DamagedDataError), error
            raise explained from error

    cases = ((f"records {number}", lambda chance=chance: use(chance)) for number, chance in seeds(RECORDS))
    ended = run_all(cases, accepted=(DamagedDataError, UsageError))
    assert ended["DamagedDataError"] > RECORDS / 3, ended


def test_counts_are_used_or_explained(whole: dict[str, bytes], tmp_path: pathlib.Path) -> None:
    sizes = {name: len(content) for name, content in whole.items()}
    counts = {"train": {"part-00000-of-00001": 9}, "validation": {"eval_10k": 3}, "bytes": sizes, "vocabulary": {}}

    def use(chance: random.Random) -> None:
        odd = json.dumps(with_an_odd_value(counts, chance)).encode()
        (tmp_path / "counts.json").write_bytes(odd if chance.random() < 0.7 else damaged(odd, chance))
        records.open_records(PretrainingRecords(), OPTIONS, tmp_path)

    cases = ((f"counts {number}", lambda chance=chance: use(chance)) for number, chance in seeds(COUNTS))
    run_all(cases, accepted=(DamagedDataError, MissingDataError))
