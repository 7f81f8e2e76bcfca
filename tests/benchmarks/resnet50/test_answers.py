"""What is answered reads as the class with the highest output, and is counted as the official script counts."""

import json
import pathlib

import numpy as np
import pytest

from tfperf.benchmarks.benchmark import OpenSamples
from tfperf.benchmarks.resnet50 import answers


@pytest.mark.parametrize("samples", [1, 2, 7])
def test_the_response_is_the_number_of_the_class_in_four_bytes(samples: int) -> None:
    outputs = np.random.default_rng(samples).normal(size=(samples, 1000)).astype(np.float32)
    outputs[0, 999] = 10.0
    answered = answers.respond((outputs,), range(len(outputs)))
    assert (answered.shape, answered.dtype.str, answered.flags.c_contiguous) == ((samples, 1), "<f4", True)
    assert [int(np.frombuffer(row.tobytes(), np.float32)[0]) for row in answered] == list(outputs.argmax(axis=1))


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_outputs_that_are_not_finite_are_refused_with_what_was_found(samples: int, bad: float) -> None:
    outputs = np.zeros((samples, 10), np.float32)
    outputs[-1, 4] = bad
    with pytest.raises(ValueError) as caught:
        answers.respond((outputs,), range(len(outputs)))
    assert str(caught.value) == (
        f"The model's highest output must be a finite number; it is {bad} for sample {samples - 1} of {samples} of the "
        "batch. Use another precision, or other weights."
    )


def test_a_row_of_minus_infinity_is_refused_and_a_single_one_accepted() -> None:
    outputs = np.zeros((1, 3), np.float32)
    outputs[0, 0] = -np.inf
    assert answers.respond((outputs,), range(len(outputs))).tolist() == [[1.0]]
    with pytest.raises(ValueError, match="it is -inf for sample 0 of 1"):
        answers.respond((np.full((1, 3), -np.inf, np.float32),), [0])


def samples_of(labels: np.ndarray) -> OpenSamples:
    """Samples without images."""
    return OpenSamples(
        total=len(labels),
        load=lambda indices: [],
        labels=lambda: labels,
        names=lambda: tuple(f"{number}.jpg" for number in range(len(labels))),
        fingerprint="",
    )


def packed(*classes: float) -> dict[int, bytes]:
    return {number: np.float32(each).tobytes() for number, each in enumerate(classes)}


def test_the_score_is_that_of_the_official_script() -> None:
    """accuracy=100 * good / total over the first response of each sample: MultiStream answers some of them again."""
    labels = np.array([65, 970, 230, 809, 516, 57, 334])
    answered = np.array([65, 970, 231, 809, 0, 57, 999], np.float32)
    order = [3, 0, 6, 1, 5, 2, 4, 3, 0]
    log = [{"seq_id": n, "qsl_idx": i, "data": answered[i].tobytes().hex().upper()} for n, i in enumerate(order)]
    entries = json.loads(json.dumps(log))
    first: dict[int, bytes] = {}
    for entry in entries:
        first.setdefault(entry["qsl_idx"], bytes.fromhex(entry["data"]))
    good = sum(int(np.frombuffer(data, np.float32)[0]) == labels[index] for index, data in first.items())
    assert 100.0 * answers.score(first, samples_of(labels)) == pytest.approx(100.0 * good / len(first), abs=1e-12)
    assert good == 4


@pytest.mark.parametrize(
    ("answered", "message"),
    [
        ({}, r"None of 3 samples has a response\."),
        (packed(0, 1, 2, 3), r"There is a response to sample 3, and samples have the numbers 0 to 2\."),
        ({**packed(0, 1, 2), 1: b""}, r"must be 4 bytes, a float32; 1 are not, such as that of sample 1 with 0\."),
        (packed(0, float("nan"), 2), r"must be the number of a class; that of sample 1 is nan\."),
        (packed(0, 1, 2.5), r"must be the number of a class; that of sample 2 is 2\.5\."),
    ],
)
def test_responses_that_are_not_one_class_for_each_sample_are_refused(answered: dict[int, bytes], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        answers.score(answered, samples_of(np.arange(3)))


def test_the_score_counts_over_the_samples_that_were_answered() -> None:
    """TEST01 logs the responses to some of them."""
    answered = {7: np.float32(7).tobytes(), 2: np.float32(3).tobytes()}
    assert answers.score(answered, samples_of(np.arange(10))) == 0.5


def test_the_files_are_those_of_the_official_script_and_give_the_accuracy_again(tmp_path: pathlib.Path) -> None:
    samples, answered = samples_of(np.array([5, 1, 2])), packed(5, 1, 0)
    scoring = answers.SCORING
    quality = scoring.score(answered, samples)
    scoring.write(tmp_path, answered, samples, quality)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(scoring.files)
    assert (tmp_path / "accuracy.txt").read_text() == "accuracy=66.667%, good=2, total=3\n"
    assert (tmp_path / "val_map.txt").read_text() == "0.jpg 5\n1.jpg 1\n2.jpg 2\n"
    assert scoring.recompute is not None
    assert scoring.recompute(tmp_path, answered) == quality
    with pytest.raises(OSError):
        scoring.recompute(tmp_path / "nowhere", answered)


def test_two_answers_agree_when_they_name_the_same_class() -> None:
    one, other = np.float32(1).tobytes(), np.float32(2).tobytes()
    assert (answers.SCORING.agreement(one, one), answers.SCORING.agreement(one, other)) == (1.0, 0.0)
