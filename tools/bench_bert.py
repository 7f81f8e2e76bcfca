#!/usr/bin/env python3
"""Measures BERT: forms, lengths, a training step, prepared records and tokens, each against a second program.

    tools/bench_bert.py [--only forms lengths step prepare tokens] [--rounds 5] [--layers 12] [--width 768]
                        [--threads 2] [--data_dir SQUAD] [--text FILE --vocabulary vocab.txt] [--reference SCRIPT]

The network has the size of BERT-base and random weights. What is compared alternates.

- forms: the encoder with SQuAD's head on windows of 384 tokens, in batches of 1 and 4. Two pieces are planted in each
  window, and the head is fitted to point at them, so a form that computes too coarsely points elsewhere. Needs
  `pip install openvino`, and nncf for its int8; unavailable forms are listed with the reason.
- step: a training step with SQuAD's head and AdamW on 8 windows of 128 tokens, tfperf's encoder in tfperf's loop / the
  BertBackbone of keras-hub in Keras's. Needs `pip install keras-hub`.
- lengths: what `bench_lengths.py` measures, on this network: Offline samples/s with windows at their lengths / all
  padded to 384. Needs --data_dir, which holds the questions --eval_file and their `vocab.txt`.
- prepare: records per CPU-second, `tfperf prepare` / the reference's `create_pretraining_data.py`, which --reference
  names. MLPerf's is in `retired_benchmarks/bert/cleanup_scripts` of mlcommons/training, with `tokenization.py` beside
  it. What starting each takes is subtracted. Needs --text, a sentence a line and a blank line between documents, and
  --vocabulary.
- tokens: word pieces per second of tfperf / of the `tokenizers` package alone, which gives other pieces for some
  characters. Needs --text, one text a line, and --vocabulary.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import alternation
import bench_lengths
import form_rates
import numpy as np

from tfperf.benchmarks.bert.encoder_config import Encoder
from tfperf.benchmarks.bert.squad import serving
from tfperf.benchmarks.bert.squad.options import SquadOptions
from tfperf.benchmarks.tensor import Batch, Sample
from tfperf.inference import stored_samples
from tfperf.inference.forms import machine
from tfperf.system import allocator, devices

if TYPE_CHECKING:
    import keras

PARTS = ("forms", "lengths", "step", "prepare", "tokens")
LENGTH, BATCH_SIZES = 384, (1, 4)
FITTED, COMPARED, FITTED_AT_ONCE = 48, 24, 4  # windows; the compared ones are among the fitted
PLANTED = (5, 6)  # ids of the pieces at the start and the end of an answer
FIRST_ID = 1000  # of the other pieces
RIDGE = 1e-3
HEAD_WIDTH = 64
STEP_BATCH, STEP_LENGTH, STEPS = 8, 128, 3
FORM_GOALS = {form_rates.OPENVINO_FORM: 0.95, form_rates.PLAIN_FUNCTION: 1}
STEP_GOAL, PREPARE_GOAL, TOKEN_GOAL = 1.0, 1.0, 0.8
SHORT_TEXT = "Two sentences are enough .\nThey only start the program .\n"
# The reference is written for TensorFlow 1, whose interface TensorFlow 2 still has.
REFERENCE_PROGRAM = """
import runpy, sys
import tensorflow.compat.v1 as tf
sys.modules["tensorflow"] = tf
sys.path.insert(0, sys.argv[1].rpartition("/")[0] or ".")
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

Ratios = dict[str, dict[str, object]]


