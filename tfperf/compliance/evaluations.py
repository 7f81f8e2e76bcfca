"""The verdict on the directory of an evaluation: whether its files are whole. It is never an MLPerf result."""

from __future__ import annotations

import pathlib

from tfperf import json_text, result
from tfperf.compliance import manifest_check
from tfperf.compliance.verdict import Verdict, Violation, broken

_RESULT = "result.json"


def directories(folder: pathlib.Path) -> list[pathlib.Path]:
    """The directories in `folder`, possibly itself, that an evaluation wrote."""
    return sorted(path.parent for path in folder.rglob(_RESULT) if _is_evaluation(path))


def verdict(directory: pathlib.Path) -> Verdict:
    """The verdict on a directory that an evaluation wrote."""
    try:
        outcome = result.read(directory / _RESULT)
    except (OSError, ValueError) as error:
        found = Violation(message=f"result.json can't be read: {error}", about="structure")
        return Verdict(path=str(directory), kind="evaluate", structure="broken", violations=(found,))
    changed = tuple(manifest_check.violations(directory))
    failed = tuple(Violation(message=f"The result is not valid: {reason}.") for reason in outcome.reasons)
    return Verdict(
        path=str(directory),
        kind="evaluate",
        benchmark=outcome.benchmark,
        division=outcome.division,
        status=outcome.status,
        structure=broken(changed, by_rules=True),
        violations=(*changed, *failed),
        notes=("An evaluation is internal: not an MLPerf result.",),
    )


def _is_evaluation(path: pathlib.Path) -> bool:
    try:
        fields = json_text.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(fields, dict) and fields.get("kind") == "evaluate"
