"""SmoothQuant: moves what makes activations hard to quantise into the weights behind them, exactly in fp32.

Xiao et al. 2022, arXiv 2211.10438, equation 4: channel j of a linear layer's input is divided by
s_j = max|X_j|^alpha / max|W_j|^(1 - alpha), and row j of its weights is multiplied by it. The division is folded
into what makes the input: the scale and bias of a LayerNorm, or, for an attention's output projection, the
weights of its values.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from .attention import columns_of_heads
from .index import Index, attribute, copy_of
from .linear import linear_making
from .movement import MOVING, trace
from .observe import Batches, bar, rows
from .store import Store

# A channel that is never used, or whose weights are zero, would ask for a scale of zero or infinity.
SMALLEST, LARGEST = 1e-3, 1e3


@dataclass(frozen=True)
class Site:
    """`tensor` f32 [.., C] is divided by s: the constants `divided` along their last axis.

    `weights` are multiplied: [C, N], or [N, C] where the flag says transposed.
    """

    tensor: str
    divided: tuple[str, ...]
    weights: tuple[tuple[str, bool], ...]


def sites(model: ModelProto) -> list[Site]:
    """Every place where a scale can be folded."""
    index = Index(model)
    found = []
    for node in model.graph.node:
        site = None
        if node.op_type == "LayerNormalization":
            site = _behind_norm(index, node)
        elif node.op_type == "MatMul" and node.input[0] not in index.tensors and node.input[1] not in index.tensors:
            site = _behind_values(index, node)
        if site is not None and all(len(index.consumers[n]) == 1 for n in (*site.divided, *dict(site.weights))):
            found.append(site)
    return found


def _behind_norm(index: Index, norm: NodeProto) -> Site | None:
    """A LayerNorm that only linear layers read, directly or by rows."""
    constants = tuple(name for name in norm.input[1:] if name)
    weights: list[tuple[str, bool]] = []
    pending = [norm.output[0]]
    channels = index.shapes.get(norm.output[0], (0,))[-1:]
    while pending:
        name = pending.pop()
        if name in index.outputs or index.shapes.get(name, (0,))[-1:] != channels:
            return None
        for reader in index.consumers[name]:
            if reader.op_type in MOVING:
                order = attribute(reader, "perm", [])
                rank = len(index.shapes[name])
                axis = attribute(reader, "axis", 0)
                moves_channels = (order and order[-1] != rank - 1) or (
                    reader.op_type in ("Gather", "Split") and axis in (-1, rank - 1)
                )
                if moves_channels or reader.op_type == "Slice":
                    return None
                pending.extend(reader.output)
                continue
            weight = _weight_reading(index, reader, name)
            if weight is None:
                return None
            weights.append(weight)
    known = all(name in index.tensors for name in constants)
    return Site(norm.output[0], constants, tuple(weights)) if weights and known else None


def _behind_values(index: Index, mix: NodeProto) -> Site | None:
    """An attention's mixed values, heads in order, that its output projection alone reads."""
    values = trace(index, mix.input[1])
    layer = linear_making(index, values.source)
    if layer is None or layer.bias is not None or len(layer.nodes) != 1 or layer.nodes[0].op_type != "MatMul":
        return None
    tensor = mix.output[0]
    while (reader := index.only_consumer(tensor)) is not None and reader.op_type in MOVING and len(reader.output) == 1:
        tensor = reader.output[0]
    weight = None if reader is None else _weight_reading(index, reader, tensor)
    if weight is None or values.places.ndim < 3 or values.factor != 1.0:
        return None
    heads, tokens, depth = values.places.shape[-3:]
    mixed = trace(index, tensor, stop=mix.output[0])
    rows_read = index.shapes[mix.output[0]][-2]
    if values.places.size != heads * tokens * depth or mixed.places.size != heads * rows_read * depth:
        return None
    columns = columns_of_heads(mixed.places.reshape(rows_read, heads * depth), rows_read, depth)
    made = values.places.reshape(heads, tokens, depth).transpose(1, 0, 2).reshape(tokens, -1)
    in_order = np.array_equal(made, np.arange(made.size).reshape(made.shape))
    if columns is None or not in_order or not np.array_equal(columns, np.arange(heads * depth)):
        return None
    return Site(tensor, (layer.nodes[0].input[1],), (weight,))


def _weight_reading(index: Index, node: NodeProto, x: str) -> tuple[str, bool] | None:
    if node.op_type not in ("MatMul", "Gemm") or node.input[0] != x or node.input[1] not in index.tensors:
        return None
    if node.op_type == "Gemm" and (attribute(node, "transA", 0) or attribute(node, "alpha", 1.0) != 1.0):
        return None
    return node.input[1], bool(attribute(node, "transB", 0))


def channel_maxima(store: Store, found: list[Site], batches: Batches, progress: bool) -> dict[str, np.ndarray]:
    """max |x| of each channel over all images and tokens, f32 [C], by the site's tensor."""
    index = Index(store.light)
    watched = copy_of(store.light)
    outputs = []
    for site in found:
        axes = f"{site.tensor}.axes"
        rank = len(index.shapes[site.tensor])
        watched.graph.initializer.append(numpy_helper.from_array(np.arange(rank - 1, dtype=np.int64), axes))
        outputs.append(f"{site.tensor}.maxima")
        watched.graph.node.append(helper.make_node("Abs", [site.tensor], [f"{site.tensor}.abs"]))
        reduce = helper.make_node("ReduceMax", [f"{site.tensor}.abs", axes], [outputs[-1]], keepdims=0)
        watched.graph.node.append(reduce)
        watched.graph.output.append(helper.make_tensor_value_info(outputs[-1], TensorProto.FLOAT, [None]))
    session = store.session(watched)
    wanted = session.get_inputs()[0]
    maxima: list[np.ndarray] | None = None
    for row in bar(rows(batches, wanted.shape), "channels", None, progress):
        values = session.run(outputs, {wanted.name: row})
        maxima = values if maxima is None else [np.maximum(a, b) for a, b in zip(maxima, values, strict=True)]
    return {site.tensor: value for site, value in zip(found, maxima or [], strict=True)}


def smooth(model: ModelProto, found: list[Site], maxima: Mapping[str, np.ndarray], alpha: float) -> None:
    """Folds the scales of strength `alpha` into the constants of `model`."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}

    def multiply(name: str, factor: np.ndarray) -> None:
        value = (numpy_helper.to_array(constants[name]) * factor).astype(np.float32)
        constants[name].CopyFrom(numpy_helper.from_array(value, name))

    for site in found:
        weight_maxima = np.zeros_like(maxima[site.tensor])
        for name, transposed in site.weights:
            weight = np.abs(numpy_helper.to_array(constants[name]))
            weight_maxima = np.maximum(weight_maxima, weight.max(0 if transposed else 1))
        scale = maxima[site.tensor] ** alpha / np.maximum(weight_maxima, 1e-8) ** (1 - alpha)
        usable = (maxima[site.tensor] > 0) & (weight_maxima > 0)
        scale = np.where(usable, np.clip(scale, SMALLEST, LARGEST), 1.0).astype(np.float32)
        for name in site.divided:
            multiply(name, 1 / scale)
        for name, transposed in site.weights:
            multiply(name, scale if transposed else scale[:, None])
