"""Whether a run directory still holds what its manifest lists."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

from tfperf import manifest
from tfperf.compliance.verdict import Violation


def violations(run_dir: pathlib.Path) -> Iterator[Violation]:
    """How the directory differs from its manifest, or that there is none."""
    try:
        found = manifest.differences(run_dir)
    except FileNotFoundError:
        found = ("there is none, so nothing shows that the run wrote these files",)
    except (OSError, ValueError) as error:
        found = (f"it can't be read: {error}",)
    yield from (Violation(message=f"{manifest.NAME}: {difference}.") for difference in found)
