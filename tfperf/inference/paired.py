"""How much quality a compiled form loses, from its answers and those of float32 to the same samples.

The answers are compared in pairs, so only the samples count on which the two differ. Where an answer is right or wrong,
the interval is Tango's score interval for the difference of two paired proportions: T. Tango, "Equivalence test and
confidence interval for the difference in proportions for the paired-sample design", Statistics in Medicine 17 (1998),
891-908. It also holds for few samples, and for samples on which the two never differ. The interval of other scores,
such as F1 of one answer, is that of the mean difference by the normal distribution, but never narrower than Tango's for
answers that never differ. A quality that isn't the mean over its samples is taken from groups of samples.
"""

from __future__ import annotations

import contextlib
import math
import statistics
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import numpy as np

CONFIDENCE = 0.95  # on each side

_GROUPS = 16
_TRIED = 64  # samples
_STEPS = 60  # of bisection
_SAME = 1e-6

Verdict = Literal["kept", "lost", "unproven"]
Score = Callable[[Mapping[int, bytes]], float]


class Loss(NamedTuple):
    """Quality lost against float32: negative where the form is better.

    Attributes:
        value: the loss on the samples.
        low: at least this much is lost, with 95 % confidence.
        high: at most this much is lost, with 95 % confidence.
        samples: the number of samples.
    """

    value: float
    low: float
    high: float
    samples: int

    def verdict(self, allowed: float) -> Verdict:
        """Whether no more than the allowed loss is certain, more is certain, or neither."""
        return "kept" if self.high <= allowed else "lost" if self.low > allowed else "unproven"


def loss(score: Score, answers: Mapping[int, bytes], reference: Mapping[int, bytes]) -> Loss:
    """The loss on the samples that both answered.

    Args:
        score: responses by sample number -> their quality, at best 1.
        answers: the form's responses.
        reference: float32's responses.
    """
    numbers = sorted(answers.keys() & reference.keys())
    forms, references = ({number: whole[number] for number in numbers} for whole in (answers, reference))
    value = score(references) - score(forms)
    differences = _by_sample(score, forms, references)
    if differences is None or abs(float(differences.mean()) + value) > _SAME:
        low, high = _of_groups(score, forms, references)
    elif set(np.unique(differences)) <= {-1.0, 0.0, 1.0}:
        counts = {"won": int((differences > 0).sum()), "lost": int((differences < 0).sum())}
        low, high = tango(**counts, samples=len(numbers))
    else:
        low, high = _of_mean(differences, samples=len(numbers))
    return Loss(value=value, low=-high, high=-low, samples=len(numbers))


def tango(*, won: int, lost: int, samples: int) -> tuple[float, float]:
    """Tango's interval of the difference between two shares of right answers, each limit with 95 % confidence.

    Args:
        won: samples that only the form answers correctly.
        lost: samples that only float32 answers correctly.
        samples: all samples.
    """
    z = _z()
    return (
        _limit(lambda difference: _score(difference, won, lost, samples) > z, -1.0, (won - lost) / samples),
        _limit(lambda difference: _score(difference, won, lost, samples) >= -z, (won - lost) / samples, 1.0),
    )


def _score(difference: float, won: int, lost: int, samples: int) -> float:
    """Tango's statistic, standard normal if this is the difference; it falls as the difference grows."""
    a = 2 * samples
    b = -won - lost + (2 * samples - won + lost) * difference
    c = -lost * difference * (1 - difference)
    only_float32 = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
    variance = samples * (2 * only_float32 + difference * (1 - difference))
    above = won - lost - samples * difference
    return above / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, above) if above else 0.0


def _limit(below: Callable[[float], bool], low: float, high: float) -> float:
    """Where `below`, which is true first and then false, changes between two differences."""
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) else (low, middle)
    return (low + high) / 2


def _by_sample(score: Score, forms: Mapping[int, bytes], references: Mapping[int, bytes]) -> np.ndarray | None:
    """The form's score less float32's for each sample; None where the score is not the mean over samples.

    That is seen on a few samples, since thousands of scores of one sample each may take minutes.
    """
    found: list[float] = []
    try:
        for number in forms:
            same = forms[number] == references[number]
            found.append(0.0 if same else score({number: forms[number]}) - score({number: references[number]}))
            if len(found) == _TRIED:
                some, others = ({n: whole[n] for n in list(forms)[:_TRIED]} for whole in (forms, references))
                if abs(statistics.fmean(found) - (score(some) - score(others))) > _SAME:
                    return None
    except ValueError:  # one sample alone has no score
        return None
    return np.array(found)


def _of_groups(score: Score, forms: Mapping[int, bytes], references: Mapping[int, bytes]) -> tuple[float, float]:
    numbers = list(forms)
    differences = []
    for start in range(min(_GROUPS, len(numbers))):
        group = numbers[start::_GROUPS]
        with contextlib.suppress(ValueError):  # a small group may have no score, such as images without objects
            differences.append(score({n: forms[n] for n in group}) - score({n: references[n] for n in group}))
    return _of_mean(np.array(differences), samples=len(numbers))


def _of_mean(differences: np.ndarray, *, samples: int) -> tuple[float, float]:
    """The interval of their mean by the normal distribution; [-1, 1] for a single one."""
    z, count = _z(), len(differences)
    if count < 2:
        return -1.0, 1.0
    width = max(z * float(differences.std(ddof=1)) / math.sqrt(count), z * z / (samples + z * z))
    mean = float(differences.mean())
    return mean - width, mean + width


def _z() -> float:
    return statistics.NormalDist().inv_cdf(CONFIDENCE)
