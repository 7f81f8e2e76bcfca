"""Converts a data set, once, to the format that training reads.

usage: tfperf prepare imagenet --source=DIR --data_dir=DIR [--skip_unreadable] [--train_shards=N] [--eval_shards=N]
       tfperf prepare voc --source=DIR --data_dir=DIR [--train_list=NAME] [--eval_list=NAME] [--skip_unreadable]
       tfperf prepare coco --source=DIR --data_dir=DIR [--train_json=FILE] [--train_images=DIR] [--eval_json=FILE]
                           [--eval_images=DIR] [--keep_unannotated] [--skip_unreadable]
       tfperf prepare openimages --source=DIR --data_dir=DIR, and the other flags of coco
       tfperf prepare wikipedia --source=DIR --data_dir=DIR [--sequence_length=N] [--predictions=N]
       tfperf prepare text --source=DIR --data_dir=DIR [--vocabulary_size=N] [--sequence_length=N] [--predictions=N]
       tfperf prepare squad --data_dir=DIR [--train_file=NAME] [--eval_file=NAME] [--sequence_length=N]
       tfperf prepare shapes [--data_dir=DIR] [--train_examples=N] [--eval_examples=N]

imagenet turns ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar and the labels (ILSVRC2012_devkit_t12.tar.gz), or
class folders (train/CLASS/*.JPEG, val/CLASS/*.JPEG), into TFRecords. Boxes of ILSVRC2012_bbox_train_v2.tar.gz are
added where it is present. voc, coco and openimages turn images with boxes into TFRecords for detectors: Annotations/,
JPEGImages/ and ImageSets/Main/ of Pascal VOC, train2017/, val2017/ and annotations/ of COCO, or what MLPerf's script
downloads of OpenImages. wikipedia turns MLPerf's text (part-00000-of-00500 and so on, eval.txt, vocab.txt) into the
TFRecords on which BERT is pre-trained, as the reference's script does. text does so with any folder of *.txt or
*.tokens: it trains a vocabulary, and holds out every 20th document or the folder validation. Repeat one of these
commands to resume it. squad checks train-v1.1.json, dev-v1.1.json and vocab.txt in --data_dir and cuts the questions
into windows, which are kept there. shapes draws the embedded data.

Exit code 0 when all data is in place; 1 when images or texts are unreadable or a file is damaged.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from absl import flags

from tfperf.benchmarks.shapes.source import Shapes
from tfperf.cli import quiet, shared_flags
from tfperf.errors import UsageError
from tfperf.sign_of_life import stage

if TYPE_CHECKING:
    from tfperf.benchmarks.bert.pretraining.prepare.text_records import PreparedText
    from tfperf.benchmarks.detection.data.prepare import PreparedDetection
    from tfperf.benchmarks.resnet50.prepare.imagenet import PreparedImageNet

_SHARD_FLAGS = ("train_shards", "eval_shards", "workers", "skip_unreadable")
_COCO_FLAGS = ("train_json", "train_images", "eval_json", "eval_images", "keep_unannotated")
_FLAGS_OF = {
    "imagenet": ("source", *_SHARD_FLAGS),
    "voc": ("source", "train_list", "eval_list", *_SHARD_FLAGS),
    "coco": ("source", *_COCO_FLAGS, *_SHARD_FLAGS),
    "openimages": ("source", *_COCO_FLAGS, *_SHARD_FLAGS),
    "wikipedia": ("source", "sequence_length", "predictions", "workers"),
    "text": ("source", "vocabulary_size", "sequence_length", "predictions", "eval_examples", "workers"),
    "squad": ("train_file", "eval_file", "lower_case", "sequence_length", "stride", "question_length"),
    "shapes": ("train_examples", "eval_examples"),
}
_DOWNLOADED, _TEXT = "the downloaded data", "the text"
_SOURCE_OF = {
    **dict.fromkeys(("imagenet", "voc", "coco", "openimages"), _DOWNLOADED),
    **dict.fromkeys(("wikipedia", "text"), _TEXT),
}
_DETECTION_SHARDS = {"voc": (16, 4), "coco": (256, 32), "openimages": (1024, 128)}  # for training and validation
_NAMES_SHOWN = 5


def define_flags() -> None:
    """The flags of `tfperf prepare`."""
    shared_flags.define_format()
    shared_flags.define_data_dir()
    flags.DEFINE_string(
        "source",
        None,
        "imagenet: folder of the downloaded archives, or of train/CLASS/*.JPEG and val/CLASS/*.JPEG. voc: folder of "
        "Annotations and JPEGImages. coco, openimages: folder of the images and json files. wikipedia, text: folder of "
        "the text.",
    )
    flags.DEFINE_integer(
        "train_shards", None, "imagenet, openimages (1024), coco (256), voc (16): number of training files."
    )
    flags.DEFINE_integer(
        "eval_shards", None, "imagenet, openimages (128), coco (32), voc (4): number of validation files."
    )
    flags.DEFINE_integer("workers", os.cpu_count() or 1, "files written at the same time.")
    flags.DEFINE_bool("skip_unreadable", False, "images: leave unreadable ones out instead of failing.")
    flags.DEFINE_string("train_list", None, "voc: list of training images in ImageSets/Main (trainval).")
    flags.DEFINE_string("eval_list", None, "voc: list of held-out images in ImageSets/Main (test).")
    flags.DEFINE_string("train_json", None, "coco, openimages: annotations to train on, relative to --source.")
    flags.DEFINE_string("train_images", None, "coco, openimages: folder of the training images.")
    flags.DEFINE_string("eval_json", None, "coco, openimages: annotations to evaluate on.")
    flags.DEFINE_string("eval_images", None, "coco, openimages: folder of the held-out images.")
    flags.DEFINE_bool(
        "keep_unannotated", None, "coco (false), openimages (true): train on images without objects, too."
    )
    flags.DEFINE_integer("train_examples", Shapes.train_examples, "shapes: scenes in the training split.")
    flags.DEFINE_integer(
        "eval_examples", None, "shapes: scenes in the validation split (1024). text: records to evaluate on (1000)."
    )
    flags.DEFINE_integer("vocabulary_size", None, "text: word pieces in the vocabulary (8192).")
    flags.DEFINE_integer(
        "sequence_length", None, "wikipedia (512), text (128): tokens in a record. squad (384): tokens in a window."
    )
    flags.DEFINE_integer("predictions", None, "wikipedia (76), text (20): most masked tokens in a record.")
    flags.DEFINE_string("train_file", None, "squad: questions to train on (train-v1.1.json).")
    flags.DEFINE_string("eval_file", None, "squad: questions to evaluate (dev-v1.1.json).")
    flags.DEFINE_bool("lower_case", None, "squad: whether the vocabulary is uncased (true).")
    flags.DEFINE_integer("stride", None, "squad: tokens between the beginnings of two windows (128).")
    flags.DEFINE_integer("question_length", None, "squad: tokens that are kept of a question (64).")


def main(arguments: list[str]) -> int:
    """Prepares the data set named by the one argument."""
    dataset = _dataset(arguments)
    _check_flags(dataset)
    outcome = _PREPARE[dataset]()
    print(json.dumps(outcome) if flags.FLAGS.format == "json" else _text(outcome))
    return 0


def _dataset(arguments: list[str]) -> str:
    *others, last = (f"tfperf prepare {name}" for name in _FLAGS_OF)
    accepted = f"{', '.join(others)} or {last}"
    if len(arguments) != 1:
        raise UsageError(f"prepare takes one data set, got {len(arguments)}. Write {accepted}.")
    if arguments[0] not in _FLAGS_OF:
        close = difflib.get_close_matches(arguments[0], _FLAGS_OF, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise UsageError(f"Unknown data set {arguments[0]!r}.{hint} Write {accepted}.")
    return arguments[0]


def _check_flags(dataset: str) -> None:
    others = dict.fromkeys(name for names in _FLAGS_OF.values() for name in names if name not in _FLAGS_OF[dataset])
    wrong = [f"--{name}" for name in others if flags.FLAGS[name].present]
    if wrong:
        accepted = ", ".join(f"--{name}" for name in _FLAGS_OF[dataset])
        raise UsageError(f"prepare {dataset} does not take {', '.join(wrong)}. Accepted: {accepted}.")


def _folders(dataset: str) -> dict[str, Any]:
    """`source` and `data_dir`, where both are needed."""
    source, data_dir = flags.FLAGS.source, shared_flags.data_dir()
    if not source or not data_dir:
        missing = "--data_dir, where the records go" if source else f"--source, the folder of {_SOURCE_OF[dataset]}"
        raise UsageError(f"prepare {dataset} needs {missing}.")
    return {"source": pathlib.Path(source).expanduser(), "data_dir": data_dir}


def _given(dataset: str) -> dict[str, Any]:
    """The values of the flags of a data set, without those that were left to their defaults."""
    values = {name: getattr(flags.FLAGS, name) for name in _FLAGS_OF[dataset] if name != "source"}
    return {name: value for name, value in values.items() if value is not None}


def _imagenet() -> dict[str, Any]:
    folders = _folders("imagenet")
    _import_tensorflow()
    from tfperf.benchmarks.resnet50.prepare import imagenet

    request = imagenet.ImageNetRequest(**folders, **_given("imagenet"))
    return _of_images(imagenet.prepare(request, _say))


def _of_images(prepared: PreparedImageNet | PreparedDetection) -> dict[str, Any]:
    return {
        "data_dir": str(prepared.data_dir),
        "train": {"examples": sum(prepared.train.values()), "files": len(prepared.train)},
        "validation": {"examples": sum(prepared.validation.values()), "files": len(prepared.validation)},
        "classes": len(prepared.classes),
        "reencoded": prepared.reencoded,
        "unreadable": prepared.unreadable,
        "notes": prepared.notes,
    }


def _with_boxes(dataset: str) -> dict[str, Any]:
    folders = _folders(dataset)
    _import_tensorflow()
    from tfperf.benchmarks.detection.data import prepare
    from tfperf.benchmarks.detection.data.sources import CocoFolder, OpenImagesFolder, VocFolder

    layouts: dict[str, type[VocFolder | CocoFolder]]
    layouts = {"voc": VocFolder, "coco": CocoFolder, "openimages": OpenImagesFolder}
    given = _given(dataset)
    train_shards, eval_shards = _DETECTION_SHARDS[dataset]
    shards: dict[str, Any] = {"train_shards": train_shards, "eval_shards": eval_shards}
    shards |= {name: given.pop(name) for name in _SHARD_FLAGS if name in given}
    try:
        layout = layouts[dataset](**given)
    except ValueError as error:
        raise UsageError(f"prepare {dataset}: {error}") from error
    prepared = prepare.prepare(prepare.DetectionRequest(layout=layout, **folders, **shards), _say)
    return _of_images(prepared)


def _wikipedia() -> dict[str, Any]:
    folders = _folders("wikipedia")
    _import_tensorflow()
    from tfperf.benchmarks.bert.pretraining.prepare import wikipedia

    request = wikipedia.WikipediaRequest(**folders, **_given("wikipedia"))
    return _of_text(wikipedia.prepare(request, _say))


def _any_text() -> dict[str, Any]:
    folders = _folders("text")
    _import_tensorflow()
    from tfperf.benchmarks.bert.pretraining.prepare import text

    request = text.TextRequest(**folders, **_given("text"))
    return _of_text(text.prepare(request, _say))


def _of_text(prepared: PreparedText) -> dict[str, Any]:
    return {
        "data_dir": str(prepared.data_dir),
        "train": {"examples": sum(prepared.train.values()), "files": len(prepared.train)},
        "validation": {"examples": sum(prepared.validation.values()), "files": len(prepared.validation)},
        "pieces": prepared.pieces,
        "sequence_length": prepared.recipe.sequence_length,
        "predictions": prepared.recipe.predictions,
        "notes": prepared.notes,
    }


def _squad() -> dict[str, Any]:
    data_dir = shared_flags.data_dir()
    if not data_dir:
        raise UsageError("prepare squad needs --data_dir, the folder of the questions and of vocab.txt.")
    from tfperf.benchmarks.bert.squad import prepare

    request = prepare.SquadRequest(data_dir=data_dir, **_given("squad"))
    prepared = prepare.prepare(request, _say)
    return {
        "data_dir": str(prepared.data_dir),
        "train": {"examples": prepared.train_questions, "windows": prepared.train_windows},
        "validation": {"examples": prepared.eval_questions, "windows": prepared.eval_windows},
        "misplaced": prepared.misplaced,
        "notes": prepared.notes,
    }


def _import_tensorflow() -> None:
    """Keeps TensorFlow quiet, and from taking the memory of GPUs that a training may be using."""
    quiet.import_tensorflow()
    import tensorflow as tf

    with contextlib.suppress(RuntimeError):  # TensorFlow was used in this process before and has them, or not
        tf.config.set_visible_devices([], "GPU")


def _shapes() -> dict[str, Any]:
    _import_tensorflow()
    from tfperf.benchmarks.shapes import builder

    shapes = Shapes(**_given("shapes"))
    with stage("drawing scenes", _say, at_once=False):
        prepared = builder.prepared_builder(shared_flags.data_dir(), shapes)
    return {
        "data_dir": str(prepared.data_dir),
        "train": {"examples": shapes.train_examples},
        "validation": {"examples": shapes.eval_examples},
    }


_PREPARE = {
    "imagenet": _imagenet,
    "voc": lambda: _with_boxes("voc"),
    "coco": lambda: _with_boxes("coco"),
    "openimages": lambda: _with_boxes("openimages"),
    "wikipedia": _wikipedia,
    "text": _any_text,
    "squad": _squad,
    "shapes": _shapes,
}


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _text(outcome: dict[str, Any]) -> str:
    lines = [f"{split:<12}{_split_text(outcome[split])}" for split in ("train", "validation")]
    lines += [f"{name:<12}{outcome[name]:>10,}" for name in ("classes", "pieces") if name in outcome]
    lines += _listed("made RGB JPEGs", outcome.get("reencoded", ()))
    lines += _listed("unreadable, left out", outcome.get("unreadable", ()))
    lines += _listed("answers that don't lie in the context, left out of training", outcome.get("misplaced", ()))
    lines += [f"note: {note}" for note in outcome.get("notes", ())]
    return "\n".join([*lines, f"prepared in {outcome['data_dir']}"])


def _split_text(split: dict[str, int]) -> str:
    parts = [f" in {split[part]:,} {part}" for part in ("files", "windows") if part in split]
    return f"{split['examples']:>10,} examples{''.join(parts)}"


def _listed(title: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    rest = len(names) - _NAMES_SHOWN
    more = [f"  and {rest:,} more"] if rest > 0 else []
    return [f"{title}: {len(names):,}", *(f"  {name}" for name in names[:_NAMES_SHOWN]), *more]
