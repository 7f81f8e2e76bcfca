"""What a result says about the machines, as facts for its table: energy, use and what limited the run."""

from __future__ import annotations

import collections
from collections.abc import Iterator, Sequence

from tfperf import result

ObservedResult = result.TrainResult | result.InferResult | result.EvaluateResult


def facts(outcome: ObservedResult) -> list[tuple[str, str]]:
    """What limited the run, its energy and the use of each host, as (label, text); empty if nothing was recorded."""
    found = [
        ("bottleneck", list(_limits(outcome.bottlenecks))),
        ("energy", _energy(outcome)),
        ("machine", [] if tabulated(outcome.use) else list(result.use_lines(outcome.use))),
    ]
    return [(label, "\n".join(lines)) for label, lines in found if lines]


def tabulated(observed: Sequence[result.EnergyDomain] | Sequence[result.MachineUse]) -> bool:
    """Whether there are several windows, which need more room than a fact."""
    return len({(each.window, each.began_s) for each in observed}) > 1


def _energy(outcome: ObservedResult) -> list[str]:
    shown = [each for each in outcome.energy if each.joules is None] if tabulated(outcome.energy) else outcome.energy
    return list(result.energy_lines(shown))


def _limits(found: Sequence[result.Bottleneck]) -> Iterator[str]:
    """The verdict with its sentences; of several windows how many have which for what reason. A table has the rest."""
    if len(found) == 1:
        (only,) = found
        yield from (only.verdict, *(f"- {sentence}" for sentence in only.evidence))
        return
    alike = collections.Counter((each.verdict, *each.evidence[:1]) for each in found)
    for (verdict, *reason), count in alike.most_common():
        yield ": ".join([f"{verdict}, {count} of {len(found)} loads", *reason])
