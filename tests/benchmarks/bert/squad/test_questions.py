"""The embedded questions: their answers are determined, and hold a word of the question."""

import re

from tfperf.benchmarks.bert.squad.questions import about_shapes


def test_the_questions_about_a_scene() -> None:
    asked = about_shapes("train", 1)
    assert asked.contexts == ("a large white circle right of a small red heart, right of a small green ring",)
    assert [(each.id, each.text, each.answers[0].text) for each in asked.questions] == [
        ("train-00000000-0", "how big is the heart?", "small red heart"),
        ("train-00000000-1", "where is the circle as seen from the ring?", "right of a small green ring"),
        ("train-00000000-2", "which is the circle?", "a large white circle"),
        ("train-00000000-3", "which is the heart?", "a small red heart"),
        ("train-00000000-4", "which is the ring?", "a small green ring"),
    ]


def test_each_answer_stands_once_in_its_caption_and_holds_a_word_of_its_question() -> None:
    asked = about_shapes("validation", 60)
    kinds = set()
    for question in asked.questions:
        (answer,), caption = question.answers, asked.contexts[question.context]
        assert caption[answer.start :].startswith(answer.text)
        assert len(re.findall(rf"\b{answer.text}\b", caption)) == 1
        assert re.findall(r"\w+", question.text)[-1] in answer.text.split()
        kinds.add(" ".join(question.text.split()[:2]))
    assert kinds == {"what color", "how big", "which shape", "where is", "which is"}
