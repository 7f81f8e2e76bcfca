"""What a compiled form loses against float32: intervals with their confidence."""

import math
from collections.abc import Mapping

import numpy as np
import pytest

from tfperf.inference import paired

LIMITS_Z2 = 1.6448536269514722**2


def share_of_ones(responses: Mapping[int, bytes]) -> float:
    return sum(response == b"1" for response in responses.values()) / len(responses)


def answers(right: np.ndarray) -> dict[int, bytes]:
    return {number: b"1" if value else b"0" for number, value in enumerate(right.tolist())}


def test_answers_that_never_differ_prove_as_much_as_their_number_allows():
    low, high = paired.tango(won=0, lost=0, samples=256)
    assert -low == pytest.approx(high) == pytest.approx(LIMITS_Z2 / (256 + LIMITS_Z2))  # Tango's own closed form
    assert high == pytest.approx(0.01046, abs=1e-5)


@pytest.mark.parametrize(
    ("won", "lost", "samples"), [(0, 5, 100), (5, 0, 100), (9, 14, 100), (40, 41, 2000), (3, 3, 6)]
)
def test_each_limit_is_where_the_statistic_is_the_quantile(won, lost, samples):
    low, high = paired.tango(won=won, lost=lost, samples=samples)
    assert low < (won - lost) / samples < high
    assert paired._score(low, won, lost, samples) == pytest.approx(math.sqrt(LIMITS_Z2), rel=1e-4)
    assert paired._score(high, won, lost, samples) == pytest.approx(-math.sqrt(LIMITS_Z2), rel=1e-4)
    mirrored = paired.tango(won=lost, lost=won, samples=samples)
    assert (-mirrored[1], -mirrored[0]) == pytest.approx((low, high))


def test_the_limits_agree_with_the_normal_ones_for_many_samples():
    low, high = paired.tango(won=3000, lost=4000, samples=200_000)
    width = math.sqrt(LIMITS_Z2 * (7000 / 200_000 - (1000 / 200_000) ** 2) / 200_000)
    assert (low, high) == pytest.approx((-0.005 - width, -0.005 + width), rel=0.01)


@pytest.mark.parametrize("samples", [256, 2048])
@pytest.mark.parametrize("differing", [0.02, 0.06])
def test_a_form_at_the_edge_is_wrongly_decided_about_once_in_twenty(samples, differing):
    draw, reference = np.random.default_rng(5), 0.76
    allowed = 0.01 * reference
    lost = (differing + allowed) / 2
    kept = rejected = 0
    for _ in range(1000):
        counts = draw.multinomial(samples, [lost, differing - lost, 1 - differing])
        low, high = paired.tango(won=int(counts[1]), lost=int(counts[0]), samples=samples)
        verdict = paired.Loss(value=0.0, low=-high, high=-low, samples=samples).verdict(allowed)
        kept += verdict == "kept"
        rejected += verdict == "lost"
    assert kept <= 80 and rejected <= 80  # 50, by a normal approximation; up to 75 were seen


def test_neither_keeps_what_loses_too_much_nor_rejects_what_loses_nothing():
    draw, share = np.random.default_rng(6), 0.76
    verdicts: dict[str, list[str]] = {"lossless": [], "loses 1.5 %": []}
    for name, lost in (("lossless", 0.02), ("loses 1.5 %", 0.02 + 0.015 * share)):
        for _ in range(60):
            kinds = draw.choice(4, 2048, p=[lost, 0.02, share - lost, 1 - share - 0.02])
            reference, form = (kinds == 0) | (kinds == 2), (kinds == 1) | (kinds == 2)
            found = paired.loss(share_of_ones, answers(form), answers(reference))
            verdicts[name].append(found.verdict(0.01 * share_of_ones(answers(reference))))
    assert verdicts["lossless"].count("lost") <= 2
    assert verdicts["loses 1.5 %"].count("kept") <= 2
    assert verdicts["lossless"].count("kept") >= 20


def test_says_how_much_is_lost_on_the_samples_that_both_answered():
    found = paired.loss(share_of_ones, answers(np.array([0, 1, 1, 1])), answers(np.array([1, 1, 1, 0, 1, 0, 0])))
    assert found.samples == 4
    assert found.value == 0.0
    assert found.low == pytest.approx(-found.high) and found.low < 0
    worse = paired.loss(share_of_ones, answers(np.zeros(200)), answers(np.ones(200)))
    assert worse.value == 1.0 and worse.low > 0.95
    assert worse.verdict(0.01) == "lost" and worse.verdict(1.0) == "kept"


def test_a_lossless_form_is_not_proven_by_few_samples():
    same = answers(np.ones(16))
    assert paired.loss(share_of_ones, same, same).verdict(0.01) == "unproven"


def test_a_score_between_0_and_1_is_compared_by_its_mean():
    def mean(responses: Mapping[int, bytes]) -> float:
        return float(np.mean([response[0] / 100 for response in responses.values()]))

    draw = np.random.default_rng(7)
    reference = {number: bytes([value]) for number, value in enumerate(draw.integers(20, 100, 400).tolist())}
    worse = {number: bytes([response[0] - 10]) for number, response in reference.items()}
    found = paired.loss(mean, worse, reference)
    assert found.value == pytest.approx(0.1)
    assert found.high - found.low == pytest.approx(2 * LIMITS_Z2 / (400 + LIMITS_Z2))
    assert (found.verdict(0.05), found.verdict(0.2)) == ("lost", "kept")


def test_a_quality_that_needs_several_samples_is_compared_in_groups():
    def deviation(responses: Mapping[int, bytes]) -> float:
        if len(responses) < 2:
            raise ValueError("one sample has no deviation")
        return float(np.std([response[0] / 100 for response in responses.values()]))

    draw = np.random.default_rng(8)
    reference = {number: bytes([value]) for number, value in enumerate(draw.integers(0, 100, 640).tolist())}
    narrower = {number: bytes([50 + (response[0] - 50) // 2]) for number, response in reference.items()}
    found = paired.loss(deviation, narrower, reference)
    assert found.low < found.value < found.high
    assert found.verdict(0.05) == "lost"
    assert paired.loss(deviation, reference, reference).value == 0.0


def test_a_score_that_is_not_a_mean_is_taken_from_groups_after_a_few_samples() -> None:
    asked = []

    def squared(responses: Mapping[int, bytes]) -> float:
        asked.append(len(responses))
        return share_of_ones(responses) ** 2

    draw = np.random.default_rng(3)
    reference, form = answers(draw.random(1600) < 0.8), answers(draw.random(1600) < 0.8)
    found = paired.loss(squared, form, reference)
    assert found.low < found.value < found.high
    assert asked.count(1) <= 2 * 64
    assert asked.count(100) == 2 * 16


def test_a_group_without_a_score_is_left_out() -> None:
    def share(responses: Mapping[int, bytes]) -> float:
        if len(responses) == 1 or (3 in responses and len(responses) < 20):
            raise ValueError("no objects")
        return share_of_ones(responses) ** 2

    draw = np.random.default_rng(3)
    found = paired.loss(share, answers(draw.random(160) < 0.8), answers(draw.random(160) < 0.8))
    assert found.low < found.high
