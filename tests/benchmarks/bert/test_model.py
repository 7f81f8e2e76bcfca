"""BERT against transformers' BERT and the published parameter counts, compiled, distributed and saved."""

import dataclasses
import json
import math
import os
import pathlib
import subprocess
import sys
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.benchmarks.bert import drawn
from tests.system.test_assembly import addresses
from tfperf.benchmarks.bert import encoder as bert
from tfperf.benchmarks.bert.encoder_config import Encoder
from tfperf.benchmarks.bert.pretraining import model as pretraining
from tfperf.benchmarks.bert.squad import model as squad
from tfperf.training import program

LENGTH = 16


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    """The outputs of transformers' BERT; see `transformers_oracle`."""
    with np.load(drawn.GOLDEN) as found:
        return dict(found)


@pytest.fixture
def pretrained() -> keras.Model:
    return drawn.weighted(pretraining.build(drawn.pretraining_options(drawn.TINY, LENGTH)), seed=1)


@pytest.fixture
def answering() -> keras.Model:
    return drawn.weighted(squad.build(drawn.squad_options(drawn.TINY, LENGTH)), seed=2)


@pytest.mark.parametrize(("encoder", "length"), drawn.CASES)
def test_equals_transformers(encoder: Encoder, length: int, golden: dict[str, np.ndarray]) -> None:
    batch = drawn.batch(encoder, length)
    model = drawn.weighted(pretraining.build(drawn.pretraining_options(encoder, length)), seed=1)
    found = dict(model(batch, training=False))
    spans = drawn.weighted(squad.build(drawn.squad_options(encoder, length)), seed=2)
    found["span_logits"] = spans(drawn.tokens_of(batch), training=False)
    assert found.keys() == {"masked_lm", "next_sentence", "span_logits"}
    for name, values in found.items():
        np.testing.assert_allclose(values, golden[f"{encoder.activation} {length} {name}"], atol=2e-6, rtol=0)


def test_has_as_many_parameters_as_published() -> None:
    # bert-base-uncased and bert-large-uncased, with pooler and without heads.
    assert _parameters(Encoder(hidden_size=768, layers=12, heads=12, intermediate_size=3072)) == 109_482_240
    assert _parameters(Encoder()) == 335_141_888


def test_gelu_differs_between_its_two_forms() -> None:
    values = np.linspace(-3, 3, 61, dtype=np.float32)
    exact = [0.5 * x * (1 + math.erf(x / math.sqrt(2))) for x in values.tolist()]
    tanh = [0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) for x in values.tolist()]
    np.testing.assert_allclose(bert.gelu(values, "gelu_erf"), exact, atol=1e-6)
    np.testing.assert_allclose(bert.gelu(values, "gelu_tanh"), tanh, atol=1e-6)


def test_padding_doesn_t_change_an_answer(answering: keras.Model) -> None:
    tokens = {name: values[:1] for name, values in drawn.tokens_of(drawn.batch(drawn.TINY, LENGTH)).items()}
    padded = {name: np.pad(values, ((0, 0), (0, 9))) for name, values in tokens.items()}
    short, long = answering(tokens), answering(padded)
    assert long.shape == (1, LENGTH + 9, 2)
    np.testing.assert_allclose(long[:, :LENGTH], short, atol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_compiled_forms_equal_the_eager_model(pretrained: keras.Model, jit_compile: bool) -> None:
    batch = drawn.batch(drawn.TINY, LENGTH)
    compiled = tf.function(lambda taken: pretrained(taken, training=False), jit_compile=jit_compile)
    expected = pretrained(batch, training=False)
    for name, values in compiled(batch).items():
        np.testing.assert_allclose(values, expected[name], atol=1e-6)


@pytest.mark.parametrize(("policy", "tolerance"), [("mixed_bfloat16", 0.05), ("mixed_float16", 0.005)])
def test_lower_precision_stays_near_float32(policy: str, tolerance: float, golden: dict[str, np.ndarray]) -> None:
    keras.config.set_dtype_policy(policy)
    try:
        model = drawn.weighted(pretraining.build(drawn.pretraining_options(drawn.TINY, LENGTH)), seed=1)
    finally:
        keras.config.set_dtype_policy("float32")
    found = model(drawn.batch(drawn.TINY, LENGTH), training=False)
    for name, values in found.items():
        assert values.dtype == tf.float32
        np.testing.assert_allclose(values, golden[f"gelu_tanh {LENGTH} {name}"], atol=tolerance)


@pytest.mark.parametrize("part", [bert.TransformerLayer, bert.TokenEmbeddings, pretraining.MaskedLmHead])
def test_all_of_a_layer_computes_in_the_layer_s_precision(part: Any) -> None:
    layer = part(encoder=bert.as_dict(drawn.TINY), dtype="mixed_bfloat16")
    computed = {each.name: each.compute_dtype for each in layer._flatten_layers()}
    assert computed.pop("layer_norm") == "float32"
    assert set(computed.values()) == {"bfloat16"}
    assert layer.get_config()["encoder"] == vars(drawn.TINY)


def test_a_saved_model_is_read_again(answering: keras.Model, tmp_path: pathlib.Path) -> None:
    tokens = drawn.tokens_of(drawn.batch(drawn.TINY, LENGTH))
    answering.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(tokens), answering(tokens))


