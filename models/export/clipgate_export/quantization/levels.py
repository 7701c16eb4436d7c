"""The numbers in a QDQ graph: which scales its tensors have, which constants are quantised by them, and new values.

A graph of the recipe stays the same graph when its numbers change. Weights of fewer than 8 bits and scales that were
learned are written into the graph that ONNX Runtime's quantiser made, so that every kernel and compiler that takes
the one takes the other.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from .index import attribute

WEIGHTED = ("Conv", "Gemm", "MatMul")
# A Conv's, Gemm's or LayerNormalization's third input is quantised by the product of the scales of the first two.
BIASED = ("Conv", "Gemm", "LayerNormalization")
QUANTIZED = "_quantized"
INT32 = np.iinfo(np.int32)


@dataclass(frozen=True)
class Activation:
    """Computed tensors that share the initializers `scale` f32 [] and `zero_point`; levels lie in `low` to `high`.

    `shares`: they are softmax's, whose scales are those of `whole_reciprocal`.
    """

    scale: str
    zero_point: str
    low: int
    high: int
    shares: bool


@dataclass(frozen=True)
class Constant:
    """A quantised initializer `quantised`: (q - zero point) * scale along `axis`, or of the whole tensor.

    `source` is its name in the graph before. `weight`: it multiplies activations in a product or convolution.
    `product`: of a bias, the two initializers whose product its scale is.
    """

    quantised: str
    scale: str
    zero_point: str
    axis: int | None
    weight: bool
    product: tuple[str, str] | None

    @property
    def source(self) -> str:
        return self.quantised.removesuffix(QUANTIZED)


@dataclass(frozen=True)
class Levels:
    """Everything that is quantised in a graph, by the name of the scale or of the quantised initializer."""

    activations: dict[str, Activation]
    constants: dict[str, Constant]

    @property
    def weights(self) -> list[Constant]:
        return [constant for constant in self.constants.values() if constant.weight]


def read_levels(model: ModelProto) -> Levels:
    """Of a graph as `qdq.quantise` makes it."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    scale_of: dict[str, str] = {}
    made_by: dict[str, NodeProto] = {}
    activations: dict[str, Activation] = {}
    shares = {node.output[0] for node in model.graph.node if node.op_type == "Softmax"}
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            kind = helper.tensor_dtype_to_np_dtype(tensors[node.input[2]].data_type)
            low, high = int(np.iinfo(kind).min), int(np.iinfo(kind).max)
            known = activations.get(node.input[1])
            narrow_shares = high - low == 255 and node.input[0] in shares
            is_shares = narrow_shares or (known is not None and known.shares)
            activations[node.input[1]] = Activation(node.input[1], node.input[2], low, high, is_shares)
        elif node.op_type == "DequantizeLinear":
            scale_of[node.output[0]] = node.input[1]
            if node.input[0] in tensors:
                made_by[node.output[0]] = node
    weights, products = set(), {}
    for node in model.graph.node:
        if node.op_type in WEIGHTED:
            weights.add(node.input[1])
        if node.op_type in BIASED and len(node.input) > 2 and node.input[2] in made_by:
            products[node.input[2]] = tuple(scale_of.get(name, "") for name in node.input[:2])
    constants = {}
    for output, node in made_by.items():
        bias = tensors[node.input[0]].data_type == TensorProto.INT32
        constants[node.input[0]] = Constant(
            node.input[0],
            node.input[1],
            node.input[2],
            int(attribute(node, "axis", 1)) if math.prod(tensors[node.input[1]].dims) > 1 else None,
            output in weights,
            products[output] if bias else None,
        )
    return Levels(activations, constants)


def highest_level(bits: int) -> int:
    """Of symmetric weights: 127, 31 or 7."""
    return 2 ** (bits - 1) - 1


def along(scale: np.ndarray, axis: int | None, rank: int) -> np.ndarray:
    """The scale in a shape that multiplies a tensor of `rank` axes."""
    if axis is None:
        return scale.reshape(())
    return scale.reshape([-1 if place == axis % rank else 1 for place in range(rank)])


def dequantised(constant: Constant, tensors: Mapping[str, np.ndarray]) -> np.ndarray:
    """What its levels stand for, f32, from the graph's initializers."""
    levels = tensors[constant.quantised]
    zero = int(tensors[constant.zero_point].ravel()[0])
    return (levels.astype(np.float32) - zero) * along(tensors[constant.scale], constant.axis, levels.ndim)


def whole_reciprocal(scale: np.ndarray | float) -> np.ndarray:
    """The next scale f32 from `scale` upwards whose reciprocal, in f32 too, is a whole number.

    ONNX Runtime's kernel for softmax in 8 bits makes levels of shares by floor(1 / scale), and what reads them
    multiplies by the scale: of 1 / 254.9 it takes 1 / 254, which changes one level in twenty.
    """
    whole = np.maximum(np.floor(np.float32(1) / np.float32(scale)), np.float32(1))
    found = np.float32(1) / whole
    return np.where(np.float32(1) / found < whole, np.nextafter(found, np.float32(0)), found).astype(np.float32)


def make_shares_exact(model: ModelProto) -> None:
    """Gives softmax's results scales that ONNX Runtime computes with exactly, in place."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    shares = [activation.scale for activation in read_levels(model).activations.values() if activation.shares]
    write(model, {name: whole_reciprocal(numpy_helper.to_array(tensors[name])) for name in shares})


def narrow(model: ModelProto, sources: Mapping[str, np.ndarray], bits: int) -> None:
    """Quantises the weights of the QDQ graph anew, in place, to `bits` bits by their largest magnitude.

    `sources` holds the fp32 constants of weights and biases by their names before quantisation.
    """
    levels = read_levels(model)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    numbers: dict[str, np.ndarray] = {}
    scales: dict[str, np.ndarray] = {}
    top = highest_level(bits)
    for weight in levels.weights:
        value = sources[weight.source]
        others = None if weight.axis is None else tuple(a for a in range(value.ndim) if a != weight.axis % value.ndim)
        furthest = np.abs(value).max(others)
        scale = (np.where(furthest > 0, furthest, top) / top).astype(np.float32)
        scales[weight.scale] = scale
        numbers[weight.quantised] = np.clip(np.rint(value / along(scale, weight.axis, value.ndim)), -top, top)
    for bias in levels.constants.values():
        if bias.product is not None and set(bias.product) & set(scales):
            parts = [scales.get(name, numpy_helper.to_array(tensors[name])) for name in bias.product]
            scales[bias.scale] = (parts[0] * parts[1]).astype(np.float32)
            value = sources[bias.source].astype(np.float64)
            numbers[bias.quantised] = np.clip(np.rint(value / scales[bias.scale]), INT32.min, INT32.max)
    write(model, numbers | scales)


def write(model: ModelProto, numbers: Mapping[str, np.ndarray]) -> None:
    """Gives initializers of the graph new values, of their own type and shape."""
    for tensor in model.graph.initializer:
        if tensor.name in numbers:
            kind = helper.tensor_dtype_to_np_dtype(tensor.data_type)
            value = np.asarray(numbers[tensor.name]).astype(kind).reshape(tuple(tensor.dims))
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))


def packed_bytes(model: ModelProto, bits: int) -> int:
    """The file's size if the weights took `bits` bits each instead of 8, every tensor filled up to a byte."""
    sizes = {tensor.name: math.prod(tensor.dims) for tensor in model.graph.initializer}
    weights = {weight.quantised for weight in read_levels(model).weights}
    return model.ByteSize() - sum(sizes[name] - -(-sizes[name] * bits // 8) for name in weights)
