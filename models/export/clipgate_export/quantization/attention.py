"""Self-attention of one image, whatever its spelling, in the fewest operators, equal in exact arithmetic.

Three rules of arithmetic pay here: the factor 1 / sqrt(D) goes into the query's weights; a bias of the keys
adds the same number to all scores of a query, which softmax does not see; a bias of the values passes through
softmax unchanged, as its rows sum to one, and so joins the bias of the output projection.
"""

from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto

from .index import Edit, Index, attribute
from .linear import Linear, linear_making, linear_reading
from .movement import MOVING, Moved, trace


@dataclass(frozen=True)
class Projection:
    """`x` in order as [tokens, C], weight f32 [C, heads, D], bias f32 [heads, D]."""

    x: str
    weight: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True)
class Attention:
    """Weight f32 [heads * D, N] and bias f32 [N] of the output projection read the heads in order.

    `mask` is a constant that is added to the scores of every head, if there is one.
    """

    query: Projection
    key: Projection
    value: Projection
    mask: str | None
    out: Linear
    out_weight: np.ndarray
    out_bias: np.ndarray


def straighten_attention(model: ModelProto) -> int:
    """Rewrites every self-attention that is recognised; returns how many."""
    index, edit = Index(model), Edit(model)
    found = [a for node in model.graph.node if node.op_type == "Softmax" if (a := _match(index, node)) is not None]
    for number, attention in enumerate(found):
        _write(index, edit, attention, f"attention_{number}")
    edit.apply()
    return len(found)


def _match(index: Index, softmax: NodeProto) -> Attention | None:
    rank = len(index.shapes.get(softmax.output[0], ()))
    mix = index.only_consumer(softmax.output[0])
    if attribute(softmax, "axis", -1) not in (-1, rank - 1) or mix is None or mix.op_type != "MatMul":
        return None
    if mix.input[0] != softmax.output[0]:
        return None
    masked = _masked(index, softmax.input[0])
    scores = trace(index, masked[0] if masked else softmax.input[0])
    product = index.producer.get(scores.source)
    if product is None or product.op_type != "MatMul" or not _in_place(scores):
        return None
    query = _projection(index, product.input[0], transposed=False)
    key = _projection(index, product.input[1], transposed=True)
    value = _projection(index, mix.input[1], transposed=False)
    if query is None or key is None or value is None:
        return None
    query = Projection(query.x, query.weight * scores.factor, query.bias * scores.factor)
    if query.weight.shape[1:] != key.weight.shape[1:] or key.weight.shape[1] != value.weight.shape[1]:
        return None
    return _with_output(index, mix, query, key, value, masked[1] if masked else None)


def _masked(index: Index, name: str) -> tuple[str, str] | None:
    """Scores and the constant [.., tokens, tokens] added to them, the same for all heads."""
    addition = index.producer.get(name)
    if addition is None or addition.op_type != "Add":
        return None
    for scores, mask in (addition.input, addition.input[::-1]):
        if mask in index.tensors and scores not in index.tensors and len(index.shapes[mask]) >= 2:
            return (scores, mask) if int(np.prod(index.shapes[mask][:-2])) == 1 else None
    return None


def _with_output(
    index: Index, mix: NodeProto, query: Projection, key: Projection, value: Projection, mask: str | None
) -> Attention | None:
    tensor = mix.output[0]
    while (reader := index.only_consumer(tensor)) is not None and reader.op_type in MOVING:
        if len(reader.output) != 1:
            return None
        tensor = reader.output[0]
    out = linear_reading(index, tensor)
    if out is None:
        return None
    _, heads, depth = value.weight.shape
    tokens = index.shapes[mix.output[0]][-2]
    moved = trace(index, tensor, stop=mix.output[0])
    if moved.source != mix.output[0] or moved.factor != 1.0 or moved.places.size != tokens * heads * depth:
        return None
    columns = columns_of_heads(moved.places.reshape(tokens, heads * depth), tokens, depth)
    if columns is None:
        return None
    # Column c of what the projection reads is element columns[c] of the heads in order.
    weight = np.empty_like(out.weight)
    weight[columns] = out.weight
    bias = np.zeros(weight.shape[1], np.float32) if out.bias is None else out.bias
    return Attention(query, key, value, mask, out, weight, bias)


def _in_place(moved: Moved) -> bool:
    return np.array_equal(moved.places.ravel(), np.arange(moved.size))


def columns_of_heads(places: np.ndarray, tokens: int, depth: int) -> np.ndarray | None:
    """For element numbers [tokens, heads * D] of a tensor [heads, tokens, D]: which head * D + d each column is.

    Nothing where a column holds other tokens than its row's, or the columns are not all there once.
    """
    head, rest = np.divmod(places, tokens * depth)
    token, d = np.divmod(rest, depth)
    columns = head * depth + d
    if (token != np.arange(tokens)[:, None]).any() or (columns != columns[:1]).any():
        return None
    return columns[0] if np.array_equal(np.sort(columns[0]), np.arange(places.shape[1])) else None


