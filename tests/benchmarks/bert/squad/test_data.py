import json
import logging
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.benchmarks.bert.squad import golden
from tfperf import spec
from tfperf.benchmarks.benchmark import Feed, OpenData
from tfperf.benchmarks.bert.encoder_config import Encoder
from tfperf.benchmarks.bert.squad.options import SquadOptions
from tfperf.benchmarks.bert.squad.sources import ShapeQuestions, SquadFiles
from tfperf.benchmarks.shapes.vocabulary import VOCABULARY
from tfperf.errors import DamagedDataError, MissingDataError

CASE = golden.CASES[1]
LENGTH, WINDOWS = CASE["sequence_length"], CASE["windows"]
SHAPES = SquadOptions(encoder=Encoder(vocabulary_size=len(VOCABULARY)), sequence_length=64, question_length=16)


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """A data directory with the golden questions to train on and to evaluate."""
    for name in ("train-v1.1.json", "dev-v1.1.json"):
        (tmp_path / name).write_bytes(golden.CONTENT)
    (tmp_path / "vocab.txt").write_text("\n".join(golden.GOLDEN["vocabulary"]), encoding="utf-8")
    return tmp_path


def opened(folder: pathlib.Path, *, skip_corrupt: int = 0) -> OpenData:
    from tfperf.benchmarks.bert.squad.data import open_data

    return open_data(spec.Data(source=SquadFiles(), skip_corrupt=skip_corrupt), golden.options(CASE), folder)


def padded(ids: list[int]) -> list[int]:
    return [*ids, *[0] * (LENGTH - len(ids))]


def batches(make: Callable[[Feed], Any], count: int, **feed: Any) -> list[Any]:
    return list(make(Feed(batch_size=4, **feed)).take(count).as_numpy_iterator())


def key(ids: np.ndarray, target: np.ndarray) -> str:
    return str((ids.tolist(), target.tolist()))


@pytest.mark.parametrize("pipelines", [1, 2])
def test_each_epoch_has_each_window_once_in_another_order(folder: pathlib.Path, pipelines: int) -> None:
    data = opened(folder)
    assert (data.train_examples, data.eval_examples) == (33, 33)
    per_epoch = []
    for index in range(pipelines):
        rows = [
            key(ids, target)
            for inputs, targets in batches(data.train, 17, pipelines=pipelines, index=index, seed=3)
            for ids, target in zip(inputs["input_ids"], targets, strict=True)
        ]
        share = len(range(index, 33, pipelines))
        per_epoch.append((rows[:share], rows[share : 2 * share]))
    expected = sorted(key(np.array(padded(window["ids"])), np.array(window["answer"])) for window in WINDOWS)
    for epoch in (0, 1):
        assert sorted(row for shares in per_epoch for row in shares[epoch]) == expected
    assert per_epoch[0][0] != per_epoch[0][1]


def test_the_order_depends_on_the_seed_alone(folder: pathlib.Path) -> None:
    def first(seed: int) -> list[Any]:
        return [inputs["input_ids"].tolist() for inputs, _ in batches(opened(folder).train, 3, seed=seed)]

    assert first(1) == first(1)
    assert first(1) != first(2)


def test_inputs_are_int32_of_the_whole_length(folder: pathlib.Path) -> None:
    ((inputs, targets),) = batches(opened(folder).train, 1)
    assert {name: (array.dtype.name, array.shape) for name, array in inputs.items()} == {
        name: ("int32", (4, LENGTH)) for name in ("input_ids", "input_mask", "segment_ids")
    }
    assert (targets.dtype.name, targets.shape) == ("int32", (4, 2))


@pytest.mark.parametrize("pipelines", [1, 2, 3])
def test_an_evaluation_has_each_window_once_over_all_pipelines(folder: pathlib.Path, pipelines: int) -> None:
    data = opened(folder)
    seen, counts = [], set()
    for index in range(pipelines):
        dataset = data.evaluation(Feed(batch_size=4, pipelines=pipelines, index=index))
        counts.add(int(dataset.cardinality()))
        for inputs, targets, weights in dataset.as_numpy_iterator():
            assert len(weights) == 4
            for ids, target, weight in zip(inputs["input_ids"], targets, weights, strict=True):
                if weight:
                    assert ids.tolist() == padded(WINDOWS[target[2]]["ids"])
                    seen.append(target[2])
    assert sorted(seen) == list(range(33))
    assert counts == {{1: 9, 2: 5, 3: 3}[pipelines]}


