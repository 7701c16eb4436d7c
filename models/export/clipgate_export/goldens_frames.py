"""Makes small camera frames of every pixel format and what OpenCV and the standards' formulas make of them.

    pip install opencv-python-headless
    python -m clipgate_export.goldens_frames -o ../../tests/data/frames

Writes `expected.safetensors`. For every case `NAME` there: `NAME.frame`, the bytes of a packed frame, and `NAME.rgb`,
its pixels [size, size, 3]; in the metadata `cases`: a JSON list of {name, format, size, matrix, range, reference}.

`reference` is `opencv` (cvtColor) where that has the format and the meaning: RGB orders and grey, and YUV of BT.601,
limited range and even edges. Elsewhere it is `formula`: ITU-R BT.601-7 and BT.709-6 as H.273 writes them, in double
precision and rounded to nearest, each chroma sample that of all pixels which share it. Y below 16 counts as 16 in the
limited range, as OpenCV has it. Where both exist they may differ by one level, and the generator checks that.

Half of a YUV frame is noise over all of 0 to 255, so that clipping is seen, half are colours that RGB has.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from safetensors.numpy import save_file

SIZES = (16, 15)
MATRICES = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}
RANGES = ("limited", "full")
YUV420 = ("nv12", "nv21", "i420", "yv12")
YUV422 = ("yuyv", "uyvy")
OPENCV = {
    "nv12": cv2.COLOR_YUV2RGB_NV12,
    "nv21": cv2.COLOR_YUV2RGB_NV21,
    "i420": cv2.COLOR_YUV2RGB_I420,
    "yv12": cv2.COLOR_YUV2RGB_YV12,
    "yuyv": cv2.COLOR_YUV2RGB_YUYV,
    "uyvy": cv2.COLOR_YUV2RGB_UYVY,
}
RGB = {
    "rgb": (3, None),
    "bgr": (3, cv2.COLOR_BGR2RGB),
    "rgba": (4, cv2.COLOR_RGBA2RGB),
    "bgra": (4, cv2.COLOR_BGRA2RGB),
    "gray": (1, cv2.COLOR_GRAY2RGB),
}


def packed(form, y, u, v):
    """The bytes of a frame of planes; u and v have the form's own extent."""
    if form in YUV420:
        chroma = {
            "nv12": np.stack([u, v], 2),
            "nv21": np.stack([v, u], 2),
            "i420": np.stack([u, v]),
            "yv12": np.stack([v, u]),
        }[form]
        return np.concatenate([y.ravel(), chroma.ravel()])
    even = np.pad(y, ((0, 0), (0, y.shape[1] % 2)))
    order = {"yuyv": (even[:, ::2], u, even[:, 1::2], v), "uyvy": (u, even[:, ::2], v, even[:, 1::2])}[form]
    return np.stack(order, 2).ravel()


def planes(rng, form, size):
    half = (size + 1) // 2
    rows = half if form in YUV420 else size
    y = rng.integers(0, 256, (size, size), dtype=np.uint8)
    u, v = rng.integers(0, 256, (2, rows, half), dtype=np.uint8)
    y[: size // 2] = rng.integers(60, 190, y[: size // 2].shape)
    for plane in (u, v):
        plane[: rows // 2] = rng.integers(100, 156, plane[: rows // 2].shape)
    return y, u, v


def formula(y, u, v, matrix, span):
    """RGB by H.273, equations for the matrix coefficients and the two ranges."""
    size = y.shape[0]
    wide = [np.repeat(plane, 2, 1)[:, :size] for plane in (u, v)]
    cb, cr = (np.repeat(plane, 2, 0)[:size] if plane.shape[0] < size else plane for plane in wide)
    if span == "limited":
        luma = np.maximum(y.astype(float) - 16, 0) / 219
        cb, cr = (cb.astype(float) - 128) / 224, (cr.astype(float) - 128) / 224
    else:
        luma = y.astype(float) / 255
        cb, cr = (cb.astype(float) - 128) / 255, (cr.astype(float) - 128) / 255
    kr, kb = MATRICES[matrix]
    red = luma + 2 * (1 - kr) * cr
    blue = luma + 2 * (1 - kb) * cb
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip(np.round(np.stack([red, green, blue], 2) * 255), 0, 255).astype(np.uint8)


def opencv(form, frame, size):
    shape = (size * 3 // 2, size) if form in YUV420 else (size, size, 2)
    return cv2.cvtColor(frame.reshape(shape), OPENCV[form])


def cases():
    """Yields (case, frame, rgb)."""
    rng = np.random.default_rng(6)
    for size in SIZES:
        for form, (channels, code) in RGB.items():
            pixels = rng.integers(0, 256, (size, size, channels), dtype=np.uint8)
            rgb = pixels if code is None else cv2.cvtColor(pixels, code)
            case = {"format": form, "size": size, "matrix": "bt601", "range": "limited", "reference": "opencv"}
            yield case, pixels.ravel(), rgb
        for form in YUV420 + YUV422:
            y, u, v = planes(rng, form, size)
            frame = packed(form, y, u, v)
            for matrix in MATRICES:
                for span in RANGES:
                    rgb, reference = formula(y, u, v, matrix, span), "formula"
                    if (matrix, span) == ("bt601", "limited") and size % 2 == 0:
                        other, reference = opencv(form, frame, size), "opencv"
                        assert np.abs(other.astype(int) - rgb).max() <= 1, form
                        rgb = other
                    case = {"format": form, "size": size, "matrix": matrix, "range": span, "reference": reference}
                    yield case, frame, rgb


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, required=True)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    tensors, listed = {}, []
    for case, frame, rgb in cases():
        name = f"{case['format']}@{case['size']}-{case['matrix']}-{case['range']}"
        tensors[f"{name}.frame"] = np.ascontiguousarray(frame)
        tensors[f"{name}.rgb"] = np.ascontiguousarray(rgb)
        listed.append({"name": name, **case})
    made_by = {"opencv": cv2.__version__, "numpy": np.__version__}
    save_file(
        tensors, out / "expected.safetensors", metadata={"cases": json.dumps(listed), "made_by": json.dumps(made_by)}
    )
    print(f"{len(listed)} cases, {(out / 'expected.safetensors').stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
