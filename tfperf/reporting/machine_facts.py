"""What a result says about the machines, as facts for its table: energy, use and what limited the run."""

from __future__ import annotations

from collections.abc import Sequence

from tfperf import result

ObservedResult = result.TrainResult | result.InferResult | result.EvaluateResult


def facts(outcome: ObservedResult) -> list[tuple[str, str]]:
    """What limited the run, its energy and the use of each host, as (label, text); empty if nothing was recorded."""
    found = [
        ("bottleneck", [_limit(each, alone=len(outcome.bottlenecks) == 1) for each in outcome.bottlenecks]),
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


def _limit(found: result.Bottleneck, *, alone: bool) -> str:
    where = "" if alone else f"{found.window}: "
    return "\n".join([f"{where}{found.verdict}", *(f"- {sentence}" for sentence in found.evidence)])
