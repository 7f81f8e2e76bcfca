"""Every stage of a preparation that may last says so every half minute."""

import io
import pathlib
import time
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from tests.benchmarks.bert.pretraining.prepare import small_text
from tests.benchmarks.bert.squad import golden
from tfperf import sign_of_life
from tfperf.benchmarks.bert.pretraining.prepare import text
from tfperf.benchmarks.bert.squad import feature_cache
from tfperf.benchmarks.bert.squad import prepare as squad
from tfperf.benchmarks.bert.squad import text as questions
from tfperf.benchmarks.resnet50.prepare import boxes, imagenet, photos
from tfperf.benchmarks.text import vocabulary_training

Prepare = Callable[[pathlib.Path, sign_of_life.Say], object]


def of_images(folder: pathlib.Path, say: sign_of_life.Say) -> object:
    content = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(content, "JPEG")
    for split in ("train", "val"):
        path = folder / "source" / split / "cat" / f"{split}.jpg"
        path.parent.mkdir(parents=True)
        path.write_bytes(content.getvalue())
    request = imagenet.ImageNetRequest(source=folder / "source", data_dir=folder / "out", train_shards=1, eval_shards=1)
    return imagenet.prepare(request, say)


def of_text(folder: pathlib.Path, say: sign_of_life.Say) -> object:
    (folder / "source").mkdir()
    (folder / "source" / "some.txt").write_text(small_text.text(0, documents=15), encoding="utf-8")
    request = text.TextRequest(
        source=folder / "source", data_dir=folder / "out", vocabulary_size=80, sequence_length=32, predictions=5
    )
    return text.prepare(request, say)


def of_questions(folder: pathlib.Path, say: sign_of_life.Say) -> object:
    for name in ("train-v1.1.json", "dev-v1.1.json"):
        (folder / name).write_bytes(golden.CONTENT)
    (folder / "vocab.txt").write_text("\n".join(golden.GOLDEN["vocabulary"]), encoding="utf-8")
    return squad.prepare(squad.SquadRequest(data_dir=folder), say)


@pytest.mark.parametrize(
    ("prepare", "module", "work", "doing"),
    [
        (of_images, photos, "find", "listing the images of {folder}/source"),
        (of_images, boxes, "read", "reading the boxes of the images"),
        (of_images, imagenet, "_finished", "looking for finished files in {folder}/out"),
        (of_text, text, "_splits", "reading the text in {folder}/source"),
        (of_text, text, "_digest", "reading the text in {folder}/source"),
        (of_text, text, "_write_sentences", "writing the sentences of the text"),
        (of_text, vocabulary_training, "train", "training a vocabulary of 80 word pieces"),
        (of_questions, questions, "read", "reading the questions"),
        (of_questions, feature_cache, "for_training", "cutting the questions into windows"),
        (of_questions, feature_cache, "for_evaluation", "cutting the questions into windows"),
    ],
)
def test_a_stage_that_lasts_says_so(
    prepare: Prepare, module: Any, work: str, doing: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    done = getattr(module, work)

    def lasting(*arguments: Any, **named: Any) -> Any:
        monkeypatch.setattr(module, work, done)
        line = f"still {doing.format(folder=tmp_path)}, for 0 s now"
        until = time.monotonic() + 20
        while line not in said and time.monotonic() < until:
            time.sleep(0.002)
        assert line in said
        return done(*arguments, **named)

    monkeypatch.setattr(sign_of_life, "_STAGE_EVERY_S", 0.01)
    monkeypatch.setattr(module, work, lasting)
    prepare(tmp_path, said.append)
    assert getattr(module, work) is done
