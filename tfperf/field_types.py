"""Whether the fields of a dataclass that was read from a file have the types that it declares."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from typing import Any


def check(value: Any) -> None:
    """Checks the fields of a dataclass and of those in it.

    Raises:
        ValueError: names the first field of another type, with its value.
    """
    for name, hint in hints_of(type(value)).items():
        held = getattr(value, name)
        if not _fits(held, hint):
            raise ValueError(f"{name} is {held!r:.80}")


def hints_of(kind: type[Any]) -> dict[str, Any]:
    """The types of the fields of a dataclass."""
    return _hints(kind)  # type: ignore[arg-type]  # mypy doubts that classes are hashable


_hints = functools.cache(typing.get_type_hints)


def _fits(value: Any, hint: Any) -> bool:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if origin in (types.UnionType, typing.Union):
        return any(_fits(value, each) for each in arguments)
    if origin is typing.Literal:
        return any(type(value) is type(each) and value == each for each in arguments)
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(each, arguments[0]) for each in value)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(
            isinstance(key, arguments[0]) and _fits(each, arguments[1]) for key, each in value.items()
        )
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, typing.cast("type[Any]", hint)):
            return False
        check(value)
        return True
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return type(value) is (type(None) if hint is None else hint)
