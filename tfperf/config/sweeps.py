"""Specs from configs: sweeps."""

from __future__ import annotations

import functools
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from tfperf import spec as specs
from tfperf.config import fields as config_fields
from tfperf.config.building import INVALID, Builder
from tfperf.config.dumping import RANGES, as_dict, value_of
from tfperf.config.loading import TaskOf, base_verb_of, check_verb, complete, varied, verb_of
from tfperf.config.suggestion import shown, suggest
from tfperf.errors import ConfigError

_Base: TypeAlias = specs.TrainSpec | specs.InferSpec


def load_sweep(config: str, *, task_of: TaskOf, overrides: Sequence[str] = ()) -> specs.SweepSpec:
    """Reads the config of a sweep.

    Its `base` is the name of a config for `train` or `infer`, the path of one, or its keys; `set` holds fields of the
    base, dotted, that are set before any is varied. A field may be varied unless the rules or the sweep itself fix it.

    Args:
        config: as in `load_inference`.
        task_of: as in `load_inference`.
        overrides: as in `load_inference`.

    Returns:
        The spec, complete, and so its base.

    Raises:
        ConfigError: lists every violation.
    """
    fields = config_fields.read(config)
    check_verb(fields, "sweep", config)
    problems: list[str] = []
    fields["base"] = _base(fields, config, problems)
    for assignment in overrides:
        config_fields.override(fields, assignment, problems)
    if not isinstance(fields["base"], dict):  # an override named another one
        fields["base"] = _named_base(fields["base"], config, problems)
    if problems:
        raise ConfigError(tuple(problems))
    base_verb = base_verb_of(fields["base"])
    try:
        base: _Base = complete(specs.InferSpec if base_verb == "infer" else specs.TrainSpec, fields["base"], task_of)
    except ConfigError as error:
        raise ConfigError(tuple(f"base.{violation}" for violation in error.violations)) from error
    builder = Builder()
    vary = functools.partial(varied, base, task_of=task_of)
    fields["base"], fields["space"] = base, _space(fields.get("space"), base, vary, builder)
    if base_verb == "infer":
        fields.setdefault("early_stopping", None)
    sweep: specs.SweepSpec = builder.build(specs.SweepSpec, fields)
    if builder.problems:
        raise ConfigError(tuple(builder.problems))
    return sweep


def _base(fields: dict[str, Any], config: str, problems: list[str]) -> dict[str, Any]:
    """The fields of the run that a sweep varies, with those in `set`, which are taken out of `fields`."""
    base, changes = fields.get("base"), fields.pop("set", None) or {}
    if not isinstance(changes, dict):
        problems.append(f"set: expected fields of the base with their values, got {shown(repr(changes))}.")
        return {}
    read = base if isinstance(base, dict) else _named_base(base, config, problems)
    for path, value in changes.items():
        config_fields.set_field(read, str(path).split("."), value)
    return read


def _named_base(base: Any, config: str, problems: list[str]) -> dict[str, Any]:
    if not isinstance(base, str):
        problems.append(f"base: expected the name of a config for train or infer or its keys, got {shown(repr(base))}.")
        return {}
    beside = pathlib.Path(config).parent / base  # a relative path starts from the sweep's config
    is_file = os.path.isfile(beside)  # pathlib raises an error if the name is too long
    read = config_fields.read(str(beside) if is_file else base)
    if verb_of(read) == "sweep":
        problems.append(f"base: {base} is a config for tfperf sweep. Name a config for tfperf train or infer.")
        return {}
    return read


def _space(
    space: Any, base: _Base, vary: Callable[[Mapping[str, Any]], object], builder: Builder
) -> tuple[tuple[str, specs.Range], ...]:
    if not isinstance(space, dict):
        builder.problems.append(f"space: expected fields with their ranges, got {shown(repr(space))}.")
        return ()
    built: dict[str, specs.Range] = {}
    for field, block in space.items():
        found = _range(block, f"space.{field}", builder)
        if found is not None:
            built[str(field)] = found
    for field, values in built.items():
        builder.problems.extend(_misfits(base, field, _extremes(values), vary))
    return tuple(built.items())


def _range(block: Any, where: str, builder: Builder) -> specs.Range | None:
    name, values = next(iter(block.items())) if isinstance(block, dict) and len(block) == 1 else ("", None)
    if name not in RANGES or not isinstance(values, list | tuple):
        builder.problems.append(
            f"{where}: expected one of choice: [...], uniform: [low, high], log_uniform: [low, high], "
            f"integers: [low, high]; got {shown(repr(block))}."
        )
        return None
    kind, names_of_values = RANGES[name]
    fields = {"values": values} if name == "choice" else dict(zip(names_of_values, values, strict=False))
    if name != "choice" and not 2 <= len(values) <= len(names_of_values):
        expected = ", ".join(names_of_values)
        builder.problems.append(f"{where}.{name}: expected [{expected}], got {shown(repr(list(values)))}.")
        return None
    found: specs.Range | None = builder.build(kind, fields, where=f"{where}.")
    return None if found is INVALID else found


def _extremes(values: specs.Range) -> tuple[Any, ...]:
    return values.values if isinstance(values, specs.Choice) else (values.low, values.high)


def _misfits(
    base: _Base, field: str, values: Sequence[Any], vary: Callable[[Mapping[str, Any]], object]
) -> Iterator[str]:
    """What is wrong with varying a field over these values, without repetitions."""
    try:
        value_of(base, field)
    except (KeyError, TypeError):
        known = [*_leaves(as_dict(base))]
        yield f"space.{field}: unknown field.{suggest(field, known)}"
        return
    found = set()
    for value in values:
        try:
            vary({field: value})
        except ConfigError as error:
            found |= {f"space.{violation}" for violation in error.violations}
    yield from sorted(found)


def _leaves(fields: Mapping[str, Any], where: str = "") -> Iterator[str]:
    for name, value in fields.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{where}{name}.")
        else:
            yield f"{where}{name}"
