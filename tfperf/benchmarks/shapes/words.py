"""Captions of scenes, and questions about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from tfperf.benchmarks.shapes import scene


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """A question whose answer is in the caption, starting at character `answer_start`."""

    question: str
    answer: str
    answer_start: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Mention:
    """Where the caption describes a shape: the spans (start, word) of each property."""

    size: tuple[int, str]
    color: tuple[int, str]
    kind: tuple[int, str]
    relation: tuple[int, str] | None


def describe(shapes: Sequence[scene.Shape]) -> str:
    """The caption, such as "a large red star left of a small blue ring, above a tiny green cross"."""
    return _tell(shapes)[0]


def ask(rng: np.random.Generator, shapes: Sequence[scene.Shape]) -> tuple[Question, ...]:
    """Two or three questions, no two alike."""
    mentions = _tell(shapes)[1]
    pool = [question for mention in mentions for question in _questions(mention, main=mentions[0])]
    chosen = rng.permutation(len(pool))[: rng.integers(2, 4)]
    return tuple(pool[place] for place in chosen)


def _tell(shapes: Sequence[scene.Shape]) -> tuple[str, list[_Mention]]:
    main, *others = shapes
    caption, mention = _mention("", main, size="large", relation=None)
    mentions = [mention]
    for number, shape in enumerate(others):
        caption, mention = _mention(
            caption + (", " if number else " "),
            shape,
            size="tiny" if shape.area < 0.1 * main.area else "small",
            relation=_relation(main.box, shape.box),
        )
        mentions.append(mention)
    return caption, mentions


def _mention(caption: str, shape: scene.Shape, *, size: str, relation: str | None) -> tuple[str, _Mention]:
    """The caption with the next phrase, and where each property is in it."""
    spans = []
    for word in (*((relation,) if relation else ()), "a", size, shape.color, shape.kind):
        spans.append((len(caption), word))
        caption += word + " "
    *before, size_span, color_span, kind_span = spans
    mention = _Mention(size=size_span, color=color_span, kind=kind_span, relation=before[0] if relation else None)
    return caption.rstrip(), mention


def _relation(main: scene.Box, other: scene.Box) -> str:
    """The direction from `other` to `main`, along the axis on which they are further apart."""
    down, right = (main[axis] + main[axis + 2] - other[axis] - other[axis + 2] for axis in (0, 1))
    if abs(right) > abs(down):
        return "right of" if right > 0 else "left of"
    return "below" if down > 0 else "above"


def _questions(mention: _Mention, *, main: _Mention) -> list[Question]:
    kind, color = mention.kind[1], mention.color[1]
    questions = [
        _question(f"what color is the {kind}?", mention.color),
        _question(f"how big is the {kind}?", mention.size),
        _question(f"which shape is {color}?", mention.kind),
    ]
    if mention.relation:
        questions.append(_question(f"where is the {main.kind[1]} as seen from the {kind}?", mention.relation))
    return questions


def _question(question: str, answer: tuple[int, str]) -> Question:
    return Question(question=question, answer=answer[1], answer_start=answer[0])