def _projection(index: Index, name: str, transposed: bool) -> Projection | None:
    """The linear layer behind the heads `name` [1.., heads, tokens, D], or [1.., heads, D, tokens] if transposed."""
    moved = trace(index, name)
    if moved.places.ndim < 3 or int(np.prod(moved.places.shape[:-3])) != 1:
        return None
    layer = linear_making(index, moved.source)
    if layer is None:
        return None
    places = moved.places.reshape(moved.places.shape[-3:])
    if transposed:
        places = places.transpose(0, 2, 1)
    row, column = np.divmod(places, layer.weight.shape[1])
    tokens = places.shape[1]
    if (row != np.arange(tokens)[None, :, None]).any() or (column != column[:, :1]).any():
        return None
    source = trace(index, layer.x)
    if not source.in_order() or source.places.size != tokens * layer.weight.shape[0]:
        return None
    chosen = column[:, 0]
    bias = np.zeros(layer.weight.shape[1], np.float32) if layer.bias is None else layer.bias
    factor = np.float32(moved.factor)
    return Projection(source.source, layer.weight[:, chosen] * factor, bias[chosen] * factor)


def _write(index: Index, edit: Edit, attention: Attention, name: str) -> None:
    query, key, value = attention.query, attention.key, attention.value
    channels, heads, depth = query.weight.shape
    value_depth = value.weight.shape[2]

    def rows(projection: Projection) -> str:
        width = projection.weight.shape[0]
        shape = index.shapes[projection.x]
        if len(shape) == 3 and shape[0] == 1 and shape[2] == width:
            return projection.x
        target = edit.constant(f"{name}_rows_shape", np.array([1, -1, width], np.int64))
        return edit.node("Reshape", [projection.x, target], f"{name}_rows")

    def project(projection: Projection, part: str, bias: bool) -> str:
        width = projection.weight.shape[0]
        weight = edit.constant(f"{name}_{part}.weight", projection.weight.reshape(width, -1))
        output = edit.node("MatMul", [rows(projection), weight], f"{name}_{part}_product" if bias else f"{name}_{part}")
        if bias:
            output = edit.node(
                "Add", [output, edit.constant(f"{name}_{part}.bias", projection.bias.ravel())], f"{name}_{part}"
            )
        return output

    def split(tensor: str, part: str, depth: int, order: list[int]) -> str:
        shape = edit.constant(f"{name}_{part}_shape", np.array([1, -1, heads, depth], np.int64))
        tokens = edit.node("Reshape", [tensor, shape], f"{name}_{part}_tokens")
        return edit.node("Transpose", [tokens], f"{name}_{part}_heads", perm=order)

    # Half of the factor 1 / sqrt(D) may stand at the keys; all of it goes to the query.
    scores = edit.node(
        "MatMul",
        [
            split(project(query, "query", query.bias.any()), "query", depth, [0, 2, 1, 3]),
            split(project(key, "key", False), "key", depth, [0, 2, 3, 1]),
        ],
        f"{name}_scores",
    )
    if attention.mask is not None:
        # Its leading ones would add axes to the scores.
        square = index.constant(attention.mask)
        square = square.reshape(square.shape[-2:])
        scores = edit.node("Add", [scores, edit.constant(f"{name}_mask", square)], f"{name}_masked")
    shares = edit.node("Softmax", [scores], f"{name}_shares", axis=-1)
    values = split(project(value, "value", False), "value", value_depth, [0, 2, 1, 3])
    mixed = edit.node("MatMul", [shares, values], f"{name}_mixed")
    joined = edit.node("Transpose", [mixed], f"{name}_joined", perm=[0, 2, 1, 3])
    flat_shape = edit.constant(f"{name}_flat_shape", np.array([1, -1, heads * value_depth], np.int64))
    flat = edit.node("Reshape", [joined, flat_shape], f"{name}_flat")
    product = edit.node(
        "MatMul", [flat, edit.constant(f"{name}_out.weight", attention.out_weight)], f"{name}_out_product"
    )
    bias = attention.out_bias + value.bias.ravel().astype(np.float64) @ attention.out_weight.astype(np.float64)
    output = edit.node("Add", [product, edit.constant(f"{name}_out.bias", bias.astype(np.float32))], f"{name}_out")
    shape = edit.constant(f"{name}_out_shape", np.array(index.shapes[attention.out.output], np.int64))
    edit.redirect(attention.out.output, edit.node("Reshape", [output, shape], f"{name}_out_reshaped"))
