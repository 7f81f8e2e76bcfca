"""Scenes as a TFDS data set, generated once."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import fcntl
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
import platformdirs
import tensorflow as tf
import tensorflow_datasets as tfds
from google.protobuf import json_format

from tfperf import errors
from tfperf.benchmarks.shapes import outlines, scene
from tfperf.benchmarks.shapes.source import Shapes

_EXAMPLES_PER_WORKER = 64
_SHARDS = 8


@dataclasses.dataclass(kw_only=True)
class Sizes(tfds.core.BuilderConfig):  # type: ignore[misc]
    """How many scenes; each pair of sizes is a separate data set. Not frozen, since its TFDS base is not."""

    train_examples: int = 0
    eval_examples: int = 0


class TfperfShapes(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc]
    """Scenes with the features of ImageNet (image, label), COCO (objects) and, in spirit, SQuAD (caption, questions).

    Use `prepared_builder`; two processes may call it at the same time.
    """

    VERSION = tfds.core.Version("1.0.0")  # Change it with whatever changes a scene: data sets are kept.
    RELEASE_NOTES = {"1.0.0": "First scenes."}  # noqa: RUF012 (TFDS declares it so)

    def _info(self) -> tfds.core.DatasetInfo:
        kinds = tfds.features.ClassLabel(names=outlines.KINDS)
        return tfds.core.DatasetInfo(
            builder=self,
            description="Scenes of shapes drawn by program. The label is the kind of the largest shape.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(scene.SIDE, scene.SIDE, 3), encoding_format="jpeg"),
                    "image/filename": tfds.features.Text(),
                    "image/id": np.int64,
                    "label": kinds,
                    "objects": tfds.features.Sequence(
                        {
                            "bbox": tfds.features.BBoxFeature(),
                            "label": kinds,
                            "area": np.int64,
                            "id": np.int64,
                            "is_crowd": np.bool_,
                        }
                    ),
                    "caption": tfds.features.Text(),
                    "questions": tfds.features.Sequence(
                        {"question": tfds.features.Text(), "answer": tfds.features.Text(), "answer_start": np.int32}
                    ),
                }
            ),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        del dl_manager  # Nothing is downloaded.
        sizes = {"train": self.builder_config.train_examples, "validation": self.builder_config.eval_examples}
        return {split: self._generate_examples(split, examples) for split, examples in sizes.items()}

    def _generate_examples(self, split: str, examples: int) -> Iterator[tuple[int, dict[str, Any]]]:
        for index, record in enumerate(_drawn(split, examples)):
            objects = [item | {"bbox": tfds.features.BBox(*item["bbox"])} for item in record["objects"]]
            yield index, record | {"image": io.BytesIO(base64.b64decode(record["image"])), "objects": objects}


def prepared_builder(data_dir: pathlib.Path | None, source: Shapes) -> tfds.core.DatasetBuilder:
    """The data set of these sizes in `data_dir`, generated first if it is not there.

    A data set is written under another name and renamed when it is complete. If several processes call this at the
    same time, one generates and the others wait.

    Args:
        data_dir: a directory, created if needed; None takes a per-user cache.
        source: the sizes.

    Raises:
        UsageError: it can't be written there.
        DamagedDataError: it is incomplete.
    """
    root = data_dir or pathlib.Path(platformdirs.user_cache_dir("tfperf"))
    config = Sizes(
        name=f"{source.train_examples}-{source.eval_examples}",
        train_examples=source.train_examples,
        eval_examples=source.eval_examples,
    )
    home = root / TfperfShapes.name / config.name / str(TfperfShapes.VERSION)
    try:
        if not home.exists():
            with _locked(home.parent):
                _generate(root, config, home=home)
    except (OSError, tf.errors.OpError, RuntimeError) as error:
        cause = _storage_error(error)
        if cause is None:
            raise
        raise errors.UsageError(
            f"The embedded data could not be written to {root}: {cause}. It needs a directory that is writable and has "
            f"room for 8 KB an example. Name one with --data_dir."
        ) from error
    return _opened(home)


def _generate(root: pathlib.Path, config: Sizes, *, home: pathlib.Path) -> None:
    """Generates under the lock, and removes what a killed generation left."""
    if home.exists():
        return
    for leftover in home.parent.glob(f"incomplete.*_{home.name}"):
        shutil.rmtree(leftover)
    scenes = config.train_examples + config.eval_examples
    print(f"drawing {scenes:,} scenes into {home}, once", file=sys.stderr, flush=True)
    download_config = tfds.download.DownloadConfig(
        num_shards=min(_SHARDS, config.train_examples, config.eval_examples), try_download_gcs=False
    )
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()  # its bars are for terminals
    # TFDS prints that it downloads, and makes a directory for that, even where nothing is downloaded.
    with contextlib.redirect_stdout(io.StringIO()), tempfile.TemporaryDirectory() as unused:
        TfperfShapes(data_dir=root, config=config).download_and_prepare(
            download_dir=unused, download_config=download_config
        )


def _storage_error(error: BaseException | None) -> BaseException | None:
    """The first failure of a file among an error and its causes; TFDS wraps those that writing raises."""
    while error and not isinstance(error, (OSError, tf.errors.OpError)):
        error = error.__cause__
    return error


def _opened(home: pathlib.Path) -> tfds.core.DatasetBuilder:
    """The data set at `home`; checks that all its files are complete."""
    try:
        builder = tfds.builder_from_directory(home)
        whole = all(_whole(builder.info.splits[split]) for split in scene.SPLITS)
    except (OSError, KeyError, ValueError, json_format.ParseError, tf.errors.OpError) as error:
        raise _damaged(home) from error
    if not whole:
        raise _damaged(home)
    return builder


def _whole(split: tfds.core.SplitInfo) -> bool:
    framing = 16 * split.num_examples  # Length and two checksums around each record of a TFRecord file.
    size: int = split.num_bytes + framing
    return sum(os.path.getsize(path) for path in split.filepaths) == size


def _damaged(home: pathlib.Path) -> errors.DamagedDataError:
    return errors.DamagedDataError(
        f"The embedded data in {home} is incomplete: files are missing, truncated or changed. Delete that directory; "
        f"the next run draws it again."
    )


@contextlib.contextmanager
def _locked(directory: pathlib.Path) -> Iterator[None]:
    """Holds the directory's lock, which the system frees when its holder dies."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _drawn(split: str, examples: int) -> Iterator[dict[str, Any]]:
    """All scenes of a split in order, from alternating worker processes."""
    workers = max(1, min(_processors(), examples // _EXAMPLES_PER_WORKER))
    with contextlib.ExitStack() as stack:
        outputs = [stack.enter_context(_worker(split, first, examples, step=workers)) for first in range(workers)]
        for index in range(examples):
            line = outputs[index % workers].readline()
            if not line:
                raise RuntimeError(f"The process that draws scene {index} of {split} ended early; see above.")
            yield json.loads(line)


@contextlib.contextmanager
def _worker(split: str, first: int, stop: int, *, step: int) -> Iterator[IO[str]]:
    """The output of a process that draws.

    Multiprocessing would run the caller's main module again, which only guarded scripts survive, and its workers
    outlive a killed parent. These end at their next write.
    """
    command = [sys.executable, "-m", __package__, split, str(first), str(stop), str(step)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        yield process.stdout


def _processors() -> int:
    """The processors that this process may use, if the system knows."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
