"""Checks of the values in a spec."""

from __future__ import annotations


def require(*checks: tuple[bool, str, object, str]) -> None:
    """Raises one ValueError with a line for every (holds, name, received, accepted) that does not hold."""
    failures = [f"{name} must be {accepted}, got {value!r}." for holds, name, value, accepted in checks if not holds]
    if failures:
        raise ValueError("\n".join(failures))
