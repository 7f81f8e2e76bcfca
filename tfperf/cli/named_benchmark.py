"""Looks up the benchmark that a config names, in the working directory too."""

from __future__ import annotations

import os
import sys
from typing import Any

from tfperf import benchmarks, config
from tfperf.cli import quiet


def task(name: str, verb: config.BaseVerb) -> Any:
    """As `benchmarks.task`, but a name with a dot may be a module in the working directory.

    That directory comes last, so no file in it takes the place of an installed package, and not at all for other names:
    a command run in a downloaded folder doesn't run what is there.
    """
    if "." not in name:
        return benchmarks.task(name, verb)
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    with quiet.without_chatter():  # such a module usually imports TensorFlow
        return benchmarks.task(name, verb)
