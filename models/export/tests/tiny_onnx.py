"""A pair of small ONNX towers, made without torch, and what a source needs beside them."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

SIZE, CONTEXT, DIM = 32, 12, 16
VOCABULARY = 49408


def model(nodes: list, inputs: list, outputs: list, weights: dict[str, np.ndarray], opset: int = 17) -> ModelProto:
    initializers = [numpy_helper.from_array(values, name) for name, values in weights.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def image_tower(batch: int | str = 1, opset: int = 17) -> ModelProto:
    """A convolution, a Gelu in pieces and a projection; its names are not the bundle's."""
    draw = np.random.default_rng(3)
    weights = {
        "kernel": draw.normal(0, 0.2, (8, 3, 8, 8)).astype(np.float32),
        "projection": draw.normal(0, 0.2, (8 * 16, DIM)).astype(np.float32),
        "root": np.float32(2**0.5).reshape(()),
        "one": np.float32(1).reshape(()),
        "half": np.float32(0.5).reshape(()),
    }
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["maps"], strides=[8, 8]),
        helper.make_node("Div", ["maps", "root"], ["divided"]),
        helper.make_node("Erf", ["divided"], ["erf"]),
        helper.make_node("Add", ["erf", "one"], ["added"]),
        helper.make_node("Mul", ["maps", "added"], ["product"]),
        helper.make_node("Mul", ["product", "half"], ["gelu"]),
        helper.make_node("Flatten", ["gelu"], ["flat"]),
        helper.make_node("MatMul", ["flat", "projection"], ["features"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, SIZE, SIZE])]
    outputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, [batch, DIM])]
    return model(nodes, inputs, outputs, weights, opset)


def text_tower(length: int | str = CONTEXT, rows: int = VOCABULARY) -> ModelProto:
    """The mean of token vectors."""
    table = np.random.default_rng(4).normal(0, 1, (rows, DIM)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["tokens", "ids"], ["rows"]),
        helper.make_node("ReduceMean", ["rows"], ["text_features"], axes=[1], keepdims=0),
    ]
    inputs = [helper.make_tensor_value_info("ids", TensorProto.INT64, [1, length])]
    outputs = [helper.make_tensor_value_info("text_features", TensorProto.FLOAT, [1, DIM])]
    return model(nodes, inputs, outputs, {"tokens": table})


def write_pair(folder: Path, tokenizer: Path) -> list[str]:
    """Both graphs and the preprocessing; the words of a command line that names them."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(image_tower(), folder / "image.onnx")
    onnx.save(text_tower(), folder / "text.onnx")
    preprocessing = {
        "size": SIZE,
        "resize": "shortest_edge",
        "interpolation": "bicubic",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
    }
    (folder / "preprocessing.json").write_text(json.dumps(preprocessing))
    return [
        *("--onnx-image", str(folder / "image.onnx"), "--onnx-text", str(folder / "text.onnx")),
        *("--preprocessing", str(folder / "preprocessing.json"), "--tokenizer", str(tokenizer)),
        *("--logit-scale", "100"),
    ]
