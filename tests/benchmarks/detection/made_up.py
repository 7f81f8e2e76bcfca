"""Objects and detections that look like those of a detector, for the tests of scoring."""

import numpy as np

from tfperf.benchmarks.detection.objects import FoundObjects, TrueObjects


def scored_images(
    seed: int, *, images: int = 40, classes: int = 6, crowds: float = 0.1, most: int = 8
) -> tuple[TrueObjects, FoundObjects]:
    """Objects of all sizes, some of them groups or difficult, and detections near most of them and elsewhere.

    Some images have no objects or no detections, some classes none of either, and many scores are equal.
    """
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, most + 1, images)
    image = np.repeat(np.arange(images) + 7, counts)
    total = len(image)
    corner = rng.uniform(0, 500, (total, 2))
    boxes = np.concatenate(
        (corner, corner + rng.uniform(4, 200, (total, 2)) * rng.choice((0.1, 0.5, 1), (total, 1))), 1
    )
    kinds = rng.integers(0, max(classes - 1, 1), total)
    sides = boxes[:, 2:] - boxes[:, :2]
    true = TrueObjects(
        images=np.arange(images) + 7,
        image=image,
        boxes=boxes,
        classes=kinds,
        areas=sides.prod(axis=1) * rng.uniform(0.5, 1, total),
        crowd=rng.random(total) < crowds,
        difficult=rng.random(total) < 0.15,
    )
    near = np.repeat(np.arange(total), rng.integers(0, 4, total))
    moved = boxes[near] + np.tile(sides[near], 2) * rng.normal(0, 0.08, (len(near), 4))
    stray = rng.integers(0, images, 3 * images)
    elsewhere = rng.uniform(0, 300, (len(stray), 2))
    elsewhere = np.concatenate((elsewhere, elsewhere + rng.uniform(5, 90, (len(stray), 2))), axis=1)
    found = FoundObjects(
        image=np.concatenate((image[near], stray + 7)),
        boxes=np.concatenate((moved, elsewhere)),
        classes=np.concatenate((kinds[near], rng.integers(0, classes, len(stray)))),
        scores=np.concatenate((rng.integers(3, 10, len(near)), rng.integers(1, 7, len(stray)))) / 10,
    )
    keep = found.image % 5 > 0
    return true, FoundObjects(**{name: getattr(found, name)[keep] for name in ("image", "boxes", "classes", "scores")})
