"""Serialises instances as the records that the reference writes.

The bytes are those of a tf.train.Example whose features are sorted by name. They are put together by hand, five times
as fast, so that the processes that make them need not import TensorFlow.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence
from typing import final

from tfperf.benchmarks.bert.pretraining.prepare.instances import Instance
from tfperf.benchmarks.bert.pretraining.prepare.recipe import Recipe

_FLOATS, _INTEGERS = 2, 3  # the fields of tf.train.Feature
_NO, _YES = b"\x00", b"\x01"


@final
class Serializer:
    """Turns instances into records of one length."""

    def __init__(self, recipe: Recipe, *, pieces: int) -> None:
        """Prepares the encodings of all ids and positions.

        Args:
            recipe: the lengths.
            pieces: word pieces in the vocabulary.
        """
        self._length, self._predictions = recipe.sequence_length, recipe.predictions
        self._numbers = [_varint(number) for number in range(max(pieces, recipe.sequence_length))]

    def record(self, instance: Instance) -> bytes:
        """The record of an instance."""
        tokens, masked = len(instance.ids), len(instance.positions)
        features = (
            _feature("input_ids", self._padded(instance.ids, self._length)),
            _mask(tokens, self._length),
            _feature("masked_lm_ids", self._padded(instance.labels, self._predictions)),
            _feature("masked_lm_positions", self._padded(instance.positions, self._predictions)),
            _weights(masked, self._predictions),
            _feature("next_sentence_labels", _YES if instance.is_random_next else _NO),
            _segments(instance.first, tokens, self._length),
        )
        return _field(1, b"".join(features))

    def _padded(self, numbers: Sequence[int], length: int) -> bytes:
        return b"".join([self._numbers[number] for number in numbers]) + _NO * (length - len(numbers))


@functools.lru_cache(maxsize=4096)
def _mask(tokens: int, length: int) -> bytes:
    return _feature("input_mask", _YES * tokens + _NO * (length - tokens))


@functools.lru_cache(maxsize=4096)
def _weights(masked: int, predictions: int) -> bytes:
    values = struct.pack(f"<{predictions}f", *(1.0 if number < masked else 0.0 for number in range(predictions)))
    return _feature("masked_lm_weights", values, kind=_FLOATS)


def _segments(first: int, tokens: int, length: int) -> bytes:
    return _feature("segment_ids", _NO * first + _YES * (tokens - first) + _NO * (length - tokens))


def _feature(name: str, packed: bytes, *, kind: int = _INTEGERS) -> bytes:
    """An entry of the map in tf.train.Features."""
    value = _field(kind, _field(1, packed))
    return _field(1, _field(1, name.encode()) + _field(2, value))


def _field(number: int, content: bytes) -> bytes:
    """A field of protocol buffers that holds bytes."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


@functools.cache
def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
