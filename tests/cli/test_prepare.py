"""What `tfperf prepare` prints, and how it ends."""

import io
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from absl import flags
from absl.testing import flagsaver
from PIL import Image

from tfperf.cli import prepare
from tfperf.errors import DamagedDataError, MissingDataError, TfperfError, UsageError

Run = Callable[..., int]

ACCEPTED = (
    "Write tfperf prepare imagenet, tfperf prepare voc, tfperf prepare coco, tfperf prepare openimages, "
    "tfperf prepare wikipedia, tfperf prepare text, tfperf prepare squad or tfperf prepare shapes."
)


@pytest.fixture
def run() -> Iterator[Run]:
    """Runs the verb with the flags of a fresh command line."""
    saved = flagsaver.save_flag_values()
    prepare.define_flags()
    yield lambda *arguments: prepare.main(flags.FLAGS(["tfperf prepare", *map(str, arguments)])[1:])
    flagsaver.restore_flag_values(saved)


@pytest.fixture
def source(tmp_path: pathlib.Path) -> pathlib.Path:
    """Two classes with a training and a validation image each."""
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            picture(tmp_path / "source" / split / name / f"{split}_{name}.jpg", "JPEG")
    return tmp_path / "source"


def picture(path: pathlib.Path, kind: str) -> None:
    content = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(content, kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.getvalue())


def wanted(source: pathlib.Path, tmp_path: pathlib.Path) -> tuple[object, ...]:
    return ("imagenet", f"--source={source}", f"--data_dir={tmp_path}/out", "--train_shards=2", "--eval_shards=1")


