"""The pictures and the precision curves of a training run, read from its event files by TensorBoard's data provider."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from tensorboard import context, errors
from tensorboard.data import provider

from tfperf.reporting import tensorboard

_NEWEST = 1  # of each tag
_TYPES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}
_ROWS = 6  # of a precision curve: four counts, precision and recall
_FIRST_BLOB = 2  # after the width and the height


def shown(
    data: provider.DataProvider, request: context.RequestContext, *, experiment_id: str, board_run: str
) -> dict[str, Any]:
    """What the newest evaluation shows; empty until TensorBoard has read it.

    Returns:
        `pictures` ({name, step}) and `curves` ({name, total, points}, with points of recall and precision).
    """
    where = {"experiment_id": experiment_id, "board_run": board_run}
    pictures = _newest(data.read_blob_sequences, request, plugin_name="images", prefix=tensorboard.PICTURES, **where)
    curves = _newest(data.read_tensors, request, plugin_name="pr_curves", prefix=tensorboard.CURVES, **where)
    return {
        "pictures": [{"name": name, "step": datum.step} for name, datum in pictures.items()],
        "curves": [curve for name, datum in curves.items() for curve in _curve(name, datum.numpy)],
    }


def picture(
    data: provider.DataProvider, request: context.RequestContext, *, experiment_id: str, board_run: str, name: str
) -> tuple[bytes, str] | None:
    """The newest picture of this name and its content type; None if there is none, or if it is no PNG or JPEG."""
    found = _newest(
        data.read_blob_sequences,
        request,
        plugin_name="images",
        prefix=tensorboard.PICTURES,
        experiment_id=experiment_id,
        board_run=board_run,
    )
    blobs = found[name].values[_FIRST_BLOB:] if name in found else ()
    if not blobs:
        return None
    content: bytes = data.read_blob(request, blob_key=blobs[0].blob_key)
    kind = next((kind for start, kind in _TYPES.items() if content.startswith(start)), None)
    return None if kind is None else (content, kind)


def _newest(
    read: Callable[..., Mapping[str, Mapping[str, Any]]],
    request: context.RequestContext,
    *,
    experiment_id: str,
    board_run: str,
    plugin_name: str,
    prefix: str,
) -> dict[str, Any]:
    """The newest datum of each tag that begins with the prefix, by the rest of the tag."""
    try:
        found = read(
            request,
            experiment_id=experiment_id,
            plugin_name=plugin_name,
            downsample=_NEWEST,
            run_tag_filter=provider.RunTagFilter(runs=[board_run]),
        )
    except errors.NotFoundError:
        return {}
    tags = found.get(board_run, {})
    return {tag[len(prefix) :]: tags[tag][-1] for tag in sorted(tags) if tag.startswith(prefix) and tags[tag]}


def _curve(name: str, rows: np.ndarray) -> Iterator[dict[str, Any]]:
    """The curve as the page draws it; nothing for a tensor that tfperf did not write."""
    if rows.ndim != 2 or rows.shape[0] != _ROWS or not rows.size or not np.isfinite(rows).all():
        return
    found, _, _, missed, precision, recall = rows.astype(float).tolist()
    yield {
        "name": name,
        "total": round(found[0] + missed[0]),
        "points": list(zip(recall, precision, strict=True))[::-1],
    }
