"""Automatic mixed precision: which layers quantisation hurts, by trying each alone.

A layer is a matrix product or convolution with its bias, or a LayerNorm, or an attention's inner products,
together with what follows it element by element. The damage of a layer is what quantising it and nothing else
does to the embedding. Kept out, until the target is reached, is what does most damage for what it costs in float.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto

from ..likeness import Likeness, directions
from .index import Index, attribute, copy_of
from .movement import MOVING
from .observe import bar, concurrently
from .qdq import Ranges, quantise
from .recipe import Layer, Recipe
from .store import Store
from .waist import Waist, behind, waists

# So few tell the layers apart: the damage of one layer differs far more between layers than between images.
IMAGES = 4
STARTING = ("MatMul", "Gemm", "Conv", "LayerNormalization")


@dataclass(frozen=True)
class Ranking:
    """The layers with their damage, first those that do most for what they cost.

    `reference` f64 [images, D] are the fp32 embeddings, of unit length, `effects` f64 [layers, images, D] what each
    layer alone adds to them, `middle` f64 [D] what is taken from all to compare them.
    """

    layers: tuple[Layer, ...]
    reference: np.ndarray
    effects: np.ndarray
    middle: np.ndarray

    def foretold(self, kept: int) -> Likeness:
        """With the first `kept` layers in float, if the layers' effects just add up, as small ones do."""
        return Likeness.of(self.reference, self.reference + self.effects[kept:].sum(0), self.middle)

    def expected(self, recipe: Recipe, measured: Likeness) -> int:
        """How many layers to keep, if what is foretold is as far off as it is for none kept, which was measured."""
        foretold = [self.foretold(kept) for kept in range(len(self.layers) + 1)]
        scales = [_loss(measured)[place] / max(_loss(foretold[0])[place], 1e-9) for place in (0, 1)]
        for kept, likeness in enumerate(foretold):
            plain, centred = (scale * loss for scale, loss in zip(scales, _loss(likeness), strict=True))
            if recipe.reached(1 - plain, 1 - centred):
                return kept
        return len(self.layers)


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
    store: Store,
    found: list[Layer],
    ranges: Ranges,
    recipe: Recipe,
    images: list[np.ndarray],
    middle: np.ndarray,
    progress: bool,
) -> Ranking:
    """Tries every layer on `images`; `middle` is the mean direction of many fp32 embeddings."""
    places = {node.name: place for place, node in enumerate(store.light.graph.node)}
    narrow = waists(store.light)
    kept = _values(store, narrow, images)
    embeddings = np.stack([values[None] for values in kept]).astype(np.float64)
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    reference = directions(embeddings)

    def variant(layer: Layer) -> tuple[Waist, ModelProto]:
        first = min(places[name] for name in layer.nodes)
        waist = max((waist for waist in narrow if waist.position <= first), key=lambda waist: waist.position)
        alone = quantise(
            store, ranges, recipe.per_channel, recipe.activation_bits, only=layer.nodes, weight_bits=recipe.weight_bits
        )
        return waist, behind(alone, store.light, waist)

    def effect(trial: tuple[Waist, ModelProto]) -> np.ndarray:
        waist, model = trial
        session = store.session(model, short_lived=True)
        runs = [session.run(None, {waist.tensor: values[waist.tensor]})[0].reshape(-1) for values in kept]
        return (np.stack(runs) - embeddings) / lengths

    trials = (variant(layer) for layer in bar(found, "layers", len(found), progress))
    effects = np.stack(list(concurrently(effect, trials)))
    damages = [1 - float(Likeness.of(reference, reference + own, middle).centred.mean()) for own in effects]
    gains = [damage / cost for damage, cost in zip(damages, costs(store.light, found), strict=True)]
    order = sorted(range(len(found)), key=lambda place: -gains[place])
    ranked = tuple(Layer(found[place].name, found[place].nodes, damages[place]) for place in order)
    return Ranking(ranked, reference, effects[order], middle)


def costs(model: ModelProto, found: list[Layer]) -> np.ndarray:
    """What a layer in float costs, f64 [layers]: its shares of all weights, of all multiplications and of all layers.

    A layer of few weights and multiplications is cheap, but not for nothing: it breaks the int8 graph in two.
    """
    index = Index(model)
    nodes = {node.name: node for node in model.graph.node}
    sizes = {name: int(np.prod(tensor.dims)) for name, tensor in index.tensors.items()}
    weights, products = np.zeros(len(found)), np.zeros(len(found))
    for place, layer in enumerate(found):
        for node in (nodes[name] for name in layer.nodes):
            weights[place] += sum(sizes.get(name, 0) for name in node.input)
            if node.op_type in ("MatMul", "Gemm", "Conv"):
                inner = index.shapes[node.input[1]]
                transposed = node.op_type == "Conv" or attribute(node, "transB", 0)
                summed = np.prod(inner[1:]) if transposed else inner[-2]
                products[place] += np.prod(index.shapes[node.output[0]]) * summed
    return weights / max(weights.sum(), 1) + products / max(products.sum(), 1) + 1 / len(found)


def _values(store: Store, narrow: list[Waist], images: list[np.ndarray]) -> list[dict[str | None, np.ndarray]]:
    """For each image the fp32 value of each waist's tensor, and under None the embedding, f32 [D]."""
    watched = copy_of(store.light)
    names = [waist.tensor for waist in narrow[1:]]
    known = {value.name: value for value in store.light.graph.value_info}
    watched.graph.output.extend(known[name] for name in names)
    session = store.session(watched)
    entry = narrow[0].tensor
    values = []
    for image in images:
        embedding, *inner = session.run(None, {entry: image})
        values.append({None: embedding.reshape(-1), entry: image, **dict(zip(names, inner, strict=True))})
    return values


def _loss(likeness: Likeness) -> tuple[float, float]:
    return 1 - float(likeness.plain.mean()), 1 - float(likeness.centred.mean())


def fewest(count: int, enough: Callable[[int], bool], first: int) -> int:
    """The smallest number from 0 to `count` that is enough; `count` if none is.

    `first` is tried first, then numbers further and further from it until both sides are known, then halves.
    """
    low, high, place, step = 0, count, first, 1
    bounded = [False, False]
    while low < high:
        place = min(max(place, low), high - 1)
        good = enough(place)
        bounded[good] = True
        low, high = (low, place) if good else (place + 1, high)
        place = (low + high) // 2 if all(bounded) else place + (-step if good else step)
        step *= 2
    return low
