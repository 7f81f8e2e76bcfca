"""Reads the tensors of a safetensors or npz file by name."""

from __future__ import annotations

import dataclasses
import pathlib
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tfperf import git_lfs
from tfperf.errors import MissingDataError, UsageError

SAFETENSORS, NPZ = ".safetensors", ".npz"


@dataclasses.dataclass(frozen=True, kw_only=True)
class NamedTensors:
    """An open file of tensors.

    Attributes:
        path: as messages name it.
        shapes: of each tensor, by name.
        read: name -> the tensor.
    """

    path: pathlib.Path
    shapes: Mapping[str, tuple[int, ...]]
    read: Callable[[str], np.ndarray]


def in_directory(name: str, data_dir: pathlib.Path | None, *, option: str) -> pathlib.Path:
    """The path of a file of weights that an option names, in the data directory unless it is absolute.

    Raises:
        MissingDataError: there is no data directory.
    """
    path = pathlib.Path(name)
    if path.is_absolute():
        return path
    if data_dir is None:
        raise MissingDataError(f"{option}: {path} is a path in the data directory. Pass --data_dir.")
    return data_dir / path


def find(name: str | None, data_dir: pathlib.Path | None, *, option: str) -> pathlib.Path | None:
    """The file of weights that an option names, as `in_directory`, without opening it; None names no file.

    Raises:
        MissingDataError: there is no such file, or no data directory for its path.
    """
    if name is None:
        return None
    path = in_directory(name, data_dir, option=option)
    if not path.is_file():
        raise MissingDataError(f"{option}: there are no weights at {path}.")
    return path


def open_tensors(path: pathlib.Path) -> NamedTensors:
    """Opens a `.safetensors` or `.npz` file.

    Raises:
        MissingDataError: there is no file.
        UsageError: it is of another kind, or damaged.
    """
    if not path.is_file():
        raise MissingDataError(f"There are no weights at {path}: the file does not exist.")
    if path.suffix == SAFETENSORS:
        return open_safetensors(path)
    if path.suffix == NPZ:
        return open_npz(path)
    raise UsageError(
        f"{path} is not a file of weights that can be read. Give a {SAFETENSORS} or {NPZ} file; a PyTorch file would "
        "have to be unpickled, which could run any program."
    )


def open_safetensors(path: pathlib.Path) -> NamedTensors:
    """Opens a `.safetensors` file.

    Raises:
        UsageError: it is damaged, or a pointer of Git LFS.
    """
    import safetensors

    refuse_pointer(path)
    try:
        tensors: Any = safetensors.safe_open(path, framework="np")
        shapes = {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError) as error:
        raise damaged(path, error) from error

    def read(name: str) -> np.ndarray:
        try:
            return np.asarray(tensors.get_tensor(name))
        except (TypeError, AttributeError) as error:  # of NumPy, for a type that it lacks
            kind = tensors.get_slice(name).get_dtype()
            raise UsageError(
                f"{name} in {path} has the type {kind}, which can't be read. Save the checkpoint in float32 or float16."
            ) from error
        except (OSError, safetensors.SafetensorError) as error:
            raise damaged(path, error, name) from error

    return NamedTensors(path=path, shapes=shapes, read=read)


def open_npz(path: pathlib.Path) -> NamedTensors:
    """Opens an `.npz` file and reads all of it.

    Raises:
        UsageError: it is damaged, holds Python objects, or is a pointer of Git LFS.
    """
    refuse_pointer(path)
    try:
        with path.open("rb") as file, zipfile.ZipFile(file):  # before NumPy takes it for a single array
            file.seek(0)
            with np.load(file, allow_pickle=False) as opened:
                tensors = dict(opened)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise damaged(path, error) from error
    return NamedTensors(
        path=path, shapes={name: value.shape for name, value in tensors.items()}, read=tensors.__getitem__
    )


def finite(file: NamedTensors, name: str) -> np.ndarray:
    """A tensor of floating-point numbers, as float32.

    Raises:
        UsageError: it has another type, or values that are not finite.
    """
    value = file.read(name)
    if not np.issubdtype(value.dtype, np.floating):
        raise UsageError(
            f"{name} in {file.path} must be floating-point numbers, got {value.dtype}. Choose another file."
        )
    if not np.isfinite(value).all():
        raise UsageError(f"{name} in {file.path} has values that are not finite. Choose another file.")
    return value.astype(np.float32)


def refuse_pointer(path: pathlib.Path) -> None:
    """Refuses a file that stands for one in Git LFS.

    Raises:
        UsageError: it is one.
    """
    if git_lfs.is_pointer(path):
        raise UsageError(f"{path} is a pointer of Git LFS, not the file itself. Run `git lfs pull` where it came from.")


def damaged(path: pathlib.Path, error: Exception, name: str | None = None) -> UsageError:
    """What to say about a file, or a tensor in it, that a library can't read."""
    what = f"{path}" if name is None else f"{name} in {path}"
    lines = str(error).splitlines() or [type(error).__name__]
    return UsageError(
        f"{what} can't be read: {lines[0]}. The file is damaged or was not copied completely. Copy it again and "
        "compare its checksum."
    )
