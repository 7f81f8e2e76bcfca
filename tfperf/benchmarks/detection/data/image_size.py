"""The size of an image file, by its header."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from concurrent import futures

from PIL import Image

from tfperf.benchmarks.detection.data.annotations import Annotations
from tfperf.benchmarks.images.diagnosis import listed
from tfperf.errors import DamagedDataError, MissingDataError

_READERS = 16


def of(path: pathlib.Path) -> tuple[int, int]:
    """The width and the height in pixels, as decoding gives them: a rotation noted in the file is passed over.

    Raises:
        MissingDataError: the file can't be opened.
        DamagedDataError: it is no image.
    """
    try:
        with path.open("rb") as file, Image.open(file) as image:
            return image.size
    except (Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        if isinstance(error, OSError) and error.strerror:
            raise MissingDataError(f"{path} can't be read: {error.strerror}.") from error
        raise DamagedDataError(f"{path} is no image: {error}. Replace it.") from error  # Pillow's own have no number


def check(annotations: Annotations, folder: pathlib.Path) -> None:
    """Compares the annotated size of each image with the file's: its boxes are shares of the one and of the other.

    Raises:
        DamagedDataError: they differ, or a file is no image.
        MissingDataError: a file is missing.
    """
    with futures.ThreadPoolExecutor(_READERS) as pool:
        sizes = list(pool.map(lambda file: of(folder / file), annotations.files, chunksize=64))
    stated = zip(annotations.widths.tolist(), annotations.heights.tolist(), strict=True)
    rows = zip(annotations.files, stated, sizes, strict=True)
    wrong = tuple(f"{file}: {why}" for file, annotated, found in rows if (why := differs(annotated, found)))
    if wrong:
        raise DamagedDataError(
            f"{folder}: images of another size than their annotations say: {len(wrong)}\n{listed(wrong)}\n"
            "Restore the images that were annotated, or correct the annotations."
        )


def differs(annotated: Sequence[int], found: Sequence[int]) -> str | None:
    """Why an image can't be used with its annotation; None if their sizes (width, height) agree."""
    if tuple(annotated) == tuple(found):
        return None
    return f"annotated as {annotated[0]} x {annotated[1]}, is {found[0]} x {found[1]}"
