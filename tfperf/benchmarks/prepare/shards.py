"""Writes files of records, each whole or not at all."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
import pathlib
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import tensorflow as tf

from tfperf.benchmarks.prepare.bar import bar
from tfperf.benchmarks.prepare.plan import Shard, Stored
from tfperf.errors import UsageError


class UnreadableExampleError(ValueError):
    """An example that can't be decoded, or whose records can't be made; the message says why."""


class Record(NamedTuple):
    """One record as it is written.

    Attributes:
        serialized: the bytes.
        reencoded_from: the format that was converted; None if the original bytes are kept.
    """

    serialized: bytes
    reencoded_from: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class WrittenShard:
    """The result of writing one shard.

    Attributes:
        name: the file's name.
        size: its bytes; None if it was not kept because of an unreadable example.
        examples: records in it.
        reencoded: examples that were converted, and from which format.
        unreadable: examples that can't be decoded, and why.
        made_from: the SHA-256 of the file that it was made from; None if that was not noted.
    """

    name: str
    size: int | None
    examples: int
    reencoded: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    made_from: str | None = None


RecordsOf = Callable[[Stored], Iterable[Record]]


def check_space(folder: pathlib.Path, needed_bytes: int) -> None:
    """Refuses a folder with too little free space.

    Raises:
        UsageError: says how much is free and how much is needed.
    """
    free = shutil.disk_usage(folder).free
    if needed_bytes > free:
        raise UsageError(
            f"--data_dir {folder} has {free / 1e9:.1f} GB free; {needed_bytes / 1e9:.1f} GB are needed. Free space or "
            "choose another folder."
        )


def write_all(
    pending: Sequence[Shard[Stored]],
    folder: pathlib.Path,
    *,
    records_of: RecordsOf[Stored],
    skip_unreadable: bool,
    workers: int,
    unit: str,
    on_finished: Callable[[WrittenShard], None],
    on_stop: Callable[[], None] = lambda: None,
) -> list[WrittenShard]:
    """Writes shards in threads, with a progress bar on stderr.

    Args:
        pending: the shards to write.
        folder: the folder to write them to.
        records_of: makes the records of an example. Raises UnreadableExampleError or OSError before the first of them,
            if unreadable examples may be skipped.
        skip_unreadable: whether a shard that lacks its unreadable examples is kept.
        workers: threads. They read, decode and write outside the interpreter's lock. Unlike processes they all end with
            a killed preparation, so nothing writes into the one that resumes it.
        unit: what the progress bar counts, such as `images`.
        on_finished: called with each shard that was kept, in this thread.
        on_stop: called when the work is given up; ends whatever the threads may be waiting for.

    Raises:
        UsageError: the folder can't be written, or is full.
    """
    stop = threading.Event()
    written = []
    total = sum(len(shard.examples) for shard in pending)
    with (
        concurrent.futures.ThreadPoolExecutor(workers) as pool,
        bar(total, unit=unit) as progress,
    ):
        examples = {
            pool.submit(write, shard, folder, records_of=records_of, skip_unreadable=skip_unreadable, stop=stop): len(
                shard.examples
            )
            for shard in pending
        }
        try:
            for future in concurrent.futures.as_completed(examples):
                shard = future.result()
                if shard.size is not None:
                    on_finished(shard)
                written.append(shard)
                progress.update(examples[future])
        except BaseException:  # Ctrl-C as well: end the threads, then let it through
            stop.set()
            on_stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return written


def write(
    shard: Shard[Stored],
    folder: pathlib.Path,
    *,
    records_of: RecordsOf[Stored],
    skip_unreadable: bool,
    stop: threading.Event,
) -> WrittenShard:
    """Writes the shard under a temporary name and renames it when it is whole and on the disk.

    Args:
        shard: the shard to write.
        folder: as in `write_all`.
        records_of: as in `write_all`.
        skip_unreadable: as in `write_all`.
        stop: ends the work between two records.

    Raises:
        UsageError: the folder can't be written, or is full.
        concurrent.futures.CancelledError: `stop` was set.
    """
    partial = folder / f".{shard.name}.partial"
    try:
        written = _write_records(shard, partial, records_of=records_of, stop=stop)
        if written.unreadable and not skip_unreadable:
            return written
        _to_disk(partial)
        size = partial.stat().st_size
        partial.replace(folder / shard.name)
        return dataclasses.replace(written, size=size)
    except (OSError, tf.errors.OpError) as error:
        raise UsageError(f"{folder / shard.name} can't be written: {error}. Free space or choose another.") from error
    finally:
        partial.unlink(missing_ok=True)


def _write_records(
    shard: Shard[Stored], path: pathlib.Path, *, records_of: RecordsOf[Stored], stop: threading.Event
) -> WrittenShard:
    count, reencoded, unreadable = 0, [], []
    with tf.io.TFRecordWriter(str(path)) as writer:
        for example in shard.examples:
            _check_not(stop)
            for record in _records(example, records_of):
                _check_not(stop)
                if isinstance(record, str):
                    unreadable.append(f"{example}: {record}")
                    continue
                if record.reencoded_from:
                    reencoded.append(f"{example}: was {record.reencoded_from}")
                writer.write(record.serialized)
                count += 1
    return WrittenShard(
        name=shard.name, size=None, examples=count, reencoded=tuple(reencoded), unreadable=tuple(unreadable)
    )


def _check_not(stop: threading.Event) -> None:
    if stop.is_set():
        raise concurrent.futures.CancelledError


def _records(example: Stored, records_of: RecordsOf[Stored]) -> Iterator[Record | str]:
    """The records, or why there are no more."""
    try:
        yield from records_of(example)
    except UnreadableExampleError as error:
        yield str(error)
    except OSError as error:
        yield error.strerror or repr(error)


def _to_disk(path: pathlib.Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
