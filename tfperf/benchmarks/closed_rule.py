"""How a broken rule of the closed division is reported."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator


def broken(name: str, received: object, accepted: str, rule: str) -> str:
    """One violation.

    Args:
        name: the dotted field of the spec.
        received: the value of the field.
        accepted: what the closed division accepts.
        rule: the document that says so.
    """
    return f"{name}: got {received}. Accepted in the closed division: {accepted} ({rule})."


def different(name: str, received: object, fixed: object, rule: str) -> Iterator[str]:
    """A violation for each value that differs from the fixed one; those of a block of options have dotted names.

    Args:
        name: the dotted field of the spec.
        received: the value of the field, which may be a dataclass.
        fixed: the only accepted value.
        rule: the document that says so.
    """
    if dataclasses.is_dataclass(fixed) and type(received) is type(fixed):
        for field in dataclasses.fields(fixed):
            own, other = getattr(received, field.name), getattr(fixed, field.name)
            yield from different(f"{name}.{field.name}", own, other, rule)
    elif received != fixed:
        yield broken(name, received, str(fixed), rule)