def test_examples_and_words_of_weight_0_don_t_count() -> None:
    model = _trainable()
    batch, targets = drawn.batch(drawn.TINY, LENGTH), _targets()
    batch["masked_lm_positions"][2] = 0
    targets["masked_lm"][2] = -1
    whole = model.evaluate(batch, targets, sample_weight=np.array([1, 1, 0], np.float32), return_dict=True, verbose=0)
    first_two = model.evaluate(
        {name: values[:2] for name, values in batch.items()},
        {name: values[:2] for name, values in targets.items()},
        return_dict=True,
        verbose=0,
    )
    assert whole == pytest.approx(first_two, rel=1e-5)
    logits = model(batch)["masked_lm"].numpy()[:2]
    wanted = targets["masked_lm"][:2]
    right = (logits.argmax(-1) == wanted)[wanted >= 0]
    assert whole["masked_lm_accuracy"] == pytest.approx(right.mean())


def test_the_losses_are_those_of_their_definitions() -> None:
    model, batch, targets = _trainable(), drawn.batch(drawn.TINY, LENGTH), _targets()
    found = model.evaluate(batch, targets, return_dict=True, verbose=0)
    outputs = {name: values.numpy() for name, values in model(batch).items()}
    counted = targets["masked_lm"] >= 0
    words = _cross_entropy(outputs["masked_lm"], np.maximum(targets["masked_lm"], 0))[counted]
    assert found["masked_lm_loss"] == pytest.approx(words.sum() / (counted.sum() + 1e-5), rel=1e-5)
    sentences = _cross_entropy(outputs["next_sentence"], targets["next_sentence"]).mean()
    assert found["next_sentence_loss"] == pytest.approx(sentences, rel=1e-5)
    assert found["loss"] == pytest.approx(found["masked_lm_loss"] + found["next_sentence_loss"], rel=1e-5)


def test_the_loss_of_a_span_is_that_of_its_start_and_end(answering: keras.Model) -> None:
    squad.compile_model(answering, keras.optimizers.SGD(0.0), drawn.squad_options(drawn.TINY, LENGTH))
    tokens, spans = drawn.tokens_of(drawn.batch(drawn.TINY, LENGTH)), np.array([[1, 3], [0, 0], [4, 4]], np.int32)
    logits = answering(tokens).numpy()
    each = [_cross_entropy(logits[:, :, side], spans[:, side]) for side in (0, 1)]
    assert answering.evaluate(tokens, spans, verbose=0) == pytest.approx(np.mean(each), rel=1e-5)


@pytest.mark.slow
@pytest.mark.usefixtures("two_cpus")
def test_two_replicas_train_as_one_does() -> None:
    mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice())
    one, two = (_losses(strategy) for strategy in (tf.distribute.OneDeviceStrategy("CPU:0"), mirrored))
    assert one[-1] < one[0]
    np.testing.assert_allclose(one, two, rtol=1e-4)


