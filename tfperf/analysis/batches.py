"""Which batch sizes a run executed, and how much of them was padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def histogram(samples: np.ndarray, *, batch_sizes: Sequence[int]) -> dict[str, int]:
    """Batch size -> executions of it, ascending; sizes that were never executed are left out.

    Args:
        samples: real samples of each execution, [executions].
        batch_sizes: what the model is compiled for; an execution is taken to have the least one that holds its samples.

    Raises:
        ValueError: an execution had more samples than the largest batch size.
    """
    sizes, counts = np.unique(padded(samples, batch_sizes=batch_sizes), return_counts=True)
    return {str(size): int(count) for size, count in zip(sizes, counts, strict=True)}


def padding(samples: np.ndarray, *, batch_sizes: Sequence[int]) -> float:
    """The share of what was executed that was padding, 0 to 1; 0 where nothing was executed."""
    executed = int(padded(samples, batch_sizes=batch_sizes).sum())
    return 1 - int(samples.sum()) / executed if executed else 0.0


def padded(samples: np.ndarray, *, batch_sizes: Sequence[int]) -> np.ndarray:
    """The batch size of each execution, [executions]; see `histogram`."""
    sizes = np.array(sorted(batch_sizes), np.int64)
    places = np.searchsorted(sizes, samples)
    if len(samples) and places.max() >= len(sizes):
        raise ValueError(
            f"samples must be at most the largest of batch_sizes={tuple(batch_sizes)}, got {int(samples.max())}. "
            "Pass the batch sizes that the run was compiled for."
        )
    return sizes[places]
