"""The yaml of configs: the core schema of YAML 1.2, within bounds that no config needs to exceed.

PyYAML reads YAML 1.1, in which `off` is false, `1:30` is 90 and `010` is 8. Here they are the text that they look like,
and a field that takes a number or a truth value refuses them.
"""

from __future__ import annotations

import collections
import re
import typing
from typing import Any, ClassVar

import yaml

MOST_CHARACTERS = 64 * 1024
DEEPEST = 32  # levels
_MOST_VALUES = 10_000  # with each alias counted as what it stands for
_MOST_DIGITS = 400  # of a number

_TAG = "tag:yaml.org,2002:"
_CORE_SCHEMA = {
    kind: re.compile(rf"^(?:{pattern})\Z")
    for kind, pattern in {
        "null": r"~|null|Null|NULL|",
        "bool": r"true|True|TRUE|false|False|FALSE",
        "int": r"[-+]?(0|[1-9][0-9]*)",
        "float": r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
    }.items()
}
_FIRST = {"null": ["~", "n", "N", ""], "bool": [*"tTfF"], "int": [*"-+0123456789"], "float": [*"-+.0123456789"]}


def parse(text: str) -> Any:
    """The value that a text holds.

    Raises:
        yaml.YAMLError: it is not yaml, gives a key twice, or is larger than any config.
    """
    if len(text) > MOST_CHARACTERS:
        raise yaml.YAMLError(f"it has more than {MOST_CHARACTERS:,} characters, and no config needs as many.")
    return yaml.load(text, Loader=_Loader)


def dump(value: Any) -> str:
    """The yaml that `parse` reads back to an equal value."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False)


def _matching(loader: Any, node: yaml.Node) -> Any:
    """The value of a scalar. An explicit tag, such as `!!int`, may stand before one that is no such value."""
    text, kind = str(loader.construct_scalar(node)), node.tag.removeprefix(_TAG)
    if len(text) > _MOST_DIGITS:
        reason = f"a number of {len(text):,} characters; at most {_MOST_DIGITS} are read"
        raise yaml.constructor.ConstructorError(None, None, reason, node.start_mark)
    if not _CORE_SCHEMA[kind].match(text):
        raise yaml.constructor.ConstructorError(None, None, f"!!{kind} before {text!r}", node.start_mark)
    return yaml.SafeLoader.yaml_constructors[node.tag](loader, node)


def _mapping(loader: Any, node: Any) -> dict[Any, Any]:
    fields: dict[Any, Any] = dict(loader.construct_mapping(node, deep=True))
    if len(fields) == len(node.value):
        return fields
    keys = collections.Counter(loader.construct_object(key, deep=True) for key, _ in node.value)
    twice = next(key for key, count in keys.items() if count > 1)
    raise yaml.constructor.ConstructorError(None, None, f"key {twice!r} is given twice", node.start_mark)


class _Loader(yaml.SafeLoader):
    """yaml.SafeLoader with the core schema, bounds, and no key given twice."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # type: ignore[misc]  # PyYAML reads it from the class
    yaml_constructors: ClassVar[dict[str | None, Any]] = {
        **dict.fromkeys((f"{_TAG}{kind}" for kind in _CORE_SCHEMA), _matching),
        f"{_TAG}map": _mapping,
        **{tag: yaml.SafeLoader.yaml_constructors[tag] for tag in (f"{_TAG}str", f"{_TAG}seq", None)},
    }

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0
        self._values: dict[yaml.Node, int] = {}  # how many values a finished node stands for

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        start: Any = event.start_mark
        if self._depth == DEEPEST:
            raise yaml.composer.ComposerError(None, None, f"more than {DEEPEST} levels", start)
        self._depth += 1
        node: Any = super().compose_node(parent, index)
        self._depth -= 1
        if node not in self._values and isinstance(event, yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "a value that holds itself", start)
        self._values[node] = 1 + sum(self._values[part] for part in _parts(node))
        if self._values[node] > _MOST_VALUES:
            raise yaml.composer.ComposerError(None, None, f"more than {_MOST_VALUES:,} values", start)
        return typing.cast("yaml.Node", node)


class _Dumper(yaml.SafeDumper):
    """yaml.SafeDumper that also quotes what only the core schema reads as a number."""


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


for _kind, _pattern in _CORE_SCHEMA.items():
    _Loader.add_implicit_resolver(f"{_TAG}{_kind}", _pattern, _FIRST[_kind])
for _kind in ("int", "float"):
    _Dumper.add_implicit_resolver(f"{_TAG}{_kind}", _CORE_SCHEMA[_kind], _FIRST[_kind])
