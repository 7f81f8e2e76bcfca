"""How a broken rule of the closed division is reported."""

from __future__ import annotations


def broken(name: str, received: object, accepted: str, rule: str) -> str:
    """One violation.

    Args:
        name: the dotted field of the spec.
        received: the value of the field.
        accepted: what the closed division accepts.
        rule: the document that says so.
    """
    return f"{name}: got {received}. Accepted in the closed division: {accepted} ({rule})."
