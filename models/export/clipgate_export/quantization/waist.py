"""Where a graph is one tensor wide, so that what lies behind can be run without what lies before.

Between two blocks of a residual network all that later nodes read is one tensor. With its value kept from the fp32
graph, a layer behind it is tried without computing what comes before.
"""

from dataclasses import dataclass

from onnx import ModelProto

from .index import Index, copy_of, drop_unused, replace


@dataclass(frozen=True)
class Waist:
    """`tensor` alone is read by the nodes from `position` on, in the graph's order."""

    tensor: str
    position: int


def waists(model: ModelProto) -> list[Waist]:
    """All, in the graph's order; the first is the input."""
    index = Index(model)
    nodes = model.graph.node
    last_read = {name: place for place, node in enumerate(nodes) for name in node.input}
    last_read |= dict.fromkeys(index.outputs, len(nodes))
    found = [Waist(model.graph.input[0].name, 0)]
    live = {found[0].tensor}
    for place, node in enumerate(nodes):
        live |= set(node.output) - {""}
        live = {name for name in live if last_read.get(name, -1) > place}
        if len(live) == 1 and place + 1 < len(nodes):
            found.append(Waist(next(iter(live)), place + 1))
    return found


def behind(variant: ModelProto, light: ModelProto, waist: Waist) -> ModelProto:
    """`variant`, which differs from `light` only behind the waist, as a graph from the waist's tensor on."""
    if waist.position == 0:
        return variant
    before = {node.name for node in light.graph.node[: waist.position]}
    entry = next(value for value in light.graph.value_info if value.name == waist.tensor)
    cut = copy_of(variant)
    replace(cut.graph.node, [node for node in cut.graph.node if node.name not in before])
    replace(cut.graph.input, [entry])
    drop_unused(cut)
    return cut
