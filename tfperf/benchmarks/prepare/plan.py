"""Which example goes into which file: all examples of a split, shuffled once, in files of even length."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Sequence
from typing import Generic, TypeVar

from tfperf.errors import UsageError

_SEED = 0
Stored = TypeVar("Stored")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard(Generic[Stored]):
    """What goes into one file.

    Attributes:
        name: the file's name, such as `train-00000-of-01024`.
        examples: where its examples are, in order.
    """

    name: str
    examples: tuple[Stored, ...]


def shards(split: str, examples: Sequence[Stored], *, count: int) -> list[Shard[Stored]]:
    """The files of a split.

    Args:
        split: the beginning of their names.
        examples: where the examples are.
        count: files.

    Raises:
        UsageError: there are more files than examples.
    """
    if count > len(examples):
        raise UsageError(f"{count} {split} files were requested and there are {len(examples)} examples. Request fewer.")
    shuffled = list(examples)
    random.Random(_SEED).shuffle(shuffled)
    bounds = [len(examples) * index // count for index in range(count + 1)]
    return [
        Shard(name=f"{split}-{index:05d}-of-{count:05d}", examples=tuple(shuffled[begin:end]))
        for index, (begin, end) in enumerate(itertools.pairwise(bounds))
    ]
