"""SSD300 and RetinaNet with random weights that tell kinds of drawn scenes apart, for the benches.

The layer that predicts classes is fitted on the largest feature map, so that a form which computes too coarsely gives
wrong answers.
"""

from __future__ import annotations

import importlib
import io
import pathlib
from typing import TYPE_CHECKING, Any

import bench_executables
import form_rates
import numpy as np
from PIL import Image

from tfperf.benchmarks.detection.data.preprocessing import CHANNEL_DEVIATIONS, CHANNEL_MEANS
from tfperf.benchmarks.retinanet.options import RetinaNetOptions
from tfperf.benchmarks.shapes import draw, outlines
from tfperf.benchmarks.ssd.options import SsdOptions
from tfperf.benchmarks.tensor import Batch, Sample, Tensor
from tfperf.inference import stored_samples
from tfperf.inference.forms import machine
from tfperf.system import allocator

if TYPE_CHECKING:
    import keras

NETWORKS: dict[str, SsdOptions | RetinaNetOptions] = {"ssd": SsdOptions(), "retinanet": RetinaNetOptions()}
CLASS_LAYERS = {"ssd": "conf0", "retinanet": "class_predicted"}
KINDS = len(outlines.KINDS)
SCENES = {"ssd": (96, 48), "retinanet": (32, 16)}  # to fit on, and of these to compare on
AT_ONCE = 4
RIDGE = 0.1
LOGIT = 8.0  # of the kind in the picture, on average: some boxes then have a score


def make(name: str, directory: pathlib.Path, threads: int) -> None:
    """Writes the network with the outputs of the forms, and scenes to compare on with their kinds."""
    allocator.keep_freed_memory()
    machine.set_up(threads=threads)
    import keras

    keras.utils.set_random_seed(0)
    network = network_of(name)
    images, kinds = scenes(name)
    fit(name, network, images, kinds)
    offsets, logits = network.output["offsets"], network.output["logits"]
    best = keras.ops.max(logits, axis=-1)
    mean = keras.ops.mean(logits[:, : first_rows(name)], axis=1)
    keras.Model(network.input, [offsets, best, mean]).save(directory / form_rates.MODEL)
    compared = SCENES[name][1]
    samples: list[Sample] = [(image,) for image in images[:compared]]
    stored_samples.write_samples(directory / form_rates.SAMPLES, samples)
    np.save(directory / form_rates.LABELS, kinds[:compared])


def kind_of_scene(name: str, outputs: Batch) -> np.ndarray:
    """The kind with the highest mean logit, int64 [n]."""
    mean = next(array for array in outputs if array.shape[-1] == class_values(name))
    return np.asarray(mean[:, first_class(name) : first_class(name) + KINDS].argmax(axis=1))


def fit(name: str, network: keras.Model, images: np.ndarray, kinds: np.ndarray) -> None:
    """Sets the centre of the class layer by ridge regression of the kinds on the mean features of the largest map."""
    import keras

    bench_executables.normalise(network, images[:AT_ONCE])
    layer = network.get_layer(CLASS_LAYERS[name])
    kernel, bias = (np.zeros(each.shape, np.float32) for each in layer.weights)
    width, filters = kernel.shape[2:]
    kernel[1, 1, range(width), range(width)] = 1  # passes the features through
    layer.set_weights([kernel, bias])
    values, rows = class_values(name), first_rows(name)
    boxes = filters // values
    logits = keras.Model(network.input, network.output["logits"])
    features = []
    for start in range(0, len(images), AT_ONCE):
        found = np.asarray(logits(images[start : start + AT_ONCE]))[:, :rows]
        split = (boxes, rows // boxes, values) if name == "ssd" else (rows // boxes, boxes, values)
        means = found.reshape(len(found), *split).mean(axis=2 if name == "ssd" else 1)
        features.append(means.reshape(len(found), filters)[:, :width])
    pooled = np.concatenate(features)
    mean, scale = pooled.mean(axis=0), pooled.std() + 1e-6
    centred = (pooled - mean) / scale
    targets = LOGIT * (np.eye(KINDS, dtype=np.float32)[kinds] - 1 / KINDS)
    inner = centred @ centred.T + RIDGE * len(images) * np.eye(len(images), dtype=np.float32)
    of_kinds = centred.T @ np.linalg.solve(inner, targets) / scale
    kernel[:] = 0
    for box in range(boxes):
        start = box * values + first_class(name)
        kernel[1, 1, :, start : start + KINDS] = of_kinds
        bias[start : start + KINDS] = -mean @ of_kinds
    layer.set_weights([kernel, bias])


def scenes(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Inputs, float32 [n, size, size, 3], normalised, and kinds, int64 [n]."""
    size = NETWORKS[name].image_size
    drawn = [draw.example("train", index) for index in range(SCENES[name][0])]
    pixels = [
        np.asarray(Image.open(io.BytesIO(each.jpeg)).resize((size, size), Image.Resampling.BILINEAR)) for each in drawn
    ]
    images = (np.stack(pixels).astype(np.float32) / 255 - CHANNEL_MEANS) / CHANNEL_DEVIATIONS
    return images.astype(np.float32), np.array([outlines.KINDS.index(each.label) for each in drawn])


def network_of(name: str) -> keras.Model:
    """The network, with random weights, from images to `offsets` and `logits`."""
    network: keras.Model = importlib.import_module(f"tfperf.benchmarks.{name}.model").network(NETWORKS[name])
    return network


def output_layer(name: str) -> Any:
    """The layer that makes detections of what the network predicts."""
    module = importlib.import_module(f"tfperf.benchmarks.{name}.model")
    layer = {"ssd": "SsdOutput", "retinanet": "RetinaNetOutput"}[name]
    return getattr(module, layer)(options=dict(vars(NETWORKS[name])), dtype="float32")


def image_input(options: SsdOptions | RetinaNetOptions) -> tuple[Tensor, ...]:
    """The input of a network."""
    return (Tensor(name="image", shape=(options.image_size, options.image_size, 3)),)


def first_class(name: str) -> int:
    """The place of class 0 among the logits of a box: 1 after a background."""
    return int(name == "ssd")


def class_values(name: str) -> int:
    """Logits of a box."""
    return NETWORKS[name].classes + first_class(name)


def boxes_of(name: str) -> int:
    """Default boxes or anchors of an image."""
    options = NETWORKS[name]
    if isinstance(options, SsdOptions):
        return sum(grid**2 * boxes for grid, boxes in zip(options.grids, options.boxes_per_cell, strict=True))
    return sum(grid**2 * options.anchors_per_cell for grid in options.grids)


def first_rows(name: str) -> int:
    """The boxes of the largest feature map, which are the first."""
    options = NETWORKS[name]
    if isinstance(options, SsdOptions):
        return options.grids[0] ** 2 * options.boxes_per_cell[0]
    return options.grids[0] ** 2 * options.anchors_per_cell
