"""The distribution of a serving run's latencies, read from its event files by TensorBoard's data provider."""

from __future__ import annotations

import math
from typing import Any

from tensorboard import context, errors
from tensorboard.data import provider

from tfperf import result
from tfperf.reporting import serving_board

PERMILLE = 1000


def distribution(
    data: provider.DataProvider, request: context.RequestContext, *, experiment_id: str, board_run: str
) -> list[tuple[float, float]]:
    """(latency in ms, share of queries answered within it) per thousandth; empty until TensorBoard has read them."""
    tags = provider.RunTagFilter(runs=[board_run], tags=[serving_board.BY_PERMILLE_TAG])
    try:
        found = data.read_scalars(
            request,
            experiment_id=experiment_id,
            plugin_name="scalars",
            downsample=PERMILLE,
            run_tag_filter=tags,
        )
    except errors.NotFoundError:
        return []
    curve = found.get(board_run, {}).get(serving_board.BY_PERMILLE_TAG, ())
    return [(point.value, point.step / PERMILLE) for point in curve if math.isfinite(point.value)]


def bound(outcome: result.InferResult) -> dict[str, Any] | None:
    """The bound of a Server run: `latency_ms` and the `share` of queries; None for other scenarios."""
    bound_ns = outcome.loadgen.get("effective_target_latency_ns")
    if outcome.scenario != "Server" or bound_ns is None:
        return None
    share = float(outcome.loadgen.get("effective_target_latency_percentile", 0.99))
    return {"latency_ms": float(bound_ns) / 1e6, "share": share}
