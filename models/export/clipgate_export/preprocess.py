"""The reference preprocessing: Pillow's resize, a centre crop where asked, mean and deviation.

Step for step what open_clip's `image_transform` does for evaluation; the tests hold the two together.
"""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from .data import IMAGE_SIZE
from .spec import Preprocessing

# OpenAI's and open_clip's own.
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def pixel_values(image: Image.Image, preprocessing: Preprocessing) -> np.ndarray:
    """pixel_values f32 [3, size, size] of a decoded image."""
    pixels = to_square(image, preprocessing)
    return normalise(pixels, preprocessing.mean, preprocessing.std)


def to_square(image: Image.Image, preprocessing: Preprocessing) -> np.ndarray:
    """uint8 [size, size, 3], RGB, by the preprocessing's resize mode and filter."""
    if preprocessing.resize == "shortest_edge":
        return resize_and_crop(image, preprocessing.size, FILTERS[preprocessing.interpolation])
    square = (preprocessing.size, preprocessing.size)
    if image.size != square:
        image = image.resize(square, FILTERS[preprocessing.interpolation])
    return np.asarray(image.convert("RGB"))


def resize_and_crop(
    image: Image.Image, size: int = IMAGE_SIZE, resampling: Image.Resampling = Image.Resampling.BICUBIC
) -> np.ndarray:
    """uint8 [size, size, 3], RGB: the shortest edge becomes `size`, then the centre is cut out."""
    width, height = image.size
    if width <= height:
        scaled = (size, int(size * height / width))
    else:
        scaled = (int(size * width / height), size)
    if scaled != image.size:
        image = image.resize(scaled, resampling)
    left, top = round((image.width - size) / 2), round((image.height - size) / 2)
    return np.asarray(image.crop((left, top, left + size, top + size)).convert("RGB"))


def normalise(pixels: np.ndarray, mean: Sequence[float] = MEAN, std: Sequence[float] = STD) -> np.ndarray:
    """uint8 [..., H, W, 3] to pixel_values f32 [..., 3, H, W]."""
    values = (pixels.astype(np.float32) / np.float32(255) - np.float32(mean)) / np.float32(std)
    return np.ascontiguousarray(np.moveaxis(values, -1, -3))


def decode(encoded: bytes) -> Image.Image:
    """An image file's first frame; EXIF orientation is not applied, as in the reference."""
    image = Image.open(io.BytesIO(encoded))
    image.load()
    return image


def recompress(image: Image.Image, size: int = IMAGE_SIZE) -> Image.Image:
    """As Tiny ImageNet's training images are: `size` pixels, JPEG at quality 75."""
    file = io.BytesIO()
    Image.fromarray(resize_and_crop(image, size)).save(file, "JPEG", quality=75)
    return decode(file.getvalue())
