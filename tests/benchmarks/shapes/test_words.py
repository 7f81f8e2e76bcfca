"""Captions and questions."""

from __future__ import annotations

import numpy as np

from tfperf.benchmarks.shapes import draw, outlines, scene, words


def _shape(kind: str, color: str, box: scene.Box, *, area: float) -> scene.Shape:
    return scene.Shape(kind=kind, color=color, outline=outlines.UNIT_OUTLINES[kind], box=box, area=area)


STAR = _shape("star", "red", (0.3, 0.3, 0.7, 0.7), area=1000)
RING = _shape("ring", "blue", (0.4, 0.8, 0.5, 0.9), area=140)
CROSS = _shape("cross", "green", (0.05, 0.45, 0.1, 0.5), area=60)


def test_the_caption_names_size_color_kind_and_relation() -> None:
    assert words.describe([STAR, RING, CROSS]) == (
        "a large red star left of a small blue ring, below a tiny green cross"
    )


def test_the_whole_pool_of_questions_has_exact_answers() -> None:
    questions = [question for seed in range(60) for question in words.ask(np.random.default_rng(seed), [STAR, RING])]

    assert {(question.question, question.answer, question.answer_start) for question in questions} == {
        ("what color is the star?", "red", 8),
        ("how big is the star?", "large", 2),
        ("which shape is red?", "star", 12),
        ("what color is the ring?", "blue", 33),
        ("how big is the ring?", "small", 27),
        ("which shape is blue?", "ring", 38),
        ("where is the star as seen from the ring?", "left of", 17),
    }


def test_every_answer_stands_in_the_caption_where_it_says() -> None:
    for index in range(100):
        example = draw.example("validation", index)
        assert len(example.questions) in (2, 3)
        assert len({question.question for question in example.questions}) == len(example.questions)
        for question in example.questions:
            end = question.answer_start + len(question.answer)
            assert example.caption[question.answer_start : end] == question.answer
