"""Makes the images of odd kinds and what Pillow and open_clip's image transform compute from them.

    python -m clipgate_export.goldens_preprocess -o ../../tests/data/preprocess

Writes `images/*` and `expected.safetensors`. For every case `NAME` there:

- `NAME.crop`: the transform's picture before normalisation
- `STEM.decoded`, lossy formats only: Pillow's decoded pixels

each the bytes of an RGB PNG, to be small, and in the metadata `cases`: a JSON list of
{name, file, size, resize, interpolation, lossless, as_opened_cosine, note}; `resize` and `interpolation` are
named as a bundle's manifest names them.
The reference decodes as open_clip's data pipeline does (`convert("RGB")` first), after
`ImageOps.exif_transpose`. `as_opened_cosine` says how far that is from handing the opened file to
the transform as it is, which resizes palettes by nearest neighbour, premultiplied alpha and CMYK
inks, and does not turn the picture.
"""

import argparse
import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import open_clip
import PIL
import skimage
import torch
from PIL import Image, ImageOps
from safetensors.numpy import save_file

MEAN = (0.0, 0.0, 0.0)
STD = (1.0, 1.0, 1.0)
LOSSY = ("jpg", "webp")

# The manifest's name of each of open_clip's ways to make a square.
RESIZE = {"shortest": "shortest_edge", "squash": "squash"}
# CLIP's way; then SigLIP's, MobileCLIP's, and the rest of the combinations (CLIPA's, PE's).
CLIP = ("shortest", "bicubic")
OTHERS = (("squash", "bicubic"), ("shortest", "bilinear"), ("squash", "bilinear"))
OTHERS_SIZE = 32
# Files of these kinds differ in how they are decoded, which CLIP's way alone is enough to see.
ONE_WAY = ("gray", "palette", "alpha", "rgb", "rgba", "jpeg", "webp", "gif", "bmp", "tiff", "png", "bilevel")
# At the sizes that SigLIP and MobileCLIP have.
FULL_SIZE = {"landscape": (224, "squash", "bicubic"), "portrait": (256, "shortest", "bilinear")}


