"""BERT's checkpoints are read into the variables of the network, and what does not fit is named."""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from tests.benchmarks.bert import drawn
from tfperf.benchmarks.bert.checkpoints import files, initial, names
from tfperf.benchmarks.bert.encoder_config import Encoder
from tfperf.benchmarks.bert.pretraining import model as pretraining
from tfperf.benchmarks.bert.squad import model as squad
from tfperf.errors import MissingDataError, UsageError
from tfperf.training import initial_weights

Tensors = dict[str, np.ndarray]
LENGTH = 16
PRETRAINING = ("pooler", "masked_lm", "next_sentence")
OBJECTS = "/.ATTRIBUTES/VARIABLE_VALUE"
CONFIG = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "vocab_size": 100,
    "max_position_embeddings": 64,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
}


@pytest.fixture(scope="module")
def weights() -> Mapping[str, np.ndarray]:
    random = np.random.default_rng(7)
    shapes = names.shapes(drawn.TINY, names.HEADS)
    return {path: random.normal(size=shape).astype(np.float32) for path, shape in shapes.items()}


def as_tf1(weights: Mapping[str, np.ndarray]) -> Tensors:
    found = {}
    for path, value in weights.items():
        layer, _, rest = path.partition("/")
        if layer.startswith("layer_"):
            rest = rest.replace("attention/layer_norm", "attention/output/LayerNorm")
            rest = rest.replace("feed_forward/layer_norm", "output/LayerNorm")
            rest = rest.replace("attention/output/kernel", "attention/output/dense/kernel")
            rest = rest.replace("attention/output/bias", "attention/output/dense/bias")
            for role in ("query", "key", "value"):
                rest = rest.replace(f"attention/{role}", f"attention/self/{role}")
            for role in ("intermediate", "output"):
                rest = rest.replace(f"feed_forward/{role}", f"{role}/dense")
            found[f"bert/encoder/{layer}/{rest}"] = value
        elif layer == "embeddings":
            name = rest.replace("/embeddings", "_embeddings").replace("layer_norm", "LayerNorm")
            found[f"bert/embeddings/{name}"] = value
        elif layer == "pooler":
            found[f"bert/pooler/dense/{rest}"] = value
        elif layer == "masked_lm":
            name = rest.replace("transform", "transform/dense").replace("layer_norm", "transform/LayerNorm")
            found[f"cls/predictions/{name}"] = value
        else:
            scope = {"next_sentence": "cls/seq_relationship", "span": "cls/squad"}[layer]
            name = {"kernel": "output_weights", "bias": "output_bias"}[rest]
            found[f"{scope}/{name}"] = value.T
    return found


def as_tf2(weights: Mapping[str, np.ndarray]) -> Tensors:
    embeddings = {"word": 0, "position": 1, "token_type": 2}
    found = {}
    for path, value in weights.items():
        first, *rest = path.split("/")
        if first.startswith("layer_"):
            part, role, leaf = rest
            if role == "layer_norm":
                name = {"attention": "_attention_layer_norm", "feed_forward": "_output_layer_norm"}[part]
            elif part == "attention":
                name = f"_attention_layer/_{role}_dense"
                if role == "output":
                    value = value.reshape(4, 8, 32) if leaf == "kernel" else value
                else:
                    value = value.reshape(*value.shape[:-1], 4, 8)
            else:
                name = f"_{role}_dense"
            found[f"encoder/layer_with_weights-{int(first[6:]) + 4}/{name}/{leaf}{OBJECTS}"] = value
        elif first == "embeddings":
            number = embeddings.get(rest[0], 3)
            found[f"encoder/layer_with_weights-{number}/{rest[1]}{OBJECTS}"] = value
        elif first == "pooler":
            found[f"encoder/layer_with_weights-6/{rest[0]}{OBJECTS}"] = value
        elif first == "masked_lm":
            name = "/".join(rest).replace("transform", "dense").replace("output_bias", "output_bias.Sbias")
            found[f"masked_lm/{name}{OBJECTS}"] = value
    return found


