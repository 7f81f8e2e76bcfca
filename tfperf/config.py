"""Configs: yaml files that become specs, strictly, with every violation reported at once."""

from __future__ import annotations

import copy
import dataclasses
import difflib
import enum
import functools
import importlib.resources
import math
import pathlib
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar

import yaml

from tfperf import spec
from tfperf.errors import ConfigError

_INVALID = object()
Verb = Literal["train", "infer", "sweep"]
BaseVerb = Literal["train", "infer"]  # whose configs a sweep can vary
_Spec = TypeVar("_Spec", bound=spec.TrainSpec | spec.InferSpec)
_KINDS: Mapping[BaseVerb, type[spec.TrainSpec | spec.InferSpec]] = {"train": spec.TrainSpec, "infer": spec.InferSpec}


def names() -> tuple[str, ...]:
    """The packaged configs, sorted."""
    return tuple(sorted(path.name.removesuffix(".yaml") for path in _folder().iterdir() if path.name.endswith(".yaml")))


def header(name: str) -> str:
    """The comment at the head of a packaged config: command, expected result, machine, time."""
    lines = (_folder() / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    return "\n".join(line.removeprefix("#").strip() for line in lines if line.startswith("#"))


def load(config: str, *, options_of: Callable[[str], Any], overrides: Sequence[str] = ()) -> spec.TrainSpec:
    """Reads a training config.

    The arguments, the complete spec and the errors are those of `load_inference`.
    """
    return _load(spec.TrainSpec, config, options_of, overrides)


def load_inference(config: str, *, options_of: Callable[[str], Any], overrides: Sequence[str] = ()) -> spec.InferSpec:
    """Reads an inference config.

    Args:
        config: the name of a packaged config or the path of a yaml file.
        options_of: benchmark name -> the default options of its model, a dataclass; raises ConfigError for a name
            that it doesn't know.
        overrides: `key.path=value` each, applied in order; values are yaml.

    Returns:
        The spec, complete: `model` holds the benchmark's options.

    Raises:
        ConfigError: with every violation.
    """
    return _load(spec.InferSpec, config, options_of, overrides)


def load_sweep(
    config: str, *, options_of: Callable[[BaseVerb, str], Any], overrides: Sequence[str] = ()
) -> spec.SweepSpec:
    """Reads the config of a sweep.

    Its `base` is the name of a config for `train` or `infer`, the path of one, or its keys; `set` holds fields of the
    base, dotted, that are set before any is varied. A field may be varied unless the rules or the sweep itself fix it.

    Args:
        config: as in `load_inference`.
        options_of: (verb of the base, benchmark name) -> as in `load_inference`.
        overrides: as in `load_inference`.

    Returns:
        The spec, complete, and so its base.

    Raises:
        ConfigError: with every violation.
    """
    fields = _read(config)
    _check_verb(fields, "sweep", config)
    problems: list[str] = []
    fields["base"] = _base(fields, config, problems)
    for override in overrides:
        _override(fields, override, problems)
    if not isinstance(fields["base"], dict):  # an override named another one
        fields["base"] = _named_base(fields["base"], config, problems)
    if problems:
        raise ConfigError(tuple(problems))
    of_base = _verb_of_base(fields["base"])
    options_of_base = functools.partial(options_of, of_base)
    try:
        built = _load_fields(_KINDS[of_base], fields["base"], options_of_base, {})
    except ConfigError as error:
        raise ConfigError(tuple(f"base.{violation}" for violation in error.violations)) from error
    fields["base"], fields["space"] = built, _space(fields.get("space"), built, options_of_base, problems)
    if of_base == "infer":
        fields.setdefault("early_stopping", None)
    whole = _build(spec.SweepSpec, fields, "", problems)
    if problems:
        raise ConfigError(tuple(problems))
    sweep: spec.SweepSpec = whole
    return sweep


def verb(config: str) -> Verb:
    """The verb that a config is for: one with a scenario is for `infer`, one with a space for `sweep`.

    Raises:
        ConfigError: there is no such config, or it is not yaml.
    """
    return _verb(_read(config))


def varied(base: _Spec, values: Mapping[str, Any], *, options_of: Callable[[str], Any], **changes: Any) -> _Spec:
    """The base with other values in dotted fields, such as `optimizer.sgd.momentum`.

    Args:
        base: a complete spec.
        values: value by field.
        options_of: as in `load`.
        changes: further fields of the spec itself.

    Raises:
        ConfigError: with every violation.
    """
    return dataclasses.replace(_load_fields(type(base), as_dict(base), options_of, values), **changes)


def value_of(base: spec.TrainSpec | spec.InferSpec, field: str) -> Any:
    """The value of a dotted field, such as `optimizer.sgd.momentum`, as a plain value.

    Raises:
        KeyError: there is no such field.
    """
    found = as_dict(base)
    for key in field.split("."):
        found = found[key]
    return found


def _verb(fields: Mapping[str, Any]) -> Verb:
    return "sweep" if "space" in fields else _verb_of_base(fields)


def _verb_of_base(fields: Mapping[str, Any]) -> BaseVerb:
    return "infer" if "scenario" in fields else "train"


def _check_verb(fields: Mapping[str, Any], wanted: Verb, config: str) -> None:
    right = _verb(fields)
    if right != wanted:
        raise ConfigError((f"{config} is a config for tfperf {right}. Run tfperf {right} --config {config}.",))


def _base(fields: dict[str, Any], config: str, problems: list[str]) -> dict[str, Any]:
    """The keys of the run that a sweep varies, with those in `set`, which are taken out of `fields`."""
    base, changes = fields.get("base"), fields.pop("set", None) or {}
    if not isinstance(changes, dict):
        problems.append(f"set: expected fields of the base with their values, got {changes!r}.")
        return {}
    read = base if isinstance(base, dict) else _named_base(base, config, problems)
    for path, value in changes.items():
        _set(read, str(path).split("."), value)
    return read


def _named_base(base: Any, config: str, problems: list[str]) -> dict[str, Any]:
    if not isinstance(base, str):
        problems.append(f"base: expected the name of a config for train or infer or its keys, got {base!r}.")
        return {}
    beside = pathlib.Path(config).parent / base  # a path is meant from where the sweep's config is
    read = _read(str(beside) if beside.is_file() else base)
    if _verb(read) == "sweep":
        problems.append(f"base: {base} is a config for tfperf sweep. Accepted is one for tfperf train or infer.")
        return {}
    return read


def _space(
    space: Any, base: spec.TrainSpec | spec.InferSpec, options_of: Callable[[str], Any], problems: list[str]
) -> tuple[tuple[str, spec.Range], ...]:
    if not isinstance(space, dict):
        problems.append(f"space: expected fields with their ranges, got {space!r}.")
        return ()
    built: dict[str, spec.Range] = {}
    for field, asked in space.items():
        found = _range(f"space.{field}", asked, problems)
        if found is not None:
            built[str(field)] = found
    for field, values in built.items():
        problems.extend(_misfits(base, field, _extremes(values), options_of))
    return tuple(built.items())


_RANGES: Mapping[str, tuple[type[Any], tuple[str, ...]]] = {
    "choice": (spec.Choice, ("values",)),
    "uniform": (spec.Uniform, ("low", "high")),
    "log_uniform": (spec.LogUniform, ("low", "high")),
    "integers": (spec.Integers, ("low", "high", "step")),
}


def _range(where: str, asked: Any, problems: list[str]) -> spec.Range | None:
    name, values = next(iter(asked.items())) if isinstance(asked, dict) and len(asked) == 1 else ("", None)
    if name not in _RANGES or not isinstance(values, list | tuple):
        problems.append(
            f"{where}: expected one of choice: [...], uniform: [low, high], log_uniform: [low, high], "
            f"integers: [low, high]; got {asked!r}."
        )
        return None
    kind, names_of_values = _RANGES[name]
    fields = {"values": values} if name == "choice" else dict(zip(names_of_values, values, strict=False))
    if name != "choice" and not 2 <= len(values) <= len(names_of_values):
        problems.append(f"{where}.{name}: expected [{', '.join(names_of_values)}], got {list(values)!r}.")
        return None
    found = _build(kind, fields, f"{where}.", problems)
    return None if found is _INVALID else typing.cast("spec.Range", found)


def _extremes(values: spec.Range) -> tuple[Any, ...]:
    return values.values if isinstance(values, spec.Choice) else (values.low, values.high)


def _misfits(
    base: spec.TrainSpec | spec.InferSpec, field: str, values: Sequence[Any], options_of: Callable[[str], Any]
) -> Iterator[str]:
    """What is wrong with varying a field over these values; each complaint once."""
    try:
        value_of(base, field)
    except (KeyError, TypeError):
        known = [*_leaves(as_dict(base))]
        yield f"space.{field}: unknown field.{_suggest(field, known)}"
        return
    said = set()
    for value in values:
        try:
            varied(base, {field: value}, options_of=options_of)
        except ConfigError as error:
            said |= {f"space.{violation}" for violation in error.violations}
    yield from sorted(said)


def _leaves(fields: Mapping[str, Any], where: str = "") -> Iterator[str]:
    for name, value in fields.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{where}{name}.")
        else:
            yield f"{where}{name}"


def _load(kind: type[_Spec], config: str, options_of: Callable[[str], Any], overrides: Sequence[str]) -> _Spec:
    fields = _read(config)
    _check_verb(fields, "infer" if kind is spec.InferSpec else "train", config)
    problems: list[str] = []
    for override in overrides:
        _override(fields, override, problems)
    return _complete(kind, fields, options_of, problems)


def _load_fields(
    kind: type[_Spec], fields: dict[str, Any], options_of: Callable[[str], Any], values: Mapping[str, Any]
) -> _Spec:
    fields = copy.deepcopy(fields)
    for path, value in values.items():
        _set(fields, str(path).split("."), value)
    return _complete(kind, fields, options_of, [])


def _complete(
    kind: type[_Spec], fields: dict[str, Any], options_of: Callable[[str], Any], problems: list[str]
) -> _Spec:
    model = fields.pop("model", None)
    built = _build(kind, fields, "", problems)
    options = _options(fields.get("benchmark"), model, options_of, problems)
    if problems:
        raise ConfigError(tuple(problems))
    complete: _Spec = dataclasses.replace(built, model=options)
    return complete


def dump(value: spec.TrainSpec | spec.InferSpec | spec.SweepSpec) -> str:
    """The spec as yaml that `load` reads back to an equal spec."""
    return yaml.safe_dump(as_dict(value), sort_keys=False)


def as_dict(value: Any) -> Any:
    """The spec as plain values, a union member under the key that names its class."""
    if isinstance(value, spec.SweepSpec):
        space = {field: _plain_range(values) for field, values in value.space}
        rest = {field.name: as_dict(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {**rest, "space": space}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        hints = _hints(type(value))
        return {name: _plain(getattr(value, name), hints[name]) for name in (f.name for f in dataclasses.fields(value))}
    if isinstance(value, enum.Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value


def _plain(value: Any, hint: Any) -> Any:
    plain = as_dict(value)
    return {_key(type(value)): plain} if dataclasses.is_dataclass(value) and _members(hint) else plain


def _plain_range(values: spec.Range) -> dict[str, Any]:
    name, names_of_values = next((name, named) for name, (kind, named) in _RANGES.items() if isinstance(values, kind))
    if isinstance(values, spec.Choice):
        return {name: list(values.values)}
    return {name: [getattr(values, each) for each in names_of_values]}


def _folder() -> Any:
    """The configs inside the installed package, or those beside it in a source tree."""
    beside = pathlib.Path(__file__).resolve().parent.parent / "configs"
    return beside if beside.is_dir() else importlib.resources.files("tfperf") / "configs"


def _read(config: str) -> dict[str, Any]:
    if config.endswith((".yaml", ".yml")) or "/" in config:
        path = pathlib.Path(config)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError((f"Can't read the config {config}: {error}.",)) from error
    elif config in names():
        text = (_folder() / f"{config}.yaml").read_text(encoding="utf-8")
    else:
        advice = "Give one of them or the path of a yaml file."
        raise ConfigError((f"Unknown config {config!r}.{_suggest(config, names())} {advice}",))
    try:
        fields = yaml.load(text, Loader=_StrictLoader)
    except yaml.YAMLError as error:
        raise ConfigError((f"{config} is not yaml: {error}",)) from error
    if not isinstance(fields, dict):
        raise ConfigError((f"{config} must hold `key: value` lines, got {type(fields).__name__}.",))
    return fields


class _StrictLoader(yaml.SafeLoader):
    """yaml.SafeLoader that refuses a key given twice."""


def _strict_mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    for key in keys:
        if keys.count(key) > 1:
            raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", node.start_mark)
    return dict(loader.construct_mapping(node, deep=True))


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _strict_mapping)


def _override(fields: dict[str, Any], override: str, problems: list[str]) -> None:
    path, equals, text = override.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or not all(keys):
        problems.append(f"--set {override}: write key.path=value, such as optimizer.sgd.momentum=0.9.")
        return
    try:
        value = yaml.load(text, Loader=_StrictLoader)
    except yaml.YAMLError as error:
        problems.append(f"--set {override}: the value is not yaml: {error}")
        return
    _set(fields, keys, value)


def _set(fields: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    for key in keys[:-1]:
        if not isinstance(fields.get(key), dict):
            fields[key] = {}
        fields = fields[key]
    fields[keys[-1]] = value


def _options(benchmark: Any, model: Any, options_of: Callable[[str], Any], problems: list[str]) -> Any:
    if not isinstance(benchmark, str):
        return None  # reported by the reading of `benchmark` itself
    try:
        default = options_of(benchmark)
    except ConfigError as error:
        problems.extend(error.violations)
        return None
    if model is None:
        return default
    if not isinstance(model, dict):
        problems.append(f"model: expected keys of {type(default).__name__}, got {model!r}.")
        return None
    return _build(type(default), {**as_dict(default), **model}, "model.", problems)


def _build(kind: type[Any], fields: Mapping[Any, Any], where: str, problems: list[str]) -> Any:
    """A `kind` made of `fields`, or _INVALID; what is wrong is added to `problems`."""
    hints, known = _hints(kind), {field.name: field for field in dataclasses.fields(kind)}
    before = len(problems)
    for key in fields:
        if key not in known:
            problems.append(f"{where}{key}: unknown key.{_suggest(str(key), known)}")
    values = {}
    for name, field in known.items():
        if name in fields:
            values[name] = _convert(hints[name], fields[name], f"{where}{name}", problems)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            problems.append(f"{where}{name}: missing; it has no default.")
    if len(problems) > before:
        return _INVALID
    try:
        return kind(**values)
    except ValueError as error:
        problems.extend(where + line for line in str(error).splitlines())
        return _INVALID


def _convert(hint: Any, value: Any, where: str, problems: list[str]) -> Any:
    """`value` as `hint` asks for it, or _INVALID with the reason in `problems`."""
    members = _members(hint)
    if members and isinstance(value, tuple(members.values())):
        return value
    if members:
        return _member(members, value, where, problems)
    arguments = typing.get_args(hint)
    if type(None) in arguments:
        return None if value is None else _convert(_without_none(hint), value, where, problems)
    words = _words(arguments)
    if words:
        return _number_or_word(_without_words(hint), words, value, where, problems)
    if dataclasses.is_dataclass(hint):
        if isinstance(value, typing.cast("type[Any]", hint)):
            return value
        if isinstance(value, dict):
            return _build(typing.cast("type[Any]", hint), value, f"{where}.", problems)
        accepted = "a block of keys"
    elif typing.get_origin(hint) is tuple:
        if isinstance(value, list | tuple) and arguments[-1] is not ...:
            pairs = zip(arguments, value, strict=True)
            return tuple(_convert(each, item, f"{where}[{i}]", problems) for i, (each, item) in enumerate(pairs))
        if isinstance(value, list | tuple):
            return tuple(_convert(arguments[0], item, f"{where}[{i}]", problems) for i, item in enumerate(value))
        accepted = "a list"
    elif typing.get_origin(hint) is typing.Literal or (isinstance(hint, type) and issubclass(hint, enum.Enum)):
        choices = arguments or tuple(member.value for member in hint)
        if value in choices:
            return value if arguments else hint(value)
        problems.append(f"{where}: expected one of {', '.join(choices)}; got {value!r}.")
        return _INVALID
    else:
        converted = _scalar(hint, value)
        if converted is not _INVALID:
            return converted
        accepted = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}.get(hint, str(hint))
    problems.append(f"{where}: expected {accepted}, got {value!r}.")
    return _INVALID


def _number_or_word(hint: Any, words: tuple[Any, ...], value: Any, where: str, problems: list[str]) -> Any:
    number = _scalar(hint, value)
    if number is not _INVALID or value in words:
        return value if value in words else number
    problems.append(f"{where}: expected a number or {' or '.join(words)}, got {value!r}.")
    return _INVALID


def _scalar(hint: Any, value: Any) -> Any:
    if hint is typing.Any:
        return value
    if hint is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = float(value)  # yaml 1.1 reads 1e-4, without a point, as text
        except ValueError:
            return _INVALID
        return number if math.isfinite(number) else _INVALID
    return value if type(value) is hint else _INVALID


def _member(members: Mapping[str, type[Any]], value: Any, where: str, problems: list[str]) -> Any:
    accepted = ", ".join(members)
    if not isinstance(value, dict) or len(value) != 1:
        got = ", ".join(map(str, value)) if isinstance(value, dict) else repr(value)
        problems.append(f"{where}: expected exactly one of the blocks {accepted}; got {got or 'none'}.")
        return _INVALID
    ((name, fields),) = value.items()
    if name not in members:
        problems.append(f"{where}.{name}: unknown key.{_suggest(str(name), members)}")
        return _INVALID
    return _convert(members[name], {} if fields is None else fields, f"{where}.{name}", problems)


def _members(hint: Any) -> dict[str, type[Any]]:
    """The classes of a union of dataclasses by their yaml keys, or nothing."""
    if isinstance(hint, types.UnionType) and all(map(dataclasses.is_dataclass, typing.get_args(hint))):
        return {_key(kind): kind for kind in typing.get_args(hint)}
    return {}


def _key(kind: type[Any]) -> str:
    return kind.__name__.lower()


def _without_none(hint: Any) -> Any:
    return typing.Union[tuple(argument for argument in typing.get_args(hint) if argument is not type(None))]  # noqa: UP007


def _words(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The words that a union accepts beside its other members."""
    return tuple(word for member in arguments for word in typing.get_args(member) if _is_literal(member))


def _without_words(hint: Any) -> Any:
    return typing.Union[tuple(member for member in typing.get_args(hint) if not _is_literal(member))]  # noqa: UP007


def _is_literal(hint: Any) -> bool:
    return typing.get_origin(hint) is typing.Literal


def _hints(kind: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _suggest(received: str, accepted: Iterable[str]) -> str:
    accepted = tuple(accepted)
    close = difflib.get_close_matches(received, accepted, n=1)
    return (f" Did you mean {close[0]}?" if close else "") + f" Accepted: {', '.join(accepted)}."
