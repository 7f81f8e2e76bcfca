"""Prepares ImageNet, or any photographs in class folders, as the TFRecords of the MLPerf reference."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import os
import pathlib
import re
import shutil
import sys
import threading
from collections.abc import Callable, Iterable, Mapping

from tqdm import tqdm

from tfperf.benchmarks import resnet50
from tfperf.benchmarks.resnet50.prepare import boxes, journal, photos, plan, shards
from tfperf.benchmarks.resnet50.prepare.lock import locked
from tfperf.benchmarks.resnet50.prepare.plan import Shard
from tfperf.benchmarks.resnet50.prepare.shards import Outcome
from tfperf.errors import DamagedDataError, UsageError

COUNTS_FILE = "counts.json"
UNREADABLE_FILE = "unreadable.txt"

_FRAME_BYTES = 1024  # more than a record needs beyond the image: features, lengths, checksums
_NAMES_IN_A_MESSAGE = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What to prepare.

    Args:
        source: folder of the downloaded archives or the class folders.
        data_dir: where the shards go; made if need be.
        train_shards: training files.
        eval_shards: validation files.
        skip_unreadable: leave out images that can't be decoded instead of failing.
        workers: threads that write shards. They read, decode and write outside the interpreter's lock; and unlike
            processes they all end with a killed preparation, so that nothing writes into the one that resumes it.
    """

    source: pathlib.Path
    data_dir: pathlib.Path
    train_shards: int = 1024
    eval_shards: int = 128
    skip_unreadable: bool = False
    workers: int = 1

    def __post_init__(self) -> None:
        for name in ("train_shards", "eval_shards", "workers"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name} must be 1 or more, got {getattr(self, name)}.")
        if self.source.resolve() == self.data_dir.resolve():
            raise UsageError(f"--data_dir must be another folder than --source, got {self.data_dir} for both.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prepared:
    """What lies in the data directory now.

    Attributes:
        data_dir: where.
        train: examples in each training file.
        validation: examples in each validation file.
        classes: names of the classes in the order of their labels, which count from 1.
        reencoded: images that were made RGB JPEGs, and what they were.
        unreadable: images that were left out, and why.
        notes: what a user should know, such as counts that are not ImageNet's.
    """

    data_dir: pathlib.Path
    train: Mapping[str, int]
    validation: Mapping[str, int]
    classes: tuple[str, ...]
    reencoded: tuple[str, ...]
    unreadable: tuple[str, ...]
    notes: tuple[str, ...]


def prepare(request: Request, say: Callable[[str], None]) -> Prepared:
    """Writes all shards that are not there yet, then `counts.json`, which tells that all are.

    A progress bar goes to stderr. A preparation that was killed is resumed by the same call.

    Args:
        request: what to prepare.
        say: takes a line for people while it goes on.

    Raises:
        MissingDataError: the source lacks something.
        DamagedDataError: an archive is damaged, or images are unreadable; the readable shards are kept.
        UsageError: the data directory can't be written, is too small, or holds something else.
    """
    say(f"listing the images of {request.source}")
    found = photos.find(request.source)
    say(_inventory(found))
    for note in _notes(found, train=len(found.train), validation=len(found.validation)):
        say(f"note: {note}")
    planned = plan.shards(
        found,
        train_shards=request.train_shards,
        eval_shards=request.eval_shards,
        train_boxes=boxes.read(request.source, found.classes),
    )
    with locked(request.data_dir):
        finished = _finished(planned, request)
        if finished:
            say(f"resuming: {len(finished):,} of {len(planned):,} files are finished")
        pending = [shard for shard in planned if shard.name not in finished]
        _check_space(request.data_dir, pending)
        outcomes = {**finished, **_write_all(pending, request, labels=_labels(found.classes))}
        return _concluded(request, found, [outcomes[shard.name] for shard in planned])


def _inventory(found: photos.Found) -> str:
    train, validation, classes = map(len, (found.train, found.validation, found.classes))
    return f"found {train:,} training and {validation:,} validation images of {classes:,} classes"


def _notes(found: photos.Found, *, train: int, validation: int) -> tuple[str, ...]:
    rules = resnet50.BENCHMARK.training
    notes = []
    if found.ignored:
        notes.append(f"ignored what is no image by its name: {len(found.ignored):,}, first {found.ignored[0]}")
    if _is_imagenet(found) and (train, validation) != (rules.train_examples, rules.eval_examples):
        notes.append(
            f"not the whole of ImageNet ILSVRC2012: {train:,} training and {validation:,} validation images, where "
            f"MLPerf has {rules.train_examples:,} and {rules.eval_examples:,}"
        )
    return tuple(notes)


def _is_imagenet(found: photos.Found) -> bool:
    from_archive = any(split[0].offset is not None for split in (found.train, found.validation))
    wordnet_ids = [name for name in found.classes if re.fullmatch(r"n\d{8}", name)]
    return from_archive or len(wordnet_ids) == len(found.classes) == 1000


def _finished(planned: list[Shard], request: Request) -> dict[str, Outcome]:
    """What needs not be written; a file that lacks images only if that was asked for now, too."""
    names = [shard.name for shard in planned]
    outcomes = journal.resume(request.data_dir, plan.arguments(planned), shard_names=names)
    return {name: outcome for name, outcome in outcomes.items() if request.skip_unreadable or not outcome.unreadable}


def _labels(classes: Iterable[str]) -> dict[str, int]:
    return {name: label for label, name in enumerate(classes, start=1)}


def _check_space(folder: pathlib.Path, pending: list[Shard]) -> None:
    needed = sum(photo.size + _FRAME_BYTES for shard in pending for photo in shard.photos)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UsageError(
            f"--data_dir {folder} has {free / 1e9:.1f} GB free; {needed / 1e9:.1f} GB are needed. Free space or choose "
            "another folder."
        )


def _write_all(pending: list[Shard], request: Request, *, labels: Mapping[str, int]) -> dict[str, Outcome]:
    if pending:
        (request.data_dir / COUNTS_FILE).unlink(missing_ok=True)
    outcomes = {}
    stop = threading.Event()
    total = sum(len(shard.photos) for shard in pending)
    with (
        concurrent.futures.ThreadPoolExecutor(request.workers) as pool,
        tqdm(total=total, unit=" images", file=sys.stderr, disable=not pending) as progress,
    ):
        images = {
            pool.submit(
                shards.write,
                shard,
                request.data_dir,
                labels=labels,
                skip_unreadable=request.skip_unreadable,
                stop=stop,
            ): len(shard.photos)
            for shard in pending
        }
        try:
            for future in concurrent.futures.as_completed(images):
                outcome = future.result()
                if outcome.size is not None:
                    journal.remember(request.data_dir, outcome)
                outcomes[outcome.name] = outcome
                progress.update(images[future])
        except BaseException:  # Ctrl-C as well: end the threads, then let it through
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return outcomes


def _concluded(request: Request, found: photos.Found, outcomes: list[Outcome]) -> Prepared:
    unreadable = tuple(line for outcome in outcomes for line in outcome.unreadable)
    _write_lines(request.data_dir / UNREADABLE_FILE, unreadable)
    if any(outcome.size is None for outcome in outcomes):
        raise _too_damaged(request.data_dir, unreadable)
    train = {outcome.name: outcome.examples for outcome in outcomes if outcome.name.startswith("train-")}
    validation = {outcome.name: outcome.examples for outcome in outcomes if outcome.name not in train}
    counts = {"train": train, "validation": validation, "classes": list(found.classes)}
    _write_whole(request.data_dir / COUNTS_FILE, json.dumps(counts, indent=1) + "\n")
    return Prepared(
        data_dir=request.data_dir,
        train=train,
        validation=validation,
        classes=found.classes,
        reencoded=tuple(line for outcome in outcomes for line in outcome.reencoded),
        unreadable=unreadable,
        notes=_notes(found, train=sum(train.values()), validation=sum(validation.values())),
    )


def _too_damaged(data_dir: pathlib.Path, unreadable: tuple[str, ...]) -> DamagedDataError:
    shown = "\n".join(f"  {line}" for line in unreadable[:_NAMES_IN_A_MESSAGE])
    rest = len(unreadable) - _NAMES_IN_A_MESSAGE
    more = f"\n  and {rest:,} more" if rest > 0 else ""
    return DamagedDataError(
        f"unreadable images: {len(unreadable):,}\n{shown}{more}\nAll are listed in {data_dir / UNREADABLE_FILE}. "
        "Download them again, or leave them out with --skip_unreadable, and repeat the command: it goes on from here."
    )


def _write_lines(path: pathlib.Path, lines: tuple[str, ...]) -> None:
    if lines:
        _write_whole(path, "".join(f"{line}\n" for line in lines))
    else:
        path.unlink(missing_ok=True)


def _write_whole(path: pathlib.Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