@pytest.mark.slow
def test_two_workers_train_as_one_does() -> None:
    cluster = {"worker": addresses(2)}
    workers = [_worker({"cluster": cluster, "task": {"type": "worker", "index": index}}) for index in range(2)]
    outputs = [worker.communicate(timeout=240) for worker in workers]
    for worker, (_, errors) in zip(workers, outputs, strict=True):
        assert worker.returncode == 0, errors[-3000:]
    first, second = (json.loads(out.splitlines()[-1]) for out, _ in outputs)
    assert first == second
    np.testing.assert_allclose(first, _losses(tf.distribute.OneDeviceStrategy("CPU:0")), rtol=1e-4)


def _worker(config: dict[str, object]) -> subprocess.Popen[str]:
    """This file, as one worker of a cluster."""
    return subprocess.Popen(
        [sys.executable, __file__],
        env={**os.environ, "TF_CONFIG": json.dumps(config), "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _losses(strategy: tf.distribute.Strategy) -> np.ndarray:
    """The losses of four steps on the same batch of four examples, shared by the replicas."""
    batch, targets = (
        {name: np.repeat(values[:1], 4, axis=0) for name, values in part.items()}
        for part in (drawn.batch(drawn.TINY, LENGTH), _targets())
    )
    batch["input_ids"] = np.random.default_rng(5).integers(0, 100, (4, LENGTH)).astype(np.int32)

    def opened(context: tf.distribute.InputContext) -> tf.data.Dataset:
        mine = tf.data.Dataset.from_tensor_slices((batch, targets)).shard(
            context.num_input_pipelines, context.input_pipeline_id
        )
        return mine.batch(context.get_per_replica_batch_size(4), drop_remainder=True).repeat()

    with strategy.scope():
        model = _trainable()
    built = program.build(model, strategy, jit="none" if strategy.num_replicas_in_sync == 1 else "gradients")
    batches = iter(strategy.distribute_datasets_from_function(opened))
    losses: np.ndarray = built.train(batches, tf.constant(4)).numpy()
    return losses


def _trainable() -> keras.Model:
    still = dataclasses.replace(drawn.TINY, layers=1, dropout=0.0, attention_dropout=0.0)
    options = drawn.pretraining_options(still, LENGTH)
    model = drawn.weighted(pretraining.build(options), seed=1)
    pretraining.compile_model(model, keras.optimizers.SGD(0.05), options)
    return model


def _targets() -> dict[str, np.ndarray]:
    words = np.random.default_rng(4).integers(0, drawn.TINY.vocabulary_size, (3, drawn.PREDICTIONS)).astype(np.int32)
    words[1, 3:] = -1
    return {"masked_lm": words, "next_sentence": np.array([0, 1, 1], np.int32)}


def _cross_entropy(logits: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(-1, keepdims=True)
    chosen = np.take_along_axis(shifted, wanted[..., None], -1)[..., 0]
    entropy: np.ndarray = np.log(np.exp(shifted).sum(-1)) - chosen
    return entropy


def _parameters(encoder: Encoder) -> int:
    """The parameters of the encoder with its pooler, counted without giving them memory."""
    with keras.StatelessScope(), keras.device("cpu"):
        layers = [
            bert.TokenEmbeddings(encoder=bert.as_dict(encoder)),
            bert.TransformerLayer(encoder=bert.as_dict(encoder)),
        ]
        layers[0].build((1, 8), (1, 8))
        layers[1].build((1, 8, encoder.hidden_size), (1, 1, 1, 8))
        embeddings, layer = ([math.prod(weight.shape) for weight in each.weights] for each in layers)
    pooler = encoder.hidden_size * (encoder.hidden_size + 1)
    return sum(embeddings) + encoder.layers * sum(layer) + pooler


if __name__ == "__main__":
    print(json.dumps(_losses(tf.distribute.MultiWorkerMirroredStrategy()).tolist()))
