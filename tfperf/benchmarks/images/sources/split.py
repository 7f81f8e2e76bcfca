"""One split of a source of labelled JPEGs, and the records of that split."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from tfperf.errors import MissingDataError

if TYPE_CHECKING:
    import tensorflow as tf

# As in the reference, imagenet_preprocessing.py.
SHUFFLE_BUFFER = 10_000


class LabelledJpeg(NamedTuple):
    """One labelled JPEG: scalar tensors, and boxes [n, 4] as ymin, xmin, ymax, xmax in shares of the image."""

    encoded: tf.Tensor
    label: tf.Tensor
    boxes: tf.Tensor


class FileEnds(NamedTuple):
    """What tells a file from most others without reading all of it."""

    path: str
    title: str
    size: int
    head: bytes
    tail: bytes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pass:
    """One way through a split.

    Attributes:
        pipelines: how many pipelines share the records.
        index: which pipeline this is, from 0.
        shuffle_seed: seeds the order, which changes with every iteration; None keeps the order of the source.
        named: whether records carry their names. That is slower in some sources.
    """

    pipelines: int = 1
    index: int = 0
    shuffle_seed: int | None = None
    named: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Split:
    """The training or the evaluation examples of a source.

    Attributes:
        shares: number of pipelines -> how many examples each of them reads.
        records: a pass -> its records, each once.
        name: the components of one record of a pass that is `named` -> its name.
        parse: the components of one record -> its example, a `LabelledJpeg` where a classifier reads it.
        pick: record numbers, in the order of the source -> these records, in this order, with the components that
            `title` and `parse` take. Reads no others.
        where: a record number -> its file and its position there.
        title: the components of a picked record -> the name of its image.
        identity: differs between lists of examples; can be written as JSON.
        by_class: whether the records are sorted by class.
        at_most: a limit -> the examples of the split, or the limit if there are more; counts no more than that. None
            takes them from `shares`.
        damage: reads every container and says which are truncated or garbled, one line each.
        ends: reads the first and last bytes of each file of a folder; empty for other sources.
    """

    shares: Callable[[int], tuple[int, ...]]
    records: Callable[[Pass], tf.data.Dataset]
    name: Callable[..., tf.Tensor]
    parse: Callable[..., Any]
    pick: Callable[[Sequence[int]], tf.data.Dataset]
    where: Callable[[int], str]
    title: Callable[..., tf.Tensor]
    identity: Any
    by_class: bool = False
    at_most: Callable[[int], int] | None = None
    damage: Callable[[], tuple[str, ...]] = tuple
    ends: Callable[[], tuple[FileEnds, ...]] = tuple

    @property
    def examples(self) -> int:
        """Examples in the split."""
        return self.shares(1)[0]


class Splits(NamedTuple):
    """Both splits of a source."""

    train: Split
    evaluation: Split


def absent(reason: str) -> Split:
    """A split of no examples; reading it raises a MissingDataError that says `reason`."""

    def refuse(*_: object) -> NoReturn:
        raise MissingDataError(reason)

    return Split(
        shares=lambda pipelines: every_nth(0, pipelines),
        records=refuse,
        name=refuse,
        parse=refuse,
        pick=refuse,
        where=refuse,
        title=refuse,
        identity=None,
    )


def every_nth(examples: int, pipelines: int) -> tuple[int, ...]:
    """The sizes of the shares when pipeline i takes the records i, i + pipelines, i + 2 * pipelines, ..."""
    return tuple(len(range(index, examples, pipelines)) for index in range(pipelines))


def no_boxes() -> tf.Tensor:
    """The boxes of an image that has none annotated: the whole image counts as the object."""
    import tensorflow as tf

    return tf.zeros([0, 4], tf.float32)
