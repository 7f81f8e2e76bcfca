"""Default boxes and anchors against those that MLPerf's references generate, and what is encoded from them."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.benchmarks.detection import arithmetic, drawn
from tests.benchmarks.detection.running import run
from tfperf.benchmarks.detection.anchors import RETINANET_800, AnchorLayout, anchors
from tfperf.benchmarks.detection.coding import RETINANET_CODING, SSD_CODING, BoxCoding, decode, encode
from tfperf.benchmarks.detection.default_boxes import SSD300, default_boxes, default_corners
from tfperf.errors import ArgumentError


def test_default_boxes_are_those_of_the_reference() -> None:
    golden = np.load(drawn.GOLDEN)
    for name, boxes in (("ssd_xywh", default_boxes(SSD300)), ("ssd_ltrb", default_corners(SSD300))):
        assert (boxes.shape, boxes.dtype) == ((8732, 4), np.float32)
        np.testing.assert_array_equal(boxes[::97], golden[name])
        np.testing.assert_array_equal(boxes.sum(0, "float64"), golden[f"{name}_sum"])
    assert (SSD300.total, SSD300.boxes_per_cell) == (8732, (4, 6, 6, 6, 4, 4))


def test_anchors_are_those_of_the_reference() -> None:
    golden, boxes = np.load(drawn.GOLDEN), anchors(RETINANET_800)
    assert (boxes.shape, boxes.dtype) == ((120_087, 4), np.float32)
    np.testing.assert_array_equal(boxes[::97], golden["anchors"])
    np.testing.assert_array_equal(boxes.sum(0, "float64"), golden["anchors_sum"])
    assert sum(RETINANET_800.per_level) == 120_087
    assert RETINANET_800.strides == ((8, 8), (16, 16), (32, 32), (61, 61), (114, 114))


def test_an_image_need_not_be_square() -> None:
    layout = AnchorLayout(image_size=(20, 30), grids=((2, 3),), sizes=((4,),), ratios=(1.0,))
    centres = (anchors(layout)[:, :2] + anchors(layout)[:, 2:]) / 2
    assert centres.tolist() == [[0, 0], [10, 0], [20, 0], [0, 10], [10, 10], [20, 10]]


def test_a_layout_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(ArgumentError, match="Received 6 grids, 6 steps, 6 tuples of ratios and 6 scales"):
        dataclasses.replace(SSD300, scales=SSD300.scales[:-1])
    with pytest.raises(ArgumentError, match="Received 4 grids and 5 tuples of sizes"):
        dataclasses.replace(RETINANET_800, grids=RETINANET_800.grids[:-1])


@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize("coding", [SSD_CODING, RETINANET_CODING])
def test_decoding_reverses_encoding(coding: BoxCoding, xla: bool) -> None:
    rng = np.random.default_rng(4)
    objects, references = (arithmetic.random_boxes(rng, 40, size=300) for _ in range(2))

    def both(objects: tf.Tensor, references: tf.Tensor) -> tf.Tensor:
        return decode(encode(objects, references, coding), references, coding)

    np.testing.assert_allclose(run(both, objects, references, xla=xla), objects, atol=1e-3)


def test_a_decoded_box_stays_finite() -> None:
    reference = np.array([(10, 20, 18, 24)], "float32")
    boxes = decode(np.array([(0, 0, 500, 500)], "float32"), reference, RETINANET_CODING).numpy()
    np.testing.assert_allclose(boxes[:, 2:] - boxes[:, :2], [(8 * 62.5, 4 * 62.5)], rtol=1e-5)
