"""What lasts is told again and again, and nothing is told afterwards."""

import threading

import pytest

from tfperf import sign_of_life


def test_tells_the_seconds_that_have_passed() -> None:
    told: list[float] = []
    enough = threading.Event()

    def tell(passed_s: float) -> None:
        told.append(passed_s)
        if len(told) == 3:
            enough.set()

    with sign_of_life.every(0.01, tell):
        assert enough.wait(20)
    count = len(told)
    assert told == sorted(told)
    assert told[0] >= 0.01
    assert not enough.wait(0.05) or len(told) == count


def test_what_is_over_soon_is_not_told() -> None:
    told: list[float] = []
    with pytest.raises(KeyError), sign_of_life.every(20, told.append):
        raise KeyError
    assert told == []
