"""Test images out of tar archives of CLASS/FILE, in the order of their names."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from .preprocess import decode, recompress, resize_and_crop

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")


def read_archive(path: Path) -> Iterator[tuple[str, Image.Image]]:
    """Each image file's path in the archive with the decoded image, sorted by path."""
    with tarfile.open(path) as archive:
        members = [m for m in archive.getmembers() if m.isfile() and m.name.lower().endswith(IMAGE_SUFFIXES)]
        for member in sorted(members, key=lambda m: m.name):
            content = archive.extractfile(member)
            if content is None:
                raise OSError(f"{path}: {member.name} has no content")
            yield member.name, decode(content.read())


def read_pixels(path: Path, recompressed: bool = False) -> tuple[list[str], np.ndarray]:
    """Paths and preprocessed pixels uint8 [N, 64, 64, 3], optionally after a 64-pixel JPEG at quality 75."""
    names, pixels = [], []
    for name, image in read_archive(path):
        names.append(name)
        pixels.append(resize_and_crop(recompress(image) if recompressed else image))
    if not pixels:
        raise ValueError(f"{path}: no images are in this archive")
    return names, np.stack(pixels)
