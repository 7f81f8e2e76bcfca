"""The records of pre-training are read strictly, whole and in an order that the seed decides."""

import collections
import dataclasses
import pathlib
import shutil
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.benchmarks.bert.pretraining.prepare import small_text
from tfperf.benchmarks.benchmark import Feed, OpenData
from tfperf.benchmarks.bert.encoder_config import Encoder
from tfperf.benchmarks.bert.pretraining import records
from tfperf.benchmarks.bert.pretraining.options import PretrainingOptions
from tfperf.benchmarks.bert.pretraining.prepare import record_process
from tfperf.benchmarks.bert.pretraining.prepare.recipe import Recipe
from tfperf.benchmarks.bert.pretraining.source import PretrainingRecords
from tfperf.benchmarks.text import vocabulary as vocabularies
from tfperf.errors import DamagedDataError, MissingDataError, UsageError

PIECES = len(small_text.PIECES)
OPTIONS = PretrainingOptions(
    encoder=Encoder(hidden_size=8, layers=1, heads=1, vocabulary_size=PIECES), sequence_length=32, predictions=5
)
TRAIN = tuple(f"part-{number:05d}-of-00003" for number in range(3))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Three training files, the evaluation file and the vocabulary."""
    folder = tmp_path_factory.mktemp("whole")
    vocabulary = vocabularies.read(small_text.vocabulary_file(folder))
    recipe = Recipe(sequence_length=32, predictions=5, duplicates=1)
    for seed, name in enumerate((*TRAIN, "eval_10k")):
        text = folder / "text"
        text.write_text(small_text.text(seed, documents=6), encoding="utf-8")
        job = record_process.TextFile(path=text, vocabulary=folder / "vocab.txt", recipe=recipe)
        write(folder / name, record_process.records(job, vocabulary))
    text.unlink()
    return folder


@pytest.fixture
def folder(whole: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy that may be spoilt."""
    return pathlib.Path(shutil.copytree(whole, tmp_path / "data"))


def write(path: pathlib.Path, found: list[bytes]) -> None:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in found:
            writer.write(record)


def read(path: pathlib.Path) -> list[bytes]:
    return list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())


def opened(folder: pathlib.Path, options: PretrainingOptions = OPTIONS, **source: Any) -> OpenData:
    return records.open_records(PretrainingRecords(**source), options, folder)


def rows(batches: list[Any]) -> list[bytes]:
    """Each example of weight 1, as bytes."""
    found = []
    for inputs, targets, *weights in batches:
        parts = [*inputs.values(), *targets.values()]
        counts = weights[0] if weights else np.ones(len(parts[0]))
        found += [b"".join(part[row].tobytes() for part in parts) for row in np.nonzero(counts)[0]]
    return found


def expected(path: pathlib.Path) -> list[bytes]:
    found = []
    for record in read(path):
        features = tf.train.Example.FromString(record).features.feature
        value = {name: np.array(features[name].int64_list.value, np.int32) for name in features}
        weights = np.array(features["masked_lm_weights"].float_list.value)
        value["masked_lm"] = np.where(weights > 0, value["masked_lm_ids"], -1).astype(np.int32)
        order = ("input_ids", "input_mask", "segment_ids", "masked_lm_positions", "masked_lm", "next_sentence_labels")
        found.append(b"".join(value[name].tobytes() for name in order))
    return found


@pytest.mark.parametrize("pipelines", [1, 2, 3, 4])
def test_evaluation_sees_each_record_once(whole: pathlib.Path, pipelines: int) -> None:
    data = opened(whole)
    feeds = [Feed(batch_size=4, pipelines=pipelines, index=index, deterministic=True) for index in range(pipelines)]
    shares = [list(data.evaluation(feed).as_numpy_iterator()) for feed in feeds]
    assert len({len(share) for share in shares}) == 1
    assert {len(weights) for share in shares for _, _, weights in share} == {4}
    wanted = expected(whole / "eval_10k")
    assert collections.Counter(rows([batch for share in shares for batch in share])) == collections.Counter(wanted)
    assert data.eval_examples == len(wanted)


def test_a_batch_has_the_types_that_the_model_takes(whole: pathlib.Path) -> None:
    inputs, targets = next(opened(whole).train(Feed(batch_size=2)).as_numpy_iterator())
    assert {name: (array.dtype.name, array.shape) for name, array in inputs.items()} == {
        "input_ids": ("int32", (2, 32)),
        "input_mask": ("int32", (2, 32)),
        "segment_ids": ("int32", (2, 32)),
        "masked_lm_positions": ("int32", (2, 5)),
    }
    assert {name: (array.dtype.name, array.shape) for name, array in targets.items()} == {
        "masked_lm": ("int32", (2, 5)),
        "next_sentence": ("int32", (2,)),
    }


