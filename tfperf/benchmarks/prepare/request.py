"""What every request to prepare a data set must hold."""

from __future__ import annotations

from typing import Any

from tfperf.errors import UsageError


def check_request(request: Any, *, counted: tuple[str, ...]) -> None:
    """Checks what all requests share.

    Args:
        request: has `source`, `data_dir` and the fields that are `counted`.
        counted: fields that must be 1 or more.

    Raises:
        UsageError: a number is too small, or the source is the data directory.
    """
    for name in counted:
        if getattr(request, name) < 1:
            raise UsageError(f"--{name} must be 1 or more, got {getattr(request, name)}.")
    if request.source.resolve() == request.data_dir.resolve():
        raise UsageError(f"--data_dir must differ from --source, got {request.data_dir} for both.")
