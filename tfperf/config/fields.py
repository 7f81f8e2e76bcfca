"""The fields of a config as yaml holds them."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import yaml

from tfperf.config.packaged import folder, names
from tfperf.config.suggestion import suggest
from tfperf.errors import ConfigError


def read(config: str) -> dict[str, Any]:
    """The fields of a config.

    Args:
        config: the name of a packaged config or the path of a yaml file.

    Raises:
        ConfigError: there is no such config, or it is not yaml.
    """
    if config.endswith((".yaml", ".yml")) or "/" in config:
        path = pathlib.Path(config)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError((f"Can't read the config {config}: {error}.",)) from error
    elif config in names():
        text = (folder() / f"{config}.yaml").read_text(encoding="utf-8")
    else:
        advice = "Give one of them or the path of a yaml file."
        raise ConfigError((f"Unknown config {config!r}.{suggest(config, names())} {advice}",))
    try:
        fields = yaml.load(text, Loader=_StrictLoader)
    except yaml.YAMLError as error:
        raise ConfigError((f"{config} is not yaml: {error}",)) from error
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
        problems.append(f"--set {assignment}: write key.path=value, such as optimizer.sgd.momentum=0.9.")
        return
    try:
        value = yaml.load(text, Loader=_StrictLoader)
    except yaml.YAMLError as error:
        problems.append(f"--set {assignment}: the value is not yaml: {error}")
        return
    set_field(fields, keys, value)


def set_field(fields: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    """Sets the field at a path of keys; makes the blocks on the way."""
    for key in keys[:-1]:
        if not isinstance(fields.get(key), dict):
            fields[key] = {}
        fields = fields[key]
    fields[keys[-1]] = value


class _StrictLoader(yaml.SafeLoader):
    """yaml.SafeLoader that refuses a key given twice."""


def _strict_mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    for key in keys:
        if keys.count(key) > 1:
            raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", node.start_mark)
    return dict(loader.construct_mapping(node, deep=True))


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _strict_mapping)
