"""The operators of a training against ONNX Runtime's, many inputs at once against one at a time."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import tiny_onnx
import torch
from onnx import TensorProto, helper

from clipgate_export.errors import UserError
from clipgate_export.graph import one_thread
from clipgate_export.qat.network import Network
from clipgate_export.qat.operators import OPERATORS

MAPS = (1, 4, 6, 8)
DRAW = np.random.default_rng(5)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def floats(*shape: int) -> np.ndarray:
    return DRAW.standard_normal(shape).astype(np.float32)


# Operator, shape of its computed input, constants behind it, attributes; "x" among the constants is the input again.
CASES = [
    *[
        (name, (1, 5, 6), [], {})
        for name in ("Abs", "Dropout", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "Identity")
    ],
    *[(name, (1, 5, 6), [], {}) for name in ("Neg", "Relu", "Sigmoid", "Tanh")],
    *[(name, (1, 5, 6), [floats(6)], {}) for name in ("Add", "Mul", "Max", "Min", "Div", "Sub")],
    ("Add", (1, 6), [floats(1, 3, 5, 6)], {}),
    ("LessOrEqual", (1, 5, 6), [floats(6)], {}),
    ("Pow", (1, 5, 6), [np.float32(2)], {}),
    ("Sqrt", (1, 5), [], {}),
    ("Gelu", (1, 5, 6), [], {"approximate": "tanh"}),
    ("Clip", (1, 5, 6), [np.float32(-0.5), np.float32(0.7)], {}),
    ("Cast", (1, 5, 6), [], {"to": TensorProto.INT64}),
    ("ArgMax", (1, 5, 6), [], {"axis": 1, "keepdims": 0}),
    ("Softmax", (1, 5, 6), [], {"axis": 1}),
    ("LayerNormalization", (1, 5, 6), [floats(6), floats(6)], {"axis": -1, "epsilon": 1e-3}),
    ("MatMul", (1, 5, 6), [floats(6, 3)], {}),
    ("MatMul", (1, 5, 5), ["x"], {}),
    ("Gemm", (4, 6), [floats(3, 6), floats(3)], {"transB": 1, "alpha": 0.5, "beta": 2.0}),
    ("Gemm", (6, 4), [floats(6, 3)], {"transA": 1}),
    ("Conv", MAPS, [floats(6, 2, 3, 3), floats(6)], {"group": 2, "strides": [2, 1], "pads": [1, 0, 2, 1]}),
    ("Conv", MAPS, [floats(5, 4, 3, 3)], {"dilations": [2, 2]}),
    ("AveragePool", MAPS, [], {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ("MaxPool", MAPS, [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("GlobalAveragePool", MAPS, [], {}),
    ("Reshape", MAPS, [ints(0, -1)], {}),
    ("Flatten", MAPS, [], {"axis": 2}),
    ("Squeeze", (1, 5, 1), [ints(2)], {}),
    ("Unsqueeze", (1, 5), [ints(1)], {}),
    ("Expand", (1, 5), [ints(3, 4, 5)], {}),
    ("Transpose", (1, 4, 5, 6), [], {"perm": [0, 2, 3, 1]}),
    ("Gather", (1, 5, 6), [ints(-1)], {"axis": 1}),
    ("Gather", (1, 5, 6), [np.int64(2)], {"axis": 2}),
    ("GatherND", (1, 5, 6), [ints(0, 3).reshape(1, 2)], {}),
    ("Slice", (1, 5, 6), [ints(1, -3), ints(2**62, 6), ints(1, 2)], {}),
    ("Split", (1, 5, 6), [ints(2, 4)], {"axis": 2}),
    ("Concat", (1, 5, 6), [floats(1, 2, 6), "x"], {"axis": 1}),
    *[(f"Reduce{kind}", (1, 5, 6), [ints(1)], {"keepdims": 0}) for kind in ("Mean", "Sum", "Max", "Min", "L2")],
]


def graph(operator: str, shape: tuple[int, ...], constants: list, attributes: dict) -> onnx.ModelProto:
    outputs = ["y", "z"] if operator == "Split" else ["y"]
    names = [value if isinstance(value, str) else f"c{place}" for place, value in enumerate(constants)]
    node = helper.make_node(operator, ["x", *names], outputs, "the_node", **attributes)
    kept = {name: value for name, value in zip(names, constants, strict=True) if name != "x"}
    entry = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    model = tiny_onnx.model([node], entry, [helper.make_empty_tensor_value_info("y")], kept, opset=20)
    inferred = onnx.shape_inference.infer_shapes(model)
    return inferred


@pytest.mark.parametrize(("operator", "shape", "constants", "attributes"), CASES)
def test_a_batch_is_its_inputs_one_by_one(operator: str, shape: tuple, constants: list, attributes: dict) -> None:
    import onnxruntime

    model = graph(operator, shape, constants, attributes)
    session = onnxruntime.InferenceSession(model.SerializeToString(), one_thread(), ["CPUExecutionProvider"])
    inputs = np.random.default_rng(6).standard_normal((3, *shape)).astype(np.float32)
    inputs = np.abs(inputs) if operator == "Sqrt" else inputs
    wanted = np.stack([session.run(["y"], {"x": x})[0].ravel() for x in inputs])
    # A network takes rows [B, ...] of a graph's [1, ...].
    network = Network(model)
    with torch.no_grad():
        found = network.run(torch.from_numpy(inputs)).flatten(1)
    assert np.allclose(found.numpy(), wanted, rtol=1e-5, atol=2e-6)


def test_every_operator_has_a_case() -> None:
    assert {case[0] for case in CASES} == set(OPERATORS)


def test_computed_indices_into_a_table_and_into_tokens() -> None:
    table = floats(9, 4)
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"], axis=0),
        helper.make_node("ArgMax", ["ids"], ["last"], axis=-1, keepdims=0),
        helper.make_node("Reshape", ["last", "shape"], ["place"]),
        helper.make_node("Concat", ["zero", "place"], ["index"], axis=-1),
        helper.make_node("GatherND", ["rows", "index"], ["y"]),
    ]
    entry = [helper.make_tensor_value_info("ids", TensorProto.INT64, [1, 5])]
    end = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])]
    constants = {"table": table, "shape": ints(1, 1), "zero": ints(0).reshape(1, 1)}
    ids = np.array([[1, 8, 0, 0, 0], [2, 3, 7, 1, 1]])
    found = Network(tiny_onnx.model(nodes, entry, end, constants))(torch.from_numpy(ids))
    assert np.array_equal(found.numpy(), table[[8, 7]])


def test_an_unknown_operator_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Celu the_node: this operator cannot be trained here"):
        Network(graph("Celu", (1, 5), [], {}))
