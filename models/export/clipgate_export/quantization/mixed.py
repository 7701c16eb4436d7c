"""Automatic mixed precision: which layers quantisation hurts, by trying each alone.

A layer is a matrix product or convolution with its bias, or a LayerNorm, or an attention's inner products,
together with what follows it element by element. The damage of a layer is what quantising it and nothing else
does to the embedding. The worst are kept out, as few as reach the target.
"""

from collections.abc import Callable

import numpy as np
from onnx import ModelProto, NodeProto

from .index import Index
from .movement import MOVING
from .observe import bar, cosines, embed
from .qdq import Ranges, quantise
from .recipe import Layer, Recipe
from .store import Store

# So few tell the layers apart: the damage of one layer differs far more between layers than between images.
IMAGES = 8
STARTING = ("MatMul", "Gemm", "Conv", "LayerNormalization")


def layers(model: ModelProto) -> list[Layer]:
    """Every node of the graph in exactly one layer, in the graph's order; a layer has its first node's name."""
    index = Index(model)
    leader: dict[str, str] = {}
    members: dict[str, list[str]] = {}
    for node in model.graph.node:
        first = node.name
        if not _starts(index, node):
            known = [leader[index.producer[name].name] for name in node.input if name in index.producer]
            # What joins two ways, as a residual addition, belongs to the one that was computed last.
            first = max(known, key=list(members).index) if known else node.name
        leader[node.name] = first
        members.setdefault(first, []).append(node.name)
    return [Layer(name, tuple(nodes)) for name, nodes in members.items()]


def _starts(index: Index, node: NodeProto) -> bool:
    if node.op_type in MOVING or node.op_type not in STARTING:
        return False
    weighted = node.op_type == "LayerNormalization" or node.input[1] in index.tensors
    # Queries by keys starts an attention; shares by values goes on with it.
    after_softmax = any(index.producer[name].op_type == "Softmax" for name in node.input if name in index.producer)
    return weighted or not after_softmax


def rank(
    store: Store, found: list[Layer], ranges: Ranges, recipe: Recipe, rows: list[np.ndarray], progress: bool
) -> list[Layer]:
    """The layers with their damage, worst first."""
    session = store.session(store.light)
    reference = embed(session, rows)
    del session
    ranked = []
    for layer in bar(found, "layers", len(found), progress):
        alone = quantise(store, ranges, recipe.per_channel, recipe.activation_bits, only=layer.nodes)
        damage = 1 - float(cosines(embed(store.session(alone), rows), reference).mean())
        ranked.append(Layer(layer.name, layer.nodes, damage))
    return sorted(ranked, key=lambda layer: -layer.damage)


def fewest(count: int, enough: Callable[[int], bool]) -> int:
    """The smallest number from 0 to `count` that is enough, found by halving; `count` if none is."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle + 1
    return low
