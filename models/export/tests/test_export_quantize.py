"""Export and quantisation of tiny towers: the same graph from the same weights, all of it in int8."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from clipgate_export.bundle import Selftest
from clipgate_export.export import export_image_tower, export_text_tower
from clipgate_export.graph import Graph, unit
from clipgate_export.onnx_model import graph_bytes
from clipgate_export.pocket import PREPROCESSING
from clipgate_export.quantization.recipe import Recipe
from clipgate_export.quantize import RECIPES, quantize_tower, unquantized_operators
from clipgate_export.text_tower import TextTower
from clipgate_export.tower import ImageTower


@pytest.fixture(scope="module")
def inputs() -> np.ndarray:
    return np.random.default_rng(11).standard_normal((12, 3, 64, 64)).astype(np.float32)


@dataclass(frozen=True)
class Quantized:
    model: onnx.ModelProto
    sha256: str


def quantize(model: onnx.ModelProto, inputs: np.ndarray, folder: Path, recipes: list[Recipe] = RECIPES) -> Quantized:
    (folder / "fp32.onnx").write_bytes(graph_bytes(model))
    report = quantize_tower(folder / "fp32.onnx", inputs, folder / "int8.onnx", recipes)
    assert report.sha256 == hashlib.sha256((folder / "int8.onnx").read_bytes()).hexdigest()
    assert list(report.candidates) == [recipe.words() for recipe in recipes]
    return Quantized(onnx.load(folder / "int8.onnx"), report.sha256)


@pytest.fixture(scope="module")
def quantized(tiny_tower: ImageTower, inputs: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Quantized:
    return quantize(export_image_tower(tiny_tower), inputs, tmp_path_factory.mktemp("image"))


def test_the_exported_graph_is_the_tower(tiny_tower: ImageTower, inputs: np.ndarray) -> None:
    model = export_image_tower(tiny_tower)
    with torch.no_grad():
        wanted = unit(tiny_tower(torch.from_numpy(inputs)).numpy())
    assert np.abs(Graph(model)(inputs) - wanted).max() < 1e-4
    operators = {node.op_type for node in model.graph.node}
    assert {"Gelu", "LayerNormalization", "Conv"} <= operators
    assert not operators & {"Erf", "BatchNormalization", "Shape"}
    assert model.opset_import[0].version >= 20
    assert [i.name for i in model.graph.input] == ["pixel_values"]
    assert [o.name for o in model.graph.output] == ["image_embeds"]
    assert graph_bytes(model) == graph_bytes(export_image_tower(tiny_tower))


def test_int8_stays_near_fp32(quantized: Quantized, tiny_tower: ImageTower) -> None:
    unseen = np.random.default_rng(12).standard_normal((16, 3, 64, 64)).astype(np.float32)
    reference = Graph(export_image_tower(tiny_tower))(unseen)
    assert (Graph(quantized.model)(unseen) * reference).sum(1).mean() > 0.99


def test_every_operator_is_quantised(quantized: Quantized) -> None:
    assert unquantized_operators(quantized.model) == []
    for tensor in quantized.model.graph.initializer:
        assert tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) <= 32, tensor.name


def test_an_operator_left_in_float_is_noticed(tiny_tower: ImageTower) -> None:
    assert len(unquantized_operators(export_image_tower(tiny_tower))) > 20


def test_digests_repeat(quantized: Quantized, tiny_tower: ImageTower, inputs: np.ndarray, tmp_path: Path) -> None:
    assert quantize(export_image_tower(tiny_tower), inputs, tmp_path).sha256 == quantized.sha256


def test_the_selftest_repeats(quantized: Quantized) -> None:
    one, other = (Selftest.of(Graph(quantized.model), PREPROCESSING) for _ in range(2))
    assert one.digest() == other.digest()
    assert np.linalg.norm(one.image_embeds) == pytest.approx(1, abs=1e-6)


def test_the_text_graph_is_the_tower_and_small(tmp_path: Path) -> None:
    torch.manual_seed(3)
    tower = TextTower().eval()
    ids = torch.zeros(6, 77, dtype=torch.long)
    for row in range(6):
        ids[row, : row + 3] = torch.tensor([49406, *range(500, 501 + row), 49407])
    with torch.no_grad():
        tower.tokens.weight[ids.unique()] = torch.randn(len(ids.unique()), tower.tokens.embedding_dim)
        wanted = unit(tower(ids).numpy())
    model = export_text_tower(tower)
    assert np.abs(Graph(model)(ids.numpy()) - wanted).max() < 1e-4
    quantized = quantize(model, ids.numpy(), tmp_path, RECIPES[:4])
    assert (Graph(quantized.model)(ids.numpy()) * wanted).sum(1).mean() > 0.98
    assert len(graph_bytes(quantized.model)) < 3.6e6
