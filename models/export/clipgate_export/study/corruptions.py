"""Common corruptions of small images (Hendrycks and Dietterich 2019, arXiv 1903.12261), drawn with a seed.

Formulas and constants are those of Tiny ImageNet-C, for images of 64 pixels; lengths (a blur's radius and spread) grow
with the image's side. An image is corrupted after it was cut to what the model sees. Motion blur is a one-sided
Gaussian along a line, as ImageMagick's, sampled bilinearly.
"""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy import ndimage

# The side that the constants are for.
USUAL_SIDE = 64

Pixels = np.ndarray
Corruption = Callable[[Pixels, int, np.random.Generator], Pixels]


def gaussian_noise(x: Pixels, severity: int, draw: np.random.Generator) -> Pixels:
    return x + draw.normal(0, (0.04, 0.08, 0.12, 0.15, 0.18)[severity - 1], x.shape)


def shot_noise(x: Pixels, severity: int, draw: np.random.Generator) -> Pixels:
    photons = (250, 100, 50, 30, 15)[severity - 1]
    return draw.poisson(x * photons) / photons


def defocus_blur(x: Pixels, severity: int, _draw: np.random.Generator) -> Pixels:
    radius, spread = ((0.5, 0.6), (1, 0.1), (1.5, 0.1), (2.5, 0.01), (3, 0.1))[severity - 1]
    scale = len(x) / USUAL_SIDE
    half = int(np.ceil(radius * scale)) + 2
    row, column = np.mgrid[-half : half + 1, -half : half + 1]
    disk = (row**2 + column**2 <= (radius * scale) ** 2).astype(np.float64)
    # Three pixels wide, as the original's.
    disk = ndimage.gaussian_filter(disk / disk.sum(), spread * scale, radius=max(1, round(scale)))
    return ndimage.convolve(x, disk[..., None] / disk.sum(), mode="mirror")


def motion_blur(x: Pixels, severity: int, draw: np.random.Generator) -> Pixels:
    radius, spread = ((10, 1), (10, 1.5), (10, 2), (10, 2.5), (12, 3))[severity - 1]
    scale = len(x) / USUAL_SIDE
    steps = np.arange(2 * round(radius * scale) + 1)
    weights = np.exp(-(steps**2) / (2 * (spread * scale) ** 2))
    angle = np.deg2rad(draw.uniform(-45, 45))
    blurred = np.zeros_like(x)
    for step, weight in zip(steps, weights / weights.sum(), strict=True):
        if weight > 1e-6:
            along = (step * np.sin(angle), step * np.cos(angle), 0)
            blurred += weight * ndimage.shift(x, along, order=1, mode="nearest")
    return blurred


def brightness(x: Pixels, severity: int, _draw: np.random.Generator) -> Pixels:
    """More of HSV's value; hue and saturation stay."""
    value = x.max(-1, keepdims=True)
    more = np.minimum(value + (0.1, 0.2, 0.3, 0.4, 0.5)[severity - 1], 1)
    return np.where(value > 0, x * more / np.maximum(value, 1e-12), more)


def contrast(x: Pixels, severity: int, _draw: np.random.Generator) -> Pixels:
    means = x.mean((0, 1), keepdims=True)
    return (x - means) * (0.4, 0.3, 0.2, 0.1, 0.05)[severity - 1] + means


def pixelate(x: Pixels, severity: int, _draw: np.random.Generator) -> Pixels:
    side = len(x)
    coarse = int(side * (0.9, 0.8, 0.7, 0.6, 0.5)[severity - 1])
    image = _image(x).resize((coarse, coarse), Image.Resampling.BOX)
    return np.asarray(image.resize((side, side), Image.Resampling.BOX)) / 255


def jpeg(x: Pixels, severity: int, _draw: np.random.Generator) -> Pixels:
    file = io.BytesIO()
    _image(x).save(file, "JPEG", quality=(65, 58, 50, 40, 25)[severity - 1])
    return np.asarray(Image.open(file)) / 255


CORRUPTIONS: dict[str, Corruption] = {
    "gaussian noise": gaussian_noise,
    "shot noise": shot_noise,
    "defocus blur": defocus_blur,
    "motion blur": motion_blur,
    "brightness": brightness,
    "contrast": contrast,
    "pixelate": pixelate,
    "jpeg": jpeg,
}


def corrupt(pixels: np.ndarray, kind: str, severity: int, seed: int) -> np.ndarray:
    """uint8 [S, S, 3] to the same; severity 1 to 5."""
    draw = np.random.default_rng([seed, severity, list(CORRUPTIONS).index(kind)])
    return np.asarray(_image(CORRUPTIONS[kind](pixels / 255, severity, draw)))


def _image(x: Pixels) -> Image.Image:
    return Image.fromarray((np.clip(x, 0, 1) * 255).astype(np.uint8))
