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

_CORE_SCHEMA = (
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
)


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


class _Loader(yaml.SafeLoader):
    """yaml.SafeLoader with the core schema, bounds, and no key given twice."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # type: ignore[misc]  # PyYAML reads it from the class
    yaml_constructors: ClassVar[dict[str | None, Any]] = {}

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


def _null(loader: Any, node: Any) -> None:
    _matching(node, "null")


def _bool(loader: Any, node: Any) -> bool:
    return _matching(node, "bool").lower() == "true"


def _int(loader: Any, node: Any) -> int:
    return int(_matching(node, "int"))


def _float(loader: Any, node: Any) -> float:
    return float(_matching(node, "float").lower().replace(".inf", "inf").replace(".nan", "nan"))


def _str(loader: Any, node: Any) -> str:
    return str(loader.construct_scalar(node))


def _list(loader: Any, node: Any) -> list[Any]:
    return list(loader.construct_sequence(node, deep=True))


def _mapping(loader: Any, node: Any) -> dict[Any, Any]:
    fields: dict[Any, Any] = dict(loader.construct_mapping(node, deep=True))
    if len(fields) == len(node.value):
        return fields
    keys = collections.Counter(loader.construct_object(key, deep=True) for key, _ in node.value)
    twice = next(key for key, count in keys.items() if count > 1)
    raise yaml.constructor.ConstructorError(None, None, f"key {twice!r} is given twice", node.start_mark)


def _matching(node: yaml.Node, kind: str) -> str:
    """The text of a scalar. An explicit tag, such as `!!int`, may stand before one that is no such value."""
    text = node.value if isinstance(node, yaml.ScalarNode) else ""
    if len(text) > _MOST_DIGITS:
        reason = f"a number of {len(text):,} characters; at most {_MOST_DIGITS} are read"
        raise yaml.constructor.ConstructorError(None, None, reason, node.start_mark)
    if not _PATTERNS[kind].match(text):
        raise yaml.constructor.ConstructorError(None, None, f"!!{kind} before {text!r}", node.start_mark)
    return text


_PATTERNS = {kind: re.compile(rf"^(?:{pattern})\Z") for kind, pattern, _ in _CORE_SCHEMA}

for _kind, _, _first in _CORE_SCHEMA:
    _tag, _firsts = f"tag:yaml.org,2002:{_kind}", ["" if first == "\0" else first for first in _first]
    _Loader.add_implicit_resolver(_tag, _PATTERNS[_kind], _firsts)
    if _kind in ("int", "float"):
        _Dumper.add_implicit_resolver(_tag, _PATTERNS[_kind], _firsts)

_constructors: dict[str, Any] = {
    "null": _null,
    "bool": _bool,
    "int": _int,
    "float": _float,
    "str": _str,
    "seq": _list,
    "map": _mapping,
}
for _kind, _constructor in _constructors.items():
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _constructor)
_Loader.yaml_constructors[None] = yaml.SafeLoader.construct_undefined
