"""Tensors come out of their vectors as they went in."""

import numpy as np
import tensorflow as tf

from tfperf.training.stacked import Stacking


def test_unstacks_what_was_stacked() -> None:
    dtypes = {"float32": (2, 3), "bfloat16": (4,), "float32 scalar": (), "float32 empty": (0, 5)}
    tensors = [
        tf.cast(np.arange(np.prod(shape)).reshape(shape), name.split(" ")[0]) + 1 for name, shape in dtypes.items()
    ]
    stacking = Stacking.of(tensors)
    vectors = stacking.stack(tensors)
    assert stacking.lengths == {tf.float32: 7, tf.bfloat16: 4}
    assert [(vector.dtype, len(vector)) for vector in vectors] == [(tf.float32, 7), (tf.bfloat16, 4)]
    for tensor, back in zip(tensors, stacking.unstack(vectors), strict=True):
        assert back.dtype == tensor.dtype
        np.testing.assert_array_equal(back, tensor)


def test_sparse_gradients_become_dense() -> None:
    stacking = Stacking.of([tf.zeros((3, 2))])
    (vector,) = stacking.stack([tf.IndexedSlices([[1.0, 2.0], [10.0, 20.0]], [2, 2], [3, 2])])
    np.testing.assert_array_equal(vector, [0, 0, 0, 0, 11, 22])