def as_safetensors(weights: Mapping[str, np.ndarray], *, prefix: str = "bert.") -> Tensors:
    found = {}
    for name, value in as_tf1(weights).items():
        turned = value.T if name.endswith("kernel") else value
        name = name.replace("LayerNorm/gamma", "LayerNorm/weight").replace("LayerNorm/beta", "LayerNorm/bias")
        name = (
            name.replace("/kernel", "/weight").replace("_embeddings", "_embeddings/weight").replace("layer_", "layer/")
        )
        name = name.replace("cls/squad", "qa_outputs").replace("predictions/output_bias", "predictions/bias")
        name = name.replace("output_weights", "weight").replace("output_bias", "bias").replace("bert/", prefix)
        found[name.replace("/", ".")] = np.ascontiguousarray(turned)
    return found


def write_tensorflow(path: pathlib.Path, tensors: Tensors) -> pathlib.Path:
    import tensorflow as tf

    tf.raw_ops.SaveV2(
        prefix=str(path),
        tensor_names=list(tensors),
        shape_and_slices=[""] * len(tensors),
        tensors=[tf.constant(value) for value in tensors.values()],
    )
    return path


def write_tf2(path: pathlib.Path, tensors: Tensors) -> pathlib.Path:
    return write_tensorflow(path, {**tensors, "_CHECKPOINTABLE_OBJECT_GRAPH": np.array(b"graph")})


def write_safetensors(path: pathlib.Path, tensors: Tensors) -> pathlib.Path:
    from safetensors.numpy import save_file

    path = path.with_suffix(".safetensors")
    save_file(tensors, path)
    return path


FORMATS: tuple[Any, ...] = (
    (as_tf1, write_tensorflow),
    (as_tf2, write_tf2),
    (as_safetensors, write_safetensors),
    (lambda weights: as_safetensors(weights, prefix=""), write_safetensors),
)


@pytest.mark.parametrize(("named", "write"), FORMATS, ids=("tf1", "tf2", "safetensors", "plain_safetensors"))
def test_every_format_gives_the_weights_back(
    named: Callable[..., Tensors],
    write: Callable[[pathlib.Path, Tensors], pathlib.Path],
    weights: Mapping[str, np.ndarray],
    tmp_path: pathlib.Path,
) -> None:
    path = write(tmp_path / "model", named(weights))
    found = initial.read(path, drawn.TINY, heads=PRETRAINING)
    assert found.keys() == names.shapes(drawn.TINY, PRETRAINING).keys()
    for variable, value in found.items():
        if variable.startswith("next_sentence") and named is as_tf2:
            assert value is None
        else:
            np.testing.assert_array_equal(value, weights[variable], err_msg=variable)


def test_the_paths_are_those_of_the_models(weights: Mapping[str, np.ndarray], tmp_path: pathlib.Path) -> None:
    path = write_tensorflow(tmp_path / "model", as_tf1(weights))
    options = dataclasses.replace(drawn.pretraining_options(drawn.TINY, LENGTH), checkpoint=path.name)
    answering = dataclasses.replace(drawn.squad_options(drawn.TINY, LENGTH), checkpoint=path.name)
    for model, task in ((pretraining.build(options), options), (squad.build(answering), answering)):
        found = initial.initial_weights(task, tmp_path)
        assert found is not None
        initial_weights.assign(model, found)
        for variable in model.weights:
            np.testing.assert_array_equal(variable, weights[variable.path])


def test_the_slots_of_optimizers_are_left_out(weights: Mapping[str, np.ndarray], tmp_path: pathlib.Path) -> None:
    tensors = as_tf1(weights)
    slots = {f"{name}/{slot}": value for name, value in tensors.items() for slot in ("adam_m", "adam_v")}
    path = write_tensorflow(tmp_path / "model", {**tensors, **slots, "global_step": np.array(28252)})
    assert initial.read(path, drawn.TINY, heads=PRETRAINING).keys() == names.shapes(drawn.TINY, PRETRAINING).keys()


