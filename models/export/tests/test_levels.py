"""Weights of fewer than 8 bits: few levels in int8 storage, biases that go with them, and what they would pack to."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import tiny_clip
from onnx import numpy_helper

from clipgate_export.graph import Graph
from clipgate_export.lint import NOTE, lint
from clipgate_export.quantization.engine import prepare
from clipgate_export.quantization.levels import along, highest_level, packed_bytes, read_levels
from clipgate_export.quantization.recipe import Recipe


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("bits", [8, 6, 4])
def test_weights_take_the_levels_of_their_bits(clip_fp32: Path, tmp_path: Path, bits: int, per_channel: bool) -> None:
    recipe = Recipe(weight_bits=bits, per_channel=per_channel)
    report = tiny_clip.quantized(clip_fp32, tmp_path, recipe)
    model = onnx.load(tmp_path / "int8.onnx")
    assert [finding for finding in lint(tmp_path / "int8.onnx") if finding.severity != NOTE] == []
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    sources = {tensor.name: numpy_helper.to_array(tensor) for tensor in prepare(clip_fp32)[0].graph.initializer}
    found = read_levels(model)
    assert len(found.weights) == 20
    for weight in found.weights:
        levels, scale = tensors[weight.quantised], tensors[weight.scale]
        assert levels.dtype == np.int8 and np.abs(levels).max() == highest_level(bits)
        assert (scale.size > 1) == per_channel
        scale = along(scale, weight.axis, levels.ndim)
        assert (np.abs(levels * scale - sources[weight.source]) <= 0.5001 * scale).all(), weight.source
    biases = [constant for constant in found.constants.values() if constant.product]
    assert len(biases) == 20
    for bias in biases:
        assert np.allclose(tensors[bias.scale], tensors[bias.product[0]] * tensors[bias.product[1]], rtol=1e-6)
        source = sources[bias.source]
        assert np.abs(tensors[bias.quantised] * tensors[bias.scale] - source).max() <= tensors[bias.scale].max()
    size = sum(tensors[weight.quantised].size for weight in found.weights)
    assert report.packed_bytes == packed_bytes(model, bits)
    assert report.packed_bytes == pytest.approx(model.ByteSize() - size * (1 - bits / 8), abs=len(found.weights))
    assert report.recipe.words().endswith(f"w{bits}a8")


def test_fewer_bits_are_further_from_fp32(clip_fp32: Path, tmp_path: Path) -> None:
    cosines = [tiny_clip.quantized(clip_fp32, tmp_path, Recipe(weight_bits=bits)).mean_cosine for bits in (8, 6, 4)]
    assert cosines == sorted(cosines, reverse=True) and cosines[1] > 0.98 and cosines[2] > 0.9
    assert np.isfinite(Graph(tmp_path / "int8.onnx")(tiny_clip.images(2))).all()


def test_other_numbers_of_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="weight bits 5: one of 8, 6, 4"):
        Recipe(weight_bits=5)
