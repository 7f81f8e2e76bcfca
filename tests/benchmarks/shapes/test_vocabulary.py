from tfperf.benchmarks.shapes import draw, scene
from tfperf.benchmarks.shapes.vocabulary import VOCABULARY
from tfperf.benchmarks.text.vocabulary import SPECIAL
from tfperf.benchmarks.text.wordpiece import WordPiece


def test_holds_the_words_of_captions_and_questions_and_no_others() -> None:
    cutter, used = WordPiece(VOCABULARY), set[int]()
    for split in scene.SPLITS:
        for index in range(150):
            described = draw.description(split, index)
            texts = [described.caption, *(asked.question for asked in described.questions)]
            used.update(number for ids in cutter.ids(texts) for number in ids)
    assert {VOCABULARY.pieces[number] for number in used} == {*VOCABULARY.pieces} - {*SPECIAL}


def test_the_ids_stay_what_they_are() -> None:
    assert len(VOCABULARY) == 44
    assert VOCABULARY.digest == "b3cb9bdaed76e5a3a2380fa7d09bd647b266fa799e542f689823b677cf0d3711"
