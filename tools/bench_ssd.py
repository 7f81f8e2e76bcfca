#!/usr/bin/env python3
"""Measures SSD300 and RetinaNet: forms, suppression, a training step, the input and mAP, each against a second program.

    tools/bench_ssd.py [--only forms suppression step input map] [--networks ssd retinanet] [--rounds 5] [--threads 2]

The networks have their full size and random weights. What is compared alternates.

- forms: the network in batches of 1 and 8, without suppression, which has a part of its own. Its outputs are the
  offsets, the best logit of each box and, for an answer that can be right or wrong, the mean logits of the largest
  feature map; the layer before is fitted to tell 8 kinds of drawn scenes apart. Needs `pip install openvino`, and nncf
  for its int8; unavailable forms are listed with the reason.
- suppression: the model from image to detections in one executable / the network in the same form, whose predictions go
  through a second compiled function.
- step: a training step of SSD300 on 4 drawn scenes, tfperf's loop / Keras's `fit`, neither compiled by XLA, which is
  slower on a CPU.
- input: images per CPU-second of SSD's whole augmentation on drawn photographs / libjpeg-turbo's bare decode of them.
- map: CPU seconds of COCO's figures for 5,000 made-up images, pycocotools / tfperf. Needs `pip install pycocotools`.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import json
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import alternation
import bench_input
import fitted_detectors
import form_rates
import numpy as np
from PIL import Image

from tfperf.benchmarks.benchmark import Feed
from tfperf.benchmarks.detection import coco
from tfperf.benchmarks.ssd.options import SsdOptions
from tfperf.benchmarks.tensor import Tensor
from tfperf.inference import forms
from tfperf.inference.executable import Bucket
from tfperf.inference.forms import machine
from tfperf.system import allocator, devices

if TYPE_CHECKING:
    import keras

    from tfperf.benchmarks.detection.objects import FoundObjects, TrueObjects

PARTS = ("forms", "suppression", "step", "input", "map")
BATCH_SIZES = (1, 8)
FORM_GOALS = {form_rates.OPENVINO_FORM: 0.95, form_rates.PLAIN_FUNCTION: 1}
SUPPRESSION_GOAL, STEP_GOAL, INPUT_GOAL, MAP_GOAL = 1.0, 1.0, 0.7, 20
SERVED_FORM = "graph-float32"
STEP_BATCH, STEPS = 4, 2
INPUT_IMAGES, INPUT_BATCH, OBJECTS = 2048, 32, 7
MAP_IMAGES, MAP_CLASSES = 5000, 80

Ratios = dict[str, dict[str, object]]


def main() -> None:
    """Measures the chosen parts, prints a table of each and, as the last line, a JSON object for programs."""
    arguments = _arguments()
    ratios: Ratios = {}
    for part in arguments.only:
        ratios |= globals()[f"{part}_ratios"](arguments)
    print(json.dumps({"name": "ssd", "ratios": ratios}))


def forms_ratios(arguments: argparse.Namespace) -> Ratios:
    """Images per second of each form of each network."""
    ratios: Ratios = {}
    for name in arguments.networks:
        options = fitted_detectors.NETWORKS[name]
        network = form_rates.BenchNetwork(
            inputs=fitted_detectors.image_input(options),
            outputs=(
                Tensor(name="offsets", shape=(fitted_detectors.boxes_of(name), 4)),
                Tensor(name="best", shape=(fitted_detectors.boxes_of(name),)),
                Tensor(name="mean", shape=(fitted_detectors.class_values(name),)),
            ),
            samples="images",
            make=functools.partial(fitted_detectors.make, name),
            layers=(f"tfperf.benchmarks.{name}.model",),
            answers_of=functools.partial(fitted_detectors.kind_of_scene, name),
        )
        with tempfile.TemporaryDirectory() as folder:
            measured, refused = form_rates.measure(
                network,
                pathlib.Path(folder),
                batch_sizes=BATCH_SIZES,
                threads=arguments.threads,
                rounds=arguments.rounds,
            )
        print(name)
        found = form_rates.report(measured, refused, samples="images", batch_sizes=BATCH_SIZES, goals=FORM_GOALS)
        ratios |= {f"{name}: {what}": ratio for what, ratio in found.items()}
    return ratios


def suppression_ratios(arguments: argparse.Namespace) -> Ratios:
    """Images per second with the detections in the executable, and with a second function that makes them."""
    ratios: Ratios = {}
    for name in arguments.networks:
        pairs = form_rates.apart(functools.partial(suppression_pairs, name, arguments.threads, arguments.rounds))
        for size, of_size in pairs.items():
            for own, other in of_size:
                print(f"{name}, batch {size}: in one executable {own:.4f} s, by a second function {other:.4f} s")
            value = round(statistics.median(other / own for own, other in of_size), 3)
            what = f"{name}: images/s at batch {size}, suppression in the executable / outside"
            ratios[what] = {"value": value, "goal": f">= {SUPPRESSION_GOAL}"}
    return ratios


def suppression_pairs(name: str, threads: int, rounds: int) -> dict[int, list[tuple[float, float]]]:
    """Seconds of an execution (inside, outside) in each round, by batch size; called in a fresh process."""
    allocator.keep_freed_memory()
    machine.set_up(threads=threads)
    import keras
    import tensorflow as tf

    options = fitted_detectors.NETWORKS[name]
    keras.utils.set_random_seed(0)
    network = fitted_detectors.network_of(name)
    images, kinds = fitted_detectors.scenes(name)
    fitted_detectors.fit(name, network, images, kinds)
    last = fitted_detectors.output_layer(name)
    whole = keras.Model(network.input, last(**network.output))
    shapes = {key: tuple(tensor.shape[1:]) for key, tensor in network.output.items()}
    outputs = tuple(Tensor(name=key, shape=shapes[key]) for key in ("offsets", "logits"))
    predicting = keras.Model(network.input, [network.output[tensor.name] for tensor in outputs])
    buckets = [Bucket(size) for size in BATCH_SIZES]
    with tempfile.TemporaryDirectory() as folder:
        opened = {}
        for which, model, of_model in (("whole", whole, (last.tensor(),)), ("network", predicting, outputs)):
            path = pathlib.Path(folder) / which
            forms.build(SERVED_FORM, model, path, inputs=fitted_detectors.image_input(options), outputs=of_model)
            opened[which] = forms.open_form(SERVED_FORM, path, buckets=buckets, threads=threads)
        second = tf.function(lambda offsets, logits: last(offsets, logits), reduce_retracing=False)
        found = {}
        for size in BATCH_SIZES:
            batch = (images[:size],)
            inside, outside = (opened[each].stage(opened[each].encode(batch)) for each in ("whole", "network"))
            found[size] = alternation.timed_pairs(
                functools.partial(opened["whole"].run, inside),
                functools.partial(lambda staged: second(*opened["network"].run(staged)).numpy(), outside),
                rounds,
            )
    return found


def step_ratios(arguments: argparse.Namespace) -> Ratios:
    """Time of the same training steps of SSD300."""
    pairs = form_rates.apart(functools.partial(step_pairs, arguments.threads, arguments.rounds))
    for own, other in pairs:
        print(f"{STEPS} steps of SSD300 on {STEP_BATCH} images: tfperf {own:.3f} s, Keras fit {other:.3f} s")
    value = round(statistics.median(other / own for own, other in pairs), 3)
    return {"SSD300 training steps/s, tfperf / Keras fit": {"value": value, "goal": f">= {STEP_GOAL}"}}


def step_pairs(threads: int, rounds: int) -> list[tuple[float, float]]:
    """Seconds of the steps (tfperf, Keras) in each round; called in a fresh process."""
    allocator.keep_freed_memory()
    machine.set_up(threads=threads)
    import keras
    import tensorflow as tf

    from tfperf.benchmarks.ssd import model as ssd
    from tfperf.training import loop, program

    chance = np.random.default_rng(0)
    options = fitted_detectors.NETWORKS["ssd"]
    assert isinstance(options, SsdOptions)
    images = fitted_detectors.scenes("ssd")[0][:STEP_BATCH]
    corners = np.sort(chance.random((STEP_BATCH, OBJECTS, 2, 2), np.float32), axis=2).reshape(STEP_BATCH, OBJECTS, 4)
    classes = chance.integers(0, options.classes, (STEP_BATCH, OBJECTS, 1)).astype(np.float32)
    batches = tf.data.Dataset.from_tensors((images, np.concatenate((corners, classes), axis=2))).repeat()

    def compiled() -> keras.Model:
        keras.utils.set_random_seed(0)
        model = ssd.build(options)
        ssd.compile_model(model, keras.optimizers.SGD(1e-4, momentum=0.9), options)
        return model

    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    with strategy.scope():
        model = compiled()
    built = program.build(model, strategy)
    theirs = compiled()
    ours = iter(loop.distribute(strategy, lambda context, size: batches, global_batch_size=STEP_BATCH))
    steps = tf.constant(STEPS)
    return alternation.timed_pairs(
        lambda: built.train(ours, steps).numpy(),
        lambda: theirs.fit(batches, steps_per_epoch=STEPS, epochs=1, verbose=0),
        rounds,
    )


def input_ratios(arguments: argparse.Namespace) -> Ratios:
    """Images per CPU-second with objects drawn at random."""
    from tfperf.benchmarks.detection.data import annotated_split, batches
    from tfperf.benchmarks.detection.data.annotations import Annotations
    from tfperf.benchmarks.ssd.data import preprocessing

    allocator.keep_freed_memory()
    options = fitted_detectors.NETWORKS["ssd"]
    assert isinstance(options, SsdOptions)
    chance = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        paths = bench_input.draw(pathlib.Path(folder))
        widths, heights = np.array([Image.open(path).size for path in paths], np.int32).T
        total = OBJECTS * len(paths)
        corner, sides = chance.random((total, 2)) * 0.6, 0.1 + chance.random((total, 2)) * 0.3
        areas = sides.prod(axis=1) * np.repeat(widths * heights, OBJECTS)
        annotations = Annotations(
            image_ids=tuple(path.stem for path in paths),
            files=tuple(path.name for path in paths),
            widths=widths,
            heights=heights,
            starts=np.arange(len(paths) + 1, dtype=np.int64) * OBJECTS,
            boxes=np.concatenate((corner, corner + sides), axis=1).astype(np.float32),
            classes=chance.integers(0, options.classes, total, dtype=np.int32),
            crowd=np.zeros(total, bool),
            difficult=np.zeros(total, bool),
            areas=areas.astype(np.float32),
        )
        split = annotated_split.in_files(annotations, pathlib.Path(folder))
        rates = bench_input.measure(
            {
                "simplejpeg, decode only": lambda: bench_input.decode(paths, epochs=INPUT_IMAGES // len(paths)),
                "tfperf, SSD's augmentation": lambda: read(
                    batches.train_batches(split, Feed(batch_size=INPUT_BATCH), preprocessing=preprocessing(options))
                ),
            },
            images=INPUT_IMAGES,
            rounds=arguments.rounds,
        )
    for name, values in rates.items():
        print(f"{name:34s}{statistics.median(values):8.0f} images per CPU-second")
    decoded, augmented = rates.values()
    value = round(statistics.median(own / bare for own, bare in zip(augmented, decoded, strict=True)), 3)
    return {
        "images per CPU-second, SSD's augmentation / simplejpeg": {"value": value, "goal": f">= {INPUT_GOAL}"},
    }


def read(batches: Any) -> None:
    """Reads as many images as are counted; some more are prepared ahead and thrown away."""
    for _ in batches.take(INPUT_IMAGES // INPUT_BATCH):
        pass


def map_ratios(arguments: argparse.Namespace) -> Ratios:
    """CPU seconds of the same evaluation."""
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        print(f"map: unavailable: {error}; pip install pycocotools")
        return {}

    true, found = made_up(np.random.default_rng(0))
    objects, results = dataset(true), detections(found)

    def official() -> float:
        truth = COCO()
        truth.dataset = objects
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes([dict(each) for each in results]), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        return float(evaluation.stats[0])

    def quietly() -> float:
        with contextlib.redirect_stdout(io.StringIO()):
            return official()

    pairs = []
    for _ in range(arguments.rounds):
        (own_s, own), (other_s, other) = cpu_s(lambda: coco.figures(true, found)["map"]), cpu_s(quietly)
        if abs(own - other) > 1e-6:
            raise RuntimeError(f"tfperf computes a mAP of {own}, pycocotools {other}.")
        pairs.append((own_s, other_s))
    for own_s, other_s in pairs:
        print(f"{MAP_IMAGES} images, CPU s: tfperf {own_s:.2f}, pycocotools {other_s:.2f}")
    value = round(statistics.median(other / own for own, other in pairs), 1)
    return {"COCO evaluation, CPU seconds, pycocotools / tfperf": {"value": value, "goal": f">= {MAP_GOAL}"}}


def made_up(chance: np.random.Generator) -> tuple[TrueObjects, FoundObjects]:
    """In each image 7 objects, three detections near each and about 20 elsewhere."""
    from tfperf.benchmarks.detection.objects import FoundObjects, TrueObjects

    images = np.arange(MAP_IMAGES)
    image = np.repeat(images, OBJECTS)
    corner, sides = chance.uniform(0, 400, (len(image), 2)), chance.uniform(5, 200, (len(image), 2))
    boxes = np.concatenate((corner, corner + sides), axis=1)
    classes = chance.integers(0, MAP_CLASSES, len(image))
    near = np.repeat(np.arange(len(image)), 3)
    moved = boxes[near] + np.tile(sides[near], 2) * chance.normal(0, 0.08, (len(near), 4))
    stray = chance.integers(0, MAP_IMAGES, 20 * MAP_IMAGES)
    place = chance.uniform(0, 400, (len(stray), 2))
    elsewhere = np.concatenate((place, place + chance.uniform(5, 150, (len(stray), 2))), axis=1)
    true = TrueObjects(
        images=images,
        image=image,
        boxes=boxes,
        classes=classes,
        areas=sides.prod(axis=1),
        crowd=np.zeros(len(image), bool),
        difficult=np.zeros(len(image), bool),
    )
    found = FoundObjects(
        image=np.concatenate((image[near], stray)),
        boxes=np.concatenate((moved, elsewhere)),
        classes=np.concatenate((classes[near], chance.integers(0, MAP_CLASSES, len(stray)))),
        scores=chance.random(len(near) + len(stray)),
    )
    return true, found


def dataset(true: TrueObjects) -> dict[str, Any]:
    """The objects in COCO's layout."""
    columns = zip(
        true.image.tolist(),
        true.classes.tolist(),
        coco.with_sizes(true.boxes).tolist(),
        true.areas.tolist(),
        strict=True,
    )
    return {
        "images": [{"id": number} for number in true.images.tolist()],
        "categories": [{"id": kind} for kind in range(MAP_CLASSES)],
        "annotations": [
            {"id": at, "image_id": image, "category_id": kind, "bbox": box, "area": area, "iscrowd": 0}
            for at, (image, kind, box, area) in enumerate(columns, start=1)
        ],
    }


def detections(found: FoundObjects) -> list[dict[str, Any]]:
    """The detections in COCO's layout."""
    columns = zip(
        found.image.tolist(),
        found.classes.tolist(),
        coco.with_sizes(found.boxes).tolist(),
        found.scores.tolist(),
        strict=True,
    )
    return [
        {"image_id": image, "category_id": kind, "bbox": box, "score": score} for image, kind, box, score in columns
    ]


def cpu_s(work: Callable[[], float]) -> tuple[float, float]:
    """CPU seconds of the work, and what it returned."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=f"of {', '.join(PARTS)}"
    )
    parser.add_argument(
        "--networks",
        nargs="+",
        choices=fitted_detectors.NETWORKS,
        default=list(fitted_detectors.NETWORKS),
        metavar="NETWORK",
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=devices.usable_cores(), help="CPU threads per operation")
    return parser.parse_args()


if __name__ == "__main__":
    import bench_ssd  # child processes find the functions under this name, not under __main__

    bench_ssd.main()
