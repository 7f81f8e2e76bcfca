"""What was the same and what differed between runs: config, machine, software and what was served."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tfperf import result
from tfperf.stored.run import StoredRun

# Differ from run to run without making runs incomparable: who ran it, where the result went, and the seed of training.
_IGNORED = (
    "config.seed",
    "config.submission",
    "environment.command",
    "environment.platform",
    "environment.variables.SLURM_JOB_ID",
    "environment.variables.TF_CLI_CONFIG_FILE",
    "environment.variables.TF_CPP_MIN_LOG_LEVEL",
    "environment.packages.tfperf",
)
# What decides the speed. A change of software is what most comparisons are about, so it is only shown.
_DECIDING = (
    "config",
    "environment.cpu",
    "environment.cpu_logical_cores",
    "environment.devices",
    "environment.gpu",
    "environment.gpu_count",
    "environment.replicas",
    "environment.strategy",
    "environment.tensor_float_32",
    "environment.tpu_chips",
)
_MISSING = "--"
EVERYTHING = "all"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Difference:
    """A fact in which two sides differ, or runs of one side.

    Attributes:
        key: such as `environment.packages.tensorflow`.
        baseline: its different values, as text.
        candidate: the same.
        declared: whether the user named it as the change that is compared.
        deciding: whether it decides the speed, so that a comparison without its declaration would mislead.
    """

    key: str
    baseline: tuple[str, ...]
    candidate: tuple[str, ...]
    declared: bool
    deciding: bool


def differences(
    baseline: Sequence[StoredRun], candidate: Sequence[StoredRun], *, changes: Sequence[str]
) -> tuple[Difference, ...]:
    """The facts that are not the same in all runs, by key.

    Args:
        baseline: the runs of one side.
        candidate: the runs of the other.
        changes: keys that the user declared, or the start of keys up to a dot; `all` declares everything.
    """
    sides = [[of(run) for run in runs] for runs in (baseline, candidate)]
    keys = sorted({key for side in sides for facts in side for key in facts})
    found = []
    for key in keys:
        values = [tuple(sorted({facts.get(key, _MISSING) for facts in side})) for side in sides]
        if len({*values[0], *values[1]}) > 1:
            declared = any(_names(change, key) for change in changes)
            deciding = any(_within(key, each) for each in _DECIDING)
            found.append(
                Difference(key=key, baseline=values[0], candidate=values[1], declared=declared, deciding=deciding)
            )
    return tuple(found)


def of(run: StoredRun) -> dict[str, str]:
    """The facts of a run by key, each as text."""
    outcome = run.outcome
    facts = {
        **dict(_flat("config", outcome.config)),
        **dict(_flat("environment", outcome.environment)),
    }
    if isinstance(outcome, result.InferResult):
        facts |= {
            "executable": str(outcome.executable),
            "batch_sizes": str(list(outcome.batch_sizes)),
            "threads": str(outcome.threads),
            "instances": str(outcome.instances),
            "weights": outcome.weights.get("sha256", "")[:12] or _MISSING,
        }
    return {key: value for key, value in facts.items() if not any(_within(key, each) for each in _IGNORED)}


def deciding(run: StoredRun) -> dict[str, str]:
    """The facts of a run that decide its speed: its config, and the processors that it used."""
    return {key: value for key, value in of(run).items() if any(_within(key, each) for each in _DECIDING)}


def unknown_changes(changes: Sequence[str], runs: Sequence[StoredRun]) -> tuple[str, ...]:
    """The declared changes that name no fact of any run."""
    keys = {key for run in runs for key in of(run)}
    return tuple(change for change in changes if not any(_names(change, key) for key in keys))


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(f"{prefix}.{name}", inner)
    else:
        yield prefix, value if isinstance(value, str) else json.dumps(value)


def _names(change: str, key: str) -> bool:
    """Whether a declared change means this fact: by its whole key, its start, or without the first word."""
    return change == EVERYTHING or _within(key, change) or _within(key.partition(".")[2], change)


def _within(key: str, start: str) -> bool:
    return key == start or key.startswith(f"{start}.")
