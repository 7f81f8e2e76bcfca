"""Turns files of text, a sentence a line, into TFRecord files: what MLPerf's text and any other text share."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from tfperf import whole_file
from tfperf.benchmarks.bert.pretraining.prepare.recipe import Recipe
from tfperf.benchmarks.bert.pretraining.prepare.record_process import RecordProcesses, TextFile
from tfperf.benchmarks.prepare import journal, shards
from tfperf.benchmarks.prepare.plan import Shard
from tfperf.benchmarks.prepare.shards import Record, UnreadableExampleError, WrittenShard
from tfperf.benchmarks.records import counts
from tfperf.benchmarks.text import vocabulary as vocabularies
from tfperf.errors import DamagedDataError, UsageError
from tfperf.sign_of_life import Say, stage

VOCABULARY_FILE = "vocab.txt"

# Of one duplicate: ids, masks, segments and padding.
_RECORD_BYTES_PER_TEXT_BYTE = 1.5
_NAMES_IN_A_MESSAGE = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextToRecords:
    """Which files become which records.

    Attributes:
        train: the text of each training file, by the name of the file of records.
        evaluation: the same for the evaluation file, of which some records are picked.
        vocabulary: the file of the vocabulary.
        recipe: lengths and shares.
        workers: files that are worked on at the same time, each in a process of its own.
    """

    train: Mapping[str, pathlib.Path]
    evaluation: Mapping[str, TextFile]
    vocabulary: pathlib.Path
    recipe: Recipe
    workers: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreparedText:
    """The prepared data directory.

    Attributes:
        data_dir: where the records are.
        train: records in each training file.
        validation: records in the evaluation file.
        pieces: word pieces in the vocabulary.
        recipe: lengths and shares.
        notes: remarks for the user.
    """

    data_dir: pathlib.Path
    train: Mapping[str, int]
    validation: Mapping[str, int]
    pieces: int
    recipe: Recipe
    notes: tuple[str, ...] = ()


def recipe_of(request: Any) -> Recipe:
    """The recipe with the lengths of a request.

    Raises:
        UsageError: the lengths don't fit each other.
    """
    try:
        return Recipe(sequence_length=request.sequence_length, predictions=request.predictions)
    except ValueError as error:
        raise UsageError("\n".join(f"--{line}" for line in str(error).splitlines())) from error


def write(
    wanted: TextToRecords, data_dir: pathlib.Path, *, finished: Mapping[str, WrittenShard], say: Say
) -> PreparedText:
    """Writes the missing files of records, then `counts.json`, which shows that all are there.

    Args:
        wanted: which files become which records.
        data_dir: a directory that this process holds the lock of.
        finished: files that are there already. Those whose text has changed are written again.
        say: takes each line of progress.

    Raises:
        DamagedDataError: a text is not UTF-8, or empty; the files of all others are kept.
        UsageError: the directory can't be written, or is too small.
    """
    planned = _planned(wanted)
    texts = {shard.name: shard.examples[0].path for shard in planned}
    with stage("comparing the text with that of the finished files", say, at_once=False):
        finished = {name: shard for name, shard in finished.items() if shard.made_from == _digest(texts[name])}
    if finished:
        say(f"resuming: {len(finished):,} of {len(planned):,} files are finished")
    pending = [shard for shard in planned if shard.name not in finished]
    size = sum(texts[shard.name].stat().st_size for shard in pending)
    shards.check_space(data_dir, int(size * wanted.recipe.duplicates * _RECORD_BYTES_PER_TEXT_BYTE))
    processes = RecordProcesses()

    def remember(shard: WrittenShard) -> None:
        journal.remember(data_dir, dataclasses.replace(shard, made_from=_digest(texts[shard.name])))

    new = shards.write_all(
        pending,
        data_dir,
        records_of=lambda text: _records(processes, text),
        skip_unreadable=False,
        workers=wanted.workers,
        unit="files",
        on_finished=remember,
        on_stop=processes.end,
    )
    written = {**finished, **{shard.name: shard for shard in new}}
    return _concluded(wanted, data_dir, [written[shard.name] for shard in planned])


def _digest(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _planned(wanted: TextToRecords) -> list[Shard[TextFile]]:
    train = {
        name: TextFile(path=path, vocabulary=wanted.vocabulary, recipe=wanted.recipe)
        for name, path in wanted.train.items()
    }
    return [Shard(name=name, examples=(text,)) for name, text in {**train, **wanted.evaluation}.items()]


def _records(processes: RecordProcesses, text: TextFile) -> Iterator[Record]:
    try:
        yield from (Record(record) for record in processes.records(text))
    except DamagedDataError as error:
        raise UnreadableExampleError(str(error).removeprefix(f"{text.path}: ")) from error


def _concluded(wanted: TextToRecords, data_dir: pathlib.Path, written: list[WrittenShard]) -> PreparedText:
    unusable = [line for shard in written for line in shard.unreadable]
    if unusable:
        raise _unusable(unusable)
    examples = {shard.name: shard.examples for shard in written}
    train = {name: count for name, count in examples.items() if name in wanted.train}
    validation = {name: count for name, count in examples.items() if name in wanted.evaluation}
    vocabulary = vocabularies.read(wanted.vocabulary)
    noted = {
        "train": train,
        "validation": validation,
        counts.SIZES: {shard.name: shard.size for shard in written},
        "vocabulary": {"pieces": len(vocabulary), "sha256": vocabulary.digest},
        "recipe": dataclasses.asdict(wanted.recipe),
    }
    whole_file.write(data_dir / counts.FILE, json.dumps(noted, indent=1) + "\n")
    return PreparedText(
        data_dir=data_dir, train=train, validation=validation, pieces=len(vocabulary), recipe=wanted.recipe
    )


def _unusable(lines: list[str]) -> DamagedDataError:
    shown = "\n".join(f"  {line}" for line in lines[:_NAMES_IN_A_MESSAGE])
    rest = len(lines) - _NAMES_IN_A_MESSAGE
    more = f"\n  and {rest:,} more" if rest > 0 else ""
    return DamagedDataError(
        f"unusable texts: {len(lines):,}\n{shown}{more}\nCorrect them and repeat the command: it continues from here."
    )
