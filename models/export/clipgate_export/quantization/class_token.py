"""Computes only the row that is used, where a graph throws the other rows away.

CLIP's vision transformers pool by the class token: behind the last block one row of the tokens is gathered.
Everything between that gathering and the last block's keys and values works row by row, so it may be done for
that row alone. Which rows each tensor is needed in is found by going through the graph backwards.
"""

from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto

from .index import Edit, Index, attribute

ELEMENTWISE = ("Add", "Sub", "Mul", "Div", "Sigmoid", "Gelu", "Relu", "Tanh", "Erf", "HardSigmoid", "Identity")


@dataclass(frozen=True)
class Row:
    """Only `place` of the axis `axis` (counted from 0) is needed."""

    axis: int
    place: int


@dataclass(frozen=True)
class Saved:
    """How many multiplications one image takes before and after."""

    before: int
    after: int

    @property
    def share(self) -> float:
        """[0, 1]."""
        return 1 - self.after / self.before if self.before else 0.0


def keep_needed_rows(model: ModelProto) -> Saved:
    """Rewrites the graph if that saves multiplications; otherwise leaves it as it is."""
    index = Index(model)
    needed = _needed(index)
    before = multiplications(model)
    pays = any(
        node.op_type in ("MatMul", "Gemm") and needed.get(node.output[0]) is not None for node in model.graph.node
    )
    if not pays:
        return Saved(before, before)
    _rewrite(index, needed)
    return Saved(before, multiplications(model))


def multiplications(model: ModelProto) -> int:
    """Scalar multiplications of all convolutions and matrix products for one input."""
    index = Index(model)
    total = 0
    for node in model.graph.node:
        if node.op_type in ("MatMul", "Gemm", "Conv") and node.output[0] in index.shapes:
            weight = index.shapes[node.input[1]]
            if node.op_type == "Conv":
                inner = int(np.prod(weight[1:]))
            else:
                inner = weight[-1] if attribute(node, "transB", 0) else weight[-2]
            total += int(np.prod(index.shapes[node.output[0]])) * inner
    return total


def _needed(index: Index) -> dict[str, Row | None]:
    """For each tensor that some node reads: the one row that is needed, or None for all."""
    needed: dict[str, Row | None] = {name: None for name in index.outputs}

    def need(name: str, row: Row | None) -> None:
        if name in needed and needed[name] != row:
            row = None
        needed[name] = row

    for node in reversed(index.model.graph.node):
        gathered = _gathered_row(index, node)
        if gathered is not None:
            need(node.input[0], gathered)
            continue
        demands = [needed.get(name) for name in node.output]
        row = demands[0] if len(demands) == 1 else None
        for name, wanted in zip(node.input, _input_rows(index, node, row), strict=True):
            need(name, wanted)
    return needed


def _gathered_row(index: Index, node: NodeProto) -> Row | None:
    """The row that a Gather by one constant index takes."""
    if node.op_type != "Gather" or node.input[0] not in index.shapes or node.input[0] in index.tensors:
        return None
    place = index.constant(node.input[1])
    if place is None or place.size != 1:
        return None
    shape = index.shapes[node.input[0]]
    axis = int(attribute(node, "axis", 0)) % len(shape)
    return Row(axis, int(place.ravel()[0]) % shape[axis])


def _input_rows(index: Index, node: NodeProto, row: Row | None) -> list[Row | None]:
    """Which row of each input is enough for `row` of the output; None where all of it is needed."""
    everything: list[Row | None] = [None] * len(node.input)
    if row is None or any(name and name not in index.shapes for name in (*node.input, node.output[0])):
        return everything
    shape = index.shapes[node.output[0]]
    if node.op_type in ELEMENTWISE:
        rows = []
        for name in node.input:
            axis = row.axis - (len(shape) - len(index.shapes[name]))
            rows.append(None if axis < 0 or index.shapes[name][axis] == 1 else Row(axis, row.place))
        return rows
    if node.op_type in ("LayerNormalization", "Softmax"):
        axis = int(attribute(node, "axis", -1)) % len(shape)
        alone = row.axis < axis if node.op_type == "LayerNormalization" else row.axis != axis
        return [row if alone else None, *everything[1:]]
    if node.op_type == "MatMul" and row.axis == len(shape) - 2 and len(index.shapes[node.input[0]]) == len(shape):
        return [row, None]
    if node.op_type == "Gemm" and row.axis == 0 and not attribute(node, "transA", 0):
        bias_is_row = len(node.input) < 3 or len(index.shapes[node.input[2]]) == 1
        return [row, *everything[1:]] if bias_is_row else everything
    if node.op_type == "Transpose":
        return [Row(attribute(node, "perm", list(range(len(shape)))[::-1])[row.axis], row.place)]
    if node.op_type == "Reshape":
        axis = _axis_before(index.shapes[node.input[0]], shape, row.axis)
        return everything if axis is None else [Row(axis, row.place), None]
    return everything


def _axis_before(source: tuple[int, ...], target: tuple[int, ...], axis: int) -> int | None:
    """The axis of `source` that a Reshape keeps as `axis` of `target`."""
    before = int(np.prod(target[:axis]))
    for candidate, size in enumerate(source):
        if size == target[axis] and int(np.prod(source[:candidate])) == before:
            return candidate
    return None


def _rewrite(index: Index, needed: dict[str, Row | None]) -> None:
    edit = Edit(index.model)
    short = {name for name, row in needed.items() if row is not None and _shortens(index, name, row)}
    cut: dict[tuple[str, Row], str] = {}

    def shortened(name: str, row: Row) -> str:
        """The tensor's one row: `name` itself where its node computes no more, else gathered from it."""
        if name in short:
            return name
        if name in index.tensors:
            value = np.take(index.constant(name), [row.place], axis=row.axis)
            return edit.constant(f"{name}_row", value)
        if (name, row) not in cut:
            place = edit.constant(f"{name}_place", np.array([row.place], np.int64))
            cut[name, row] = edit.node("Gather", [name, place], f"{name}_row", axis=row.axis)
        return cut[name, row]

    for node in list(index.model.graph.node):
        if _gathered_row(index, node) is not None:
            if node.input[0] in short:
                place = np.zeros_like(index.constant(node.input[1]))
                node.input[1] = edit.constant(f"{node.input[0]}_only", place)
            continue
        if node.output[0] not in short:
            continue
        row = needed[node.output[0]]
        for place, (name, wanted) in enumerate(zip(node.input, _input_rows(index, node, row), strict=True)):
            if wanted is not None:
                node.input[place] = shortened(name, wanted)
        if node.op_type == "Reshape":
            shape = list(index.shapes[node.output[0]])
            shape[row.axis] = 1
            node.input[1] = edit.constant(f"{node.output[0]}_shape", np.array(shape, np.int64))
    del index.model.graph.value_info[:]
    edit.apply()


def _shortens(index: Index, name: str, row: Row) -> bool:
    """True if the node that makes `name` can be made to compute `row` of it only."""
    node = index.producer.get(name)
    if node is None or len(node.output) != 1 or _gathered_row(index, node) is not None:
        return False
    return any(wanted is not None for wanted in _input_rows(index, node, row))
