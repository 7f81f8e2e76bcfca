"""Drawn scenes."""

from __future__ import annotations

import collections
import io

import numpy as np
import pytest
from PIL import Image

from tfperf.benchmarks.shapes import draw, outlines, scene


def test_the_same_arguments_draw_the_same_scene_whatever_was_drawn_before() -> None:
    first = draw.example("train", 11)
    draw.example("validation", 3)
    again = draw.example("train", 11)

    assert (again.jpeg, again.caption, again.questions) == (first.jpeg, first.caption, first.questions)


@pytest.mark.parametrize(("split", "index", "seed"), [("validation", 11, 0), ("train", 19, 0), ("train", 11, 1)])
def test_another_split_index_or_seed_draws_another_scene(split: str, index: int, seed: int) -> None:
    assert draw.example(split, index, seed=seed).caption != draw.example("train", 11).caption


def test_scenes_stay_what_they_were_until_the_version_of_the_data_set_changes() -> None:
    """A failure here means that data sets which users have differ from new ones: raise TfperfShapes.VERSION."""
    captions = [draw.example(split, index).caption for split in scene.SPLITS for index in (0, 4095)]

    assert captions == [
        "a large white circle right of a small red heart, right of a small green ring",
        "a large green crescent right of a small yellow ring, right of a small red triangle",
        "a large white circle below a small green square, left of a tiny purple heart",
        "a large green crescent right of a tiny blue ring",
    ]


def test_the_image_is_a_small_color_jpeg() -> None:
    image = Image.open(io.BytesIO(draw.example("train", 0).jpeg))

    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (96, 96))


def test_labels_are_balanced() -> None:
    counts = collections.Counter(draw.example("train", index).label for index in range(40))

    assert counts == dict.fromkeys(outlines.KINDS, 5)


def test_the_label_is_the_kind_of_the_largest_shape() -> None:
    for index in range(40):
        example = draw.example("train", index)
        assert max(example.shapes, key=lambda shape: shape.area).kind == example.label


@pytest.mark.parametrize("index", range(16))
def test_what_is_painted_fills_its_box_and_its_area(index: int) -> None:
    for shape in draw.example("train", index).shapes:
        (rows, columns), covered = draw.coverage(shape)
        touched_rows, touched_columns = (np.flatnonzero(covered.max(axis=axis) > 0) for axis in (1, 0))
        painted = (
            rows.start + touched_rows[0],
            columns.start + touched_columns[0],
            rows.start + touched_rows[-1] + 1,
            columns.start + touched_columns[-1] + 1,
        )

        assert painted == pytest.approx(tuple(scene.SIDE * edge for edge in shape.box), abs=1)
        assert covered.sum() == pytest.approx(shape.area, rel=0.15)


def test_shapes_change_the_pixels_inside_their_boxes_and_none_outside() -> None:
    shapes = draw.example("train", 5).shapes
    empty, full = (draw.paint(np.random.default_rng(0), some).astype(int) for some in ((), shapes))
    noise_aside = np.abs(full - empty).max(axis=2) > 40
    inside = np.zeros_like(noise_aside)
    for shape in shapes:
        window, _ = draw.coverage(shape)
        inside[window] = True

    assert noise_aside.sum() > 500
    assert not (noise_aside & ~inside).any()


@pytest.mark.parametrize("split", scene.SPLITS)
def test_a_description_is_that_of_the_drawn_example(split: str) -> None:
    for index in range(12):
        drawn = draw.example(split, index)
        assert draw.description(split, index) == (drawn.caption, drawn.questions)
    assert draw.description(split, 3, seed=1).caption == draw.example(split, 3, seed=1).caption
