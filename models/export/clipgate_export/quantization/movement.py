"""Where the elements of a tensor come from when nothing but layout operators and constant factors lie between.

An exporter writes the same attention in many ways: fused or separate projections, permuted before or after the
heads are split. Running the layout operators on element numbers instead of values tells what they do together,
so that no spelling has to be known.
"""

from dataclasses import dataclass

import numpy as np
from onnx import NodeProto

from .index import Index, attribute

RESHAPING = ("Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Dropout")
MOVING = (*RESHAPING, "Transpose", "Gather", "Slice", "Split")


@dataclass(frozen=True)
class Moved:
    """Element e of the tensor is `factor` times element `places[e]` of the flattened `source` of `size` elements."""

    source: str
    size: int
    places: np.ndarray
    factor: float

    def in_order(self) -> bool:
        """True if the tensor is `source` in another shape at most."""
        return self.factor == 1.0 and np.array_equal(self.places.ravel(), np.arange(self.size))


def trace(index: Index, name: str, stop: str | None = None) -> Moved:
    """Follows `name` back to the tensor `stop`, or to the first that is computed."""
    path: list[tuple[NodeProto, str]] = []
    factor = 1.0
    source = name
    while source != stop:
        step = _step(index, source)
        if step is None:
            break
        node, parent, scale = step
        path.append((node, source))
        factor *= scale
        source = parent
    size = int(np.prod(index.shapes[source]))
    places = np.arange(size).reshape(index.shapes[source])
    for node, output in reversed(path):
        places = _move(index, node, output, places)
    return Moved(source, size, places, factor)


def _step(index: Index, name: str) -> tuple[NodeProto, str, float] | None:
    """The node that made `name`, its data input and its factor; nothing where values are computed."""
    node = index.producer.get(name)
    if node is None or name not in index.shapes:
        return None
    if node.op_type in MOVING:
        known = node.input[0] in index.shapes and all(index.constant(i) is not None for i in node.input[1:] if i)
        return (node, node.input[0], 1.0) if known else None
    if node.op_type in ("Mul", "Div"):
        for data, other in ((0, 1), (1, 0)):
            scale = index.scalar(node.input[other])
            if scale and index.shapes.get(node.input[data]) == index.shapes[name]:
                if node.op_type == "Mul":
                    return node, node.input[data], scale
                if data == 0:
                    return node, node.input[0], 1.0 / scale
    return None


def _move(index: Index, node: NodeProto, output: str, places: np.ndarray) -> np.ndarray:
    if node.op_type in ("Mul", "Div"):
        return places
    if node.op_type in RESHAPING:
        return places.reshape(index.shapes[output])
    if node.op_type == "Transpose":
        return places.transpose(attribute(node, "perm", list(range(places.ndim))[::-1]))
    if node.op_type == "Gather":
        return np.take(places, index.constant(node.input[1]), axis=attribute(node, "axis", 0))
    if node.op_type == "Slice":
        starts, ends = (index.constant(node.input[i]) for i in (1, 2))
        axes = index.constant(node.input[3]) if len(node.input) > 3 and node.input[3] else np.arange(len(starts))
        steps = index.constant(node.input[4]) if len(node.input) > 4 and node.input[4] else np.ones_like(starts)
        cut = [slice(None)] * places.ndim
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
            # An end beyond the first element, going backwards, is how ONNX writes "to the start".
            beyond = step < 0 and end < -places.shape[axis]
            cut[axis] = slice(int(start), None if beyond else int(end), int(step))
        return places[tuple(cut)]
    axis = int(attribute(node, "axis", 0)) % places.ndim
    before = 0
    for name in node.output:
        size = index.shapes[name][axis]
        if name == output:
            return np.take(places, range(before, before + size), axis=axis)
        before += size
    raise ValueError(f"{node.name} does not make {output}")
