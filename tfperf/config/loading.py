"""Specs from configs: training runs and inference measurements."""

from __future__ import annotations

import copy
import dataclasses
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

from tfperf import spec as specs
from tfperf.config import fields as config_fields
from tfperf.config.building import Builder, SourceClasses
from tfperf.config.dumping import as_dict
from tfperf.config.keys import key_of, members
from tfperf.config.suggestion import shown
from tfperf.errors import ConfigError
from tfperf.field_types import hints_of

Verb: TypeAlias = Literal["train", "infer", "sweep", "evaluate"]
BaseVerb: TypeAlias = Literal["train", "infer"]  # whose configs a sweep can vary
_LISTS = ("batch_size", "executable", "instances", "threads", "device", "metrics")  # of an evaluation
_Spec = TypeVar("_Spec", bound=specs.TrainSpec | specs.InferSpec)


class Task(Protocol):
    """What a config needs to know about the task of a benchmark."""

    @property
    def options(self) -> Any:
        """The default options of its model, a dataclass."""

    @property
    def sources(self) -> tuple[type[Any], ...]:
        """The dataclasses that `data.source` may hold."""


# (name of a benchmark, verb) -> its task. Raises ConfigError for an unknown benchmark and for one without that task.
TaskOf: TypeAlias = Callable[[str, BaseVerb], Task]


def load(config: str, *, task_of: TaskOf, overrides: Sequence[str] = ()) -> specs.TrainSpec:
    """Reads a training config.

    The arguments, the complete spec and the errors are those of `load_inference`.
    """
    return _load(specs.TrainSpec, config, task_of, overrides)


def load_inference(config: str, *, task_of: TaskOf, overrides: Sequence[str] = ()) -> specs.InferSpec:
    """Reads an inference config.

    Args:
        config: the name of a packaged config or the path of a yaml file.
        task_of: looks up the task of a benchmark, as `benchmarks.task` does.
        overrides: `key.path=value` each, applied in order; values are yaml.

    Returns:
        The spec, complete: `model` holds the benchmark's options.

    Raises:
        ConfigError: lists every violation.
    """
    return _load(specs.InferSpec, config, task_of, overrides)


def load_evaluation(config: str, *, overrides: Sequence[str] = ()) -> specs.EvaluateSpec:
    """Reads the config of an evaluation. One value may stand for a list of one, as in `batch_size: 8`.

    Args:
        config: as in `load_inference`.
        overrides: as in `load_inference`.

    Raises:
        ConfigError: lists every violation.
    """
    fields = config_fields.read(config)
    check_verb(fields, "evaluate", config)
    builder = Builder()
    for assignment in overrides:
        config_fields.override(fields, assignment, builder.problems)
    listed = {name: [fields[name]] for name in _LISTS if isinstance(fields.get(name), int | float | str)}
    if "threads" in fields and fields["threads"] is None:
        listed["threads"] = [None]
    built: specs.EvaluateSpec = builder.build(specs.EvaluateSpec, {**fields, **listed})
    if builder.problems:
        raise ConfigError(tuple(builder.problems))
    return built


def load_any(
    config: str, *, task_of: TaskOf, overrides: Sequence[str] = ()
) -> specs.TrainSpec | specs.InferSpec | specs.EvaluateSpec:
    """Reads a config for inference if it holds a scenario, for an evaluation if it holds phases, else for training.

    The arguments and the errors are those of `load_inference`.
    """
    if verb(config) == "evaluate":
        return load_evaluation(config, overrides=overrides)
    load_it = load_inference if verb(config) == "infer" else load
    return load_it(config, task_of=task_of, overrides=overrides)


def verb(config: str) -> Verb:
    """The verb that a config is for: with a scenario `infer`, with phases `evaluate`, with a space `sweep`.

    Raises:
        ConfigError: there is no such config, or it is not yaml.
    """
    return verb_of(config_fields.read(config))


