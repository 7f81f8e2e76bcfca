"""The configs that come with tfperf."""

from __future__ import annotations

import importlib.resources
import pathlib
from typing import Any


def names() -> tuple[str, ...]:
    """The packaged configs, sorted."""
    return tuple(sorted(path.name.removesuffix(".yaml") for path in folder().iterdir() if path.name.endswith(".yaml")))


def header(name: str) -> str:
    """The comment at the head of a packaged config: command, expected result, machine, time."""
    lines = (folder() / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    return "\n".join(line.removeprefix("#").strip() for line in lines if line.startswith("#"))


def folder() -> Any:
    """The configs inside the installed package, or those beside it in a source tree."""
    beside = pathlib.Path(__file__).resolve().parent.parent.parent / "configs"
    return beside if beside.is_dir() else importlib.resources.files("tfperf") / "configs"
