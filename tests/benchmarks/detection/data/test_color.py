"""Changes of color against those that Pillow and Python's colorsys make."""

import colorsys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance

from tfperf.benchmarks.detection.data import color
from tfperf.benchmarks.detection.data.color import ColorJitter

ENHANCERS = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "saturation": ImageEnhance.Color,
}
ALONE = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}
PLACES = tuple(ALONE)


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    """Soft colors, so that no change reaches 0 or 255."""
    rng = np.random.default_rng(4)
    coarse = rng.integers(90, 150, (6, 8, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((64, 48), Image.Resampling.BILINEAR))


def changed(image: np.ndarray, amounts: ColorJitter, draws: list[float]) -> np.ndarray:
    return color.jitter(tf.constant(image, tf.float32), amounts, draws=tf.constant(draws)).numpy()


@pytest.mark.parametrize("kind", ENHANCERS)
@pytest.mark.parametrize("draw", [0.0, 0.3, 0.9])
def test_a_change_equals_pillows(photograph: np.ndarray, kind: str, draw: float) -> None:
    amounts = ColorJitter(**{**ALONE, kind: 0.4})
    draws = [0.5] * 4
    draws[PLACES.index(kind)] = draw
    expected = ENHANCERS[kind](Image.fromarray(photograph)).enhance(1 + 0.4 * (2 * draw - 1))
    # Pillow rounds the luma, its mean and the result.
    assert changed(photograph, amounts, draws) == pytest.approx(np.asarray(expected, np.float32), abs=2.0)


def test_all_changes_together_come_close_to_the_reference(photograph: np.ndarray) -> None:
    rng = np.random.default_rng(5)
    differences = []
    for _ in range(20):
        draws = rng.random(4)
        factors = 1 + np.array((0.125, 0.5, 0.5)) * (2 * draws[:3] - 1)
        image = Image.fromarray(photograph)
        for kind in rng.permutation(3).tolist():  # the reference draws the order; here it makes no difference
            image = list(ENHANCERS.values())[kind](image).enhance(factors[kind])
        turn = 0.05 * (2 * draws[3] - 1)
        pixels = [colorsys.rgb_to_hsv(*pixel) for pixel in (np.asarray(image).reshape(-1, 3) / 255).tolist()]
        turned = [colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value) for hue, saturation, value in pixels]
        expected = np.array(turned).reshape(photograph.shape) * 255
        differences.append(np.abs(changed(photograph, ColorJitter(), draws.tolist()) - expected).mean())
    assert np.mean(differences) < 4  # of 255; without the change of hue it is more


def test_hue_turns_the_way_of_hsv() -> None:
    image = np.full((2, 2, 3), (180, 100, 80), np.float32)
    for draw in (0.0, 1.0):
        found = changed(image, ColorJitter(**{**ALONE, "hue": 0.05}), [0.5, 0.5, 0.5, draw])[0, 0] / 255
        hue, before = (colorsys.rgb_to_hsv(*pixel)[0] for pixel in (found, image[0, 0] / 255))
        turn = (hue - before + 0.5) % 1 - 0.5
        assert turn == pytest.approx(0.05 * (2 * draw - 1), abs=0.03)


def test_draws_in_the_middle_change_nothing(photograph: np.ndarray) -> None:
    assert changed(photograph, ColorJitter(), [0.5] * 4) == pytest.approx(photograph.astype(np.float32), abs=0.01)


@pytest.mark.parametrize(("field", "value"), [("brightness", -0.1), ("contrast", 1.5), ("hue", 0.6)])
def test_impossible_amounts_are_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} must be 0 to"):
        ColorJitter(**{field: value})
