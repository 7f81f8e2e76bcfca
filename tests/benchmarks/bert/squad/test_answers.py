import json
import pathlib
from collections.abc import Mapping

import numpy as np
import pytest

from tests.benchmarks.bert.squad import golden
from tfperf import spec
from tfperf.benchmarks.benchmark import OpenSamples, Ragged
from tfperf.benchmarks.bert.squad import answers
from tfperf.benchmarks.bert.squad.samples import open_samples
from tfperf.benchmarks.bert.squad.sources import SquadFiles

CASE = golden.CASES[0]
OFFICIAL = CASE["predictions"]["20/30"]


@pytest.fixture
def samples(tmp_path: pathlib.Path) -> OpenSamples:
    (tmp_path / "dev-v1.1.json").write_bytes(golden.CONTENT)
    (tmp_path / "vocab.txt").write_text("\n".join(golden.GOLDEN["vocabulary"]), encoding="utf-8")
    return open_samples(spec.Data(source=SquadFiles()), golden.options(CASE), tmp_path)


def responses(samples: OpenSamples) -> dict[int, bytes]:
    """The responses to the golden logits."""
    sizes = [len(ids) for ids, _, _ in samples.load(range(samples.total))]
    return {number: golden.logits(number, size).tobytes() for number, size in enumerate(sizes)}


def test_a_response_has_the_logits_of_its_window_without_padding(samples: OpenSamples) -> None:
    expected, order = responses(samples), [4, 0, 9]
    outputs = np.full((3, 128, 2), np.nan, np.float32)
    for row, number in enumerate(order):
        logits = np.frombuffer(expected[number], np.float32).reshape(-1, 2)
        outputs[row, : len(logits)] = logits
    found = answers.responder(samples)((outputs,), order)
    assert isinstance(found, Ragged)
    cut = [found.buffer.tobytes()[start:end] for start, end in zip(found.offsets, found.offsets[1:], strict=False)]
    assert found.buffer.flags.c_contiguous
    assert cut == [expected[number] for number in order]
    alone = answers.responder(samples)((outputs[:1],), order[:1])
    assert isinstance(alone, np.ndarray)
    assert alone.shape == (1, len(expected[4]) // 4)
    assert alone.tobytes() == expected[4]


@pytest.mark.parametrize("rows", [1, 2])
def test_logits_that_are_not_finite_are_refused(samples: OpenSamples, rows: int) -> None:
    outputs = np.zeros((rows, 128, 2), np.float32)
    outputs[rows - 1, 3, 1] = np.inf
    with pytest.raises(ValueError, match="Use another precision") as caught:
        answers.responder(samples)((outputs,), range(rows))
    assert str(caught.value) == (
        f"The model's logits must be finite numbers; those of 1 of {rows} samples of the batch are not, first of "
        f"sample {rows - 1}. Use another precision, or other weights."
    )


def test_the_score_is_the_official_f1(samples: OpenSamples) -> None:
    assert 100 * answers.score(responses(samples), samples) == pytest.approx(OFFICIAL["score"]["f1"], abs=1e-9)


def test_writes_what_the_official_scripts_write_and_read(samples: OpenSamples, tmp_path: pathlib.Path) -> None:
    given = responses(samples)
    folder = tmp_path / "accuracy"
    folder.mkdir()
    quality = answers.score(given, samples)
    answers.write(folder, given, samples, quality)
    assert sorted(path.name for path in folder.iterdir()) == sorted(answers.SCORING.files)
    assert (folder / "accuracy.txt").read_text() == json.dumps({"exact_match": 0.0, "f1": 100 * quality}) + "\n"
    assert json.loads((folder / "predictions.json").read_text()) == OFFICIAL["answers"]
    assert json.loads((folder / "questions.json").read_text())["version"] == "1.1"
    assert answers.recompute(folder, given) == quality
    some = {number: given[number] for number in (1, 5)}
    assert answers.recompute(folder, some) == answers.score(some, samples)


def test_scores_the_questions_that_have_a_response(samples: OpenSamples) -> None:
    given = responses(samples)
    alone = [answers.score({number: given[number]}, samples) for number in given]  # each question has one window
    assert np.mean(alone) == pytest.approx(answers.score(given, samples))
    assert answers.score({number: given[number] for number in (0, 7)}, samples) == pytest.approx(
        (alone[0] + alone[7]) / 2
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "None of 10 windows has a response. Run the accuracy run again."),
        (
            {10: b""},
            "There is a response to window 10, and windows have the numbers 0 to 9. Pass the responses and the "
            "questions of one data set.",
        ),
        (
            {0: bytes(8)},
            "The response to window 0 must be 536 bytes, two float32 for each of its 67 tokens; got 8.",
        ),
        ({0: np.full(134, np.nan, "<f4").tobytes()}, "The response to window 0 holds a number that is not finite."),
    ],
    ids=["none", "of no window", "too short", "not finite"],
)
def test_says_what_is_wrong_with_responses(samples: OpenSamples, changes: Mapping[int, bytes], message: str) -> None:
    with pytest.raises(ValueError, match="window") as caught:
        answers.score(changes, samples)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"data": []}', "does not say how its questions were cut into windows"),
        ("3", "does not say how its questions were cut into windows"),
        (
            '{"windows": {"sequence_length": 384, "stride": 0, "question_length": 6, "best_answers": 20, '
            '"answer_length": 30, "lower_case": true}}',
            "must be whole numbers from 1",
        ),
        (
            '{"windows": {"sequence_length": 384, "stride": 8, "question_length": 6, "best_answers": 20, '
            '"answer_length": 30, "lower_case": true}}',
            "data must be a list, got nothing",
        ),
    ],
)
def test_files_that_were_changed_can_not_be_scored(tmp_path: pathlib.Path, content: str, message: str) -> None:
    (tmp_path / "questions.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        answers.recompute(tmp_path, {0: b""})


def spans(start: int, end: int) -> bytes:
    """Logits of 40 tokens whose best span is this one."""
    logits = np.zeros((40, 2), np.float32)
    logits[start, 0] = logits[end, 1] = 5
    return logits.tobytes()


@pytest.mark.parametrize(
    ("found", "reference", "expected"),
    [
        ((3, 6), (3, 6), 1.0),
        ((3, 6), (5, 8), 0.5),
        ((3, 6), (3, 3), 0.4),
        ((3, 6), (7, 8), 0.0),
        ((39, 39), (39, 39), 1.0),
    ],
)
def test_forms_agree_as_far_as_their_best_spans_overlap(
    found: tuple[int, int], reference: tuple[int, int], expected: float
) -> None:
    assert answers.agreement(spans(*found), spans(*reference)) == pytest.approx(expected)