def test_prints_what_was_prepared(
    run: Run, source: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture(source / "train/dog/extra.jpg", "PNG")
    (source / "train/dog/notes.txt").touch()
    assert run(*wanted(source, tmp_path)) == 0
    out, err = capsys.readouterr()
    assert out == (
        f"train                3 examples in 2 files\n"
        f"validation           2 examples in 1 files\n"
        f"classes              2\n"
        f"made RGB JPEGs: 1\n"
        f"  {source}/train/dog/extra.jpg: was PNG\n"
        f"note: ignored files that are not named as images: 1, first {source}/train/dog/notes.txt\n"
        f"prepared in {tmp_path}/out\n"
    )
    assert err.startswith(
        f"listing the images of {source}\nfound 3 training and 2 validation images of 2 classes\nnote: "
    )
    assert "100%" in err


def test_prints_one_json_object_on_request(
    run: Run, source: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (source / "train/cat/broken.jpg").write_bytes(b"no image")
    assert run(*wanted(source, tmp_path), "--format=json", "--skip_unreadable") == 0
    assert json.loads(capsys.readouterr().out) == {
        "data_dir": f"{tmp_path}/out",
        "train": {"examples": 2, "files": 2},
        "validation": {"examples": 2, "files": 1},
        "classes": 2,
        "reencoded": [],
        "unreadable": [f"{source}/train/cat/broken.jpg: neither JPEG nor PNG, begins with b'no image'"],
        "notes": [],
    }


def test_unreadable_images_are_named_and_end_with_1(run: Run, source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (source / "train/cat/broken.jpg").write_bytes(b"no image")
    with pytest.raises(DamagedDataError) as raised:
        run(*wanted(source, tmp_path))
    assert raised.value.exit_code == 1
    assert str(raised.value) == (
        f"unreadable images: 1\n"
        f"  {source}/train/cat/broken.jpg: neither JPEG nor PNG, begins with b'no image'\n"
        f"All are listed in {tmp_path}/out/unreadable.txt. Download them again, or leave them out with "
        "--skip_unreadable, and repeat the command: it continues from here."
    )


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((), UsageError, f"prepare takes one data set, got 0. {ACCEPTED}"),
        (("imagnet",), UsageError, f"Unknown data set 'imagnet'. Did you mean imagenet? {ACCEPTED}"),
        (("wikipedia", "--data_dir=out"), UsageError, "prepare wikipedia needs --source, the folder of the text."),
        (
            ("squad",),
            UsageError,
            "prepare squad needs --data_dir, the folder of the questions and of vocab.txt.",
        ),
        (("text", "--source=."), UsageError, "prepare text needs --data_dir, where the records go."),
        (
            ("wikipedia", "--source=.", "--data_dir=out", "--predictions=0"),
            UsageError,
            "--predictions must be 1 or more, got 0.",
        ),
        (
            ("wikipedia", "--vocabulary_size=9", "--train_shards=3"),
            UsageError,
            "prepare wikipedia does not take --train_shards, --vocabulary_size. Accepted: --source, "
            "--sequence_length, --predictions, --workers.",
        ),
        (("imagenet",), UsageError, "prepare imagenet needs --source, the folder of the downloaded data."),
        (("coco", "--data_dir=out"), UsageError, "prepare coco needs --source, the folder of the downloaded data."),
        (
            ("voc", "--source=.", "--data_dir=out", "--eval_list=trainval"),
            UsageError,
            "prepare voc: eval_list must be another list than train_list, got 'trainval'.",
        ),
        (
            ("voc", "--source=nowhere", "--data_dir=out"),
            MissingDataError,
            "--source nowhere is not a folder. Pass the folder that holds the examples.",
        ),
        (("imagenet", "--source=."), UsageError, "prepare imagenet needs --data_dir, where the records go."),
        (
            ("shapes", "--source=.", "--workers=2"),
            UsageError,
            "prepare shapes does not take --source, --workers. Accepted: --train_examples, --eval_examples.",
        ),
        (
            ("imagenet", "--source=/nowhere", "--data_dir=/elsewhere"),
            MissingDataError,
            "--source must be a folder with ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar, or the folders "
            "train/CLASS/*.JPEG and validation/CLASS/*.JPEG (or val/CLASS/*.JPEG); got /nowhere, which is not "
            "a folder.",
        ),
        (
            ("imagenet", "--source=.", "--data_dir=out", "--train_shards=0"),
            UsageError,
            "--train_shards must be 1 or more, got 0.",
        ),
    ],
)
def test_wrong_usage_is_explained_and_ends_with_2(
    run: Run, arguments: tuple[str, ...], error: type[TfperfError], message: str
) -> None:
    with pytest.raises(error) as raised:
        run(*arguments)
    assert (str(raised.value), raised.value.exit_code) == (message, 2)


def test_shapes_are_drawn_into_the_data_dir(
    run: Run, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("shapes", f"--data_dir={tmp_path}", "--train_examples=8", "--eval_examples=4", "--format=json")
    assert run(*arguments) == 0
    outcome = json.loads(capsys.readouterr().out)
    assert (outcome["train"], outcome["validation"]) == ({"examples": 8}, {"examples": 4})
    assert list(pathlib.Path(outcome["data_dir"]).rglob("*.tfrecord*") or pathlib.Path(outcome["data_dir"]).iterdir())


def test_images_with_boxes_are_prepared(run: Run, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    box = "<bndbox><xmin>{}</xmin><ymin>1</ymin><xmax>9</xmax><ymax>8</ymax></bndbox>"
    things = "".join(f"<object><name>cat</name>{box.format(left)}</object>" for left in (2, 9))
    for name in ("a", "b", "c"):
        picture(tmp_path / "set" / "JPEGImages" / f"{name}.jpg", "JPEG")
        annotation = tmp_path / "set" / "Annotations" / f"{name}.xml"
        annotation.parent.mkdir(exist_ok=True)
        annotation.write_text(f"<annotation>{things}</annotation>")
    for name, ids in {"train": "a b", "val": "c"}.items():
        path = tmp_path / "set" / "ImageSets" / "Main" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(ids.replace(" ", "\n"))
    folders = (f"--source={tmp_path}/set", f"--data_dir={tmp_path}/out")
    assert run("voc", *folders, "--train_list=train", "--eval_list=val", "--train_shards=1", "--eval_shards=1") == 0
    assert capsys.readouterr().out == (
        f"train                2 examples in 1 files\n"
        f"validation           1 examples in 1 files\n"
        f"classes              1\n"
        f"note: training: objects without area, left out: 2 (a object 2, b object 2)\n"
        f"note: evaluation: objects without area, left out: 1 (c object 2)\n"
        f"prepared in {tmp_path}/out\n"
    )


def test_text_is_prepared_and_its_vocabulary_counted(
    run: Run, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "source").mkdir()
    documents = [f"A cat saw {number} dogs. The dogs ran to the cat.\n\n" for number in range(30)]
    (tmp_path / "source/a.txt").write_text("".join(documents))
    arguments = ("text", f"--source={tmp_path}/source", f"--data_dir={tmp_path}/out", "--vocabulary_size=60")
    assert run(*arguments, "--sequence_length=16", "--predictions=3", "--eval_examples=5") == 0
    out, err = capsys.readouterr()
    counts = json.loads((tmp_path / "out/counts.json").read_text())
    assert out == (
        f"train       {counts['train']['part-00000-of-00001']:>10,} examples in 1 files\n"
        f"validation           5 examples in 1 files\n"
        f"pieces              60\n"
        f"prepared in {tmp_path}/out\n"
    )
    assert err.startswith(
        f"reading the text in {tmp_path}/source\n"
        "found 29 documents for training and 1 for the evaluation\n"
        "training a vocabulary of 60 word pieces\n"
    )


def test_questions_are_cut_into_windows(run: Run, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "who", "saw", "the", "cat", "?", "dog", "."]
    (tmp_path / "vocab.txt").write_text("\n".join(vocabulary))
    for name, starts in (("train-v1.1.json", (4, 9)), ("dev-v1.1.json", (4,))):
        asked = [
            {"id": f"{name} {start}", "question": "who?", "answers": [{"text": "dog", "answer_start": start}]}
            for start in starts
        ]
        paragraph = {"context": "The dog saw the cat .", "qas": asked}
        content = {"version": "1.1", "data": [{"title": "Cats", "paragraphs": [paragraph]}]}
        (tmp_path / name).write_text(json.dumps(content))
    assert run("squad", f"--data_dir={tmp_path}", "--sequence_length=32", "--question_length=8", "--stride=8") == 0
    out, _ = capsys.readouterr()
    assert out.startswith(
        "train                2 examples in 1 windows\nvalidation           1 examples in 1 windows\n"
        "answers that don't lie in the context, left out of training: 1\n"
    )
    assert out.endswith(f"prepared in {tmp_path}\n")


@pytest.mark.parametrize(
    "arguments", [("shapes",), *((name, "--source=s", "--data_dir=d") for name in ("imagenet", "wikipedia", "text"))]
)
def test_shows_nothing_of_what_tensorflow_prints_when_it_is_imported(
    arguments: tuple[str, ...], tmp_path: pathlib.Path
) -> None:
    (tmp_path / "tensorflow").mkdir()
    chatter = "import os; os.write(2, b'I0000 cudart_stub.cc:31] Could not find cuda drivers\\n'); raise SystemExit(7)"
    (tmp_path / "tensorflow" / "__init__.py").write_text(chatter, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    command = [sys.executable, "-m", "tfperf", "prepare", *arguments]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "", "")
