"""Images and boxes stay together through crop, mirror and scaling, which equal those of other libraries."""

import io

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf
from PIL import Image

from tfperf.benchmarks.detection.data.color import ColorJitter
from tfperf.benchmarks.detection.data.preprocessing import (
    CHANNEL_DEVIATIONS,
    CHANNEL_MEANS,
    AnnotatedJpeg,
    DetectionPreprocessing,
    eval_image,
    train_example,
)

WIDTH, HEIGHT = 120, 90
# In pixels; each is filled with a color of its own.
BOXES = np.array([[10, 20, 50, 80], [60, 5, 100, 40], [75, 55, 110, 85]])
COLORS = ((230, 20, 20), (20, 230, 20), (20, 20, 230))


def painted() -> Image.Image:
    pixels = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    for (x1, y1, x2, y2), color in zip(BOXES.tolist(), COLORS, strict=True):
        pixels[y1:y2, x1:x2] = color
    return Image.fromarray(pixels)


def encoded(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=100, subsampling=0)
    return file.getvalue()


def example() -> AnnotatedJpeg:
    boxes = BOXES / (WIDTH, HEIGHT, WIDTH, HEIGHT)
    flags = tf.zeros([len(BOXES)], tf.bool)
    return AnnotatedJpeg(
        encoded=tf.constant(encoded(painted())),
        number=tf.constant(0, tf.int64),
        size=tf.constant([HEIGHT, WIDTH]),
        boxes=tf.constant(boxes, tf.float32),
        classes=tf.range(len(BOXES)),
        crowd=flags,
        difficult=flags,
        areas=tf.zeros([len(BOXES)]),
    )


def in_0_to_255(image: np.ndarray) -> np.ndarray:
    return (image * CHANNEL_DEVIATIONS + CHANNEL_MEANS) * 255


def examples(preprocessing: DetectionPreprocessing, *, count: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    seeds = tf.data.Dataset.range(count).map(lambda number: tf.stack([tf.constant(3, tf.int64), number]))
    found = seeds.map(lambda seed: train_example(example(), preprocessing, seed=seed))
    return list(found.as_numpy_iterator())


@pytest.mark.parametrize("antialias", [False, True])
def test_boxes_surround_their_objects_after_any_crop(antialias: bool) -> None:
    size = 72
    preprocessing = DetectionPreprocessing(classes=3, size=size, crop_samples=1, antialias=antialias)
    counts, mirrored = [], 0
    for image, boxes, classes in examples(preprocessing, count=60):
        assert image.shape == (size, size, 3)
        pixels = in_0_to_255(image)
        for (x1, y1, x2, y2), kind in zip((boxes * size).tolist(), classes.tolist(), strict=True):
            rows, columns = np.nonzero(np.abs(pixels - COLORS[kind]).max(axis=2) < 75)
            # An edge is blurred over at most a pixel of the image, which a crop makes two or three.
            found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            assert found == pytest.approx((x1, y1, x2, y2), abs=2.0)
        counts.append(len(classes))
        centres = dict(zip(classes.tolist(), (boxes[:, 0] + boxes[:, 2]).tolist(), strict=True))
        mirrored += centres.get(0, 0) > centres.get(1, 2)
    assert min(counts) >= 1
    assert {1, 2, 3} & set(counts) == set(counts)
    assert len(set(counts)) > 1
    assert 5 < mirrored < 50


def test_without_a_crop_images_are_mirrored_half_of_the_time() -> None:
    found = examples(DetectionPreprocessing(classes=3, size=40), count=200)
    first = np.array([boxes[0] for _, boxes, _ in found])
    left = np.array([10 / WIDTH, 20 / HEIGHT, 50 / WIDTH, 80 / HEIGHT])
    right = np.array([1 - left[2], left[1], 1 - left[0], left[3]])
    is_right = first[:, 0] > 0.3
    assert first[~is_right] == pytest.approx(np.tile(left, (np.sum(~is_right), 1)), abs=1e-6)
    assert first[is_right] == pytest.approx(np.tile(right, (np.sum(is_right), 1)), abs=1e-6)
    assert 70 < is_right.sum() < 130
    image, reversed_image = found[int(np.argmin(is_right))][0], found[int(np.argmax(is_right))][0]
    assert np.allclose(image, reversed_image[:, ::-1], atol=1e-5)


def test_an_example_follows_from_its_seed() -> None:
    preprocessing = DetectionPreprocessing(classes=3, size=40, crop_samples=1, jitter=ColorJitter())
    for one, other in zip(examples(preprocessing, count=8), examples(preprocessing, count=8), strict=True):
        assert all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


def test_colors_stay_in_range() -> None:
    found = examples(DetectionPreprocessing(classes=3, size=40, jitter=ColorJitter()), count=20)
    values = np.stack([in_0_to_255(image) for image, _, _ in found])
    assert values.min() > -0.01
    assert values.max() < 255.01
    assert values.mean(axis=(1, 2, 3)).std() > 3


def smooth() -> Image.Image:
    coarse = np.random.default_rng(8).integers(0, 256, (9, 12, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("size", [33, 100, 200])
def test_averaging_equals_pillow(size: int) -> None:
    preprocessing = DetectionPreprocessing(classes=3, size=size, antialias=True)
    image = Image.open(io.BytesIO(encoded(smooth())))
    found = in_0_to_255(eval_image(tf.constant(encoded(smooth())), preprocessing).numpy())
    expected = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR), np.float32)
    assert np.abs(found - expected).max() < 1.6  # Pillow rounds after each axis


@pytest.mark.parametrize("size", [33, 100, 200])
def test_interpolation_equals_that_at_half_pixel_centres(size: int) -> None:
    image = np.asarray(Image.open(io.BytesIO(encoded(smooth()))), np.float64)
    found = in_0_to_255(
        eval_image(tf.constant(encoded(smooth())), DetectionPreprocessing(classes=3, size=size)).numpy()
    )
    rows = (np.arange(size) + 0.5) * HEIGHT / size - 0.5
    columns = (np.arange(size) + 0.5) * WIDTH / size - 0.5
    grid = np.meshgrid(rows, columns, indexing="ij")
    expected = [
        scipy.ndimage.map_coordinates(image[..., channel], grid, order=1, mode="nearest") for channel in range(3)
    ]
    assert np.abs(found - np.stack(expected, axis=2)).max() < 0.02


@pytest.mark.parametrize("field", ["classes", "size", "crop_samples"])
def test_impossible_values_are_refused(field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} must be 1 or more, got 0"):
        DetectionPreprocessing(**{"classes": 3, "size": 40, field: 0})