@pytest.mark.parametrize("pipelines", [1, 2, 4])
def test_training_reads_all_records_in_another_order_in_each_epoch(whole: pathlib.Path, pipelines: int) -> None:
    data = opened(whole)
    wanted = collections.Counter(row for name in TRAIN for row in expected(whole / name))
    assert data.train_examples == sum(wanted.values())
    seen: list[bytes] = []
    for index in range(pipelines):
        feed = Feed(batch_size=1, pipelines=pipelines, index=index, seed=7, deterministic=True)
        batches = data.train(feed).as_numpy_iterator()
        share = data.train_examples // pipelines if pipelines != 2 else None
        if pipelines == 2:
            share = sum(len(read(whole / name)) for name in TRAIN[index::2])
        elif pipelines == 4:
            share = len(range(index, data.train_examples, 4))
        assert share is not None
        first, second = (rows([next(batches) for _ in range(share)]) for _ in range(2))
        assert (sorted(first), first != second) == (sorted(second), True)
        seen += first
    assert collections.Counter(seen) == wanted


def test_the_seed_decides_the_order(whole: pathlib.Path) -> None:
    def first(seed: int) -> list[bytes]:
        feed = Feed(batch_size=4, seed=seed, deterministic=True)
        return rows(list(opened(whole).train(feed).take(5).as_numpy_iterator()))

    assert first(1) == first(1)
    assert first(1) != first(2)


def test_more_pipelines_than_records_are_refused(folder: pathlib.Path) -> None:
    for name in TRAIN:
        write(folder / name, read(folder / name)[:1])
    with pytest.raises(MissingDataError, match=r"3 training examples can't be shared by 4 pipelines"):
        opened(folder).train(Feed(batch_size=1, pipelines=4, index=3))


def changed(record: bytes, **values: list[float] | None) -> bytes:
    example = tf.train.Example.FromString(record)
    for name, value in values.items():
        if value is None:
            del example.features.feature[name]
        elif name == "masked_lm_weights":
            example.features.feature[name].float_list.value[:] = value
        else:
            example.features.feature[name].int64_list.value[:] = [int(number) for number in value]
    return bytes(example.SerializeToString())