@pytest.mark.parametrize("pipelines", [1, 2])
def test_hosts_score_together_what_the_official_script_scores(folder: pathlib.Path, pipelines: int) -> None:
    data = opened(folder)
    assert data.scorer is not None
    seen = []
    for index in range(pipelines):
        scorer = data.scorer()
        scorer.reset()
        for _, targets, weights in data.evaluation(Feed(batch_size=4, pipelines=pipelines, index=index)):
            logits = np.stack([golden.logits(int(window), LENGTH) for window in targets[:, 2]])
            scorer.update(targets.numpy(), logits, weights.numpy())
        seen.append(scorer.seen())
    expected = CASE["predictions"]["20/30"]["score"]
    assert scorer.result(seen) == {
        "f1": pytest.approx(expected["f1"] / 100),
        "exact_match": pytest.approx(expected["exact_match"] / 100),
    }
    scorer.reset()
    assert scorer.result([scorer.seen()]) == {"f1": 0, "exact_match": 0}


def misplaced(folder: pathlib.Path) -> list[str]:
    """Moves two answers of the training file; returns their lines."""
    content = json.loads(golden.CONTENT)
    for number in (0, 1):
        content["data"][0]["paragraphs"][0]["qas"][number]["answers"][0]["answer_start"] = 0
    (folder / "train-v1.1.json").write_text(json.dumps(content))
    return [
        "q0-0: the answer '1895' is not at character 0 of its context; ' The' is",
        "q0-1: the answer 'Köln' is not at character 0 of its context; ' The' is",
    ]


def test_answers_outside_the_context_are_counted_and_named(folder: pathlib.Path) -> None:
    lines = misplaced(folder)
    with pytest.raises(DamagedDataError) as caught:
        opened(folder, skip_corrupt=1)
    assert str(caught.value) == (
        f"{folder / 'train-v1.1.json'} has 2 questions whose answer does not lie in the context:\n  {lines[0]}\n"
        f"  {lines[1]}\nCorrect them, or leave them out with data.skip_corrupt=2, as MLPerf's reference does."
    )


def test_answers_outside_the_context_may_be_left_out(folder: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = misplaced(folder)
    with caplog.at_level(logging.WARNING, logger="absl"):
        data = opened(folder, skip_corrupt=2)
    assert data.skipped() == tuple(lines)
    assert data.train_examples == sum(window["question"] > 1 for window in WINDOWS)
    assert data.eval_examples == 33
    assert lines[1] in caplog.text


def test_more_pipelines_than_windows_are_refused(folder: pathlib.Path) -> None:
    with pytest.raises(MissingDataError, match=r"^33 training windows can't be shared by 34 pipelines"):
        opened(folder).train(Feed(batch_size=1, pipelines=34))


def test_the_fingerprint_depends_on_the_files(folder: pathlib.Path) -> None:
    first = opened(folder).fingerprint
    assert opened(folder).fingerprint == first
    (folder / "train-v1.1.json").write_bytes(golden.CONTENT + b"\n")
    assert opened(folder).fingerprint != first


def test_embedded_questions_have_their_answers_in_their_windows() -> None:
    from tfperf.benchmarks.bert.squad.data import open_data

    source = ShapeQuestions(train_examples=20, eval_examples=6)
    data = open_data(spec.Data(source=source), SHAPES, None)
    assert data.skipped() == ()
    ((inputs, targets),) = batches(data.train, 1, seed=1)
    for ids, (start, end) in zip(inputs["input_ids"], targets, strict=True):
        pieces = [VOCABULARY.pieces[number] for number in ids]
        context = pieces[pieces.index("[SEP]") + 1 :]
        assert start > pieces.index("[SEP]")
        assert " ".join(pieces[start : end + 1]) in " ".join(context[: context.index("[SEP]")])
