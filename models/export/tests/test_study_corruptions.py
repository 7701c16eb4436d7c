"""Corruptions against oracles that are not ours, and what they leave alone."""

import colorsys
import io

import numpy as np
import pytest
from PIL import Image
from tiny_models import picture

from clipgate_export.study.corruptions import CORRUPTIONS, corrupt

GREY = np.full((64, 64, 3), 128, np.uint8)
SEVERITIES = (1, 2, 3, 4, 5)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.asarray(picture(3, (64, 64)))


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_severer_is_further_from_the_image_and_the_same_each_time(kind: str, pixels: np.ndarray) -> None:
    found = [corrupt(pixels, kind, severity, 1) for severity in SEVERITIES]
    assert all(made.shape == pixels.shape and made.dtype == np.uint8 for made in found)
    distances = [np.abs(made.astype(int) - pixels).mean() for made in found]
    assert distances[0] > 0 and distances[-1] > 1.2 * distances[0]
    assert np.array_equal(found[2], corrupt(pixels, kind, 3, 1))


@pytest.mark.parametrize("kind", ["defocus blur", "motion blur", "contrast", "pixelate", "jpeg"])
def test_one_colour_stays(kind: str) -> None:
    for severity in SEVERITIES:
        # One level is what rounding may cost.
        assert np.abs(corrupt(GREY, kind, severity, 1).astype(int) - 128).max() <= 1


def test_noise_has_the_published_spread() -> None:
    # Of 12,288 values the sample's deviation is within 3 % of the true one; grey noise of 0.18 is hardly clipped.
    for severity, spread in zip(SEVERITIES, (0.04, 0.08, 0.12, 0.15, 0.18), strict=True):
        assert (corrupt(GREY, "gaussian noise", severity, 1) / 255).std() == pytest.approx(spread, rel=0.03)
    # A count's variance is its mean: 0.5 of an image at 250 photons.
    found = (corrupt(GREY, "shot noise", 1, 1) / 255).std()
    assert found == pytest.approx((128 / 255 / 250) ** 0.5, rel=0.03)


def test_brightness_is_hsv_value_by_the_standard_library(pixels: np.ndarray) -> None:
    bright = corrupt(pixels, "brightness", 3, 1)
    for row, column in ((0, 0), (10, 40), (63, 63), (31, 5)):
        hue, saturation, value = colorsys.rgb_to_hsv(*(pixels[row, column] / 255))
        wanted = np.array(colorsys.hsv_to_rgb(hue, saturation, min(1, value + 0.3)))
        # A level for each cut to a whole number.
        assert np.abs(bright[row, column] - 255 * wanted).max() <= 1


def test_jpeg_is_pillows(pixels: np.ndarray) -> None:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=50)
    difference = corrupt(pixels, "jpeg", 3, 1).astype(int) - np.asarray(Image.open(file))
    # Both go through 0 to 1 and are cut to whole levels.
    assert np.abs(difference).max() <= 1


def test_blurs_spread_a_point_over_the_published_lengths() -> None:
    point = np.zeros((64, 64, 3), np.uint8)
    point[32, 32] = 255
    # Radius 3: 29 pixels of the disk, and little beyond.
    disk = corrupt(point, "defocus blur", 5, 1)[..., 0]
    assert 25 <= (disk > 4).sum() <= 45 and disk[32, 36] <= 4
    line = corrupt(point, "motion blur", 5, 1)[..., 0]
    rows, columns = np.nonzero(line > 2)
    # A one-sided Gaussian of spread 3 falls below a hundredth of itself after 9 pixels.
    assert 5 <= np.hypot(rows - 32, columns - 32).max() <= 11
