"""What the tests of detection compare with: float64 NumPy, written box by box where it is short."""

import numpy as np


def random_boxes(rng: np.random.Generator, *shape: int, size: float = 1.0) -> np.ndarray:
    """Boxes with an area, float32 [*shape, 4], most of them small."""
    corner = rng.uniform(0, 0.9, (*shape, 2))
    extent = rng.uniform(0.01, 0.6, (*shape, 2)) ** 2 + 0.01
    return (size * np.concatenate((corner, np.minimum(corner + extent, 1)), axis=-1)).astype("float32")


def grid_boxes(rng: np.random.Generator, *shape: int, cells: int = 16) -> np.ndarray:
    """Boxes whose edges lie on a coarse grid, so that float32 computes their overlaps exactly and many are equal."""
    corner = rng.integers(0, cells - 1, (*shape, 2))
    extent = rng.integers(1, cells // 2, (*shape, 2))
    return (np.concatenate((corner, np.minimum(corner + extent, cells)), axis=-1) / cells).astype("float32")


def iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The intersection over union of each box [n, 4] with each other box [m, 4]; 0 where neither has an area."""
    boxes, others = (each.astype("float64") for each in (boxes, others))
    upper = np.maximum(boxes[:, None, :2], others[:, :2])
    lower = np.minimum(boxes[:, None, 2:], others[:, 2:])
    shared = np.prod(np.maximum(lower - upper, 0), axis=-1)
    union = areas(boxes)[:, None] + areas(others) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def areas(boxes: np.ndarray) -> np.ndarray:
    """The areas of boxes [n, 4]; 0 if the corners are swapped."""
    return np.prod(np.maximum(boxes[:, 2:].astype("float64") - boxes[:, :2], 0), axis=-1)
