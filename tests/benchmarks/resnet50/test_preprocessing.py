"""The pixels are those of the reference's steps, written with TF1 operations and run in a TF1 session."""

import io
import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfperf.benchmarks.resnet50 import preprocessing

DATA = pathlib.Path(os.environ.get("TFPERF_DATA", pathlib.Path(__file__).parents[4] / "shared" / "data"))
MEANS = np.array([123.68, 116.78, 103.94], np.float32)


@pytest.fixture(scope="module")
def photographs() -> list[bytes]:
    folder = DATA / "trashnet-256" / "images"
    if not folder.is_dir():
        pytest.skip(f"no photographs in {folder}; set TFPERF_DATA")
    return [path.read_bytes() for path in sorted(folder.rglob("*.jpg"))[::100][:24]]


def jpeg(*, width: int, height: int, mode: str = "RGB", seed: int = 0) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 255, (7, 9, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).convert(mode).save(file, "JPEG")
    return file.getvalue()


def in_graph_mode(build, *values):
    """What `build` computes from placeholders in a TF1 session."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        inputs = [tf.compat.v1.placeholder(tf.as_dtype(np.asarray(value).dtype)) for value in values]
        return session.run(build(*inputs), dict(zip(inputs, values, strict=True)))


def tf1_resize(image, size):
    return tf.compat.v1.image.resize(image, size, method=tf.image.ResizeMethod.BILINEAR, align_corners=False)


def reference_train(encoded: bytes, window, *, mirrored: bool, size: int):
    def build(encoded, window):
        image = tf.image.decode_and_crop_jpeg(encoded, window, channels=3)
        image = tf.image.flip_left_right(image) if mirrored else image
        image = tf1_resize(image, [size, size])
        return image - tf.broadcast_to(tf.constant(MEANS), tf.shape(image))

    return in_graph_mode(build, np.array(encoded, object), window)


def reference_eval(encoded: bytes, *, size: int):
    def build(encoded):
        image = tf.image.decode_jpeg(encoded, channels=3)
        height, width = (tf.cast(side, tf.float32) for side in (tf.shape(image)[0], tf.shape(image)[1]))
        scale = tf.cast(size * 256 // 224, tf.float32) / tf.minimum(height, width)
        image = tf1_resize(image, [tf.cast(height * scale, tf.int32), tf.cast(width * scale, tf.int32)])
        shape = tf.shape(image)
        image = tf.slice(image, [(shape[0] - size) // 2, (shape[1] - size) // 2, 0], [size, size, -1])
        return image - tf.broadcast_to(tf.constant(MEANS), tf.shape(image))

    return in_graph_mode(build, np.array(encoded, object))


def bilinear(image: np.ndarray, size: int) -> np.ndarray:
    """Bilinear scaling whose sample i lies at i * (input / output), in float32."""

    def places(length):
        at = np.arange(size, dtype=np.float32) * (np.float32(length) / np.float32(size))
        low = np.floor(at).astype(int)
        return low, np.minimum(low + 1, length - 1), (at - low).astype(np.float32)

    (top, bottom, y), (left, right, x) = places(image.shape[0]), places(image.shape[1])
    pixels, y, x = image.astype(np.float32), y[:, None, None], x[None, :, None]
    upper = pixels[top][:, left] + (pixels[top][:, right] - pixels[top][:, left]) * x
    lower = pixels[bottom][:, left] + (pixels[bottom][:, right] - pixels[bottom][:, left]) * x
    return upper + (lower - upper) * y


@pytest.mark.parametrize("size", [64, 224])
def test_training_images_equal_the_reference_bit_for_bit_given_the_crop(photographs, size):
    boxes = tf.zeros([0, 4])
    for number, encoded in enumerate(photographs):
        window = preprocessing.random_window(encoded, boxes, seed=tf.constant([7, number]), least_crop_area=0.05)
        mirrored = number % 2 == 1
        image = preprocessing.crop_image(encoded, window, mirrored=tf.constant(mirrored), size=size)
        np.testing.assert_array_equal(image, reference_train(encoded, window.numpy(), mirrored=mirrored, size=size))


def test_the_fused_crop_differs_from_a_crop_of_the_whole_image_in_its_outermost_columns_only(photographs):
    # libjpeg interpolates colour between neighbours, which a crop lacks at its sides. The reference's crop is fused.
    for number, encoded in enumerate(photographs):
        seed = tf.constant([7, number])
        window = preprocessing.random_window(encoded, tf.zeros([0, 4]), seed=seed, least_crop_area=0.05)
        top, left, height, width = window.numpy()
        crop = tf.image.decode_and_crop_jpeg(encoded, window, channels=3)
        whole = tf.image.decode_jpeg(encoded, channels=3)[top : top + height, left : left + width]
        np.testing.assert_array_equal(crop[:, 1:-1], whole[:, 1:-1])


@pytest.mark.parametrize("size", [64, 224])
def test_evaluation_images_equal_the_reference_bit_for_bit(photographs, size):
    for encoded in photographs:
        image = preprocessing.eval_image(tf.constant(encoded), size=size)
        np.testing.assert_array_equal(image, reference_eval(encoded, size=size))


@pytest.mark.parametrize(("width", "height"), [(375, 500), (500, 375), (64, 64), (51, 333), (30, 20)])
def test_evaluation_cuts_sides_off_as_the_reference_does(width, height):
    encoded = jpeg(width=width, height=height)
    image = preprocessing.eval_image(tf.constant(encoded), size=224)
    np.testing.assert_array_equal(image, reference_eval(encoded, size=224))


def test_scaling_agrees_with_numpy():
    encoded = jpeg(width=201, height=133)
    window = np.array([11, 40, 100, 150], np.int32)
    crop = np.asarray(tf.image.decode_jpeg(encoded))[11:111, 40:190]
    image = preprocessing.crop_image(encoded, window, mirrored=tf.constant(False), size=64)
    np.testing.assert_allclose(image, bilinear(crop, 64) - MEANS, rtol=0, atol=1e-4)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_cmyk_images_become_rgb(mode):
    encoded = jpeg(width=90, height=70, mode=mode)
    window = np.array([3, 5, 40, 60], np.int32)
    image = preprocessing.crop_image(encoded, window, mirrored=tf.constant(True), size=32)
    np.testing.assert_array_equal(image, reference_train(encoded, window, mirrored=True, size=32))
    image = preprocessing.eval_image(tf.constant(encoded), size=32)
    np.testing.assert_array_equal(image, reference_eval(encoded, size=32))


def draw(seed: int, boxes=(), least: float = 0.05) -> np.ndarray:
    boxes = tf.reshape(tf.constant(boxes, tf.float32), [-1, 4])
    encoded = jpeg(width=200, height=100)
    return preprocessing.random_window(encoded, boxes, seed=tf.constant([seed, 1]), least_crop_area=least).numpy()


def test_crops_keep_area_and_aspect_ratio_within_the_bounds():
    windows = np.array([draw(seed, least=0.25) for seed in range(100)])
    height, width = windows[:, 2], windows[:, 3]
    assert (windows[:, :2] >= 0).all() and (windows[:, :2] + windows[:, 2:] <= (100, 200)).all()
    assert (height * width >= 0.24 * 200 * 100).all()
    assert (np.abs(np.log(width / height)) < np.log(1.4)).all()
    assert len(np.unique(windows, axis=0)) > 90


def test_crops_touch_the_annotated_object():
    ymin, xmin, ymax, xmax = box = (0.0, 0.8, 0.2, 1.0)
    for seed in range(50):
        top, left, height, width = draw(seed, boxes=[box])
        tall = min(top + height, ymax * 100) - max(top, ymin * 100)
        wide = min(left + width, xmax * 200) - max(left, xmin * 200)
        assert max(tall, 0) * max(wide, 0) >= 0.1 * (20 * 40) - 25  # a tenth, less the rounding to whole pixels


def test_the_seed_decides_crop_and_mirroring_and_half_are_mirrored():
    encoded = jpeg(width=120, height=80)

    def image(seed):
        return preprocessing.train_image(
            encoded, tf.zeros([0, 4]), seed=tf.constant([3, seed], tf.int64), size=32, least_crop_area=0.1
        ).numpy()

    np.testing.assert_array_equal(image(1), image(1))
    assert (image(1) != image(2)).any()
    seeds = tf.stack([tf.fill([2000], tf.constant(3, tf.int64)), tf.range(2000, dtype=tf.int64)], axis=1)
    drawn = tf.vectorized_map(preprocessing.is_mirrored, seeds)
    assert 0.46 < np.mean(drawn) < 0.54
