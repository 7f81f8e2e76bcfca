"""Windows kept in the data directory, so that a file is cut into pieces only once.

A file of the cache belongs to one tokenizer, one set of options and the exact content of one file of questions; with
any other it isn't read.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import pathlib
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from absl import logging

from tfperf import whole_file
from tfperf.benchmarks.bert.squad import features
from tfperf.benchmarks.bert.squad.features import Features, Pieces, TrainingFeatures
from tfperf.benchmarks.bert.squad.options import SquadOptions
from tfperf.benchmarks.bert.squad.text import QuestionSet
from tfperf.benchmarks.text.wordpiece import WordPiece

FOLDER = "features"

_FORMAT = 1  # Change it with whatever changes the windows.
_DAMAGE = (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error)
_LISTS = ("contexts", "words", "questions")
_MISPLACED = "misplaced"
_KEY = "key"


def for_evaluation(
    asked: QuestionSet, cutter: WordPiece, options: SquadOptions, *, data_dir: pathlib.Path | None
) -> Features:
    """As `features.for_evaluation`; None for `data_dir` keeps nothing."""

    def build() -> TrainingFeatures:
        return TrainingFeatures(features=features.for_evaluation(asked, cutter, options), misplaced=())

    return _kept("evaluation", build, asked, cutter, options, data_dir).features


def for_training(
    asked: QuestionSet, cutter: WordPiece, options: SquadOptions, *, data_dir: pathlib.Path | None
) -> TrainingFeatures:
    """As `features.for_training`; None for `data_dir` keeps nothing."""
    return _kept("training", lambda: features.for_training(asked, cutter, options), asked, cutter, options, data_dir)


def _kept(
    purpose: str,
    build: Callable[[], TrainingFeatures],
    asked: QuestionSet,
    cutter: WordPiece,
    options: SquadOptions,
    data_dir: pathlib.Path | None,
) -> TrainingFeatures:
    if data_dir is None:
        return build()
    sizes = (options.sequence_length, options.stride, options.question_length)
    facts = (_FORMAT, purpose, asked.digest, cutter.fingerprint, sizes)
    key = hashlib.sha256(repr(facts).encode()).hexdigest()
    path = data_dir / FOLDER / f"{purpose}-{key[:16]}.npz"
    found = _read(path, key)
    if found is None:
        found = build()
        _write(path, {_KEY: np.array(key), **_arrays(found)})
    return found


def _read(path: pathlib.Path, key: str) -> TrainingFeatures | None:
    """What the file holds; None if it is not there, damaged or another's."""
    if not path.exists():
        return None
    try:
        with path.open("rb") as stream, np.lib.npyio.NpzFile(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return _restored(arrays) if str(arrays[_KEY]) == key else None
    except _DAMAGE as error:
        logging.warning("%s is damaged (%s), so the questions are cut into windows again.", path, error)
        return None


def _write(path: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> None:
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    try:
        path.parent.mkdir(exist_ok=True)
        whole_file.write_bytes(path, content.getvalue())
    except OSError as error:
        logging.log_first_n(
            logging.WARNING,
            "The windows of the questions can't be kept in %s (%s), so each run cuts the questions again.",
            1,
            path.parent,
            error.strerror or error,
        )


def _arrays(found: TrainingFeatures) -> dict[str, np.ndarray]:
    arrays = {_MISPLACED: np.array(found.misplaced, np.str_)}
    for field in dataclasses.fields(Features):
        value = getattr(found.features, field.name)
        if isinstance(value, Pieces):
            arrays |= {f"{field.name}/values": value.values, f"{field.name}/offsets": value.offsets}
        else:
            arrays[field.name] = np.asarray(value)
    return arrays


def _restored(arrays: Mapping[str, np.ndarray]) -> TrainingFeatures:
    values: dict[str, Any] = {}
    for field in dataclasses.fields(Features):
        if field.name in _LISTS:
            values[field.name] = Pieces(values=arrays[f"{field.name}/values"], offsets=arrays[f"{field.name}/offsets"])
        else:
            array = arrays[field.name]
            values[field.name] = array if array.ndim else int(array)
    return TrainingFeatures(features=Features(**values), misplaced=tuple(map(str, arrays[_MISPLACED])))
