"""A served image is drawn twice: with the objects that are there, and with the detections in its response."""

import io
import pathlib

import numpy as np
from PIL import Image

from tfperf import benchmarks
from tfperf import spec as specs
from tfperf.benchmarks.detection.data.sources import DrawnScenes

TASK = benchmarks.task("ssd_mini", "infer")


def test_draws_what_is_there_beside_what_was_found(tmp_path: pathlib.Path) -> None:
    data = specs.Data(source=DrawnScenes(train_examples=1, eval_examples=2))
    samples = TASK.open_samples(data, TASK.options, None)
    box = samples.labels().images[1].boxes[0]
    category = samples.labels().classes.category_ids[samples.labels().images[1].classes[0]]
    response = np.array([1, box[1], box[0], box[3], box[2], 0.9, category], "<f4").tobytes()
    found, empty = (np.asarray(Image.open(io.BytesIO(TASK.picture(samples, 1, each)))) for each in (response, b""))
    middle = found.shape[1] // 2
    np.testing.assert_array_equal(found[:, : middle - 10], empty[:, : middle - 10])
    assert (found[:, middle + 10 :] != empty[:, middle + 10 :]).any()
