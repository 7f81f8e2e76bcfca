"""The answer to an image: the number of a class, as LoadGen's response, and how often it is right."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from tfperf.benchmarks.benchmark import OpenSamples, Respond, Scoring
from tfperf.benchmarks.tensor import Batch

ACCURACY = "accuracy.txt"
LABELS = "val_map.txt"

# `--dtype float32` of tools/accuracy-imagenet.py (vision/classification_and_detection of mlcommons/inference), which
# reads the bytes as they are; little-endian, as on every machine that LoadGen is built for.
_RESPONSE = np.dtype("<f4")


def responder(samples: OpenSamples) -> Respond:
    """How outputs become responses: the same way for any samples."""
    return respond


def respond(outputs: Batch, indices: Sequence[int]) -> np.ndarray:
    """The most probable class of each sample, counted from 0, as float32 [n, 1].

    Checks only the highest output of a sample, which is NaN when any is. SingleStream waits for this, so a single
    sample takes a shorter path.

    Args:
        outputs: the class probabilities, [n, classes].
        indices: not used.

    Raises:
        ValueError: a highest output is not finite.
    """
    (probabilities,) = outputs
    if len(probabilities) == 1:
        number = int(probabilities.argmax())
        top = probabilities.item(number)
        if top - top != 0:
            raise _not_finite(probabilities)
        return np.array([[number]], _RESPONSE)
    if not np.isfinite(probabilities.max(axis=1)).all():
        raise _not_finite(probabilities)
    numbers: np.ndarray = probabilities.argmax(axis=1).astype(_RESPONSE)
    return numbers.reshape(-1, 1)


def score(responses: Mapping[int, bytes], samples: OpenSamples) -> float:
    """The share of responses that are their sample's label: top-1 accuracy, as accuracy-imagenet.py computes it.

    Args:
        responses: sample number -> the bytes of `respond`.
        samples: the samples that these numbers count.

    Raises:
        ValueError: there is no response, or one that is not four bytes, not a whole number or of no sample.
    """
    return _accuracy(responses, samples.labels())


def write(directory: pathlib.Path, responses: Mapping[int, bytes], samples: OpenSamples, quality: float) -> None:
    """Writes `accuracy.txt` as accuracy-imagenet.py prints it, and `val_map.txt` as it reads it."""
    right, total = round(quality * len(responses)), len(responses)
    line = f"accuracy={100 * quality:.3f}%, good={right}, total={total}\n"
    (directory / ACCURACY).write_text(line, encoding="utf-8")
    lines = [f"{name} {label}\n" for name, label in zip(samples.names(), samples.labels(), strict=True)]
    (directory / LABELS).write_text("".join(lines), encoding="utf-8", errors="surrogateescape")


def recompute(directory: pathlib.Path, responses: Mapping[int, bytes]) -> float:
    """The accuracy by the labels in `val_map.txt`.

    Raises:
        OSError: the file can't be read.
        ValueError: as in `score`, or the file holds no labels.
    """
    lines = (directory / LABELS).read_text(encoding="utf-8").splitlines()
    return _accuracy(responses, np.array([int(line.rpartition(" ")[2]) for line in lines]))


def agreement(response: bytes, reference: bytes) -> float:
    """1 for the same class, otherwise 0."""
    return float(response == reference)


SCORING = Scoring(score=score, write=write, files=(ACCURACY, LABELS), agreement=agreement, recompute=recompute)


def _accuracy(responses: Mapping[int, bytes], labels: np.ndarray) -> float:
    if not responses:
        raise ValueError(f"None of {len(labels)} samples has a response. Run the accuracy run again.")
    numbers = sorted(responses)
    if numbers[0] < 0 or numbers[-1] >= len(labels):
        raise ValueError(
            f"There is a response to sample {numbers[-1]}, and samples have the numbers 0 to {len(labels) - 1}. "
            "Pass the responses and the samples of one data set."
        )
    wrong = [number for number in numbers if len(responses[number]) != _RESPONSE.itemsize]
    if wrong:
        raise ValueError(
            f"A response must be {_RESPONSE.itemsize} bytes, a float32; {len(wrong)} are not, such as that of sample "
            f"{wrong[0]} with {len(responses[wrong[0]])}."
        )
    answers = np.frombuffer(b"".join(responses[number] for number in numbers), _RESPONSE)
    whole = np.isfinite(answers) & (answers == np.trunc(answers))
    if not whole.all():
        at = int(np.argmin(whole))
        raise ValueError(f"A response must be the number of a class; that of sample {numbers[at]} is {answers[at]}.")
    return float(np.mean(answers == labels[numbers]))


def _not_finite(probabilities: np.ndarray) -> ValueError:
    tops = probabilities.max(axis=1)
    at = int(np.argmin(np.isfinite(tops)))
    return ValueError(
        f"The model's highest output must be a finite number; it is {tops[at]} for sample {at} of "
        f"{len(probabilities)} of the batch. Use another precision, or other weights."
    )