def test_the_span_head_keeps_its_initialiser_without_one(
    weights: Mapping[str, np.ndarray], tmp_path: pathlib.Path
) -> None:
    plain = {path: value for path, value in weights.items() if names.head_of(path) is None}
    write_safetensors(
        tmp_path / "model", {**as_safetensors(plain, prefix=""), "embeddings.position_ids": np.arange(64)}
    )
    options = dataclasses.replace(drawn.squad_options(drawn.TINY, LENGTH), checkpoint="model.safetensors")
    found = initial.initial_weights(options, tmp_path)
    assert found is not None
    assert {path for path, value in found.items() if value is None} == {"span/kernel", "span/bias"}


def test_no_checkpoint_is_no_weights() -> None:
    assert initial.initial_weights(drawn.squad_options(drawn.TINY, LENGTH), None) is None


def _changed(weights: Mapping[str, np.ndarray], change: Callable[[Tensors], object]) -> Tensors:
    tensors = as_safetensors(weights)
    change(tensors)
    return tensors


def _rename(tensors: Tensors) -> None:
    tensors["bert.pooler.weight"] = tensors.pop("bert.pooler.dense.weight")


def _untie(tensors: Tensors) -> None:
    tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"] + 1


def _spoil(tensors: Tensors) -> None:
    tensors["bert.pooler.dense.bias"] = np.full(32, np.nan, np.float32)


def _drop_head(tensors: Tensors) -> None:
    del tensors["cls.seq_relationship.weight"], tensors["cls.seq_relationship.bias"]


@pytest.mark.parametrize(
    ("change", "encoder", "message"),
    [
        (_rename, drawn.TINY, "Missing: pooler/kernel. Not of this network: bert.pooler.weight."),
        (_drop_head, drawn.TINY, "Missing: next_sentence/kernel, next_sentence/bias."),
        (
            _untie,
            drawn.TINY,
            "cls.predictions.decoder.weight and bert.embeddings.word_embeddings.weight in {path} differ, but the "
            "network has one variable for both.",
        ),
        (_spoil, drawn.TINY, "bert.pooler.dense.bias in {path} has values that are not finite."),
        (
            len,
            dataclasses.replace(drawn.TINY, layers=1),
            "It has 2 layers, but encoder.layers is 1. Not of this network: bert.encoder.layer.1.attention.output."
            "LayerNorm.bias, ",
        ),
        (
            len,
            dataclasses.replace(drawn.TINY, vocabulary_size=90),
            "Wrong shape: bert.embeddings.word_embeddings.weight (got (100, 32), expected (90, 32)), "
            "cls.predictions.bias (got (100,), expected (90,)).",
        ),
        (
            len,
            dataclasses.replace(drawn.TINY, intermediate_size=48),
            "Wrong shape: bert.encoder.layer.0.intermediate.dense.weight (got (64, 32), expected (48, 32)), ",
        ),
    ],
    ids=("renamed", "lacks_a_head", "untied", "not_finite", "layers", "vocabulary", "width"),
)
def test_what_does_not_fit_is_named(
    change: Callable[[Tensors], object],
    encoder: Encoder,
    message: str,
    weights: Mapping[str, np.ndarray],
    tmp_path: pathlib.Path,
) -> None:
    path = write_safetensors(tmp_path / "model", _changed(weights, change))
    with pytest.raises(UsageError) as caught:
        initial.read(path, encoder, heads=PRETRAINING)
    assert message.format(path=path) in str(caught.value)


def test_tf2_shapes_show_another_number_of_heads(weights: Mapping[str, np.ndarray], tmp_path: pathlib.Path) -> None:
    path = write_tf2(tmp_path / "model", as_tf2(weights))
    with pytest.raises(UsageError, match=r"_query_dense/kernel\S+ \(got \(32, 4, 8\), expected \(32, 2, 16\)\)"):
        initial.read(path, dataclasses.replace(drawn.TINY, heads=2), heads=PRETRAINING)


