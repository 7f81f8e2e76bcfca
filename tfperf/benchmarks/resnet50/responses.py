"""What is answered to a sample, the number of a class, and how often that is right."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

# `--dtype float32` of tools/accuracy-imagenet.py (vision/classification_and_detection of mlcommons/inference), which
# reads the bytes as they are; little-endian, as on every machine that LoadGen is built for.
_RESPONSE = np.dtype("<f4")


def respond(outputs: np.ndarray) -> np.ndarray:
    """The most probable class of each sample, counted from 0, as float32 [n, 1].

    Looks at the highest output of a sample only, which is NaN when any is. SingleStream waits for this, so a single
    sample has a way of its own.

    Args:
        outputs: of the model, [n, classes].

    Raises:
        ValueError: a highest output is not finite.
    """
    if len(outputs) == 1:
        number = int(outputs.argmax())
        top = outputs.item(number)
        if top - top != 0:
            raise _not_finite(outputs)
        return np.array([[number]], _RESPONSE)
    if not np.isfinite(outputs.max(axis=1)).all():
        raise _not_finite(outputs)
    numbers: np.ndarray = outputs.argmax(axis=1).astype(_RESPONSE)
    return numbers.reshape(-1, 1)


def score(responses: Mapping[int, bytes], labels: np.ndarray) -> float:
    """The share of samples whose response is their label: top-1 accuracy, as accuracy-imagenet.py computes it.

    Args:
        responses: sample number -> the bytes of `respond`.
        labels: the classes of all samples, by number.

    Raises:
        ValueError: there is not exactly one response of four bytes for each label, or one is no whole number.
    """
    missing = [number for number in range(len(labels)) if number not in responses]
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(labels)} samples have no response, such as number {missing[0]}. "
            "The accuracy counts over all of them: run it again."
        )
    if len(responses) > len(labels):
        raise ValueError(f"There are {len(responses)} responses and {len(labels)} samples. Pass those of one data set.")
    wrong = [number for number, response in responses.items() if len(response) != _RESPONSE.itemsize]
    if wrong:
        raise ValueError(
            f"A response must be {_RESPONSE.itemsize} bytes, a float32; {len(wrong)} are not, such as that of sample "
            f"{wrong[0]} with {len(responses[wrong[0]])}."
        )
    answers = np.frombuffer(b"".join(responses[number] for number in range(len(labels))), _RESPONSE)
    whole = np.isfinite(answers) & (answers == np.trunc(answers))
    if not whole.all():
        number = int(np.argmin(whole))
        raise ValueError(f"A response must be the number of a class; that of sample {number} is {answers[number]}.")
    return float(np.mean(answers == labels))


def _not_finite(outputs: np.ndarray) -> ValueError:
    tops = outputs.max(axis=1)
    at = int(np.argmin(np.isfinite(tops)))
    return ValueError(
        f"The model's highest output must be a finite number; it is {tops[at]} for sample {at} of {len(outputs)} of "
        "the batch. Take another precision, or other weights."
    )
