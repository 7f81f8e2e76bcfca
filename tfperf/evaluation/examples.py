"""The user's data, in whatever form Keras takes it, as batches of (inputs, labels, weights).

An input may be nested, as the model takes it; `Structure` takes it apart into a flat list of arrays and puts it
together again.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfperf.errors import DamagedDataError, MissingDataError, UnfitModelError

BATCH = 32  # examples of data without batches of its own that are judged at once


class ExampleBatch(NamedTuple):
    """Examples as the user's data gives them.

    Attributes:
        inputs: the flat inputs, each an array [n, ...].
        labels: the labels, nested as they came; None without any.
        weights: the sample weights; None without any.
    """

    inputs: tuple[np.ndarray, ...]
    labels: Any
    weights: Any

    @property
    def examples(self) -> int:
        """How many examples it has."""
        return len(self.inputs[0])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Examples:
    """Data that was adapted.

    Attributes:
        kind: what it is, for the result.
        template: one nested input, which tells how the model takes it.
        read: reads all of it, from the beginning.
        make: makes the inputs of request number n anew, by the user's own code; None if there is nothing to make.
        once: whether it can be read only once.
    """

    kind: str
    template: Any
    read: Callable[[], Iterator[ExampleBatch]]
    make: Callable[[int], tuple[np.ndarray, ...]] | None
    once: bool = False

    def packed(self, inputs: Sequence[Any]) -> Any:
        """Flat inputs as the model takes them."""
        import keras

        return keras.tree.pack_sequence_as(self.template, [_taken(each) for each in inputs])


def adapt(data: Any, *, as_columns: Sequence[str] = ()) -> Examples:
    """Adapts data: `tf.data`, arrays, (x, y[, weights]), dicts of arrays, `PyDataset`, Keras's image iterators,
    generators, functions that return one, and pandas.

    Args:
        data: the data.
        as_columns: the names of the model's inputs; the columns of a pandas frame with these names become them.

    Raises:
        UnfitModelError: it is none of these.
        MissingDataError: it is empty.
    """
    import keras

    if data is None:
        raise MissingDataError("No data was given. Pass a tf.data.Dataset, arrays, or a keras.utils.PyDataset.")
    if _is_dataset(data):
        return _of_dataset(data)
    if isinstance(data, keras.utils.PyDataset) or (
        hasattr(data, "__getitem__") and hasattr(data, "__len__") and hasattr(data, "on_epoch_end")
    ):
        return _of_batches(type(data).__name__, data)
    if callable(data) and not hasattr(data, "shape"):
        return _of_generator(data, once=False)
    if isinstance(data, Iterator):
        return _of_generator(lambda: data, once=True)
    x, y, weights = unpacked(data)
    return _of_arrays(x, y, weights, as_columns=as_columns)


def unpacked(element: Any) -> tuple[Any, Any, Any]:
    """(inputs, labels, weights) as Keras reads them: a tuple of one to three, or inputs alone."""
    if isinstance(element, tuple):
        if not 1 <= len(element) <= 3:
            raise UnfitModelError(
                f"The data gives tuples of {len(element)}; accepted are (inputs,), (inputs, labels) and (inputs, "
                "labels, weights). Put several inputs into a list or a dict."
            )
        return (*element, None, None)[0], (*element, None, None)[1], (*element, None, None)[2]
    return element, None, None


def _of_dataset(data: Any) -> Examples:
    import tensorflow as tf

    if data.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise UnfitModelError("The tf.data.Dataset repeats forever. Leave out repeat(), or take(n) batches of it.")
    lock = threading.Lock()
    state: list[Any] = [iter(())]

    def make(number: int) -> tuple[np.ndarray, ...]:
        with lock:
            element = next(state[0], None)
            if element is None:
                state[0] = iter(data.as_numpy_iterator())
                element = next(state[0])
        return flat(unpacked(element)[0])

    return _examples("tf.data.Dataset", lambda: data.as_numpy_iterator(), make)


def _of_batches(kind: str, data: Any) -> Examples:
    total = len(data)
    if not total:
        raise MissingDataError(f"The {kind} is empty: its length is 0.")
    lock = threading.Lock()
    # Keras's image iterators draw their random numbers and their order from shared state.
    shared = hasattr(data, "index_array")

    def get(index: int) -> Any:
        try:
            if shared:
                with lock:
                    return data[index]
            return data[index]
        except (OSError, SyntaxError, ValueError, IndexError) as error:
            raise DamagedDataError(f"Batch {index} of {total} of the {kind} can't be read: {error}") from error

    return _examples(
        kind,
        lambda: (get(index) for index in range(total)),
        lambda number: flat(unpacked(get(number % total))[0]),
    )


def _of_generator(begin: Callable[[], Any], *, once: bool) -> Examples:
    lock = threading.Lock()
    state: list[Any] = [iter(())]

    def make(number: int) -> tuple[np.ndarray, ...]:
        with lock:
            element = next(state[0], None)
            if element is None:
                state[0] = iter(begin())
                element = next(state[0], None)
        if element is None:
            raise MissingDataError("The generator ended and gives nothing more.")
        return flat(unpacked(element)[0])

    if not once:
        return _examples("generator", lambda: iter(begin()), make)
    source = iter(begin())
    first = next(source, None)
    if first is None:
        raise MissingDataError("The generator gives nothing: it is empty, or was read before.")

    def read() -> Iterator[Any]:
        yield first
        yield from source

    return dataclasses.replace(_examples("generator", read, None, first=first), once=True)


def _of_arrays(x: Any, y: Any, weights: Any, *, as_columns: Sequence[str]) -> Examples:
    kind = "arrays"
    if hasattr(x, "columns") and hasattr(x, "to_numpy"):
        kind = "pandas"
        named = len(as_columns) > 1 and set(as_columns) <= set(map(str, x.columns))
        x = {name: x[name].to_numpy() for name in as_columns} if named else x.to_numpy()
    import keras

    try:
        arrays = flat(x)
        labels = None if y is None else keras.tree.map_structure(_array, y)
        given_weights = None if weights is None else keras.tree.map_structure(_array, weights)
    except (TypeError, ValueError) as error:
        raise UnfitModelError(
            f"The data is a {type(x).__name__}, which holds no arrays: {error}. Accepted: tf.data.Dataset, arrays, "
            "(inputs, labels), dicts of arrays, keras.utils.PyDataset, generators and pandas frames."
        ) from error
    lengths = {
        len(array)
        for array in [*arrays, *keras.tree.flatten(labels), *keras.tree.flatten(given_weights)]
        if array is not None
    }
    if len(lengths) > 1:
        raise UnfitModelError(f"The arrays have different lengths: {', '.join(map(str, sorted(lengths)))}.")
    (total,) = lengths
    if not total:
        raise MissingDataError("The data is empty: its arrays have length 0.")

    def part(nested: Any, start: int) -> Any:
        return None if nested is None else keras.tree.map_structure(lambda array: array[start : start + BATCH], nested)

    def read() -> Iterator[Any]:
        for start in range(0, total, BATCH):
            inputs = keras.tree.pack_sequence_as(x, [array[start : start + BATCH] for array in arrays])
            yield inputs, part(labels, start), part(given_weights, start)

    return _examples(kind, read, None)


def _examples(
    kind: str,
    elements: Callable[[], Iterable[Any]],
    make: Callable[[int], tuple[np.ndarray, ...]] | None,
    *,
    first: Any = None,
) -> Examples:
    first = next(iter(elements()), None) if first is None else first
    if first is None:
        raise MissingDataError(f"The data ({kind}) is empty: it gives no batch.")
    template = unpacked(first)[0]
    if _rank(template) == 0:
        raise UnfitModelError(f"The data ({kind}) gives single numbers. It must give batches: call .batch(32) on it.")

    def read() -> Iterator[ExampleBatch]:
        import keras

        for number, element in enumerate(elements()):
            x, y, weights = unpacked(element)
            inputs = flat(x)
            counts = {len(array) for array in inputs}
            if len(counts) > 1:
                raise DamagedDataError(f"Batch {number} has inputs of {sorted(counts)} examples.")
            labels = None if y is None else keras.tree.map_structure(_array, y)
            for array in keras.tree.flatten(labels) if labels is not None else ():
                if array.ndim and len(array) not in counts:
                    raise DamagedDataError(f"Batch {number} has {min(counts)} examples and {len(array)} labels.")
            yield ExampleBatch(inputs, labels, None if weights is None else keras.tree.map_structure(_array, weights))

    return Examples(kind=kind, template=template, read=read, make=make)


def flat(x: Any) -> tuple[np.ndarray, ...]:
    """The arrays of a nested input."""
    import keras

    return tuple(_array(each) for each in keras.tree.flatten(x))


def _array(value: Any) -> np.ndarray:
    found = value.numpy() if hasattr(value, "numpy") else np.asarray(value)
    if found.dtype == object and not all(isinstance(each, str | bytes) for each in found.flat):
        raise TypeError(f"it has values of type {type(found.flat[0]).__name__ if found.size else 'object'}")
    return np.asarray(found)


def _taken(array: Any) -> Any:
    """An input as Keras takes it: text becomes a tensor."""
    if not isinstance(array, np.ndarray) or array.dtype.kind != "O":
        return array
    import tensorflow as tf

    return tf.convert_to_tensor(array)


def _rank(template: Any) -> int:
    return min((array.ndim for array in flat(template)), default=0)


def _is_dataset(data: Any) -> bool:
    import tensorflow as tf

    return isinstance(data, tf.data.Dataset)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Kept:
    """Samples in memory, sent again and again.

    Attributes:
        inputs: one array [samples, ...] for each flat input.
    """

    inputs: tuple[np.ndarray, ...]

    def requests(self, batch_size: int) -> list[tuple[np.ndarray, ...]]:
        """The samples as requests, without copying them; a few samples are repeated to fill one."""
        samples = len(self.inputs[0])
        if samples < batch_size:
            rows = np.arange(batch_size) % samples
            return [tuple(array[rows] for array in self.inputs)]
        starts = range(0, samples - batch_size + 1, batch_size)
        return [tuple(array[start : start + batch_size] for array in self.inputs) for start in starts]


def keep(parts: Sequence[tuple[np.ndarray, ...]], *, most: int) -> Kept:
    """The first samples of some batches.

    Raises:
        UnfitModelError: they differ in shape, so that they can't be sent in batches of another size.
    """
    shapes = [{part[place].shape[1:] for part in parts} for place in range(len(parts[0]))]
    for place, found in enumerate(shapes):
        if len(found) > 1:
            raise UnfitModelError(
                f"Batches differ in the shape of input {place}: {sorted(found)[:4]}. Pad all examples to one shape, or "
                "use measure: pipeline, which sends the batches as they are."
            )
    return Kept(
        inputs=tuple(
            np.ascontiguousarray(np.concatenate([part[place] for part in parts])[:most])
            for place in range(len(parts[0]))
        )
    )


def named(template: Any, *, prefix: str) -> tuple[str, ...]:
    """A name for each flat tensor of a structure: the last key on the way to it, else the prefix with its place."""
    import keras

    names = []
    for place, (path, _) in enumerate(keras.tree.flatten_with_path(template)):
        keys = [key for key in path if isinstance(key, str)]
        names.append(keys[-1] if keys else f"{prefix}_{place}")
    return tuple(names)


def shown(inputs: Sequence[np.ndarray]) -> str:
    """Inputs for a message: type and shape of each."""
    return "; ".join(
        f"{array.dtype} [n, {', '.join(map(str, array.shape[1:]))}]".replace(", ]", "]") for array in inputs
    )


def is_mapping(template: Any) -> bool:
    """Whether inputs come by name."""
    return isinstance(template, Mapping)
