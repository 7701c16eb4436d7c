"""Exact savings in an fp32 graph before it is quantised: less to compute, the same embedding.

Each rule finds its pattern by what the operators do, not by their names; where it finds none, the graph
stays as it is. In fp32 the embedding stays the same but for rounding.
"""

from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, numpy_helper

from .attention import straighten_attention
from .class_token import Saved, keep_needed_rows
from .index import Edit, Index, drop_unused
from .linear import Linear, linear_making, linear_reading
from .movement import MOVING, trace


@dataclass(frozen=True)
class Savings:
    """What was found and rewritten."""

    attentions: int
    swish_activations: int
    class_token: Saved
    biases: int


def save(model: ModelProto) -> Savings:
    """Rewrites `model` in place."""
    attentions = straighten_attention(model)
    swish = fold_swish_factor(model)
    remove_idle_movements(model)
    saved = keep_needed_rows(model)
    return Savings(attentions, swish, saved, fuse_biases(model))


def remove_idle_movements(model: ModelProto) -> None:
    """A chain of layout operators that leaves every element in its place becomes one Reshape, or none."""
    index, edit = Index(model), Edit(model)
    shapes: dict[tuple[int, ...], str] = {}
    for node in list(model.graph.node):
        if node.op_type in MOVING:
            continue
        for place, name in enumerate(node.input):
            maker = index.producer.get(name)
            if maker is None or maker.op_type not in MOVING:
                continue
            moved = trace(index, name)
            if not moved.in_order():
                continue
            shape = index.shapes[name]
            if shape == index.shapes[moved.source]:
                node.input[place] = moved.source
            elif maker.op_type != "Reshape" or maker.input[0] != moved.source:
                if shape not in shapes:
                    shapes[shape] = edit.constant("shape_" + "x".join(map(str, shape)), np.array(shape, np.int64))
                node.input[place] = edit.node("Reshape", [moved.source, shapes[shape]], f"{name}_reshaped")
    edit.apply()


def fold_swish_factor(model: ModelProto) -> int:
    """x * sigmoid(a * x) between two linear layers becomes y * sigmoid(y) with y = a * x.

    The first layer's weights take the factor a, the second's 1 / a: one Mul less, and as a whole tensor is
    scaled, nothing changes for its quantisation. QuickGELU (a = 1.702) is the case that occurs.
    """
    index = Index(model)
    folded = 0
    for sigmoid in model.graph.node:
        if sigmoid.op_type != "Sigmoid":
            continue
        scaled = index.producer.get(sigmoid.input[0])
        product = index.only_consumer(sigmoid.output[0])
        if scaled is None or scaled.op_type != "Mul" or product is None or product.op_type != "Mul":
            continue
        factor = index.scalar(scaled.input[1]) or index.scalar(scaled.input[0])
        x = scaled.input[0] if index.scalar(scaled.input[1]) else scaled.input[1]
        alone = index.only_consumer(scaled.output[0]) is sigmoid
        before, after = linear_making(index, x), linear_reading(index, product.output[0])
        if not factor or not alone or before is None or after is None or x in index.outputs:
            continue
        if {id(node) for node in index.consumers[x]} != {id(scaled), id(product)}:
            continue
        if not (_owns_weights(index, before) and _owns_weights(index, after)):
            continue
        _scale(index, before, factor, with_bias=True)
        _scale(index, after, 1 / factor, with_bias=False)
        sigmoid.input[0] = x
        folded += 1
    drop_unused(model)
    return folded


def fuse_biases(model: ModelProto) -> int:
    """MatMul and the Add of a bias become one Gemm between two Reshapes; returns how many.

    Quantised, a Gemm adds its bias in 32 bits, where a MatMul's product is rounded to 8 bits before and after it.
    """
    index, edit = Index(model), Edit(model)
    fused = 0
    for node in list(model.graph.node):
        layer = linear_making(index, node.output[0]) if node.op_type == "Add" else None
        if layer is None or layer.output in index.outputs:
            continue
        product, addition = layer.nodes
        bias = addition.input[1] if addition.input[0] == product.output[0] else addition.input[0]
        rows = edit.constant(f"{layer.output}_rows_shape", np.array([-1, layer.weight.shape[0]], np.int64))
        flat = edit.node("Reshape", [layer.x, rows], f"{layer.output}_rows")
        gemm = edit.node("Gemm", [flat, product.input[1], bias], f"{layer.output}_gemm")
        shape = edit.constant(f"{layer.output}_shape", np.array(index.shapes[layer.output], np.int64))
        edit.redirect(layer.output, edit.node("Reshape", [gemm, shape], f"{layer.output}_shaped"))
        fused += 1
    edit.apply()
    remove_idle_movements(model)
    return fused


def _owns_weights(index: Index, layer: Linear) -> bool:
    """True if no other node reads the layer's weight and bias."""
    names = [name for node in layer.nodes for name in node.input if name in index.tensors]
    return bool(names) and all(len(index.consumers[name]) == 1 for name in names)


def _scale(index: Index, layer: Linear, factor: float, with_bias: bool) -> None:
    for node in layer.nodes:
        for place, name in enumerate(node.input):
            is_bias = place == 2 or node.op_type == "Add"
            if name in index.tensors and (with_bias or not is_bias):
                scaled = (numpy_helper.to_array(index.tensors[name]) * np.float32(factor)).astype(np.float32)
                index.tensors[name].CopyFrom(numpy_helper.from_array(scaled, name))