def test_the_configuration_beside_a_checkpoint_is_compared(
    weights: Mapping[str, np.ndarray], tmp_path: pathlib.Path
) -> None:
    path = write_safetensors(tmp_path / "model", as_safetensors(weights))
    config = tmp_path / "bert_config.json"
    config.write_text(json.dumps(CONFIG))
    initial.read(path, drawn.TINY, heads=PRETRAINING)
    config.write_text(json.dumps({**CONFIG, "num_attention_heads": 8}))
    with pytest.raises(UsageError) as caught:
        initial.read(path, drawn.TINY, heads=PRETRAINING)
    assert str(caught.value) == (
        f"`encoder` is not the network of the checkpoint {path}. bert_config.json beside it differs in heads (got 4, "
        "expected 8)."
    )


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_a_half_copied_safetensors_file_is_refused(
    share: float, weights: Mapping[str, np.ndarray], tmp_path: pathlib.Path
) -> None:
    path = write_safetensors(tmp_path / "model", as_safetensors(weights))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UsageError, match="The file is damaged or was not copied completely"):
        initial.read(path, drawn.TINY, heads=PRETRAINING)


@pytest.mark.parametrize(("suffix", "share"), [(".index", 0.0), (".index", 0.5), (".data-00000-of-00001", 0.5)])
def test_a_half_copied_tensorflow_checkpoint_is_refused(
    suffix: str, share: float, weights: Mapping[str, np.ndarray], tmp_path: pathlib.Path
) -> None:
    path = write_tensorflow(tmp_path / "model", as_tf1(weights))
    file = path.with_name(path.name + suffix)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UsageError, match="The file is damaged or was not copied completely"):
        initial.read(path, drawn.TINY, heads=PRETRAINING)


def test_a_type_that_numpy_lacks_is_named(tmp_path: pathlib.Path) -> None:
    header = json.dumps({"weight": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(2))
    with pytest.raises(UsageError) as caught:
        files.open_file(path).read("weight")
    assert str(caught.value) == (
        f"weight in {path} has the type F8_E4M3, which can't be read. Save the checkpoint in float32 or float16."
    )


def test_random_bytes_in_a_file_never_give_a_traceback(
    weights: Mapping[str, np.ndarray], tmp_path: pathlib.Path
) -> None:
    path = write_safetensors(tmp_path / "model", as_safetensors(weights))
    whole, random = path.read_bytes(), np.random.default_rng(11)
    for _ in range(40):
        changed = bytearray(whole)
        for place in random.integers(0, 6000, 3):
            changed[place] = random.integers(0, 256)
        path.write_bytes(changed)
        try:
            initial.read(path, drawn.TINY, heads=PRETRAINING)
        except UsageError as error:
            assert str(path) in str(error)


def test_what_is_no_checkpoint_is_said(tmp_path: pathlib.Path) -> None:
    pointer = tmp_path / "model.safetensors"
    pointer.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n")
    weights = tmp_path / "pytorch_model.bin"
    weights.write_bytes(b"PK")
    index = tmp_path / "half.index"
    index.write_bytes(b"")
    empty = tmp_path / "empty"
    empty.mkdir()
    for path, kind, message in (
        (pointer, UsageError, "model.safetensors is a pointer of Git LFS, not the file itself."),
        (weights, UsageError, "pytorch_model.bin is not a checkpoint that can be read."),
        (index, MissingDataError, "half has an index but no data"),
        (empty, MissingDataError, "empty must have one checkpoint to start from, has: none."),
        (tmp_path / "none", MissingDataError, "There is no checkpoint at"),
        (tmp_path, MissingDataError, "has: half.index, model.safetensors. Name the file itself."),
    ):
        with pytest.raises(kind) as caught:
            initial.read(path, drawn.TINY, heads=PRETRAINING)
        assert message in str(caught.value)


def test_a_relative_path_needs_the_data_directory() -> None:
    options = dataclasses.replace(drawn.squad_options(drawn.TINY, LENGTH), checkpoint="model.ckpt")
    with pytest.raises(MissingDataError, match=r"model.ckpt is a path in the data directory. Pass --data_dir\."):
        initial.initial_weights(options, None)
