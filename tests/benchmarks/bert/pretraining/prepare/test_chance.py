"""The numbers are those of Python's own random module, which the reference uses."""

import random

import pytest

from tfperf.benchmarks.bert.pretraining.prepare.chance import Chance


@pytest.mark.parametrize("seed", [0, 12345])
def test_draws_what_python_draws(seed: int) -> None:
    chance, python = Chance(seed), random.Random(seed)
    for size in (0, 1, 2, 3, 7, 8, 9, 64, 509, 1024):
        mine, wanted = list(range(size)), list(range(size))
        chance.shuffle(mine)
        python.shuffle(wanted)
        assert mine == wanted
        assert chance.share() == python.random()
        assert chance.between(size, 2 * size) == python.randint(size, 2 * size)
