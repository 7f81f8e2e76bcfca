"""Scattered scenes: their boxes fit, little of a shape is hidden, and a scene follows from its number alone."""

import io

import numpy as np
import pytest
from PIL import Image

from tfperf.benchmarks.shapes import outlines, scattered, sprites

KINDS_OF_FIRST = ["circle", "circle", "cross", "crescent", "triangle"]
BOXES_OF_FIRST = [
    [13.01, 10.01, 60.99, 57.99],
    [40, 77, 56, 93],
    [6.46, 42.46, 53.54, 89.54],
    [17, 74, 31.35, 90],
    [68.41, 64.41, 88.49, 84.49],
]


def test_a_scene_follows_from_its_number_split_and_seed() -> None:
    first, again = scattered.draw_scattered("train", 7), scattered.draw_scattered("train", 7)
    assert first.jpeg == again.jpeg
    assert np.array_equal(first.boxes, again.boxes)
    others = [("validation", 7, 0), ("train", 8, 0), ("train", 7, 1)]
    assert all(scattered.draw_scattered(split, index, seed=seed).jpeg != first.jpeg for split, index, seed in others)


def test_scenes_keep_their_content() -> None:
    # Trained models and their published quality depend on it.
    scene = scattered.draw_scattered("validation", 0)
    assert [outlines.KINDS[number] for number in scene.classes] == KINDS_OF_FIRST
    assert scene.boxes * scattered.SIDE == pytest.approx(np.array(BOXES_OF_FIRST), abs=0.01)


def test_boxes_surround_what_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    side = 2 * scattered.SIDE
    flat = (np.zeros((24, side, 3 * side), np.float32), np.zeros((6, side, 3 * side), np.float32))
    monkeypatch.setattr(scattered, "_grounds", lambda split: flat)
    for index in range(60):
        scene = scattered.draw_scattered("train", index)
        image = Image.open(io.BytesIO(scene.jpeg))
        pixels = np.asarray(image, np.float32)
        ground = np.median(pixels.reshape(-1, 3), axis=0)
        drawn = np.abs(pixels - ground).max(axis=2) > 24
        for box in scene.boxes * scattered.SIDE:
            x1, y1, x2, y2 = np.round(box).astype(int)
            # Its rows and columns are touched to the ends, give or take what compression blurs and a thin tip hides.
            assert drawn[y1:y2, x1:x2].any(axis=1).mean() > 0.85
            assert drawn[y1:y2, x1:x2].any(axis=0).mean() > 0.85
        outside = np.ones_like(drawn)
        for x1, y1, x2, y2 in (scene.boxes * scattered.SIDE).astype(int):
            outside[max(0, y1 - 1) : y2 + 3, max(0, x1 - 1) : x2 + 3] = False
        assert (drawn & outside).sum() < 20


def test_little_of_a_shape_is_hidden_and_boxes_lie_inside() -> None:
    scenes = [scattered.draw_scattered("train", index) for index in range(300)]
    visible = np.concatenate([scene.visible for scene in scenes])
    assert visible.min() >= scattered.LEAST_VISIBLE
    assert 0.1 < (visible < 1).mean() < 0.6
    boxes = np.concatenate([scene.boxes for scene in scenes])
    assert boxes.min() >= 0
    assert boxes.max() <= 1
    assert (boxes[:, 2:] - boxes[:, :2]).min() > 0.1
    counts = [len(scene.classes) for scene in scenes]
    assert (min(counts), max(counts)) == (1, scattered.MOST_SHAPES)
    assert min(np.bincount(np.concatenate([scene.classes for scene in scenes]))) > 80


@pytest.mark.parametrize("kind", outlines.KINDS)
def test_sprites_cover_the_area_of_their_outline_inside_their_box(kind: str) -> None:
    for radius in sprites.RADII:
        for turn in range(sprites.TURNS):
            found = sprites.sprite(kind, radius, turn)
            covered = found.covered[:, ::3]
            assert covered.sum() == pytest.approx(outlines.UNIT_AREAS[kind] * radius**2, rel=0.08)
            touched = [np.flatnonzero(covered.max(axis=axis)) for axis in (0, 1)]
            for (low, high), pixels in zip((found.box[::2], found.box[1::2]), touched, strict=True):
                assert abs(pixels[0] - low) <= 1.2
                assert abs(pixels[-1] + 1 - high) <= 1.2
