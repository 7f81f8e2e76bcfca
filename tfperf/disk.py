"""Which failures of the operating system mean that nothing more can be written."""

from __future__ import annotations

import errno

_REFUSALS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO})


def refuses_writes(error: OSError) -> bool:
    """Whether the disk is full, over its quota or a limit, read-only or failing."""
    return error.errno in _REFUSALS
