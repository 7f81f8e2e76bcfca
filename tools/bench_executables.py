#!/usr/bin/env python3
"""Compares the compiled forms of ResNet-50 that tfperf serves with OpenVINO's: images per second by batch size.

    tools/bench_executables.py [--rounds 5] [--batch_sizes 1,8,32] [--threads 2]

All forms have the same weights. Each runs in a separate process with the same number of threads; the forms
alternate. Their answers are compared too, since a fast form with wrong answers is useless. There is no ImageNet here,
so the weights are random, the statistics of batch normalisation come from drawn scenes, and the last layer is fitted to
tell the 8 kinds of scenes apart. Its 8 outputs in place of 1000 save 0.05 % of the arithmetic. Answers are compared on
scenes that the layer was fitted to and gets right. Random features say little about other scenes, and the question is
what a form changes in the answers, not how good they are.

OpenVINO's int8 needs nncf, which tfperf doesn't install: `pip install nncf`. Unavailable forms are listed with the
reason.
"""

from __future__ import annotations

import argparse
import io
import json
import pathlib
import tempfile
from typing import TYPE_CHECKING

import form_rates
import numpy as np
from PIL import Image

from tfperf.benchmarks.resnet50.options import Options
from tfperf.benchmarks.shapes import draw, outlines
from tfperf.benchmarks.tensor import Batch, Sample, Tensor
from tfperf.inference import stored_samples
from tfperf.inference.forms import machine
from tfperf.system import allocator, devices

if TYPE_CHECKING:
    import keras

OPTIONS = Options(classes=len(outlines.KINDS))
INPUTS = (Tensor(name="image", shape=(OPTIONS.image_size, OPTIONS.image_size, 3)),)
OUTPUTS = (Tensor(name="probabilities", shape=(OPTIONS.classes,)),)
FITTED, NORMALISED, COMPARED = 256, 64, 128  # scenes; each smaller number counts the first of the larger
RIDGE = 0.1
GOALS = {form_rates.OPENVINO_FORM: 0.95, form_rates.PLAIN_FUNCTION: 2}


def main() -> None:
    """Measures and prints."""
    arguments = _arguments()
    network = form_rates.BenchNetwork(
        inputs=INPUTS, outputs=OUTPUTS, samples="images", make=make, answers_of=most_probable
    )
    with tempfile.TemporaryDirectory() as name:
        measured, refused = form_rates.measure(
            network,
            pathlib.Path(name),
            batch_sizes=arguments.batch_sizes,
            threads=arguments.threads,
            rounds=arguments.rounds,
        )
    ratios = form_rates.report(measured, refused, samples="images", batch_sizes=arguments.batch_sizes, goals=GOALS)
    print(json.dumps({"name": "executables", "ratios": ratios}))


def most_probable(outputs: Batch) -> np.ndarray:
    """The most probable class of each image, int64 [n]."""
    (probabilities,) = outputs
    return np.asarray(probabilities.argmax(axis=1))


def make(directory: pathlib.Path, threads: int) -> None:
    """Writes the fitted model, and scenes to compare on with their labels."""
    allocator.keep_freed_memory()
    machine.set_up(threads=threads)
    import keras

    from tfperf.benchmarks.resnet50 import model as resnet

    keras.utils.set_random_seed(0)
    model = resnet.build(OPTIONS)
    images, labels = scenes(FITTED)
    normalise(model, images[:NORMALISED])
    fit(model, images, labels)
    model.save(directory / form_rates.MODEL)
    compared: list[Sample] = [(image,) for image in images[:COMPARED]]
    stored_samples.write_samples(directory / form_rates.SAMPLES, compared)
    np.save(directory / form_rates.LABELS, labels[:COMPARED])


def normalise(model: keras.Model, images: np.ndarray) -> None:
    """Gives batch normalisation the statistics of these images."""
    import keras

    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    model(images, training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum


def fit(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> None:
    """Sets the last layer by ridge regression of the labels on its inputs."""
    import keras

    pooled = keras.Model(model.inputs[0], model.get_layer("reduce_mean").output)
    features = np.concatenate([np.asarray(pooled(batch)) for batch in np.split(images, len(images) // 16)])
    mean, scale = features.mean(axis=0), features.std() + 1e-6
    centred = (features - mean) / scale
    targets = np.eye(OPTIONS.classes, dtype=np.float32)[labels] - 1 / OPTIONS.classes
    inner = centred @ centred.T + RIDGE * len(images) * np.eye(len(images), dtype=np.float32)
    kernel = centred.T @ np.linalg.solve(inner, targets) / scale
    model.get_layer(f"fc{OPTIONS.classes}").set_weights([kernel, -mean @ kernel])


def scenes(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Model inputs, float32 [count, 224, 224, 3], and labels, int64 [count]."""
    from tfperf.benchmarks.resnet50 import preprocessing

    drawn = [draw.example("train", index) for index in range(count)]
    side = (OPTIONS.image_size, OPTIONS.image_size)
    pixels = [Image.open(io.BytesIO(example.jpeg)).resize(side, Image.Resampling.BILINEAR) for example in drawn]
    images = np.stack([np.asarray(image, np.float32) for image in pixels]) - np.array(
        preprocessing.CHANNEL_MEANS, np.float32
    )
    return images, np.array([outlines.KINDS.index(example.label) for example in drawn])


def _batch_sizes(text: str) -> tuple[int, ...]:
    return tuple(sorted({int(size) for size in text.split(",")}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch_sizes", type=_batch_sizes, default=(1, 8, 32), help="such as 1,8,32")
    parser.add_argument("--threads", type=int, default=devices.usable_cores(), help="CPU threads per operation")
    return parser.parse_args()


if __name__ == "__main__":
    import bench_executables  # child processes find the functions under this name, not under __main__

    bench_executables.main()
