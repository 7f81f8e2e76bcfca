"""A fine-tuned checkpoint is served as it is; one without the span head, or of another network, is refused."""

import dataclasses
import pathlib
from collections.abc import Callable

import numpy as np
import pytest

from tests.benchmarks.bert import drawn
from tests.benchmarks.bert.checkpoints.test_initial import as_safetensors, as_tf1, write_safetensors, write_tensorflow
from tfperf.benchmarks.bert.checkpoints import names
from tfperf.benchmarks.bert.squad import serving
from tfperf.errors import MissingDataError, UsageError
from tfperf.inference import load_model, model_check, weights
from tfperf.inference.weights import FoundModel, Weights

OPTIONS = drawn.squad_options(drawn.TINY, 16)
TASK = dataclasses.replace(serving.BERT_99, options=OPTIONS, lengths=(16,))
Write = Callable[[pathlib.Path], pathlib.Path]


def drawn_weights(*heads: names.Head) -> dict[str, np.ndarray]:
    random = np.random.default_rng(7)
    shapes = names.shapes(drawn.TINY, heads)
    return {path: random.normal(size=shape).astype(np.float32) for path, shape in shapes.items()}


def resolve(path: pathlib.Path) -> FoundModel:
    return weights.resolve(Weights(path=path), checkpoints=TASK.checkpoints)


@pytest.mark.parametrize(
    ("write", "named"),
    [
        (lambda path: write_tensorflow(path, as_tf1(drawn_weights("span"))), "model.ckpt-5474"),
        (lambda path: write_tensorflow(path, as_tf1(drawn_weights("span"))), "model.ckpt-5474.index"),
        (lambda path: write_safetensors(path, as_safetensors(drawn_weights("span"))), "model.safetensors"),
    ],
)
def test_the_model_has_the_weights_of_the_checkpoint(write: Write, named: str, tmp_path: pathlib.Path) -> None:
    write(tmp_path / ("model" if named.endswith("safetensors") else "model.ckpt-5474"))
    found = resolve(tmp_path / named)
    assert (found.kind, len(found.digest)) == ("checkpoint", 64)
    model = load_model.load(found, TASK, OPTIONS)
    model_check.check(model, TASK, OPTIONS)
    expected = drawn_weights("span")
    for variable in model.weights:
        np.testing.assert_array_equal(variable, expected[variable.path], err_msg=variable.path)


def test_the_digest_is_that_of_all_files(tmp_path: pathlib.Path) -> None:
    path = write_tensorflow(tmp_path / "model.ckpt-1", as_tf1(drawn_weights("span")))
    before = resolve(path).digest
    (shard,) = tmp_path.glob("*.data-*")
    shard.write_bytes(shard.read_bytes() + b"\0")
    assert resolve(path).digest != before


def test_a_checkpoint_that_was_only_pre_trained_is_refused(tmp_path: pathlib.Path) -> None:
    tensors = as_tf1(drawn_weights("pooler", "masked_lm", "next_sentence"))
    found = resolve(write_tensorflow(tmp_path / "model.ckpt-28252", tensors))
    with pytest.raises(UsageError, match=r"doesn't fit the network\. Missing: span/kernel, span/bias\."):
        load_model.load(found, TASK, OPTIONS)


def test_a_checkpoint_without_its_data_is_refused(tmp_path: pathlib.Path) -> None:
    path = write_tensorflow(tmp_path / "model.ckpt-1", as_tf1(drawn_weights("span")))
    for shard in tmp_path.glob("*.data-*"):
        shard.unlink()
    with pytest.raises(MissingDataError, match=r"has an index but no data: .* Copy all its files\."):
        load_model.load(resolve(path), TASK, OPTIONS)


def test_what_is_accepted_names_checkpoints(tmp_path: pathlib.Path) -> None:
    with pytest.raises(
        UsageError, match=r"There is no model .*, and a fine-tuned checkpoint of BERT: the prefix of a "
    ):
        resolve(tmp_path / "model.ckpt-2")
