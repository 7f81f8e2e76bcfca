"""The layout of scenes."""

from __future__ import annotations

import itertools

import pytest

from tfperf.benchmarks.shapes import outlines, scene

SCENES = 400


@pytest.fixture(scope="module")
def layouts() -> list[tuple[scene.Shape, ...]]:
    kinds = outlines.KINDS * (SCENES // len(outlines.KINDS))
    return [scene.layout(scene.generator("train", index, seed=0), kind) for index, kind in enumerate(kinds)]


def test_a_scene_has_two_to_five_shapes_and_all_counts_occur(layouts: list[tuple[scene.Shape, ...]]) -> None:
    assert {len(shapes) for shapes in layouts} == {2, 3, 4, 5}


def test_no_kind_and_no_color_occurs_twice_in_a_scene(layouts: list[tuple[scene.Shape, ...]]) -> None:
    for shapes in layouts:
        assert len({shape.kind for shape in shapes}) == len({shape.color for shape in shapes}) == len(shapes)


def test_the_first_shape_is_the_one_asked_for(layouts: list[tuple[scene.Shape, ...]]) -> None:
    assert [shapes[0].kind for shapes in layouts[:8]] == list(outlines.KINDS)


def test_the_first_shape_has_over_three_times_the_area_of_any_other(layouts: list[tuple[scene.Shape, ...]]) -> None:
    for main, *others in layouts:
        area = outlines.area(main.outline)
        assert area * scene.SIDE**2 == pytest.approx(main.area)
        assert all(area > 3 * outlines.area(other.outline) for other in others)


def test_the_first_shape_has_the_largest_box(layouts: list[tuple[scene.Shape, ...]]) -> None:
    for main, *others in layouts:
        assert all(_box_area(main) > 2 * _box_area(other) for other in others)


def test_boxes_lie_inside_the_scene(layouts: list[tuple[scene.Shape, ...]]) -> None:
    for shape in itertools.chain(*layouts):
        ymin, xmin, ymax, xmax = shape.box
        assert 0 < ymin < ymax < 1
        assert 0 < xmin < xmax < 1


def test_a_box_is_tight_around_the_outline(layouts: list[tuple[scene.Shape, ...]]) -> None:
    for shape in itertools.chain(*layouts):
        y, x = shape.outline[0].imag, shape.outline[0].real
        assert shape.box == pytest.approx((y.min(), x.min(), y.max(), x.max()))


def test_boxes_do_not_touch(layouts: list[tuple[scene.Shape, ...]]) -> None:
    for shapes in layouts:
        for (top, left, bottom, right), (top_2, left_2, bottom_2, right_2) in itertools.combinations(
            [shape.box for shape in shapes], 2
        ):
            assert right < left_2 or right_2 < left or bottom < top_2 or bottom_2 < top


def test_colors_say_nothing_about_the_kind(layouts: list[tuple[scene.Shape, ...]]) -> None:
    for kind in outlines.KINDS:
        assert {shapes[0].color for shapes in layouts if shapes[0].kind == kind} == set(scene.COLORS)


def _box_area(shape: scene.Shape) -> float:
    ymin, xmin, ymax, xmax = shape.box
    return (ymax - ymin) * (xmax - xmin)
