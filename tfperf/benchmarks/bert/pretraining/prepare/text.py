"""Prepares any folder of plain text, with a vocabulary of its own."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from tfperf import whole_file
from tfperf.benchmarks.bert.pretraining.prepare import plain_text, text_records
from tfperf.benchmarks.bert.pretraining.prepare.record_process import TextFile
from tfperf.benchmarks.bert.pretraining.prepare.text_records import VOCABULARY_FILE, PreparedText, TextToRecords
from tfperf.benchmarks.prepare import journal
from tfperf.benchmarks.prepare.lock import locked
from tfperf.benchmarks.prepare.request import check_request
from tfperf.benchmarks.text import vocabulary as vocabularies
from tfperf.benchmarks.text import vocabulary_training
from tfperf.benchmarks.text.vocabulary import SPECIAL
from tfperf.errors import DamagedDataError, UsageError
from tfperf.sign_of_life import Say, stage

EVAL_FILE = "eval"
SUMMARY_FILE = "text.json"
SENTENCES_FOLDER = "text"

_TRAIN_FOLDER, _EVAL_FOLDERS = "train", ("validation", "val")
_HELD_OUT_OF = 20  # every 20th document
_BYTES_IN_A_FILE = 16_000_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextRequest:
    """What to prepare.

    Args:
        source: folder of plain text, or of two folders `train` and `validation` of plain text.
        data_dir: where everything goes; created if needed.
        vocabulary_size: word pieces of the vocabulary that is trained, unless the source holds a `vocab.txt`.
        sequence_length: tokens in a record.
        predictions: most masked tokens in a record.
        eval_examples: records that are picked for the evaluation.
        workers: files that are worked on at the same time.
    """

    source: pathlib.Path
    data_dir: pathlib.Path
    vocabulary_size: int = 8192
    sequence_length: int = 128
    predictions: int = 20
    eval_examples: int = 1000
    workers: int = 1

    def __post_init__(self) -> None:
        counted = ("sequence_length", "predictions", "eval_examples", "workers")
        check_request(self, counted=counted)
        if self.source.resolve() in self.data_dir.resolve().parents:
            raise UsageError(f"--data_dir must not be inside --source, whose text is read; got {self.data_dir}.")
        if self.vocabulary_size <= len(SPECIAL):
            raise UsageError(f"--vocabulary_size must be {len(SPECIAL) + 1} or more, got {self.vocabulary_size}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _TextSplit:
    """The documents of a split.

    Attributes:
        files: where they are.
        keep: the number of a document in these files -> whether it belongs to the split.
        sizes: the bytes of each document that does.
        sentences: their sentences.
    """

    files: Sequence[pathlib.Path]
    keep: Callable[[int], bool]
    sizes: Sequence[int]
    sentences: int

    def documents(self) -> Iterator[list[str]]:
        """The documents, read from the files."""
        return (document for number, document in enumerate(_documents(self.files)) if self.keep(number))


def prepare(request: TextRequest, say: Say) -> PreparedText:
    """Writes sentences, a vocabulary, the records and `text.json`, then `counts.json`, which shows that all are there.

    Every 20th document is held out for the evaluation, or the folder `validation` if there is one. The same text gives
    the same files, whatever the number of workers. The same call resumes a preparation that was killed.

    Args:
        request: what to prepare.
        say: takes each line of progress.

    Raises:
        MissingDataError: the source holds no text.
        DamagedDataError: a text is not UTF-8, or empty.
        UsageError: nothing can be held out, or the data directory can't be written, is too small, or holds something
            else.
    """
    recipe = text_records.recipe_of(request)
    with stage(f"reading the text in {request.source}", say):
        train, evaluation = _splits(request.source)
        digest = _digest(request.source)
    say(f"found {len(train.sizes):,} documents for training and {len(evaluation.sizes):,} for the evaluation")
    names = _train_names(train)
    with locked(request.data_dir):
        fields = ("vocabulary_size", "sequence_length", "predictions", "eval_examples")
        arguments = {**{name: getattr(request, name) for name in fields}, "text": digest}
        finished = journal.resume(request.data_dir, arguments, shard_names=(*names, EVAL_FILE))
        with stage("writing the sentences of the text", say, at_once=False):
            texts = _write_sentences(train, evaluation, request.data_dir / SENTENCES_FOLDER)
        vocabulary = _write_vocabulary(request, [texts[name] for name in names], say)
        picked = TextFile(path=texts[EVAL_FILE], vocabulary=vocabulary, recipe=recipe, picked=request.eval_examples)
        wanted = TextToRecords(
            train={name: texts[name] for name in names},
            evaluation={EVAL_FILE: picked},
            vocabulary=vocabulary,
            recipe=recipe,
            workers=request.workers,
        )
        _write_summary(request.data_dir, train, evaluation)
        prepared = text_records.write(wanted, request.data_dir, finished=finished, say=say)
    return dataclasses.replace(prepared, notes=tuple(_notes(request, prepared)))


def _splits(source: pathlib.Path) -> tuple[_TextSplit, _TextSplit]:
    held_out = next((source / name for name in _EVAL_FOLDERS if (source / name).is_dir()), None)
    if (source / _TRAIN_FOLDER).is_dir() and held_out:
        train, evaluation = plain_text.files(source / _TRAIN_FOLDER), plain_text.files(held_out)
        return _split(train, lambda number: True), _split(evaluation, lambda number: True)
    files = plain_text.files(source)
    count = sum(1 for _ in _documents(files))
    if count < 2:
        raise UsageError(
            f"{source} holds {count} document{'' if count == 1 else 's'}, so none can be held out for the evaluation. "
            f"Separate documents by blank lines, or put text into the folders {_TRAIN_FOLDER} and {_EVAL_FOLDERS[0]}."
        )
    period = min(_HELD_OUT_OF, count)
    last = period - 1
    return _split(files, lambda number: number % period != last), _split(files, lambda number: number % period == last)


def _split(files: Sequence[pathlib.Path], keep: Callable[[int], bool]) -> _TextSplit:
    found = _TextSplit(files=files, keep=keep, sizes=(), sentences=0)
    sizes, sentences = [], 0
    for document in found.documents():
        sizes.append(len("\n".join(document).encode()))
        sentences += len(document)
    if not sizes:
        raise DamagedDataError(
            f"{files[0].parent}: no text in {len(files):,} files, only empty lines. Replace them, or pass another "
            "folder."
        )
    return dataclasses.replace(found, sizes=sizes, sentences=sentences)


def _documents(files: Sequence[pathlib.Path]) -> Iterator[list[str]]:
    return (document for file in files for document in plain_text.split(file))


def _digest(source: pathlib.Path) -> str:
    found = hashlib.sha256()
    for path in [*plain_text.files(source), source / VOCABULARY_FILE]:
        if path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            found.update(f"{path.relative_to(source)} {content}\n".encode("utf-8", "surrogateescape"))
    return found.hexdigest()


def _file_numbers(sizes: Sequence[int]) -> list[int]:
    """The number of the file that each document goes to: a file is full when it holds `_BYTES_IN_A_FILE`."""
    numbers, number, filled = [], 0, 0
    for size in sizes:
        if filled >= _BYTES_IN_A_FILE:
            number, filled = number + 1, 0
        numbers.append(number)
        filled += size
    return numbers


def _train_names(train: _TextSplit) -> list[str]:
    count = _file_numbers(train.sizes)[-1] + 1
    return [f"part-{number:05d}-of-{count:05d}" for number in range(count)]


def _write_sentences(train: _TextSplit, evaluation: _TextSplit, folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Writes a sentence a line, and a blank line after each document: the text of each file of records, by its name."""
    folder.mkdir(exist_ok=True)
    numbered = zip(_file_numbers(train.sizes), train.documents(), strict=True)
    names = _train_names(train)
    paths = {}
    for number, group in itertools.groupby(numbered, key=lambda pair: pair[0]):
        paths[names[number]] = _write_documents(folder / names[number], (document for _, document in group))
    paths[EVAL_FILE] = _write_documents(folder / f"{EVAL_FILE}.txt", evaluation.documents())
    return paths


