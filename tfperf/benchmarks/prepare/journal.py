"""Remembers the arguments of a preparation and its finished shards, so that it can be resumed."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Iterable, Mapping

from tfperf import json_text
from tfperf.benchmarks.prepare.shards import WrittenShard
from tfperf.errors import UsageError

FILE = "prepare.jsonl"

Arguments = Mapping[str, int | str]


def resume(folder: pathlib.Path, arguments: Arguments, *, shard_names: Iterable[str]) -> dict[str, WrittenShard]:
    """Starts a preparation in `folder`, or resumes the one that was started there.

    Args:
        folder: where the shards are written.
        arguments: what decides the content of the shards.
        shard_names: the files to be written.

    Returns:
        The shards that are finished, by name.

    Raises:
        UsageError: the folder holds shards that came from elsewhere or from other arguments.
    """
    path = folder / FILE
    finished: dict[str, WrittenShard] = {}
    if path.exists():
        begun_with, written = _read(path)
        _check_same(path, begun_with, arguments)
        finished = {shard.name: shard for shard in written if _is_whole(folder, shard)}
    else:
        _check_none(folder, shard_names)
    _rewrite(path, [arguments, *map(dataclasses.asdict, finished.values())])
    return finished


def remember(folder: pathlib.Path, shard: WrittenShard) -> None:
    """Notes that a shard is finished: the next `resume` keeps it."""
    with (folder / FILE).open("a", encoding="utf-8") as file:
        _append(file.fileno(), dataclasses.asdict(shard))


def _read(path: pathlib.Path) -> tuple[Arguments, list[WrittenShard]]:
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]  # what follows the last newline was cut off by a kill
    try:
        begun_with, *written = map(json_text.parse, lines)
        return begun_with, [_shard(fields) for fields in written]
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path} is not what tfperf wrote: {error}. Choose an empty --data_dir.") from error


def _shard(fields: Mapping[str, object]) -> WrittenShard:
    lists = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
    return WrittenShard(**{**fields, **lists})  # type: ignore[arg-type]  # a wrong type was not written by this module


def _check_same(path: pathlib.Path, begun_with: Arguments, arguments: Arguments) -> None:
    changes = [
        f"{name}: {begun_with.get(name)} then, {value} now"
        for name, value in arguments.items()
        if begun_with.get(name) != value
    ]
    if changes:
        raise UsageError(
            f"{path} was started with other arguments ({'; '.join(changes)}). Repeat them to resume, or choose an "
            "empty --data_dir."
        )


def _check_none(folder: pathlib.Path, shard_names: Iterable[str]) -> None:
    present = set(os.listdir(folder)).intersection(shard_names)
    if present:
        raise UsageError(
            f"{folder} already holds {min(present)} and no {FILE}: something else wrote it. Choose an empty --data_dir."
        )


def _is_whole(folder: pathlib.Path, shard: WrittenShard) -> bool:
    path = folder / shard.name
    return path.is_file() and path.stat().st_size == shard.size


def _rewrite(path: pathlib.Path, lines: Iterable[Mapping[str, object]]) -> None:
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        for line in lines:
            file.write(json.dumps(line) + "\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _append(descriptor: int, line: Mapping[str, object]) -> None:
    os.write(descriptor, (json.dumps(line) + "\n").encode())
    os.fsync(descriptor)
