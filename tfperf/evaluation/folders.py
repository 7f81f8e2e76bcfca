"""The data of the command line: a folder of images by class, or arrays in files."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from tfperf.errors import DamagedDataError, MissingDataError, UnfitModelError
from tfperf.evaluation.subject import Subject

_IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".gif"}
_BATCH = 32


def read(folder: pathlib.Path, subject: Subject) -> Any:
    """The data in a folder, as `examples.adapt` takes it.

    A folder of images gives float32 images of the model's size with values from 0 to 255, and the numbers of their
    classes, sorted by name, as labels. Only the model knows how to scale them, so it must do that itself.

    Raises:
        MissingDataError: it holds neither images by class nor arrays.
        DamagedDataError: an array can't be read.
        UnfitModelError: the model does not take images of one size.
    """
    arrays = {name: folder / f"{name}.npy" for name in ("x", "y")}
    if arrays["x"].is_file():
        x = _array(arrays["x"])
        return (x, _array(arrays["y"])) if arrays["y"].is_file() else x
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not any(file.suffix.lower() in _IMAGES for each in classes for file in each.iterdir()):
        raise MissingDataError(
            f"--data_dir {folder} holds neither x.npy nor folders of images, one for each class, such as "
            f"{folder}/cat/1.jpg. Accepted images: {', '.join(sorted(_IMAGES))}."
        )
    height, width, channels = _image_shape(subject)
    import keras

    return keras.utils.image_dataset_from_directory(
        str(folder),
        labels="inferred",
        label_mode=_label_mode(subject),
        color_mode={1: "grayscale", 3: "rgb", 4: "rgba"}[channels],
        batch_size=_BATCH,
        image_size=(height, width),
        shuffle=False,
        verbose=False,
    )


def _array(path: pathlib.Path) -> np.ndarray:
    try:
        found: np.ndarray = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DamagedDataError(f"{path} can't be read: {error}") from error
    return found


def _image_shape(subject: Subject) -> tuple[int, int, int]:
    inputs: Any = getattr(subject.model, "inputs", None) or []
    shape = list(inputs[0].shape) if len(inputs) == 1 else []
    if len(shape) != 4 or None in shape[1:] or shape[3] not in (1, 3, 4):
        raise UnfitModelError(
            f"The model {subject.name} must take images of one size, [n, height, width, channels], to be evaluated on "
            f"a folder of images; it takes {shape or 'something else'}. Call tfperf.evaluate with your own data, "
            "or save x.npy."
        )
    _, height, width, channels = shape
    return height, width, channels


def _label_mode(subject: Subject) -> str:
    """One-hot labels for a model that was compiled for them."""
    loss = getattr(subject.model, "loss", None)
    name = loss if isinstance(loss, str) else getattr(loss, "name", getattr(loss, "__name__", ""))
    return "categorical" if str(name) == "categorical_crossentropy" else "int"