SPOILT = {
    "missing": ({"segment_ids": None}, "lacks segment_ids. Accepted are the features of MLPerf's reference: "),
    "labels": ({"next_sentence_labels": [2]}, "next_sentence_labels holds 2, accepted are 0 to 1."),
    "ids": (
        {"input_ids": [PIECES, *[0] * 31]},
        f"input_ids holds {PIECES}, accepted are 0 to {PIECES - 1}. The vocabulary is another: set "
        "model.encoder.vocabulary_size to its size.",
    ),
    "masked ids": ({"masked_lm_ids": [-1] * 5}, f"masked_lm_ids holds -1, accepted are 0 to {PIECES - 1}."),
    "positions": ({"masked_lm_positions": [32] * 5}, "masked_lm_positions holds 32, accepted are 0 to 31."),
    "weights": ({"masked_lm_weights": [0.5] * 5}, "masked_lm_weights must be 0 or 1. Prepare the data again."),
    "short": (
        {"input_mask": [1] * 16},
        "input_mask holds 16 values, model.sequence_length is 32. Pass --set model.sequence_length=16, or prepare the "
        "data with --sequence_length=32.",
    ),
    "few": (
        {"masked_lm_ids": [1] * 4},
        "masked_lm_ids holds 4 values, model.predictions is 5. Pass --set model.predictions=4, or prepare the data "
        "with --predictions=5.",
    ),
    "empty": ({"input_ids": []}, "input_ids holds no values of its type. Prepare the data again."),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_first_record_that_does_not_fit_is_refused_at_once(folder: pathlib.Path, case: str) -> None:
    values, message = SPOILT[case]
    first, *others = read(folder / "eval_10k")
    write(folder / "eval_10k", [changed(first, **values), *others])  # type: ignore[arg-type]
    with pytest.raises((DamagedDataError, UsageError)) as raised:
        opened(folder)
    assert str(raised.value).startswith(f"{folder}/eval_10k record 0: {message}")


@pytest.mark.parametrize("case", SPOILT)
def test_a_later_record_that_does_not_fit_is_named(folder: pathlib.Path, case: str) -> None:
    values, message = SPOILT[case]
    found = read(folder / TRAIN[1])
    write(folder / TRAIN[1], [*found[:2], changed(found[2], **values), *found[3:]])  # type: ignore[arg-type]
    data = opened(folder)
    with pytest.raises(tf.errors.OpError) as raised:
        list(data.train(Feed(batch_size=1)).take(data.train_examples))
    diagnosed = data.diagnose(raised.value)
    assert isinstance(diagnosed, DamagedDataError)
    assert str(diagnosed).startswith(f"unusable records: 1\n  {folder}/{TRAIN[1]} record 2: {message}")
    assert str(diagnosed).endswith("\nReplace them, or prepare the data again.")
    assert data.diagnose(ValueError("another")) is None


def test_damaged_files_are_named(folder: pathlib.Path) -> None:
    data = opened(folder)
    content = bytearray((folder / TRAIN[2]).read_bytes())
    content[-20] ^= 1
    (folder / TRAIN[2]).write_bytes(content)
    with pytest.raises(tf.errors.DataLossError) as raised:
        list(data.train(Feed(batch_size=1)).take(data.train_examples))
    assert str(data.diagnose(raised.value)).startswith(f"damaged files: 1\n  {folder}/{TRAIN[2]}: corrupted record at ")
    (folder / TRAIN[2]).write_bytes(content[:-30])
    with pytest.raises(DamagedDataError, match=f"{TRAIN[2]}: record .* does not end within the file's"):
        opened(folder)
    (folder / TRAIN[2]).write_bytes(b"")
    with pytest.raises(DamagedDataError, match=f"{TRAIN[2]} holds no record. Prepare the data again.$"):
        opened(folder)


@pytest.mark.parametrize(
    ("absent", "source", "message"),
    [
        (TRAIN[:1], {}, "{folder}: 1 of 3 training files are missing: part-00000-of-00003. Write them with "),
        (TRAIN, {}, "{folder} holds no training file such as part-00000-of-00500. Write them with "),
        (
            (),
            {"train_shards": 500},
            "{folder} must hold 500 training files; it holds some of 3. Pass --set "
            "data.source.tfrecords.train_shards=3, or another folder.",
        ),
        (
            (),
            {"eval_file": "eval"},
            "{folder}/eval is missing: the records of the evaluation. Pass --set "
            "data.source.tfrecords.eval_file=eval_10k.",
        ),
    ],
)
def test_missing_files_are_named(
    folder: pathlib.Path, absent: tuple[str, ...], source: dict[str, Any], message: str
) -> None:
    for name in absent:
        (folder / name).unlink()
    with pytest.raises(MissingDataError) as raised:
        opened(folder, **source)
    assert str(raised.value).startswith(message.format(folder=folder))


def test_another_vocabulary_is_refused(folder: pathlib.Path) -> None:
    larger = dataclasses.replace(OPTIONS, encoder=dataclasses.replace(OPTIONS.encoder, vocabulary_size=PIECES + 128))
    with pytest.raises(UsageError) as raised:
        opened(folder, larger)
    assert str(raised.value) == (
        f"{folder}/vocab.txt has {PIECES} word pieces, model.encoder.vocabulary_size is {PIECES + 128}. Accepted are "
        f"{PIECES} to {PIECES + 127}. Pass --set model.encoder.vocabulary_size={PIECES}."
    )
    (folder / "counts.json").write_text('{"vocabulary": {"pieces": 9, "sha256": "other"}}')
    with pytest.raises(
        DamagedDataError, match=r"vocab.txt is not the vocabulary of the records beside it, which had 9"
    ):
        opened(folder)


def test_counts_that_are_wrong_are_found(folder: pathlib.Path) -> None:
    size = (folder / TRAIN[0]).stat().st_size
    (folder / "counts.json").write_text(f'{{"train": {{"{TRAIN[0]}": 3}}, "bytes": {{"{TRAIN[0]}": {size}}}}}')
    data = opened(folder)
    assert data.train_examples == 3 + sum(len(read(folder / name)) for name in TRAIN[1:])
    found = data.diagnose(tf.errors.DataLossError(None, None, "any"))
    assert f"{TRAIN[0]} holds {len(read(folder / TRAIN[0]))} records, counts.json says 3." in str(found)


def test_a_folder_is_needed(tmp_path: pathlib.Path) -> None:
    with pytest.raises(MissingDataError, match=r"none was given. Pass --data_dir.$"):
        records.open_records(PretrainingRecords(), OPTIONS, None)
    with pytest.raises(MissingDataError, match=r"nowhere is not a folder"):
        opened(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"eval_file must be the name of a file in the data directory, got '../eval'"):
        PretrainingRecords(eval_file="../eval")
