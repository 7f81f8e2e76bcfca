"""JSON that may come from anywhere is a value or a ValueError."""

import pytest

from tfperf import json_text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "it is nested too deeply"),
        ("1" + "0" * 400, "100000000000... with 401 digits is not a number that can be used"),
        ("-" + "9" * 5000, "-99999999999... with 5,000 digits is not a number that can be used"),
        ('{"a": ', "Expecting value: line 1 column 7"),
        (b'"\xff"', "can't decode"),
    ],
)
def test_what_can_not_be_used_is_a_value_error(text: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        json_text.parse(text)


def test_everything_else_is_as_json_reads_it() -> None:
    assert json_text.parse('{"a": [1, -2.5, 1e400, null, true, "x"]}') == {
        "a": [1, -2.5, float("inf"), None, True, "x"]
    }
    assert json_text.parse(str(10**300)[:-1]) == 10**299
