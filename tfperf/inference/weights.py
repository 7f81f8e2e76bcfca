"""Where a model comes from: a training run, a file, a SavedModel. Finding it needs no TensorFlow."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import zipfile
from collections.abc import Sequence
from typing import Any

from tfperf import git_lfs
from tfperf.benchmarks.benchmark import ForeignWeights, ServedCheckpoints
from tfperf.errors import UsageError

MODEL_FILE = "model.keras"
_RUN_FILES = ("manifest.json", "result.json", "spec.yaml")
_CHUNK_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Weights:
    """The model to serve, as the user names it.

    Args:
        path: the directory of a training run, a `.keras` file, an `.h5` file of weights, a SavedModel directory, or a
            checkpoint that the benchmark takes.
        trusted: whether code in a `.keras` file may run: lambdas, and objects that are not Keras's own; and whether a
            SavedModel may hold operations that read or write outside it.
    """

    path: pathlib.Path
    trusted: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class FoundModel:
    """A model that was found but not yet read.

    Attributes:
        kind: `keras`, `weights`, `saved_model`, `checkpoint`, `random`, or the kind of the benchmark's foreign weights.
        path: the file, the directory or the prefix of a checkpoint; None for random weights.
        digest: SHA-256 of the file, or of the names and files of a SavedModel or a checkpoint; names the seed for
            random weights.
        trusted: as in `Weights`.
        note: what a reader of the result must know; may be empty.
        seed: the seed for random weights.
    """

    kind: str
    path: pathlib.Path | None
    digest: str
    trusted: bool = False
    note: str = ""
    seed: int = 0


def resolve(
    weights: Weights,
    *,
    foreign: Sequence[ForeignWeights] = (),
    checkpoints: ServedCheckpoints | None = None,
    digested: bool = True,
) -> FoundModel:
    """Finds out what the user named, without TensorFlow. Reads it once, for the digest.

    Args:
        weights: the model.
        foreign: weights of other models that the benchmark takes.
        checkpoints: the checkpoints that it takes.
        digested: whether to read it for the digest, which is empty otherwise.

    Raises:
        UsageError: it doesn't exist, or holds no model.
    """
    files = _files_of_checkpoint(weights.path, checkpoints)
    if files:
        digest = _digest_of_files(files, beside=weights.path.parent) if digested else ""
        return FoundModel(kind="checkpoint", path=weights.path, digest=digest)
    found = _found(weights, foreign=foreign, checkpoints=checkpoints)
    if not digested or found.path is None:
        return found
    digest = _directory_digest(found.path) if found.path.is_dir() else _digest(found.path)
    return dataclasses.replace(found, digest=digest)


def _files_of_checkpoint(path: pathlib.Path, checkpoints: ServedCheckpoints | None) -> tuple[pathlib.Path, ...]:
    """The files of the checkpoint at `path`; empty where it is something else."""
    if checkpoints is None or path.is_dir():
        return ()
    files = checkpoints.files(path)
    for file in files:
        _refuse_pointer(file)
    return files


def _found(
    weights: Weights, *, foreign: Sequence[ForeignWeights] = (), checkpoints: ServedCheckpoints | None = None
) -> FoundModel:
    """The model without its digest."""
    path, accepted = weights.path, _accepted(foreign, checkpoints)
    if not path.exists():
        raise UsageError(f"There is no model {path}. {accepted}")
    _refuse_pointers(path)
    if path.is_dir():
        return _found_in_directory(path, trusted=weights.trusted, accepted=accepted)
    if path.suffix == ".keras":
        if not zipfile.is_zipfile(path):
            raise UsageError(f"{path} is not a .keras file, which is a zip archive, or it is truncated. Save it again.")
        return FoundModel(kind="keras", path=path, digest="", trusted=weights.trusted)
    if path.suffix == ".h5":
        return _found_h5(path, trusted=weights.trusted, foreign=foreign)
    raise UsageError(f"{path} is not a model that can be read. {accepted}")


def _refuse_pointers(path: pathlib.Path) -> None:
    """Refuses a file, or a SavedModel with one, that Git LFS has not fetched."""
    saved_model = (path / "saved_model.pb").is_file()
    for file in sorted(path.rglob("*")) if saved_model else [path]:
        _refuse_pointer(file)


def _refuse_pointer(path: pathlib.Path) -> None:
    if path.is_file() and git_lfs.is_pointer(path):
        raise UsageError(
            f"{path} is a Git LFS pointer, not the file itself. Run git lfs pull in its repository, or download the "
            "file."
        )


def random_weights(*, seed: int = 0) -> FoundModel:
    """The benchmark's untrained model, for measurements that don't depend on accuracy."""
    return FoundModel(
        kind="random", path=None, digest=f"seed {seed}", note="random weights: the model is untrained", seed=seed
    )


def _accepted(foreign: Sequence[ForeignWeights], checkpoints: ServedCheckpoints | None) -> str:
    models = " or of ".join(("the benchmark's model", *(weights.model for weights in foreign)))
    rest = (
        "and a SavedModel directory" if checkpoints is None else f"a SavedModel directory, and {checkpoints.described}"
    )
    return f"Accepted are the directory of a training run, a .keras file, an .h5 file with weights of {models}, {rest}."


def _found_in_directory(path: pathlib.Path, *, trusted: bool, accepted: str) -> FoundModel:
    if (path / "saved_model.pb").is_file():
        return FoundModel(kind="saved_model", path=path, digest="", trusted=trusted)
    if (path / MODEL_FILE).is_file():
        return _found(Weights(path=path / MODEL_FILE, trusted=trusted))
    if any((path / name).is_file() for name in _RUN_FILES):
        raise UsageError(
            f"The run directory {path} holds no {MODEL_FILE}: the run was killed, failed, or trained nothing. "
            "Choose a run that finished."
        )
    raise UsageError(f"{path} is a directory without a model. {accepted}")


def _found_h5(path: pathlib.Path, *, trusted: bool, foreign: Sequence[ForeignWeights]) -> FoundModel:
    import h5py

    try:
        with h5py.File(path) as file:
            names = _layer_names(file)
    except OSError as error:
        raise UsageError(f"{path} is not an HDF5 file, or it is truncated: {error}. Save it again.") from error
    for other in foreign:
        if other.recognise(names):
            return FoundModel(kind=other.kind, path=path, digest="", trusted=trusted, note=other.note)
    return FoundModel(kind="weights", path=path, digest="", trusted=trusted)


def _layer_names(file: Any) -> set[str]:
    """The layers in a file of the old format, with weights alone or a whole model; empty for Keras 3's format."""
    found = file.get("model_weights", file)
    names = found.attrs.get("layer_names", ())
    return {name.decode() if isinstance(name, bytes) else str(name) for name in names}


def _digest(path: pathlib.Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            found.update(chunk)
    return found.hexdigest()


def _directory_digest(path: pathlib.Path) -> str:
    return _digest_of_files(sorted(file for file in path.rglob("*") if file.is_file()), beside=path)


def _digest_of_files(files: Sequence[pathlib.Path], *, beside: pathlib.Path) -> str:
    lines = [f"{_digest(file)} {file.relative_to(beside).as_posix()}\n" for file in files]
    return hashlib.sha256(os.fsencode("".join(lines))).hexdigest()