class Pictures:
    """Cut-outs of public-domain photographs, resized, so that content looks like photos."""

    def __init__(self):
        data = skimage.data
        self.sources = [
            Image.fromarray(data.astronaut()),
            Image.fromarray(data.chelsea()),
            Image.fromarray(data.coffee()),
            Image.fromarray(data.rocket()),
        ]
        self.rng = np.random.default_rng(20)

    def photo(self, width, height, which=0):
        image = self.sources[which % len(self.sources)]
        return (
            ImageOps.fit(image, (width, height), Image.Resampling.BOX)
            if min(width, height) > 4
            else image.resize((width, height), Image.Resampling.BOX)
        )

    def noise(self, width, height):
        return Image.fromarray(self.rng.integers(0, 256, (height, width, 3), dtype=np.uint8))

    def stripes(self, width, height):
        """Black and white edges, where bicubic overshoots and clipping matters."""
        y, x = np.mgrid[:height, :width]
        return Image.fromarray(np.repeat((((x // 5 + y // 7) % 2) * 255).astype(np.uint8)[:, :, None], 3, 2))

    def gradient(self, width, height):
        y, x = np.mgrid[:height, :width].astype(float)
        x, y = x / max(width - 1, 1), y / max(height - 1, 1)
        return np.stack([x, y, (x + y) / 2], 2)


def png(pixels, depth, color, interlace=0):
    """A PNG of raw rows, for the kinds Pillow does not write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2" if depth == 16 else "u1").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def cases(p):
    """Yields (name, extension, bytes, sizes, note)."""
    photo = p.photo
    geometry = [
        ("portrait", 75, 120),
        ("landscape", 130, 80),
        ("square", 90, 90),
        ("panorama", 300, 40),
        ("tall", 40, 330),
        ("one_row", 150, 1),
        ("one_column", 1, 150),
        ("one_pixel", 1, 1),
        ("two_by_three", 2, 3),
        ("smaller", 31, 23),
        ("exact", 64, 64),
        ("exact_height", 99, 64),
        ("exact_width", 64, 131),
        ("exact_by_one", 65, 64),
        ("just_larger", 66, 65),
        ("half_to_even_1", 65, 64),
        ("half_to_even_3", 67, 64),
        ("half_to_even_5", 69, 64),
        ("half_to_even_7", 64, 71),
        ("half_scaled_1", 65, 32),
        ("half_scaled_3", 67, 32),
        ("half_scaled_5", 138, 128),
        ("half_scaled_7", 32, 71),
        ("truncated_edge", 113, 89),
        ("primes", 131, 97),
        ("very_wide", 2000, 3),
        ("very_tall", 3, 2000),
        ("threefold", 192, 200),
        ("one_less", 63, 80),
    ]
    for index, (name, width, height) in enumerate(geometry):
        sizes = (64, 224) if name in ("landscape", "one_pixel", "smaller") else (64,)
        yield name, "png", encoded(photo(width, height, index), "PNG", optimize=True), sizes, ""
    yield "stripes", "png", encoded(p.stripes(203, 150), "PNG"), (64, 224), "overshoot is clipped"
    yield "stripes_up", "png", encoded(p.stripes(40, 50), "PNG"), (64, 256), "overshoot is clipped"
    yield "stripes_tall", "png", encoded(p.stripes(300, 700), "PNG"), (64,), "columns are filtered before rows"
    yield "tall_shrunk", "png", encoded(photo(70, 190, 2), "PNG"), (64,), "columns are filtered before rows"
    yield "noise", "png", encoded(p.noise(70, 66), "PNG"), (64,), ""

    base = photo(86, 67, 1)
    yield "gray", "png", encoded(base.convert("L"), "PNG"), (64,), ""
    yield "bilevel", "png", encoded(base.convert("1"), "PNG"), (64,), "opened as mode 1"
    yield "palette", "png", encoded(base.quantize(40), "PNG"), (64,), "opened as a palette"
    yield "palette_16", "png", encoded(base.quantize(16), "PNG", bits=4), (64,), "opened as a palette"
    alpha = Image.fromarray((p.gradient(86, 67)[:, :, 2] * 255).astype(np.uint8))
    rgba = base.copy()
    rgba.putalpha(alpha)
    yield "alpha", "png", encoded(rgba, "PNG"), (64,), "colours under alpha stay"
    la = base.convert("L")
    la.putalpha(alpha)
    yield "gray_alpha", "png", encoded(la, "PNG"), (64,), "colours under alpha stay"
    yield "palette_transparent", "png", encoded(base.quantize(30), "PNG", transparency=3), (64,), "opened as a palette"
    deep = np.round(p.gradient(70, 52) * 65535).astype(np.uint16)
    yield "rgb_16", "png", png(deep, 16, 2), (64,), "high byte"
    yield "rgba_16", "png", png(np.dstack([deep, deep[:, :, :1]]), 16, 6), (64,), "high byte"
    yield "gray_16", "png", png(deep[:, :, 2], 16, 0), (64,), "high byte; Pillow's own convert clips at 255"
    yield "gray_alpha_16", "png", png(np.dstack([deep[:, :, 2], deep[:, :, 0]]), 16, 4), (64,), "high byte"

    for quality in (30, 75, 95):
        yield f"jpeg_q{quality}", "jpg", encoded(photo(100, 80, quality), "JPEG", quality=quality), (64,), ""
        yield "jpeg_progressive", "jpg", encoded(photo(170, 120, 2), "JPEG", progressive=True, quality=80), (64,), ""
    yield "jpeg_444", "jpg", encoded(photo(81, 73, 3), "JPEG", subsampling=0, quality=85), (64,), ""
    yield "jpeg_422", "jpg", encoded(photo(81, 73, 2), "JPEG", subsampling=1, quality=85), (64,), ""
    yield "jpeg_restart", "jpg", encoded(photo(90, 72, 0), "JPEG", restart_marker_rows=1), (64,), ""
    yield "jpeg_gray", "jpg", encoded(base.convert("L"), "JPEG"), (64,), ""
    yield "jpeg_cmyk", "jpg", encoded(base.convert("CMYK"), "JPEG", quality=90), (64,), "inks are multiplied"
    yield "jpeg_odd", "jpg", encoded(photo(17, 33, 2), "JPEG"), (64,), ""
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield f"jpeg_exif_{orientation}", "jpg", encoded(photo(70, 52, 3), "JPEG", exif=exif), (64,), "turned"
    exif = Image.Exif()
    exif[0x0112] = 6
    yield "png_exif_6", "png", encoded(photo(80, 64, 0), "PNG", exif=exif), (64,), "turned"
    yield "webp_exif_8", "webp", encoded(photo(80, 70, 0), "WEBP", exif=exif, quality=80), (64,), "turned"
    yield "webp_lossy", "webp", encoded(photo(90, 70, 1), "WEBP", quality=75), (64,), ""
    yield "webp_lossless", "webp", encoded(photo(90, 71, 2), "WEBP", lossless=True), (64,), ""
    yield "webp_alpha", "webp", encoded(rgba, "WEBP", lossless=True, exact=True), (64,), "colours under alpha stay"
    yield "gif", "gif", encoded(base.quantize(64), "GIF"), (64,), "opened as a palette"
    yield "gif_interlaced", "gif", encoded(base.quantize(20), "GIF", interlace=1), (64,), "opened as a palette"
    yield "bmp", "bmp", encoded(photo(71, 65, 3), "BMP"), (64,), ""
    yield "bmp_palette", "bmp", encoded(photo(71, 65, 3).quantize(32), "BMP"), (64,), "opened as a palette"
    yield "tiff", "tiff", encoded(photo(70, 65, 0), "TIFF", compression="tiff_lzw"), (64,), ""
    yield "tiff_deflate", "tiff", encoded(photo(70, 66, 1), "TIFF", compression="tiff_adobe_deflate"), (64,), ""
    yield "tiff_gray", "tiff", encoded(base.convert("L"), "TIFF"), (64,), ""


def lossless_png(image):
    return np.frombuffer(encoded(image, "PNG", optimize=True), np.uint8)


def reference_pixels(data):
    """RGB pixels of a file as the module states them."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("RGB")


def cosine(a, b):
    a, b = a.double().flatten(), b.double().flatten()
    return float(a @ b / (a.norm() * b.norm()).clamp_min(1e-30))


def ways(stem, sizes):
    """Yields (size, resize, interpolation), open_clip's names."""
    yield from ((size, *CLIP) for size in sizes)
    if stem.split("_")[0] not in ONE_WAY:
        yield from ((OTHERS_SIZE, *way) for way in OTHERS)
    if stem in FULL_SIZE:
        yield FULL_SIZE[stem]


def as_opened_cosine(data, expected, size, way):
    """Against the transform alone, with the usual normalisation; none where it fails."""
    transform = open_clip.image_transform(size, is_train=False, **way)
    try:
        return cosine(transform(Image.open(io.BytesIO(data))), transform(expected))
    except (ValueError, RuntimeError, OSError):
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, required=True)
    out = parser.parse_args().out
    images = out / "images"
    images.mkdir(parents=True, exist_ok=True)
    for old in images.iterdir():
        old.unlink()
    tensors, listed = {}, []
    for stem, extension, data, sizes, note in cases(Pictures()):
        file = f"{stem}.{extension}"
        (images / file).write_bytes(data)
        rgb = reference_pixels(data)
        lossless = extension not in LOSSY or stem in ("webp_lossless", "webp_alpha")
        if not lossless:
            tensors[f"{stem}.decoded"] = lossless_png(rgb)
        for size, resize, interpolation in ways(stem, sizes):
            way = {"resize_mode": resize, "interpolation": interpolation}
            transform = open_clip.image_transform(size, is_train=False, mean=MEAN, std=STD, **way)
            values = transform(rgb).permute(1, 2, 0)
            name = f"{stem}@{size}" + ("" if (resize, interpolation) == CLIP else f"-{resize}-{interpolation}")
            crop = (values * 255).round().to(torch.uint8).numpy()
            tensors[f"{name}.crop"] = lossless_png(Image.fromarray(crop))
            listed.append(
                {
                    "name": name,
                    "file": file,
                    "size": size,
                    "resize": RESIZE[resize],
                    "interpolation": interpolation,
                    "lossless": lossless,
                    "note": note,
                    "as_opened_cosine": as_opened_cosine(data, rgb, size, way),
                }
            )
    made_by = {"pillow": PIL.__version__, "open_clip": open_clip.__version__, "torch": torch.__version__}
    save_file(
        tensors, out / "expected.safetensors", metadata={"cases": json.dumps(listed), "made_by": json.dumps(made_by)}
    )
    total = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
    print(f"{len(list(images.iterdir()))} images, {len(listed)} cases, {total / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
