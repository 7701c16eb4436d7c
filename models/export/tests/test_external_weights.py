"""A tower whose weights lie in a data file is quantised like one that holds them."""

from pathlib import Path

import numpy as np
import onnx
from tiny_onnx import SIZE, image_tower

from clipgate_export.quantization.engine import quantize
from clipgate_export.quantization.recipe import Recipe


def test_weights_apart_give_the_same_graph(tmp_path: Path) -> None:
    images = np.random.default_rng(2).normal(0, 1, (4, 1, 3, SIZE, SIZE)).astype(np.float32)
    onnx.save(image_tower(), tmp_path / "whole.onnx")
    onnx.save(
        image_tower(), tmp_path / "apart.onnx", save_as_external_data=True, location="apart.data", size_threshold=8
    )
    made = []
    for name in ("whole", "apart"):
        quantize(tmp_path / f"{name}.onnx", lambda: iter(images), Recipe(), tmp_path / f"{name}.int8.onnx")
        made.append((tmp_path / f"{name}.int8.onnx").read_bytes())
    assert made[0] == made[1]
