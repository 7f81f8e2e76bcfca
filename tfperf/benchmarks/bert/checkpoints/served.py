"""Checkpoints of fine-tuned question answering that are served as they are, such as MLPerf's `model.ckpt-5474`."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

from tfperf.benchmarks.benchmark import ServedCheckpoints
from tfperf.benchmarks.bert.checkpoints import files, initial
from tfperf.benchmarks.bert.squad.options import SquadOptions

if TYPE_CHECKING:
    import keras


def _load(model: keras.Model, path: pathlib.Path, options: SquadOptions) -> None:
    weights = initial.read(path, options.encoder, heads=("span",))
    for variable in model.weights:
        variable.assign(weights[variable.path])


SQUAD = ServedCheckpoints(
    described="a fine-tuned checkpoint of BERT: the prefix of a TensorFlow checkpoint, or a .safetensors file",
    files=files.files_at,
    load=_load,
)