def main() -> None:
    """Measures the chosen parts, prints a table of each and, as the last line, a JSON object for programs."""
    arguments = _arguments()
    options = SquadOptions(
        encoder=Encoder(
            hidden_size=arguments.width,
            layers=arguments.layers,
            heads=max(1, arguments.width // HEAD_WIDTH),
            intermediate_size=4 * arguments.width,
        )
    )
    ratios: Ratios = {}
    for part in arguments.only:
        ratios |= globals()[f"{part}_ratios"](arguments, options)
    print(json.dumps({"name": "bert", "ratios": ratios}))


def forms_ratios(arguments: argparse.Namespace, options: SquadOptions) -> Ratios:
    """Windows per second of each form."""
    network = form_rates.BenchNetwork(
        inputs=serving.BERT_99.inputs(options),
        outputs=serving.BERT_99.outputs(options),
        length=LENGTH,
        samples="windows",
        make=functools.partial(make, options),
        layers=("tfperf.benchmarks.bert.encoder",),
        answers_of=most_probable_spans,
    )
    with tempfile.TemporaryDirectory() as name:
        measured, refused = form_rates.measure(
            network,
            pathlib.Path(name),
            batch_sizes=BATCH_SIZES,
            threads=arguments.threads,
            rounds=arguments.rounds,
        )
    return form_rates.report(measured, refused, samples="windows", batch_sizes=BATCH_SIZES, goals=FORM_GOALS)


def make(options: SquadOptions, directory: pathlib.Path, threads: int) -> None:
    """Writes the network, and windows to compare on with the places of the planted pieces."""
    allocator.keep_freed_memory()
    machine.set_up(threads=threads)
    import keras

    keras.utils.set_random_seed(0)
    model = serving.BERT_99.build_model(options)
    ids, places = windows(FITTED, options.encoder.vocabulary_size)
    fit(model, ids, places)
    model.save(directory / form_rates.MODEL)
    compared: list[Sample] = [(row, np.ones_like(row), np.zeros_like(row)) for row in ids[:COMPARED]]
    stored_samples.write_samples(directory / form_rates.SAMPLES, compared)
    np.save(directory / form_rates.LABELS, places[:COMPARED])


def windows(count: int, pieces: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids, int32 [count, LENGTH], and the places of the two planted pieces, int64 [count, 2]."""
    chance = np.random.default_rng(0)
    ids = chance.integers(FIRST_ID, pieces, (count, LENGTH), dtype=np.int32)
    places = np.stack([chance.choice(LENGTH, 2, replace=False) for _ in range(count)])
    np.put_along_axis(ids, places, np.array([PLANTED], np.int32), axis=1)
    return ids, places


def fit(model: keras.Model, ids: np.ndarray, places: np.ndarray) -> None:
    """Sets the head by ridge regression of whether a position holds each piece on its hidden state."""
    import keras

    head = model.get_layer("span")
    encoder = keras.Model(model.inputs, head.input)
    wanted = np.zeros((*ids.shape, 2), np.float32)
    np.put_along_axis(wanted, places[:, None, :], 1, axis=1)
    width = head.input.shape[-1]
    inner, outer = np.zeros((width, width), np.float32), np.zeros((width, 2), np.float32)
    for start in range(0, len(ids), FITTED_AT_ONCE):
        rows = ids[start : start + FITTED_AT_ONCE]
        hidden = np.asarray(encoder([rows, np.ones_like(rows), np.zeros_like(rows)]))
        flat = hidden.reshape(-1, hidden.shape[-1])
        inner += flat.T @ flat
        outer += flat.T @ wanted[start : start + FITTED_AT_ONCE].reshape(-1, 2)
    kernel = np.linalg.solve(inner + RIDGE * ids.size * np.eye(width, dtype=np.float32), outer)
    head.set_weights([kernel, np.zeros(2, np.float32)])


def most_probable_spans(outputs: Batch) -> np.ndarray:
    """The most probable start and end of each window, int64 [n, 2]."""
    (logits,) = outputs
    return np.asarray(logits.argmax(axis=1))


def lengths_ratios(arguments: argparse.Namespace, options: SquadOptions) -> Ratios:
    """Samples per second under LoadGen with batches by length."""
    if arguments.data_dir is None:
        print("lengths: give --data_dir")
        return {}
    return bench_lengths.ratios(arguments, options)


def step_ratios(arguments: argparse.Namespace, options: SquadOptions) -> Ratios:
    """Time of the same training step."""
    allocator.keep_freed_memory()
    machine.set_up(threads=arguments.threads)
    try:
        theirs = keras_hub_steps(options.encoder)
    except ImportError as error:
        missing = (error.name or "keras_hub").partition(".")[0].replace("_", "-")  # itself or what it imports
        print(f"step: unavailable: {error}; pip install {missing}")
        return {}
    ours = tfperf_steps(options)
    pairs = alternation.timed_pairs(ours, theirs, arguments.rounds)
    for own, other in pairs:
        print(f"{STEPS} steps: tfperf {own:.3f} s, keras-hub {other:.3f} s")
    value = round(statistics.median(other / own for own, other in pairs), 3)
    return {"training steps/s, tfperf / keras-hub's BertBackbone": {"value": value, "goal": f">= {STEP_GOAL}"}}


def tfperf_steps(options: SquadOptions) -> Callable[[], None]:
    """A call that trains STEPS steps with tfperf's encoder and program."""
    import keras
    import tensorflow as tf

    from tfperf.benchmarks.bert.squad import model as squad
    from tfperf.training import loop, program

    keras.utils.set_random_seed(0)
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    with strategy.scope():
        model = squad.build(without_dropout(options))
        squad.compile_model(model, adamw(), options)
    built = program.build(model, strategy, jit="step")
    repeated = dataset(("input_ids", "input_mask", "segment_ids"))
    batches = iter(loop.distribute(strategy, lambda context, size: repeated, global_batch_size=STEP_BATCH))
    steps = tf.constant(STEPS)
    return lambda: built.train(batches, steps).numpy()


def keras_hub_steps(encoder: Encoder) -> Callable[[], None]:
    """A call that trains STEPS steps with keras-hub's encoder in `model.fit`.

    Raises:
        ImportError: keras-hub is not installed.
    """
    import keras
    import keras_hub

    from tfperf.benchmarks.bert.squad.model import SpanLoss

    keras.utils.set_random_seed(0)
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=encoder.vocabulary_size,
        num_layers=encoder.layers,
        num_heads=encoder.heads,
        hidden_dim=encoder.hidden_size,
        intermediate_dim=encoder.intermediate_size,
        max_sequence_length=encoder.max_positions,
        dropout=0.0,
    )
    logits = keras.layers.Dense(2)(backbone.output["sequence_output"])
    model = keras.Model(backbone.input, logits)
    model.compile(adamw(), SpanLoss(), jit_compile=True)
    batches = dataset(("token_ids", "padding_mask", "segment_ids"))
    return lambda: model.fit(batches, steps_per_epoch=STEPS, epochs=1, verbose=0)


def without_dropout(options: SquadOptions) -> SquadOptions:
    """The options of a network that drops nothing, as random numbers are no part of the comparison."""
    encoder = dataclasses.replace(options.encoder, dropout=0.0, attention_dropout=0.0)
    return dataclasses.replace(options, encoder=encoder)


def adamw() -> keras.optimizers.Optimizer:
    """The optimizer of both."""
    import keras

    return keras.optimizers.AdamW(3e-5, weight_decay=0.01)


def dataset(names: Sequence[str]) -> Any:
    """The same batch again and again."""
    import tensorflow as tf

    chance = np.random.default_rng(0)
    ids = chance.integers(FIRST_ID, 30_000, (STEP_BATCH, STEP_LENGTH), dtype=np.int32)
    inputs = dict(zip(names, (ids, np.ones_like(ids), np.zeros_like(ids)), strict=True))
    spans = chance.integers(0, STEP_LENGTH, (STEP_BATCH, 2), dtype=np.int32)
    return tf.data.Dataset.from_tensors((inputs, spans)).repeat()


def prepare_ratios(arguments: argparse.Namespace, options: SquadOptions) -> Ratios:
    """Records per CPU-second of the same text with MLPerf's recipe."""
    if arguments.text is None or arguments.vocabulary is None or arguments.reference is None:
        print("prepare: give --text, --vocabulary and --reference")
        return {}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        short = folder / "short.txt"
        short.write_text(SHORT_TEXT, encoding="utf-8")
        programs = (prepared_by_tfperf, prepared_by_the_reference)
        pairs = []
        for number in range(arguments.rounds):
            order = programs if number % 2 else programs[::-1]
            took = {
                program: program(arguments.text, arguments, folder) - program(short, arguments, folder)
                for program in order
            }
            pairs.append((took[prepared_by_tfperf], took[prepared_by_the_reference]))
    for own, other in pairs:
        print(
            f"{arguments.text.stat().st_size:,} bytes of text: tfperf {own:.2f} CPU s, the reference {other:.2f} CPU s"
        )
    value = round(statistics.median(other / own for own, other in pairs), 3)
    return {
        "records per CPU-second, tfperf prepare / create_pretraining_data.py": {
            "value": value,
            "goal": f">= {PREPARE_GOAL}",
        }
    }


def prepared_by_tfperf(text: pathlib.Path, arguments: argparse.Namespace, folder: pathlib.Path) -> float:
    """CPU seconds of making and writing the records of a file as `tfperf prepare` does."""
    from tfperf.benchmarks.bert.pretraining.prepare import text_records
    from tfperf.benchmarks.bert.pretraining.prepare.recipe import Recipe

    wanted = text_records.TextToRecords(
        train={"records": text}, evaluation={}, vocabulary=arguments.vocabulary, recipe=Recipe(), workers=1
    )
    with tempfile.TemporaryDirectory(dir=folder) as name:
        began = _cpu_s()
        text_records.write(wanted, pathlib.Path(name), finished={}, say=lambda line: None)
        return _cpu_s() - began


def prepared_by_the_reference(text: pathlib.Path, arguments: argparse.Namespace, folder: pathlib.Path) -> float:
    """CPU seconds of the reference's script on a file."""
    from tfperf.benchmarks.bert.pretraining.prepare.recipe import Recipe

    recipe = Recipe()
    flags = {
        "input_file": text,
        "output_file": folder / "reference.tfrecord",
        "vocab_file": arguments.vocabulary,
        "max_seq_length": recipe.sequence_length,
        "max_predictions_per_seq": recipe.predictions,
        "masked_lm_prob": recipe.masked_share,
        "random_seed": recipe.seed,
        "dupe_factor": recipe.duplicates,
    }
    command = [sys.executable, "-c", REFERENCE_PROGRAM, str(arguments.reference.resolve())]
    began = _cpu_s()
    subprocess.run(
        [*command, *(f"--{name}={value}" for name, value in flags.items())], check=True, stderr=subprocess.DEVNULL
    )
    return _cpu_s() - began


def _cpu_s() -> float:
    """Processor time so far of this process and of those that it has waited for."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def tokens_ratios(arguments: argparse.Namespace, options: SquadOptions) -> Ratios:
    """Word pieces per second of the same text, in one thread."""
    if arguments.text is None or arguments.vocabulary is None:
        print("tokens: give --text and --vocabulary")
        return {}
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # read when it is imported
    from tokenizers import BertWordPieceTokenizer

    from tfperf.benchmarks.text import vocabulary
    from tfperf.benchmarks.text.wordpiece import WordPiece

    lines = arguments.text.read_text(encoding="utf-8").splitlines()
    ours = WordPiece(vocabulary.read(arguments.vocabulary))
    theirs = BertWordPieceTokenizer(str(arguments.vocabulary))
    pairs = alternation.timed_pairs(
        lambda: ours.encode(lines), lambda: theirs.encode_batch(lines, add_special_tokens=False), arguments.rounds
    )
    pieces = sum(map(len, ours.ids(lines)))
    for own, other in pairs:
        print(f"{pieces:,} word pieces: tfperf {own:.3f} s, tokenizers {other:.3f} s")
    value = round(statistics.median(other / own for own, other in pairs), 3)
    return {"word pieces/s, tfperf / tokenizers": {"value": value, "goal": f">= {TOKEN_GOAL}"}}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=f"of {', '.join(PARTS)}"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=768, help="of the hidden states")
    parser.add_argument("--threads", type=int, default=devices.usable_cores(), help="CPU threads per operation")
    parser.add_argument("--text", type=pathlib.Path, help="prepare, tokens: a sentence a line, in UTF-8")
    parser.add_argument("--vocabulary", type=pathlib.Path, help="prepare, tokens: a vocab.txt")
    parser.add_argument("--reference", type=pathlib.Path, help="prepare: create_pretraining_data.py")
    parser.add_argument("--data_dir", type=pathlib.Path, help="lengths: holds the questions and vocab.txt")
    parser.add_argument("--eval_file", default="dev-v1.1.json", help="lengths: the questions")
    parser.add_argument("--form", default="graph-float32", help="lengths: the compiled form")
    parser.add_argument("--samples", type=int, default=256, help="lengths: windows in memory")
    parser.add_argument("--seconds", type=float, default=5.0, help="lengths: of each run, at least")
    return parser.parse_args()


if __name__ == "__main__":
    import bench_bert  # child processes find the functions under this name, not under __main__

    bench_bert.main()
