"""Prepares MLPerf's Wikipedia, or any text in the same form, as the TFRecords of the reference."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
from collections.abc import Mapping

from tfperf import whole_file
from tfperf.benchmarks.bert.pretraining.prepare import text_records
from tfperf.benchmarks.bert.pretraining.prepare.record_process import TextFile
from tfperf.benchmarks.bert.pretraining.prepare.text_records import VOCABULARY_FILE, PreparedText, TextToRecords
from tfperf.benchmarks.prepare import journal
from tfperf.benchmarks.prepare.lock import locked
from tfperf.benchmarks.prepare.request import check_request
from tfperf.benchmarks.text import vocabulary as vocabularies
from tfperf.benchmarks.text.vocabulary import Vocabulary
from tfperf.errors import MissingDataError, UsageError
from tfperf.sign_of_life import Say

EVAL_TEXT = "eval.txt"
EVAL_FILE = "eval_10k"
EVAL_EXAMPLES = 10_000  # README.md of the reference, "Generate the TFRecords for Wiki dataset"
MLPERF_FILES = 500

_TRAIN_TEXT = re.compile(r"part-(\d{5})-of-(\d{5})")
_NAMES_SHOWN = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class WikipediaRequest:
    """What to prepare.

    Args:
        source: folder of `part-00000-of-00500` and so on, `eval.txt` and, unless `data_dir` holds it, `vocab.txt`.
        data_dir: where the records go; created if needed.
        sequence_length: tokens in a record.
        predictions: most masked tokens in a record.
        workers: files that are worked on at the same time.
    """

    source: pathlib.Path
    data_dir: pathlib.Path
    sequence_length: int = 512
    predictions: int = 76
    workers: int = 1

    def __post_init__(self) -> None:
        check_request(self, counted=("sequence_length", "predictions", "workers"))


def prepare(request: WikipediaRequest, say: Say) -> PreparedText:
    """Writes the missing files, then `counts.json`, which shows that all are there.

    Each file is made as the reference's script makes it when it is called for each file of text, so the records are
    the same whatever the number of workers. A progress bar goes to stderr. The same call resumes a preparation that
    was killed.

    Args:
        request: what to prepare.
        say: takes each line of progress.

    Raises:
        MissingDataError: the source lacks something.
        DamagedDataError: a text is not UTF-8, or empty; the files of all others are kept.
        UsageError: the data directory can't be written, is too small, or holds something else.
    """
    recipe = text_records.recipe_of(request)
    train, evaluation = _train_texts(request.source), _existing(request.source / EVAL_TEXT)
    with locked(request.data_dir):
        path, vocabulary = _vocabulary(request)
        size = sum(text.stat().st_size for text in (*train.values(), evaluation))
        say(f"found {len(train):,} files of text for training and {EVAL_TEXT}, {size:,} bytes")
        arguments: dict[str, int | str] = {
            **{name: getattr(recipe, name) for name in ("sequence_length", "predictions")},
            "vocabulary": vocabulary.digest,
            "files": len(train),
        }
        finished = journal.resume(request.data_dir, arguments, shard_names=(*train, EVAL_FILE))
        _keep_vocabulary(path, request.data_dir / VOCABULARY_FILE)
        picked = TextFile(path=evaluation, vocabulary=path, recipe=recipe, picked=EVAL_EXAMPLES)
        wanted = TextToRecords(
            train=train,
            evaluation={EVAL_FILE: picked},
            vocabulary=path,
            recipe=recipe,
            workers=request.workers,
        )
        prepared = text_records.write(wanted, request.data_dir, finished=finished, say=say)
    notes = tuple(_notes(prepared))
    for note in notes:
        say(f"note: {note}")
    return dataclasses.replace(prepared, notes=notes)


def _train_texts(source: pathlib.Path) -> Mapping[str, pathlib.Path]:
    accepted = f"part-00000-of-{MLPERF_FILES:05d} and so on, {EVAL_TEXT} and {VOCABULARY_FILE}"
    if not source.is_dir():
        raise MissingDataError(f"--source must be a folder with {accepted}; got {source}, which is not a folder.")
    found = {name: match for name in sorted(os.listdir(source)) if (match := _TRAIN_TEXT.fullmatch(name))}
    totals = sorted({int(match[2]) for match in found.values()})
    if not found:
        raise MissingDataError(f"{source} holds no file of text such as part-00000-of-00500. Accepted: {accepted}.")
    if len(totals) > 1:
        raise MissingDataError(
            f"{source} holds texts in {' and '.join(map(str, totals))} files. Leave those of one number there."
        )
    expected = [f"part-{number:05d}-of-{totals[0]:05d}" for number in range(totals[0])]
    missing = [name for name in expected if name not in found]
    if missing:
        shown = ", ".join(missing[:_NAMES_SHOWN]) + (", ..." if len(missing) > _NAMES_SHOWN else "")
        raise MissingDataError(f"{source}: {len(missing)} of {totals[0]} files are missing: {shown}. Download them.")
    return {name: source / name for name in expected}


def _existing(path: pathlib.Path) -> pathlib.Path:
    if not path.is_file():
        raise MissingDataError(
            f"{path} is missing: the text of the evaluation. MLPerf's comes with its files part-00000-of-00500."
        )
    return path


def _vocabulary(request: WikipediaRequest) -> tuple[pathlib.Path, Vocabulary]:
    found = [path for folder in (request.source, request.data_dir) if (path := folder / VOCABULARY_FILE).is_file()]
    if not found:
        raise MissingDataError(
            f"{VOCABULARY_FILE} is neither in {request.source} nor in {request.data_dir}. Put the one of MLPerf's "
            "checkpoint, or of bert-base-uncased, into one of them."
        )
    first, *others = [(path, vocabularies.read(path)) for path in found]
    for path, vocabulary in others:
        if vocabulary.digest != first[1].digest:
            raise UsageError(f"{first[0]} and {path} are different vocabularies. Delete the one that does not belong.")
    return first


def _keep_vocabulary(path: pathlib.Path, kept: pathlib.Path) -> None:
    if not kept.exists():
        whole_file.write_bytes(kept, path.read_bytes())


def _notes(prepared: PreparedText) -> list[str]:
    notes = []
    if len(prepared.train) != MLPERF_FILES:
        notes.append(f"not MLPerf's text: {len(prepared.train):,} files, where MLPerf has {MLPERF_FILES}")
    if prepared.validation[EVAL_FILE] < EVAL_EXAMPLES:
        notes.append(
            f"{EVAL_FILE} holds {prepared.validation[EVAL_FILE]:,} records, all that {EVAL_TEXT} gives; MLPerf picks "
            f"{EVAL_EXAMPLES:,}"
        )
    return notes
