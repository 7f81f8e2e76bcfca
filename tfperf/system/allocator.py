"""How the C library treats memory that TensorFlow frees on the CPU."""

from __future__ import annotations

import ctypes
import platform

# malloc.h of glibc.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Lets the process keep the memory that it frees, for its next allocations; returns whether it could.

    glibc returns blocks of tens of megabytes, which batches and activations are, to the system at once and has them
    zeroed page by page when they are needed again in the next step. Affects the whole process and can't be undone; its
    peak of memory grows. Does nothing where the C library is another one.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(_M_MMAP_MAX, 0)) and bool(libc.mallopt(_M_TRIM_THRESHOLD, _NEVER))
