"""A linear layer in any of the spellings that exporters use: MatMul, MatMul and Add, Gemm."""

from dataclasses import dataclass

import numpy as np
from onnx import NodeProto

from .index import Index, attribute


@dataclass(frozen=True)
class Linear:
    """`output` = `x` @ weight + bias: weight f32 [C, N], bias f32 [N] or nothing; `nodes` are one or two."""

    x: str
    output: str
    weight: np.ndarray
    bias: np.ndarray | None
    nodes: tuple[NodeProto, ...]


def linear_making(index: Index, output: str) -> Linear | None:
    """The linear layer whose result is `output`."""
    node = index.producer.get(output)
    if node is None:
        return None
    if node.op_type == "Gemm":
        return _gemm(index, node)
    if node.op_type == "MatMul":
        return _matmul(index, node)
    if node.op_type == "Add":
        for product, other in ((0, 1), (1, 0)):
            bias = index.constant(node.input[other])
            inner = index.producer.get(node.input[product])
            if bias is None or inner is None or inner.op_type != "MatMul":
                continue
            found = _matmul(index, inner)
            alone = index.only_consumer(node.input[product]) is not None
            if found is not None and alone and bias.shape == found.weight.shape[1:]:
                return Linear(found.x, output, found.weight, bias, (inner, node))
    return None


def linear_reading(index: Index, x: str) -> Linear | None:
    """The linear layer that alone reads `x`, with its bias."""
    node = index.only_consumer(x)
    if node is None or node.input[0] != x:
        return None
    if node.op_type == "Gemm":
        return _gemm(index, node)
    if node.op_type != "MatMul":
        return None
    follower = index.only_consumer(node.output[0])
    if follower is not None and follower.op_type == "Add":
        with_bias = linear_making(index, follower.output[0])
        if with_bias is not None:
            return with_bias
    return _matmul(index, node)


def _matmul(index: Index, node: NodeProto) -> Linear | None:
    weight = index.constant(node.input[1])
    if weight is None or weight.ndim != 2 or weight.dtype != np.float32:
        return None
    return Linear(node.input[0], node.output[0], weight, None, (node,))


def _gemm(index: Index, node: NodeProto) -> Linear | None:
    weight = index.constant(node.input[1])
    bias = index.constant(node.input[2]) if len(node.input) > 2 and node.input[2] else None
    plain = attribute(node, "alpha", 1.0) == 1.0 and attribute(node, "beta", 1.0) == 1.0
    if weight is None or weight.dtype != np.float32 or not plain or attribute(node, "transA", 0):
        return None
    if len(node.input) > 2 and node.input[2] and (bias is None or bias.ndim != 1):
        return None
    if attribute(node, "transB", 0):
        weight = weight.T
    return Linear(node.input[0], node.output[0], weight, bias, (node,))
