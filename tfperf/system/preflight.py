"""Checks that all workers of a run do the same thing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tfperf.errors import TfperfError
from tfperf.system.assembly import Assembly

_SHOWN = 8
_LONGEST_VALUE = 100


def agree(together: Assembly, facts: Mapping[str, Any]) -> None:
    """Compares facts; needs neither the devices nor a model.

    Args:
        together: the workers.
        facts: what must be equal on all workers, as plain values. Values within values are named by their path, such as
            `config.model.blocks`.

    Raises:
        TfperfError: workers differ. Names the workers and the facts, with their values.
    """
    everyone = together.exchange(_flat(facts))
    names = sorted({name for found in everyone for name in found})
    different = [
        _difference(name, [found.get(name, "nothing") for found in everyone], together)
        for name in names
        if any(found.get(name) != everyone[0].get(name) for found in everyone)
    ]
    if different:
        more = [f"and {len(different) - _SHOWN} more"] if len(different) > _SHOWN else []
        raise TfperfError("\n  ".join(["Not all workers run the same thing.", *different[:_SHOWN], *more]))


def _difference(name: str, values: Sequence[str], together: Assembly) -> str:
    others = [
        f"{together.cluster.name(index)} has {_short(value)}"
        for index, value in enumerate(values)
        if index and value != values[0]
    ]
    return f"{name}: worker 0 has {_short(values[0])}, {', '.join(others)}"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def _flat(facts: Mapping[str, Any]) -> dict[str, str]:
    return dict(_leaves("", facts))


def _leaves(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(f"{name}.{key}" if name else str(key), inner)
    else:
        yield name, str(value)
