"""The frames that every peer is given: mosaics of the project's photos, and a frame as Android's camera delivers it.

python inputs.py PHOTOS FOLDER     # crops of the photos, a folder each, and a list of labels: for a bundle

"""

import random
import sys
from pathlib import Path

import cv2
import numpy as np
import open_clip
from PIL import Image, ImageOps
from python_peer import read_bank

WIDTH, HEIGHT = 1920, 1080
# 4:3, as phones and camera modules of 12 million pixels.
TWELVE_MP = (4000, 3000)
FILES = {"1080p.jpg": (WIDTH, HEIGHT), "12mp.jpg": TWELVE_MP}
# One photo enlarged, as out of focus or in the dark: fewer bytes to decode for as many pixels.
SOFT = ("12mp-soft.jpg", "coffee", TWELVE_MP)
QUALITY = 90
# One photo fills this much of a mosaic before the next begins.
TILE = 480
# Enough for a bundle's ranges and thresholds.
CROPS_A_PHOTO = 24


def make(photos: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in FILES.items():
        mosaic(photos, *size).save(folder / name, quality=QUALITY)
    name, photo, size = SOFT
    soft = ImageOps.fit(opened(photos)[photo], size, Image.Resampling.BICUBIC)
    soft.save(folder / name, quality=QUALITY)
    frame = mosaic(photos, WIDTH, HEIGHT)
    (folder / "frame.nv21").write_bytes(nv21(np.asarray(frame)))
    values = open_clip.image_transform(224, is_train=False)(frame)[None].numpy()
    np.save(folder / "pixel_values.npy", values)


def mosaic(photos: Path, width: int, height: int) -> Image.Image:
    tiles = [photo.resize((TILE, TILE), Image.Resampling.LANCZOS) for photo in opened(photos).values()]
    whole = Image.new("RGB", (width, height))
    places = [(x, y) for y in range(0, height, TILE) for x in range(0, width, TILE)]
    for number, place in enumerate(places):
        whole.paste(tiles[number % len(tiles)], place)
    return whole


def opened(photos: Path) -> dict[str, Image.Image]:
    # A covered lens shows nothing.
    paths = (path for path in sorted(photos.glob("*.jpg")) if path.stem != "covered_lens")
    return {path.stem: Image.open(path).convert("RGB") for path in paths}


def crops(photos: Path, folder: Path) -> None:
    """Crops of each photo, and `labels.txt`: the photos' names and those of the model that the project ships."""
    draw = random.Random(1)
    names = []
    for name, photo in opened(photos).items():
        (folder / "photos" / name).mkdir(parents=True, exist_ok=True)
        for number in range(CROPS_A_PHOTO):
            edge = draw.randint(min(photo.size) // 2, min(photo.size))
            left, top = (draw.randint(0, length - edge) for length in photo.size)
            crop = photo.crop((left, top, left + edge, top + edge))
            crop.save(folder / "photos" / name / f"{number}.jpg", quality=QUALITY)
        names.append(f"{name}\t{name}")
    known, _ = read_bank(photos.parents[1] / "models" / "pocket" / "labels.safetensors")
    (folder / "labels.txt").write_text("\n".join([*names, *known]) + "\n")


def nv21(rgb: np.ndarray) -> bytes:
    """Luma, then V and U in turns at half the resolution; BT.601, limited range."""
    height, width, _ = rgb.shape
    planes = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420).reshape(-1)
    luma, u, v = np.split(planes, [width * height, width * height * 5 // 4])
    return luma.tobytes() + np.stack([v, u], axis=1).tobytes()


if __name__ == "__main__":
    crops(Path(sys.argv[1]), Path(sys.argv[2]))
