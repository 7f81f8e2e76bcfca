"""Converts a data set, once, to the format that training reads.

usage: tfperf prepare imagenet --source=DIR --data_dir=DIR [--skip_unreadable] [--train_shards=N] [--eval_shards=N]
       tfperf prepare shapes [--data_dir=DIR] [--train_examples=N] [--eval_examples=N]

imagenet turns ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar and the labels (ILSVRC2012_devkit_t12.tar.gz), or
class folders (train/CLASS/*.JPEG, val/CLASS/*.JPEG), into TFRecords. Repeat the command to resume it. Boxes of
ILSVRC2012_bbox_train_v2.tar.gz are added where it is present. shapes draws the embedded data.

Exit code 0 when all data is in place; 1 when images are unreadable or an archive is damaged.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from tfperf.benchmarks.images.sources import ImageNetRecords
from tfperf.benchmarks.shapes.source import Shapes
from tfperf.cli import shared_flags
from tfperf.errors import UsageError

_FLAGS_OF = {
    "imagenet": ("source", "train_shards", "eval_shards", "workers", "skip_unreadable"),
    "shapes": ("train_examples", "eval_examples"),
}
_NAMES_SHOWN = 5


def define_flags() -> None:
    """The flags of `tfperf prepare`."""
    shared_flags.define_format()
    shared_flags.define_data_dir()
    flags.DEFINE_string(
        "source", None, "imagenet: folder of the downloaded archives, or of train/CLASS/*.JPEG and val/CLASS/*.JPEG."
    )
    flags.DEFINE_integer("train_shards", ImageNetRecords.train_shards, "imagenet: number of training files.")
    flags.DEFINE_integer("eval_shards", ImageNetRecords.eval_shards, "imagenet: number of validation files.")
    flags.DEFINE_integer("workers", os.cpu_count() or 1, "imagenet: files written at the same time.")
    flags.DEFINE_bool("skip_unreadable", False, "imagenet: leave unreadable images out instead of failing.")
    flags.DEFINE_integer("train_examples", Shapes.train_examples, "shapes: scenes in the training split.")
    flags.DEFINE_integer("eval_examples", Shapes.eval_examples, "shapes: scenes in the validation split.")


def main(arguments: list[str]) -> int:
    """Prepares the data set named by the one argument, imagenet or shapes."""
    dataset = _dataset(arguments)
    _check_flags(dataset)
    outcome = _imagenet() if dataset == "imagenet" else _shapes()
    print(json.dumps(outcome) if flags.FLAGS.format == "json" else _text(outcome))
    return 0


def _dataset(arguments: list[str]) -> str:
    accepted = " or ".join(f"tfperf prepare {name}" for name in _FLAGS_OF)
    if len(arguments) != 1:
        raise UsageError(f"prepare takes one data set, got {len(arguments)}. Write {accepted}.")
    if arguments[0] not in _FLAGS_OF:
        close = difflib.get_close_matches(arguments[0], _FLAGS_OF, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise UsageError(f"Unknown data set {arguments[0]!r}.{hint} Write {accepted}.")
    return arguments[0]


def _check_flags(dataset: str) -> None:
    others = [name for other, names in _FLAGS_OF.items() if other != dataset for name in names]
    wrong = [f"--{name}" for name in others if flags.FLAGS[name].present]
    if wrong:
        accepted = ", ".join(f"--{name}" for name in _FLAGS_OF[dataset])
        raise UsageError(f"prepare {dataset} does not take {', '.join(wrong)}. Accepted: {accepted}.")


def _imagenet() -> dict[str, Any]:
    source, data_dir = flags.FLAGS.source, shared_flags.data_dir()
    if not source or not data_dir:
        missing = "--data_dir, where the records go" if source else "--source, the folder of the downloaded data"
        raise UsageError(f"prepare imagenet needs {missing}.")
    from tfperf.benchmarks.resnet50.prepare import imagenet

    request = imagenet.ImageNetRequest(
        source=pathlib.Path(source).expanduser(),
        data_dir=data_dir,
        **{name: getattr(flags.FLAGS, name) for name in _FLAGS_OF["imagenet"] if name != "source"},
    )
    _leave_gpus_alone()
    prepared = imagenet.prepare(request, _say)
    return {
        "data_dir": str(prepared.data_dir),
        "train": {"examples": sum(prepared.train.values()), "files": len(prepared.train)},
        "validation": {"examples": sum(prepared.validation.values()), "files": len(prepared.validation)},
        "classes": len(prepared.classes),
        "reencoded": prepared.reencoded,
        "unreadable": prepared.unreadable,
        "notes": prepared.notes,
    }


def _leave_gpus_alone() -> None:
    """Keeps TensorFlow from taking the memory of GPUs that a training may be using."""
    import tensorflow as tf

    with contextlib.suppress(RuntimeError):  # TensorFlow was used in this process before and has them, or not
        tf.config.set_visible_devices([], "GPU")


def _shapes() -> dict[str, Any]:
    from tfperf.benchmarks.shapes import builder

    shapes = Shapes(train_examples=flags.FLAGS.train_examples, eval_examples=flags.FLAGS.eval_examples)
    prepared = builder.prepared_builder(shared_flags.data_dir(), shapes)
    return {
        "data_dir": str(prepared.data_dir),
        "train": {"examples": shapes.train_examples},
        "validation": {"examples": shapes.eval_examples},
    }


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _text(outcome: dict[str, Any]) -> str:
    lines = [f"{split:<12}{_split_text(outcome[split])}" for split in ("train", "validation")]
    if "classes" in outcome:
        lines.append(f"{'classes':<12}{outcome['classes']:>10,}")
    lines += _listed("made RGB JPEGs", outcome.get("reencoded", ()))
    lines += _listed("unreadable, left out", outcome.get("unreadable", ()))
    lines += [f"note: {note}" for note in outcome.get("notes", ())]
    return "\n".join([*lines, f"prepared in {outcome['data_dir']}"])


def _split_text(split: dict[str, int]) -> str:
    files = f" in {split['files']:,} files" if "files" in split else ""
    return f"{split['examples']:>10,} examples{files}"


def _listed(title: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    rest = len(names) - _NAMES_SHOWN
    more = [f"  and {rest:,} more"] if rest > 0 else []
    return [f"{title}: {len(names):,}", *(f"  {name}" for name in names[:_NAMES_SHOWN]), *more]
