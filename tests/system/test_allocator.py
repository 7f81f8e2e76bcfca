"""Large blocks that were freed come back without page faults."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
from tfperf.system import allocator

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    b"x" * 40_000_000
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
first = faults()
kept = allocator.keep_freed_memory()
faults()
print(kept, first, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told so")
def test_freed_memory_is_used_again():
    found = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    kept, before, after = found.stdout.split()
    assert kept == "True"
    assert int(before) > 1000
    assert int(after) < 100
