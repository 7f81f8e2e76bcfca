"""Weights and images that are the same wherever they are drawn, with PyTorch's names and layouts."""

import zlib

import numpy as np


def tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The values of a tensor of a PyTorch network, float32."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    normal = random.normal(size=shape)
    kind = name.rpartition(".")[2]
    if kind == "running_var":
        values = random.uniform(0.5, 1.5, shape)
    elif len(shape) == 4:
        values = normal * np.sqrt(1.5 / np.prod(shape[1:]))
    elif kind == "weight":  # of batch normalisation
        values = 0.8 + 0.1 * normal
    else:
        values = 0.1 * normal
    return values.astype(np.float32)


def images(count: int, size: int) -> np.ndarray:
    """Normalised images, float32 [count, size, size, 3]."""
    return np.random.default_rng(size).normal(size=(count, size, size, 3)).astype(np.float32)


def some_rows(rows: int, wanted: int = 150) -> np.ndarray:
    """Numbers of rows that the golden files keep, the first and the last among them."""
    return np.unique(np.linspace(0, rows - 1, wanted).astype(int))