def varied(base: _Spec, values: Mapping[str, Any], *, task_of: TaskOf, **changes: Any) -> _Spec:
    """The base with other values in dotted fields, such as `optimizer.sgd.momentum`.

    Args:
        base: a complete spec.
        values: value by field.
        task_of: as in `load_inference`.
        changes: further fields of the spec itself.

    Raises:
        ConfigError: lists every violation.
    """
    fields = copy.deepcopy(as_dict(base))
    for path, value in values.items():
        config_fields.set_field(fields, str(path).split("."), value)
    return dataclasses.replace(complete(type(base), fields, task_of), **changes)


def verb_of(fields: Mapping[str, Any]) -> Verb:
    """The verb that a config with these fields is for."""
    if "phases" in fields:
        return "evaluate"
    return "sweep" if "space" in fields else base_verb_of(fields)


def base_verb_of(fields: Mapping[str, Any]) -> BaseVerb:
    """The verb that the base of a sweep with these fields is for."""
    return "infer" if "scenario" in fields else "train"


def check_verb(fields: Mapping[str, Any], expected: Verb, config: str) -> None:
    """Refuses a config for another verb.

    Raises:
        ConfigError: names the verb that the config is for.
    """
    right = verb_of(fields)
    if right != expected:
        raise ConfigError((f"{config} is a config for tfperf {right}. Run tfperf {right} --config {config}.",))


def complete(kind: type[_Spec], fields: Mapping[str, Any], task_of: TaskOf, problems: Sequence[str] = ()) -> _Spec:
    """A spec, with the options of the benchmark's model.

    Args:
        kind: `TrainSpec` or `InferSpec`.
        fields: the fields of the spec.
        task_of: as in `load_inference`.
        problems: the problems found so far.

    Raises:
        ConfigError: lists every violation.
    """
    benchmark, unknown = fields.get("benchmark"), list[str]()
    task = _task(benchmark, "infer" if kind is specs.InferSpec else "train", task_of, unknown)
    sources = SourceClasses(str(benchmark), {key_of(source): source for source in task.sources}) if task else None
    builder = Builder(problems=list(problems), sources=sources)
    built = builder.build(kind, {name: value for name, value in fields.items() if name != "model"})
    builder.problems.extend(unknown)
    options = None if task is None else _options(task.options, fields.get("model"), builder)
    if builder.problems:
        raise ConfigError(tuple(builder.problems))
    return typing.cast("_Spec", dataclasses.replace(built, model=options))


def _load(kind: type[_Spec], config: str, task_of: TaskOf, overrides: Sequence[str]) -> _Spec:
    fields = config_fields.read(config)
    check_verb(fields, "infer" if kind is specs.InferSpec else "train", config)
    problems: list[str] = []
    for assignment in overrides:
        config_fields.override(fields, assignment, problems)
    return complete(kind, fields, task_of, problems)


def _task(benchmark: Any, verb: BaseVerb, task_of: TaskOf, problems: list[str]) -> Task | None:
    if not isinstance(benchmark, str):
        return None  # building the spec reports it
    try:
        return task_of(benchmark, verb)
    except ConfigError as error:
        problems.extend(error.violations)
        return None


def _options(default: Any, model: Any, builder: Builder) -> Any:
    if model is None:
        return default
    if not isinstance(model, dict):
        builder.problems.append(f"model: expected keys of {type(default).__name__}, got {shown(repr(model))}.")
        return None
    return builder.build(type(default), _replaced(default, model), where="model.")


def _replaced(default: Any, given: Mapping[Any, Any]) -> dict[Any, Any]:
    """The default options as plain values, with the given ones in their places; a block keeps what it doesn't name."""
    hints, fields = hints_of(type(default)), {field.name for field in dataclasses.fields(default)}
    plain: dict[Any, Any] = as_dict(default)
    for name, value in given.items():
        nested = getattr(default, name) if name in fields else None
        is_block = isinstance(value, dict) and dataclasses.is_dataclass(nested) and not members(hints[name])
        plain[name] = _replaced(nested, value) if is_block else value
    return plain
