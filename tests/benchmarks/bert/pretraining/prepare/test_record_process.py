"""The records are those that the reference's script made of the same text, bit for bit."""

import dataclasses
import json
import pathlib
from typing import Any

import pytest
import tensorflow as tf

from tests.benchmarks.bert.pretraining.prepare import small_text
from tfperf.benchmarks.bert.pretraining.prepare.instances import Instance
from tfperf.benchmarks.bert.pretraining.prepare.recipe import Recipe
from tfperf.benchmarks.bert.pretraining.prepare.record import Serializer
from tfperf.benchmarks.bert.pretraining.prepare.record_process import RecordProcesses, TextFile, records
from tfperf.benchmarks.text import vocabulary as vocabularies
from tfperf.errors import DamagedDataError

GOLDEN = json.loads((pathlib.Path(__file__).parents[4] / "golden/pretraining_records.json").read_text(encoding="utf-8"))


def text_file(folder: pathlib.Path, case: dict[str, Any]) -> TextFile:
    path = folder / "text"
    path.write_text(small_text.text(case["seed"], documents=case["documents"]), encoding="utf-8")
    recipe = Recipe(sequence_length=case["sequence_length"], predictions=case["predictions"])
    return TextFile(path=path, vocabulary=small_text.vocabulary_file(folder), recipe=recipe)


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: f"length {case['sequence_length']}")
def test_records_are_those_of_the_reference(case: dict[str, Any], tmp_path: pathlib.Path) -> None:
    text = text_file(tmp_path, case)
    vocabulary = vocabularies.read(text.vocabulary)
    made = records(text, vocabulary)
    assert (len(made), small_text.digest(made)) == (case["records"], case["sha256"])
    picked = records(dataclasses.replace(text, picked=case["picked"]), vocabulary)
    if len(made) >= case["picked"]:
        assert (len(picked), small_text.digest(picked)) == (case["picked"], case["picked_sha256"])
    else:  # the reference takes some twice, which would count them twice
        assert picked == made


def test_a_record_holds_the_features_of_the_reference(tmp_path: pathlib.Path) -> None:
    case = next(case for case in GOLDEN["cases"] if case["sequence_length"] == 32)
    text = text_file(tmp_path, case)
    first = tf.train.Example.FromString(records(text, vocabularies.read(text.vocabulary))[0]).features.feature
    found = {name: list(first[name].int64_list.value or first[name].float_list.value) for name in sorted(first)}
    assert found == GOLDEN["first_record"]


def test_a_process_makes_the_same_records(tmp_path: pathlib.Path) -> None:
    text = text_file(tmp_path, GOLDEN["cases"][0])
    assert list(RecordProcesses().records(text)) == records(text, vocabularies.read(text.vocabulary))


def test_a_process_says_what_is_wrong_with_the_text(tmp_path: pathlib.Path) -> None:
    text = text_file(tmp_path, GOLDEN["cases"][0])
    text.path.write_bytes(b"fine\nnot \xff fine\n")
    with pytest.raises(DamagedDataError) as raised:
        list(RecordProcesses().records(text))
    assert str(raised.value) == (
        f"{text.path}: line 2: byte 0xff is not UTF-8. Convert the file to UTF-8, or download it again."
    )


def test_an_ended_process_makes_no_records(tmp_path: pathlib.Path) -> None:
    processes = RecordProcesses()
    processes.end()
    with pytest.raises((RuntimeError, BrokenPipeError)):
        list(processes.records(text_file(tmp_path, GOLDEN["cases"][0])))


def test_bytes_are_those_of_a_sorted_example() -> None:
    recipe = Recipe(sequence_length=300, predictions=5)
    instance = Instance([2, 300, 127, 3, 128, 20_000, 3], 4, [1, 5], [299, 16_384], True)
    values = {
        "input_ids": [*instance.ids, *[0] * 293],
        "input_mask": [1] * 7 + [0] * 293,
        "segment_ids": [0] * 4 + [1] * 3 + [0] * 293,
        "masked_lm_positions": [1, 5, 0, 0, 0],
        "masked_lm_ids": [299, 16_384, 0, 0, 0],
        "next_sentence_labels": [1],
    }
    features = {name: tf.train.Feature(int64_list=tf.train.Int64List(value=value)) for name, value in values.items()}
    features["masked_lm_weights"] = tf.train.Feature(float_list=tf.train.FloatList(value=[1, 1, 0, 0, 0]))
    wanted = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)
    assert Serializer(recipe, pieces=30_522).record(instance) == wanted
