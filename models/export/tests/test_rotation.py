"""Rotation of the residual stream: exact in fp32 on every tower that has one, refused with a reason on the others."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import tiny_clip
import tiny_onnx
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional as F

from clipgate_export.errors import UserError
from clipgate_export.export import export_image_tower, export_text_tower
from clipgate_export.graph import Graph
from clipgate_export.lint import NOTE, lint
from clipgate_export.onnx_model import graph_bytes
from clipgate_export.quantization.engine import prepare, quantize
from clipgate_export.quantization.index import copy_of
from clipgate_export.quantization.recipe import Recipe
from clipgate_export.quantization.rotation import NotRotatable, mean_preserving_rotation, rotate
from clipgate_export.quantization.source import read
from clipgate_export.text_tower import TextTower
from clipgate_export.tower import ImageTower

WIDTH, TOKENS = 12, 5


def with_affine(made: nn.Module) -> nn.Module:
    torch.manual_seed(3)
    with torch.no_grad():
        for module in made.modules():
            if isinstance(module, nn.LayerNorm):
                module.weight.add_(0.5 * torch.randn_like(module.weight))
                module.bias.add_(0.5 * torch.randn_like(module.bias))
    return made.eval()


def written(nodes: list, path: Path) -> Path:
    """A graph x [1, TOKENS, WIDTH] to y [1, WIDTH] of drawn constants: those named w* are matrices, others rows."""
    draw = np.random.default_rng(2)
    made = {name for node in nodes for name in node.output}
    names = sorted({name for node in nodes for name in node.input} - made - {"x", "axes"})
    constants = {
        name: draw.normal(0.5, 0.5, (WIDTH, WIDTH) if name[0] == "w" else (WIDTH,)).astype(np.float32) for name in names
    }
    entry = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, TOKENS, WIDTH])]
    end = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, WIDTH])]
    onnx.save(tiny_onnx.model(nodes, entry, end, constants | {"axes": np.array([1])}, opset=20), path)
    return path


def node(operator: str, inputs: str, output: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), [output], f"the_{output}", **attributes)


# Each norm but the last reads one stream and begins the next; one layer reads a stream without a norm.
POST_NORM = [
    node("MatMul", "x w0", "p0"),
    node("Add", "x p0", "a0"),
    node("LayerNormalization", "a0 g0 b0", "n0", axis=-1),
    node("MatMul", "n0 w1", "p1"),
    node("Add", "p1 c1", "q1"),
    node("Gelu", "q1", "r1"),
    node("MatMul", "r1 w2", "p2"),
    node("Add", "n0 p2", "a1"),
    node("LayerNormalization", "a1 g1 b1", "n1", axis=-1),
    node("Add", "n1 a1", "a2"),
    node("LayerNormalization", "a2 g2 b2", "n2", axis=-1),
    node("ReduceMean", "n2 axes", "m", keepdims=0),
    node("MatMul", "m w3", "y"),
]
READ_BY_RELU = [
    node("MatMul", "x w0", "p0"),
    node("Add", "x p0", "a0"),
    node("LayerNormalization", "a0 g0 b0", "n0", axis=-1),
    node("Relu", "a0", "r0"),
    node("Add", "n0 r0", "a1"),
    node("ReduceMean", "a1 axes", "y", keepdims=0),
]


def graph_of(kind: str, clip_fp32: Path, tower: ImageTower, folder: Path) -> tuple[ModelProto, np.ndarray]:
    draw = np.random.default_rng(1)
    if kind == "CLIP's":
        return read(clip_fp32), tiny_clip.images(3)
    path = folder / "fp32.onnx"
    if kind == "pocket's image tower":
        onnx.save(export_image_tower(tower), path)
        inputs = draw.standard_normal((3, 3, 64, 64)).astype(np.float32)
    elif kind == "pocket's text tower":
        text = with_affine(TextTower())
        nn.init.normal_(text.tokens.weight)
        onnx.save(export_text_tower(text), path)
        inputs = draw.integers(1, 49406, (3, 77))
        inputs[:, 9] = 49407
    else:
        written(POST_NORM, path)
        inputs = draw.standard_normal((3, TOKENS, WIDTH)).astype(np.float32)
    return read(path), inputs


def test_the_rotation_keeps_lengths_and_means() -> None:
    rotation = mean_preserving_rotation(48, 5)
    assert np.abs(rotation @ rotation.T - np.eye(48)).max() < 1e-12
    assert np.abs(rotation.sum(0) - 1).max() < 1e-12 and np.abs(rotation.sum(1) - 1).max() < 1e-12
    assert np.array_equal(rotation, mean_preserving_rotation(48, 5))
    assert np.abs(rotation - mean_preserving_rotation(48, 6)).max() > 0.1
    # All channels take part: no entry is near one.
    assert np.abs(rotation).max() < 0.7


def test_a_norm_without_affine_part_commutes_with_it() -> None:
    draw = torch.Generator().manual_seed(1)
    rows = torch.randn(7, 48, generator=draw, dtype=torch.float64) + 3
    rotation = torch.from_numpy(mean_preserving_rotation(48, 5))
    assert torch.allclose(F.layer_norm(rows @ rotation, (48,)), F.layer_norm(rows, (48,)) @ rotation, atol=1e-12)
    other = torch.linalg.qr(torch.randn(48, 48, generator=draw, dtype=torch.float64))[0]
    assert not torch.allclose(F.layer_norm(rows @ other, (48,)), F.layer_norm(rows, (48,)) @ other, atol=1e-2)


@pytest.mark.parametrize(
    ("kind", "products"),
    [
        # After the norm that CLIP has before its first block, and after pocket's convolutions.
        ("CLIP's", 1),
        ("pocket's image tower", 1),
        # Behind its last norm: rows are mixed there by computed shares.
        ("pocket's text tower", 1),
        ("post-norm", 5),
    ],
)
def test_the_rotated_tower_is_the_same_function(
    kind: str, products: int, clip_fp32: Path, tiny_tower: ImageTower, tmp_path: Path
) -> None:
    model, inputs = graph_of(kind, clip_fp32, tiny_tower, tmp_path)
    rotated = copy_of(model)
    assert rotate(rotated, seed=7) == products
    onnx.checker.check_model(rotated)
    assert np.abs(Graph(rotated)(inputs) - Graph(model)(inputs)).max() < 2e-6
    again = copy_of(model)
    rotate(again, seed=7)
    assert graph_bytes(again) == graph_bytes(rotated)


def test_a_channel_far_from_the_others_is_spread(clip_fp32: Path, tmp_path: Path) -> None:
    model = onnx.load(clip_fp32)
    scale = next(tensor for tensor in model.graph.initializer if tensor.name == "ln_pre.weight")
    value = numpy_helper.to_array(scale).copy()
    value[3] = 40
    scale.CopyFrom(numpy_helper.from_array(value, scale.name))
    onnx.save(model, tmp_path / "fp32.onnx")
    plain, rotated = (
        quantize(tmp_path / "fp32.onnx", tiny_clip.batches, Recipe(rotation=seed), tmp_path / "q.onnx")
        for seed in (None, 7)
    )
    assert 1 - rotated.mean_cosine < 0.75 * (1 - plain.mean_cosine)


def test_the_rotated_int8_graph_passes_the_lint(clip_fp32: Path, tmp_path: Path) -> None:
    report = quantize(clip_fp32, tiny_clip.batches, Recipe(rotation=7), tmp_path / "q.onnx")
    assert report.recipe.words() == "minmax, rotated, per tensor, w8a8" and report.mean_cosine > 0.99
    assert [finding for finding in lint(tmp_path / "q.onnx") if finding.severity != NOTE] == []
    assert report.savings["attentions rewritten"] == tiny_clip.LAYERS


def test_a_tower_without_a_stream_is_refused(tmp_path: Path) -> None:
    onnx.save(tiny_onnx.image_tower(), tmp_path / "fp32.onnx")
    with pytest.raises(UserError, match="fp32.onnx: the tower cannot be rotated: no LayerNormalization reads"):
        prepare(tmp_path / "fp32.onnx", rotation=7)


def test_a_stream_that_an_activation_reads_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotRotatable, match="Relu the_r0 reads its residual stream and does not commute"):
        rotate(onnx.load(written(READ_BY_RELU, tmp_path / "fp32.onnx")), seed=7)


def test_rotation_and_smoothing_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="rotation and smoothing"):
        Recipe(rotation=1, smooth_alpha=0.5)
