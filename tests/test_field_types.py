"""A dataclass read from a file is checked against the types that it declares."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import pytest

from tfperf import field_types


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inner:
    value: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outer:
    text: str = ""
    sure: bool = True
    word: Literal["max", "min"] = "max"
    inner: Inner | None = None
    parts: tuple[Inner, ...] = ()
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    anything: Any = None


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"inner": Inner(value=1), "parts": (Inner(value=None), Inner(value=0.5))},
        {"counts": {"a": 1}, "anything": object(), "word": "min"},
    ],
)
def test_what_fits_passes(fields: Mapping[str, Any]) -> None:
    field_types.check(Outer(**fields))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"text": None}, "^text is None$"),
        ({"sure": 1}, "^sure is 1$"),
        ({"word": "mean"}, "^word is 'mean'$"),
        ({"inner": {}}, "^inner is {}$"),
        ({"inner": Inner(value="x")}, "^value is 'x'$"),  # type: ignore[arg-type]
        ({"parts": (Inner(value=True), 3)}, "^value is True$"),
        ({"parts": [Inner(value=1)]}, r"^parts is \["),
        ({"counts": {"a": 1.5}}, "^counts is {'a': 1.5}$"),
        ({"counts": {1: 1}}, "^counts is {1: 1}$"),
    ],
)
def test_what_does_not_fit_is_named(fields: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        field_types.check(Outer(**fields))