def _write_documents(path: pathlib.Path, documents: Iterable[list[str]]) -> pathlib.Path:
    whole_file.write(path, "".join("\n".join(document) + "\n\n" for document in documents))
    return path


def _write_vocabulary(request: TextRequest, texts: Sequence[pathlib.Path], say: Say) -> pathlib.Path:
    path, given = request.data_dir / VOCABULARY_FILE, request.source / VOCABULARY_FILE
    if given.is_file():
        pieces = vocabularies.read(given).pieces
    else:
        with stage(f"training a vocabulary of {request.vocabulary_size:,} word pieces", say):
            pieces = vocabulary_training.train(texts, size=request.vocabulary_size)
    whole_file.write(path, "\n".join(pieces) + "\n")
    return path


def _write_summary(data_dir: pathlib.Path, train: _TextSplit, evaluation: _TextSplit) -> None:
    summary = {
        name: {"documents": len(split.sizes), "sentences": split.sentences, "bytes": sum(split.sizes)}
        for name, split in (("train", train), ("validation", evaluation))
    }
    whole_file.write(data_dir / SUMMARY_FILE, json.dumps(summary, indent=1) + "\n")


def _notes(request: TextRequest, prepared: PreparedText) -> Iterator[str]:
    if prepared.pieces != request.vocabulary_size:
        yield (
            f"the vocabulary has {prepared.pieces:,} pieces, not {request.vocabulary_size:,}: train with "
            f"--set model.encoder.vocabulary_size={prepared.pieces}"
        )
    if prepared.validation[EVAL_FILE] < request.eval_examples:
        yield f"{EVAL_FILE} holds {prepared.validation[EVAL_FILE]:,} records, all that the held-out documents give"
