"""The reference preprocessing: Pillow's bicubic resize, a centre crop, OpenAI's mean and deviation.

Step for step what open_clip's `image_transform` does for evaluation; the tests hold the two together.
"""

import io

import numpy as np
from PIL import Image

from .data import IMAGE_SIZE

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def resize_and_crop(image: Image.Image, size: int = IMAGE_SIZE) -> np.ndarray:
    """uint8 [size, size, 3], RGB: the shortest edge becomes `size`, then the centre is cut out."""
    width, height = image.size
    if width <= height:
        scaled = (size, int(size * height / width))
    else:
        scaled = (int(size * width / height), size)
    if scaled != image.size:
        image = image.resize(scaled, Image.Resampling.BICUBIC)
    left, top = round((image.width - size) / 2), round((image.height - size) / 2)
    return np.asarray(image.crop((left, top, left + size, top + size)).convert("RGB"))


def normalise(pixels: np.ndarray) -> np.ndarray:
    """uint8 [..., H, W, 3] to pixel_values f32 [..., 3, H, W]."""
    values = (pixels.astype(np.float32) / np.float32(255) - np.float32(MEAN)) / np.float32(STD)
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
