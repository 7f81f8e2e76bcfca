"""Dataclasses made of plain values, strictly."""

from __future__ import annotations

import dataclasses
import enum
import sys
import typing
from collections.abc import Mapping
from typing import Any, NamedTuple

from tfperf import spec as specs
from tfperf.config.keys import members
from tfperf.config.suggestion import shown, suggest
from tfperf.field_types import hints_of

INVALID = object()

_LARGEST = 2**53  # every whole number up to it is exact as a float, in JSON and in 64 bits
_MOST_UNKNOWN = 20


class SourceClasses(NamedTuple):
    """What `data.source` may hold.

    Attributes:
        benchmark: the benchmark that reads it.
        by_key: the dataclasses by yaml key.
    """

    benchmark: str
    by_key: Mapping[str, type[Any]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Builder:
    """Makes dataclasses and collects what is wrong with their fields.

    Attributes:
        problems: the problems found so far.
        sources: what `data.source` may hold; None while the benchmark is unknown, which is a problem by itself.
    """

    problems: list[str] = dataclasses.field(default_factory=list)
    sources: SourceClasses | None = None

    def build(self, kind: type[Any], fields: Mapping[Any, Any], *, where: str = "") -> Any:
        """Builds a dataclass.

        Args:
            kind: the dataclass.
            fields: its fields, as plain values or already built.
            where: the prefix of the fields in messages, such as `model.`.

        Returns:
            A `kind`, or INVALID if a problem was found.
        """
        hints, known = hints_of(kind), {field.name: field for field in dataclasses.fields(kind)}
        before = len(self.problems)
        unknown = [key for key in fields if key not in known]
        for key in unknown[:_MOST_UNKNOWN]:
            self.problems.append(f"{where}{shown(key)}: unknown key.{suggest(str(key), known)}")
        if len(unknown) > _MOST_UNKNOWN:
            self.problems.append(f"{where or 'config'}: {len(unknown) - _MOST_UNKNOWN:,} more unknown keys.")
        values = {}
        for name, field in known.items():
            if name in fields:
                values[name] = self._field(kind, name, hints[name], fields[name], f"{where}{name}")
            elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                self.problems.append(f"{where}{name}: missing; it has no default.")
        if len(self.problems) > before:
            return INVALID
        try:
            return kind(**values)
        except ValueError as error:
            self.problems.extend(where + line for line in str(error).splitlines())
            return INVALID

    def _field(self, kind: type[Any], name: str, hint: Any, value: Any, where: str) -> Any:
        if (kind, name) == (specs.Data, "source"):
            return self._source(value, where)
        return self._convert(hint, value, where)

    def _source(self, value: Any, where: str) -> Any:
        if self.sources is None:
            return INVALID
        benchmark, by_key = self.sources
        if isinstance(value, dict) and len(value) == 1 and not by_key.keys() & value.keys():
            (key,) = value
            self.problems.append(f"{where}.{shown(key)}: not a source of {benchmark}.{suggest(str(key), by_key)}")
            return INVALID
        return value if isinstance(value, tuple(by_key.values())) else self._member(by_key, value, where)

    def _convert(self, hint: Any, value: Any, where: str) -> Any:
        """`value` as the hint says, or INVALID."""
        by_key = members(hint)
        if by_key:
            return value if isinstance(value, tuple(by_key.values())) else self._member(by_key, value, where)
        arguments = typing.get_args(hint)
        if type(None) in arguments:
            return None if value is None else self._convert(_without_none(hint), value, where)
        if typing.get_origin(hint) is tuple:
            return self._tuple(arguments, value, where)
        words = _words(arguments)
        if words:
            return self._number_or_word(_without_words(hint), words, value, where)
        if dataclasses.is_dataclass(hint):
            return self._dataclass(typing.cast("type[Any]", hint), value, where)
        if typing.get_origin(hint) is typing.Literal or (isinstance(hint, type) and issubclass(hint, enum.Enum)):
            choices = arguments or tuple(member.value for member in hint)
            if value in choices:
                return value if arguments else hint(value)
            return self._refuse(where, f"one of {', '.join(choices)};", value)
        converted = _scalar(hint, value)
        if converted is not INVALID:
            return converted
        return self._refuse(where, f"{_accepted(hint, value)},", value)

    def _member(self, by_key: Mapping[str, type[Any]], value: Any, where: str) -> Any:
        """One of several dataclasses, from a block whose key names it."""
        if not isinstance(value, dict) or len(value) != 1:
            got = ", ".join(map(str, value)) if isinstance(value, dict) else repr(value)
            accepted = ", ".join(by_key)
            self.problems.append(f"{where}: expected exactly one of the blocks {accepted}; got {shown(got) or 'none'}.")
            return INVALID
        ((key, fields),) = value.items()
        if key not in by_key:
            self.problems.append(f"{where}.{shown(key)}: unknown key.{suggest(str(key), by_key)}")
            return INVALID
        return self._dataclass(by_key[key], {} if fields is None else fields, f"{where}.{key}")

    def _dataclass(self, kind: type[Any], value: Any, where: str) -> Any:
        if isinstance(value, kind):
            return value
        if isinstance(value, dict):
            return self.build(kind, value, where=f"{where}.")
        return self._refuse(where, "a block of keys,", value)

    def _tuple(self, hints: tuple[Any, ...], value: Any, where: str) -> Any:
        if not isinstance(value, list | tuple):
            return self._refuse(where, "a list,", value)
        if hints[-1] is ...:
            hints = (hints[0],) * len(value)
        if len(hints) != len(value):
            return self._refuse(where, f"a list of {len(hints)} values,", value)
        pairs = zip(hints, value, strict=True)
        return tuple(self._convert(hint, item, f"{where}[{i}]") for i, (hint, item) in enumerate(pairs))

    def _number_or_word(self, hint: Any, words: tuple[Any, ...], value: Any, where: str) -> Any:
        number = _scalar(hint, value)
        if number is not INVALID or value in words:
            return value if value in words else number
        return self._refuse(where, f"a number or {' or '.join(words)},", value)

    def _refuse(self, where: str, accepted: str, value: Any) -> Any:
        self.problems.append(f"{where}: expected {accepted} got {shown(repr(value))}.")
        return INVALID


def _scalar(hint: Any, value: Any) -> Any:
    if hint is typing.Any:
        return value
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if abs(value) <= sys.float_info.max else INVALID  # false for nan as well
    if type(value) is not hint:
        return INVALID
    if isinstance(value, str):
        return value if value.isprintable() else INVALID
    return INVALID if isinstance(value, int) and abs(value) > _LARGEST else value


def _accepted(hint: Any, value: Any) -> str:
    """What a scalar field accepts, for the message about a value that it doesn't."""
    if hint is int and type(value) is int:
        return f"a whole number of at most {_LARGEST}"
    if hint is str and isinstance(value, str):
        return "text of printable characters on one line"
    return {int: "a whole number", float: "a number", str: "text", bool: "true or false"}.get(hint, str(hint))


def _without_none(hint: Any) -> Any:
    return typing.Union[tuple(argument for argument in typing.get_args(hint) if argument is not type(None))]  # noqa: UP007


def _words(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The words that a union accepts beside its other members."""
    return tuple(word for member in arguments for word in typing.get_args(member) if _is_literal(member))


def _without_words(hint: Any) -> Any:
    return typing.Union[tuple(member for member in typing.get_args(hint) if not _is_literal(member))]  # noqa: UP007


def _is_literal(hint: Any) -> bool:
    return typing.get_origin(hint) is typing.Literal
