"""Saves the trained model, whole or not at all."""

from __future__ import annotations

import os
import pathlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

NAME = "model.keras"
_PARTIAL = ".partial.keras"  # Keras goes by the suffix


def save(model: keras.Model, path: pathlib.Path) -> None:
    """Saves a model under another name and renames it when it is whole. Removes what could not be finished.

    Raises:
        OSError: the disk is full or failing.
    """
    partial = path.with_name(_PARTIAL)
    try:
        model.save(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
