"""The yaml keys that name one of several dataclasses."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any


def key_of(kind: type[Any]) -> str:
    """The key of a dataclass: its attribute `KEY`, otherwise its name in lower case."""
    return str(getattr(kind, "KEY", kind.__name__.lower()))


def members(hint: Any) -> dict[str, type[Any]]:
    """The classes of a union of dataclasses by their yaml keys, or nothing."""
    if isinstance(hint, types.UnionType) and all(map(dataclasses.is_dataclass, typing.get_args(hint))):
        return {key_of(kind): kind for kind in typing.get_args(hint)}
    return {}
