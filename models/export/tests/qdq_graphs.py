"""Small graphs written out node by node: QDQ ones that a test breaks in one place, and an fp32 tower."""

from pathlib import Path

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize
from onnxruntime.quantization.execution_providers.qnn import get_qnn_qdq_config


class GraphBuilder:
    """Adds operators between DequantizeLinear and QuantizeLinear; `x` f32 [1, 8] to `y` f32 [1, 8]."""

    def __init__(self, opset: int = 20, shape: tuple = (1, 8)) -> None:
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []
        self.opset, self.shape = opset, shape
        self.draw = np.random.default_rng(3)

    def constant(self, name: str, value: np.ndarray) -> str:
        self.initializers.append(numpy_helper.from_array(value, name))
        return name

    def node(self, operator: str, inputs: list[str], output: str, domain: str = "", **attributes: object) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, domain=domain, **attributes))
        return output

    def quantized(self, tensor: str, zero: int = 128, kind: type = np.uint8) -> str:
        """QuantizeLinear and DequantizeLinear behind `tensor`."""
        scale = self.constant(f"{tensor}_scale", np.float32(0.05))
        point = self.constant(f"{tensor}_zero_point", kind(zero))
        self.node("QuantizeLinear", [tensor, scale, point], f"{tensor}_QuantizeLinear_Output")
        return self.node(
            "DequantizeLinear", [f"{tensor}_QuantizeLinear_Output", scale, point], f"{tensor}_DequantizeLinear_Output"
        )

    def weight(
        self, name: str, kind: type = np.int8, zero: int = 0, shape: tuple = (8, 8), channels: bool = False
    ) -> str:
        """A stored integer weight behind DequantizeLinear."""
        limits = np.iinfo(kind)
        values = self.draw.integers(limits.min, limits.max, shape, endpoint=True).astype(kind)
        size = shape[1] if channels else ()
        inputs = [
            self.constant(f"{name}_quantized", values),
            self.constant(f"{name}_scale", np.full(size, 0.01, np.float32)),
            self.constant(f"{name}_zero_point", np.full(size, zero, kind)),
        ]
        return (
            self.node("DequantizeLinear", inputs, name, axis=1)
            if channels
            else self.node("DequantizeLinear", inputs, name)
        )

    def model(self, output: str) -> ModelProto:
        """With the dequantised `output` renamed to `y`."""
        for node in self.nodes:
            node.output[:] = ["y" if name == output else name for name in node.output]
        graph = helper.make_graph(
            self.nodes,
            "graph",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, self.shape)],
            self.initializers,
        )
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def clean() -> ModelProto:
    """MatMul, Gelu and LayerNormalization in int8, as Hexagon and the CPU want them."""
    graph = GraphBuilder()
    x = graph.quantized("x")
    x = graph.quantized(graph.node("MatMul", [x, graph.weight("w")], "matmul"))
    x = graph.quantized(graph.node("Gelu", [x], "gelu"))
    scale, bias = graph.weight("norm", np.uint8, 0, (8,)), graph.weight("bias", np.int32, 0, (8,))
    return graph.model(graph.quantized(graph.node("LayerNormalization", [x, scale, bias], "norm_out")))


def fp32_tower(seed: int = 5, size: int = 8, width: int = 16) -> ModelProto:
    """pixel_values [1, 3, size, size] to image_embeds [1, width], in every manner of operator."""
    draw = np.random.default_rng(seed)

    def stored(name: str, *shape: int) -> TensorProto:
        return numpy_helper.from_array((draw.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32), name)

    tokens = (size // 2) ** 2
    nodes = [
        helper.make_node("Conv", ["pixel_values", "patch.w", "patch.b"], ["patch"], strides=[2, 2]),
        helper.make_node("Relu", ["patch"], ["relu"]),
        helper.make_node("Reshape", ["relu", "rows"], ["flat"]),
        helper.make_node("Transpose", ["flat"], ["tokens"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["tokens", "mlp.w"], ["hidden"]),
        helper.make_node("Gelu", ["hidden"], ["gelu"]),
        helper.make_node("LayerNormalization", ["gelu", "norm.w", "norm.b"], ["norm"]),
        helper.make_node("ReduceMean", ["norm", "axis"], ["pooled"], keepdims=0),
        helper.make_node("Gemm", ["pooled", "head.w", "head.b"], ["image_embeds"]),
    ]
    for node in nodes:
        node.name = f"node_{node.output[0]}"
    initializers = [
        stored("patch.w", 8, 3, 2, 2),
        stored("patch.b", 8),
        stored("mlp.w", 8, 12),
        numpy_helper.from_array(np.ones(12, np.float32), "norm.w"),
        stored("norm.b", 12),
        stored("head.w", 12, width),
        stored("head.b", width),
        numpy_helper.from_array(np.array([1, 8, tokens]), "rows"),
        numpy_helper.from_array(np.array([1]), "axis"),
    ]
    graph = helper.make_graph(
        nodes,
        "tower",
        [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, [1, 3, size, size])],
        [helper.make_tensor_value_info("image_embeds", TensorProto.FLOAT, [1, width])],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


class Rows(CalibrationDataReader):
    """Inputs [N, ...] one at a time."""

    def __init__(self, name: str, rows: np.ndarray) -> None:
        self.name, self.rows = name, iter(rows)

    def get_next(self) -> dict[str, np.ndarray] | None:
        row = next(self.rows, None)
        return None if row is None else {self.name: row[None]}


def quantise(fp32: Path, int8: Path, inputs: np.ndarray) -> None:
    """By ONNX Runtime's own quantiser, set up for Hexagon."""
    overrides = {"norm.w": [{"quant_type": QuantType.QUInt8}]}
    config = get_qnn_qdq_config(
        fp32,
        Rows("pixel_values", inputs),
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        weight_symmetric=True,
        init_overrides=overrides,
    )
    quantize(fp32, int8, config)
