import numpy as np
import open_clip
import pytest
from PIL import Image

from clipgate_export.preprocess import MEAN, STD, normalise, resize_and_crop

SIZES = [(64, 64), (200, 133), (133, 200), (65, 64), (640, 67), (31, 50), (97, 64), (1, 40), (125, 333)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
def test_it_is_open_clips_transform(size: tuple[int, int], mode: str) -> None:
    pixels = np.random.default_rng(size[0]).integers(0, 256, (size[1], size[0], 3), np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    reference = open_clip.image_transform(
        64, is_train=False, mean=MEAN, std=STD, resize_mode="shortest", interpolation="bicubic"
    )
    assert np.array_equal(normalise(resize_and_crop(image)), reference(image).numpy())
