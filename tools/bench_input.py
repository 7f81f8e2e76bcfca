#!/usr/bin/env python3
"""Measures the ResNet training input: images per CPU-second, beside a bare JPEG decode and the reference's steps.

    tools/bench_input.py [--data_dir FOLDER_OF_JPEGS] [--batch_size 32] [--images 4096] [--rounds 5]

The three alternate, and the table shows the median of each. CPU time counts all threads of the process. Each of the
three keeps all processors busy, because a CPU-second beside a busy neighbour (a hyper-thread, a shared cache) does less
work than one beside an idle neighbour. The pipelines are finite and read to the end, so that no image in flight is paid
for without being counted.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import functools
import io
import json
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence

import numpy as np
import simplejpeg
import tensorflow as tf
from PIL import Image

from tfperf.benchmarks.benchmark import Feed
from tfperf.benchmarks.images import batches
from tfperf.benchmarks.images.skipping import Skipped
from tfperf.benchmarks.images.sources import folder
from tfperf.benchmarks.resnet50 import preprocessing
from tfperf.benchmarks.resnet50.options import Options
from tfperf.errors import MissingDataError
from tfperf.system import allocator, devices

OPTIONS = Options()
DRAWN, WIDTH, HEIGHT, QUALITY = 128, 500, 375, 83  # comes to about 55 KB an image


def main() -> None:
    """Measures and prints."""
    arguments = _arguments()
    allocator.keep_freed_memory()  # as a training run does
    with tempfile.TemporaryDirectory() as drawn:
        paths = _photographs(arguments.data_dir) if arguments.data_dir else draw(pathlib.Path(drawn))
        size = arguments.batch_size
        epochs = max(1, arguments.images // len(paths))
        rates = measure(
            {
                "simplejpeg, decode only": functools.partial(decode, paths, epochs=epochs),
                "tfperf, fused decode and crop": functools.partial(
                    _read, pipeline(paths, batch_size=size, epochs=epochs)
                ),
                "reference's steps, whole decode": functools.partial(
                    _read, reference(paths, batch_size=size, epochs=epochs)
                ),
            },
            images=epochs * len(paths),
            rounds=arguments.rounds,
        )
        kilobytes = statistics.mean(path.stat().st_size for path in paths) / 1000
    print(f"{len(paths)} JPEGs of {kilobytes:.0f} KB, batches of {size}, {arguments.rounds} rounds")
    report(rates)


def decode(paths: Sequence[pathlib.Path], *, epochs: int) -> None:
    """Reads and decodes every file with libjpeg-turbo alone, in as many threads as the pipelines have."""
    with concurrent.futures.ThreadPoolExecutor(devices.usable_cores()) as threads:
        for _ in threads.map(lambda path: simplejpeg.decode_jpeg(path.read_bytes()), [*paths] * epochs):
            pass


def pipeline(paths: Sequence[pathlib.Path], *, batch_size: int, epochs: int) -> tf.data.Dataset:
    """The training batches that a run reads, for some epochs."""
    split = folder.files(paths, [0] * len(paths))
    feed = Feed(batch_size=batch_size)
    prepared = preprocessing.of(OPTIONS)
    return batches.train_batches(split, feed, preprocessing=prepared, skipped=Skipped(0), epochs=epochs)


def reference(paths: Sequence[pathlib.Path], *, batch_size: int, epochs: int) -> tf.data.Dataset:
    """The same, in the steps of imagenet_preprocessing.py for images that are decoded whole."""

    def prepare(path: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.image.decode_jpeg(tf.io.read_file(path), channels=3)
        begin, extent, _ = tf.image.sample_distorted_bounding_box(
            tf.shape(image),
            tf.zeros([1, 0, 4]),
            min_object_covered=preprocessing.MIN_OBJECT_COVERED,
            aspect_ratio_range=preprocessing.ASPECT_RATIOS,
            area_range=(OPTIONS.least_crop_area, 1.0),
            max_attempts=preprocessing.MAX_ATTEMPTS,
            use_image_if_no_bounding_boxes=True,
        )
        image = tf.image.crop_to_bounding_box(image, begin[0], begin[1], extent[0], extent[1])
        image = tf.image.random_flip_left_right(image)
        image = tf.compat.v1.image.resize(image, [OPTIONS.image_size] * 2, method="bilinear")
        image = tf.ensure_shape(image, [OPTIONS.image_size, OPTIONS.image_size, 3])
        means = tf.broadcast_to(tf.constant(preprocessing.CHANNEL_MEANS), tf.shape(image))
        return image - means, tf.one_hot(0, OPTIONS.classes)

    dataset = tf.data.Dataset.from_tensor_slices([str(path) for path in paths]).shuffle(len(paths)).repeat(epochs)
    dataset = dataset.map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def measure(works: dict[str, Callable[[], None]], *, images: int, rounds: int) -> dict[str, list[float]]:
    """Images per CPU-second of each pipeline in each round. They alternate, after a warm-up round."""
    rates: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            start = time.process_time()
            work()
            if number > 0:
                rates[name].append(images / (time.process_time() - start))
    return rates


def report(rates: dict[str, list[float]]) -> None:
    """Prints a table for people and, as the last line, a JSON object for programs."""
    print(f"{'images per CPU-second':34s}{'median':>8s}{'least':>8s}{'most':>8s}")
    for name, values in rates.items():
        print(f"{name:34s}{statistics.median(values):8.0f}{min(values):8.0f}{max(values):8.0f}")
    bare, fused, whole = rates.values()
    ratios = {
        "images per CPU-second, pipeline / simplejpeg": {"value": _ratio(fused, bare), "goal": ">= 0.85"},
        "images per CPU-second, fused / unfused": {"value": _ratio(fused, whole), "goal": ">= 1"},
    }
    print(json.dumps({"name": "bench_input", "ratios": ratios}))


def draw(root: pathlib.Path) -> list[pathlib.Path]:
    """Draws photograph-like JPEGs: noise at several scales, some upright, most not."""
    random = np.random.default_rng(0)
    paths = [root / f"{number:04d}.jpg" for number in range(DRAWN)]
    for number, path in enumerate(paths):
        width, height = (WIDTH, HEIGHT) if number % 4 else (HEIGHT, WIDTH)
        pixels = np.full((height, width, 3), 128, np.float32)
        for cells, amplitude in ((4, 40), (12, 30), (40, 20), (150, 14)):
            coarse = random.normal(scale=amplitude, size=(cells, cells, 3)).astype(np.float32)
            layers = [
                Image.fromarray(coarse[..., c]).resize((width, height), Image.Resampling.BICUBIC) for c in range(3)
            ]
            pixels += np.stack([np.asarray(layer) for layer in layers], axis=-1)
        pixels += random.normal(scale=6, size=(height, width, 1))
        buffer = io.BytesIO()
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=QUALITY)
        path.write_bytes(buffer.getvalue())
    return paths


def _read(dataset: tf.data.Dataset) -> None:
    for _ in dataset:
        pass


def _ratio(values: list[float], to: list[float]) -> float:
    """The median of the ratios of each round, because whatever slows one round slows both."""
    return round(statistics.median(value / other for value, other in zip(values, to, strict=True)), 3)


def _photographs(root: pathlib.Path) -> list[pathlib.Path]:
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in folder.SUFFIXES)
    if not paths:
        raise MissingDataError(f"--data_dir {root} holds no {' or '.join(folder.SUFFIXES)} file.")
    return paths


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=pathlib.Path, help="folder of JPEGs; drawn without it")
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--images", type=int, default=4096, help="approximate images in a round")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
