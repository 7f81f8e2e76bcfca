"""Whether the model became slower while it was measured."""

from __future__ import annotations

import numpy as np

NOTABLE = 0.03
LEAST_EXECUTIONS = 30


def drift(compute_ns: np.ndarray, samples: np.ndarray) -> float | None:
    """How much slower the last third of the executions was than the first: 0.05 is 5 %, below 0 is faster.

    Each time is taken relative to the median of the executions with as many samples, so that a shift towards other
    batch sizes is no drift; then the medians of the two thirds are compared, which a few slow executions do not move.

    Args:
        compute_ns: of each execution, [executions], in the order of time.
        samples: real samples of each, [executions].

    Returns:
        None with fewer than 30 executions.
    """
    if len(compute_ns) < LEAST_EXECUTIONS:
        return None
    _, kinds = np.unique(samples, return_inverse=True)
    order = np.lexsort((compute_ns, kinds))
    counts = np.bincount(kinds)
    medians = np.maximum(compute_ns[order][np.cumsum(counts) - counts + counts // 2], 1)
    relative = compute_ns / medians[kinds]
    third = len(relative) // 3
    return float(np.median(relative[-third:]) / np.median(relative[:third]) - 1)


def notice(found: float | None) -> str | None:
    """What to tell of a drift of more than 3 % to the slow side, a sentence; None where there is nothing to tell."""
    if found is None or found <= NOTABLE:
        return None
    return (
        f"The model was {found:.1%} slower in the last third of the run than in the first: the machine throttled or "
        "something else began to run, so a longer run would have measured less."
    )
