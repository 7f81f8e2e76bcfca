"""The fields of a config as yaml holds them."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import yaml

from tfperf.config import strict_yaml
from tfperf.config.packaged import folder, names
from tfperf.config.suggestion import shown, suggest
from tfperf.errors import ConfigError


def read(config: str) -> dict[str, Any]:
    """The fields of a config.

    Args:
        config: the name of a packaged config or the path of a yaml file.

    Raises:
        ConfigError: there is no such config, or it is not yaml.
    """
    if config.endswith((".yaml", ".yml")) or "/" in config:
        text = _text(config)
    elif config in names():
        text = (folder() / f"{config}.yaml").read_text(encoding="utf-8")
    else:
        advice = "Give one of them or the path of a yaml file."
        raise ConfigError((f"Unknown config {config!r}.{suggest(config, names())} {advice}",))
    try:
        fields = strict_yaml.parse(text)
    except yaml.YAMLError as error:
        raise ConfigError((f"{config} can't be read as yaml: {error}",)) from error
    if not isinstance(fields, dict):
        raise ConfigError((f"{config} must hold `key: value` lines, got {type(fields).__name__}.",))
    return fields


def override(fields: dict[str, Any], assignment: str, problems: list[str]) -> None:
    """Sets one field.

    Args:
        fields: changed in place.
        assignment: `key.path=value`; the value is yaml.
        problems: gets what is wrong with the assignment.
    """
    path, equals, text = assignment.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or not all(keys):
        problems.append(f"--set {shown(assignment)}: write key.path=value, such as optimizer.sgd.momentum=0.9.")
        return
    try:
        value = strict_yaml.parse(text)
    except yaml.YAMLError as error:
        problems.append(f"--set {shown(assignment)}: the value can't be read as yaml: {error}")
        return
    set_field(fields, keys, value)


def set_field(fields: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    """Sets the field at a path of keys; makes the blocks on the way.

    Raises:
        ConfigError: the path is longer than any field's.
    """
    if len(keys) > strict_yaml.DEEPEST:
        path = shown(".".join(keys))
        raise ConfigError((f"{path}: expected at most {strict_yaml.DEEPEST} keys, got {len(keys):,}.",))
    for key in keys[:-1]:
        if not isinstance(fields.get(key), dict):
            fields[key] = {}
        fields = fields[key]
    fields[keys[-1]] = value


def _text(config: str) -> str:
    """The text of a file, not more of it than shows that it is too large."""
    try:
        with pathlib.Path(config).open(encoding="utf-8-sig") as file:
            return file.read(strict_yaml.MOST_CHARACTERS + 1)
    except (OSError, ValueError) as error:
        raise ConfigError((f"Can't read the config {config}: {error}.",)) from error
