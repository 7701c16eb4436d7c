"""Exact savings: the oracle is the tower itself, run by torch."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import tiny_clip
import torch
from onnx import ModelProto, TensorProto, helper
from torch import Tensor, nn
from torch.nn import functional as F

from clipgate_export.graph import one_thread
from clipgate_export.quantization.class_token import keep_needed_rows, multiplications
from clipgate_export.quantization.index import Index, shapes_and_types
from clipgate_export.quantization.movement import trace
from clipgate_export.quantization.savings import save
from clipgate_export.tower import TransformerBlock


def run(model: ModelProto, rows: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), one_thread(), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: rows[i : i + 1]})[0] for i in range(len(rows))])


@pytest.mark.parametrize("quick_gelu", [True, False])
def test_open_clips_tower_stays_the_same_with_less_work(tmp_path: Path, quick_gelu: bool) -> None:
    made = tiny_clip.tower(quick_gelu)
    model = onnx.load(tiny_clip.export(made, tmp_path / "fp32.onnx"))
    before = Counter(node.op_type for node in model.graph.node)
    savings = save(model)
    onnx.checker.check_model(model, full_check=True)
    after = Counter(node.op_type for node in model.graph.node)
    assert savings.attentions == tiny_clip.LAYERS
    assert savings.biases == 4 * tiny_clip.LAYERS
    assert savings.swish_activations == (tiny_clip.LAYERS if quick_gelu else 0)
    assert all(after[kind] < 0.6 * before[kind] for kind in ("Transpose", "Add"))
    tokens, width = (tiny_clip.SIZE // tiny_clip.PATCH) ** 2 + 1, tiny_clip.WIDTH
    # Query, output projection and both layers of the MLP, and the inner products, for one token instead of all.
    saved = (tokens - 1) * (10 * width * width + 2 * tokens * width)
    assert savings.class_token.before - savings.class_token.after == saved
    images = tiny_clip.images(4)
    np.testing.assert_allclose(run(model, images), tiny_clip.embed(made, images), atol=1e-5)


class Pooled(nn.Module):
    """Separate projections, tokens never transposed, pooled by the mean or by one token."""

    def __init__(self, mean: bool) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.patch = nn.Conv2d(3, 32, 8, 8)
        self.block = TransformerBlock(32, 4)
        self.mean = mean

    def forward(self, pixel_values: Tensor) -> Tensor:
        tokens = self.block(self.patch(pixel_values).flatten(2).transpose(1, 2))
        return tokens.mean(1) if self.mean else tokens[:, 2]


@pytest.mark.parametrize("mean", [True, False])
def test_another_spelling_is_recognised_and_mean_pooling_keeps_all_rows(tmp_path: Path, mean: bool) -> None:
    made = Pooled(mean).eval()
    model = onnx.load(tiny_clip.export(made, tmp_path / "fp32.onnx"))
    savings = save(model)
    assert savings.attentions == 1
    assert (savings.class_token.share > 0) != mean
    images = tiny_clip.images(3)
    np.testing.assert_allclose(run(model, images), tiny_clip.embed(made, images), atol=1e-5)


class Convolutional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, 2), nn.Linear(8, 5)

    def forward(self, pixel_values: Tensor) -> Tensor:
        return self.second(F.relu(self.first(pixel_values)).mean((2, 3)))


def test_a_graph_without_attention_is_left_alone(tmp_path: Path) -> None:
    model = onnx.load(tiny_clip.export(Convolutional().eval(), tmp_path / "fp32.onnx"))
    before = [node.op_type for node in model.graph.node]
    savings = save(model)
    assert savings.attentions == savings.swish_activations == 0 and savings.class_token.share == 0
    assert [node.op_type for node in model.graph.node] == before


def small(
    nodes: list, constants: dict[str, np.ndarray], inputs: dict[str, list], outputs: dict[str, list]
) -> ModelProto:
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_a_row_that_is_also_needed_whole_is_computed_whole() -> None:
    draw = np.random.default_rng(1)
    constants = {"w": draw.standard_normal((6, 6)).astype(np.float32), "row": np.array(1, np.int64)}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["all"], "product"),
        helper.make_node("Gather", ["all", "row"], ["one"], "pick", axis=1),
        helper.make_node("ReduceMean", ["all"], ["mean"], "mean", keepdims=0),
        helper.make_node("Add", ["one", "mean"], ["out"], "sum"),
    ]
    model = small(nodes, constants, {"x": [1, 4, 6]}, {"out": [1, 6]})
    before = multiplications(model)
    assert keep_needed_rows(model).after == before == 4 * 6 * 6


def test_layout_operators_are_followed_as_onnx_runtime_runs_them() -> None:
    constants = {
        "shape": np.array([2, 3, 8], np.int64),
        "picked": np.array([2, 0], np.int64),
        "starts": np.array([-1, 1], np.int64),
        "ends": np.array([-100, 8], np.int64),
        "axes": np.array([1, 2], np.int64),
        "steps": np.array([-1, 3], np.int64),
        "scale": np.array(0.5, np.float32),
    }
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["a"], "a"),
        helper.make_node("Transpose", ["a"], ["b"], "b", perm=[2, 1, 0]),
        helper.make_node("Gather", ["b", "picked"], ["c"], "c", axis=1),
        helper.make_node("Transpose", ["c"], ["d"], "d", perm=[2, 1, 0]),
        helper.make_node("Slice", ["d", "starts", "ends", "axes", "steps"], ["e"], "e"),
        helper.make_node("Split", ["e"], ["f", "g"], "f", axis=0, num_outputs=2),
        helper.make_node("Mul", ["g", "scale"], ["out"], "out"),
    ]
    model = small(nodes, constants, {"x": [6, 8]}, {"out": [1, 2, 3], "f": [1, 2, 3]})
    x = np.random.default_rng(2).standard_normal((6, 8)).astype(np.float32)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    moved = trace(Index(model), "out")
    assert moved.source == "x" and moved.factor == 0.5 and not moved.in_order()
    np.testing.assert_array_equal(session.run(["out"], {"x": x})[0], x.ravel()[moved.places] * np.float32(0.5))


def test_shapes_are_those_of_onnx(tmp_path: Path) -> None:
    model = onnx.load(tiny_clip.export(tiny_clip.tower(), tmp_path / "fp32.onnx"))
    shapes, _ = shapes_and_types(model)
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    for value in inferred.graph.value_info:
        assert shapes[value.name] == tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
