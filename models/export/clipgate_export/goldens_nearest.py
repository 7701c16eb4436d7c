"""Writes a bank with int8 rows, images, and the labels that NumPy finds nearest to them, for the Rust tests.

    python -m clipgate_export.goldens_nearest -o ../../tests/data/nearest.safetensors

Cosines are products in f64 of the f32 values; the nearest are those from `partition`'s K-th on, sorted stably, so that
of equal ones the lower row comes first. The int8 rows are NumPy's own rounding (half to even), compared in f64 as
they are written.
"""

import argparse
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from .files import write_bytes

SEED = 20261130
ROWS, DIMENSION, IMAGES, AXES, K = 3000, 24, 40, 4, 10
COMMON = 2.0


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1, in f32."""
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def texts(draw: np.random.Generator) -> np.ndarray:
    """A cone with a common direction, as text embeddings are; a hundred rows share their first four values exactly, so
    that images along those axes have ties."""
    rows = draw.standard_normal((ROWS, DIMENSION))
    rows[:, -1] += COMMON
    rows = unit(rows)
    tied = rows[1000:1100]
    tied[:, :AXES] = 0.25
    rest = tied[:, AXES:] / np.linalg.norm(tied[:, AXES:], axis=1, keepdims=True)
    tied[:, AXES:] = rest * np.sqrt(1 - AXES * 0.25**2)
    return rows


def nearest(cosines: np.ndarray) -> np.ndarray:
    """Rows of the K largest, largest first, of equal ones the lower row first."""
    kth = np.partition(cosines, -K)[-K]
    found = np.flatnonzero(cosines >= kth)
    return found[np.argsort(-cosines[found], kind="stable")][:K]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    draw = np.random.default_rng(SEED)
    rows = texts(draw)
    images = unit(np.concatenate([np.eye(AXES, DIMENSION), draw.standard_normal((IMAGES, DIMENSION))]))
    mean = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    steps = np.abs(rows - mean).max(axis=1) / np.float32(127)
    quantized = np.rint((rows - mean) / steps[:, None]).astype(np.int8)
    written = mean.astype(np.float64) + quantized.astype(np.float64) * steps[:, None].astype(np.float64)
    exact = images.astype(np.float64) @ rows.T.astype(np.float64)
    int8 = images.astype(np.float64) @ written.T
    found = [np.stack([nearest(cosines) for cosines in which]) for which in (exact, int8)]
    names = "".join(f"label {row}\n" for row in range(ROWS)).encode()
    tensors = {
        "text_embeds": rows,
        "text_embeds_q8": quantized,
        "text_embeds_q8_steps": steps,
        "text_embeds_q8_mean": mean,
        "label_names": np.frombuffer(names, np.uint8),
        "image_embeds": images,
        "nearest": found[0].astype(np.int32),
        "cosines": np.take_along_axis(exact, found[0], axis=1),
        "int8_cosines": np.take_along_axis(int8, found[1], axis=1),
    }
    write_bytes(arguments.output, save(tensors, {"numpy": np.__version__}))


if __name__ == "__main__":
    main()
