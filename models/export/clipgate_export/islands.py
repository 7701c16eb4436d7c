"""The parts of a QDQ graph that are computed in float."""

from dataclasses import dataclass

from onnx import NodeProto

from .wiring import Wiring, is_dequantize, is_quantize

# Inputs that say how to compute, not what with: they stay float in a quantised node.
PARAMETERS = {"Clip": (1, 2), "Pad": (2,), "Resize": (1, 2)}
# Activations that runtimes fuse into the operator before them, so that no Quantize stands between.
FUSED = ("Relu", "Clip")
FUSING = ("Conv", "ConvTranspose", "Gemm", "MatMul", "Add")


@dataclass(frozen=True)
class Region:
    """Nodes joined by float tensors, in graph order, and whether int8 activations come in and go out."""

    nodes: list[NodeProto]
    after_quantised: bool
    before_quantised: bool


def float_regions(wiring: Wiring) -> list[Region]:
    """Every group of nodes that is not one operator between DequantizeLinear and QuantizeLinear."""
    regions = []
    for nodes in _joined(wiring):
        if not _is_quantised(wiring, nodes):
            sources = [wiring.producer.get(name) for node in nodes for name in node.input]
            after = any(is_dequantize(source) and not wiring.is_constant(source.input[0]) for source in sources)
            readers = [reader for node in nodes for name in node.output for reader in wiring.consumers[name]]
            regions.append(Region(nodes, after, any(is_quantize(reader) for reader in readers)))
    return regions


def _joined(wiring: Wiring) -> list[list[NodeProto]]:
    """Operators that touch floats, grouped where one's float output is another's input."""
    members = [
        node
        for node in wiring.nodes
        if not is_quantize(node)
        and not is_dequantize(node)
        and node.op_type != "Constant"
        and any(name and wiring.is_float(name) for name in (*node.input, *node.output))
    ]
    place = {id(node): index for index, node in enumerate(members)}
    parent = list(range(len(members)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for index, node in enumerate(members):
        for name in node.output:
            if name and wiring.is_float(name):
                for reader in wiring.consumers[name]:
                    if id(reader) in place:
                        parent[root(place[id(reader)])] = root(index)
    groups: dict[int, list[NodeProto]] = {}
    for index, node in enumerate(members):
        groups.setdefault(root(index), []).append(node)
    return list(groups.values())


def _is_quantised(wiring: Wiring, nodes: list[NodeProto]) -> bool:
    if len(nodes) == 2:
        first, second = nodes
        if first.op_type not in FUSING or second.op_type not in FUSED or wiring.consumers[first.output[0]] != [second]:
            return False
    elif len(nodes) != 1:
        return False
    inside = {name for node in nodes for name in node.output}
    for node in nodes:
        for place, name in enumerate(node.input):
            if not name or name in inside or place in PARAMETERS.get(node.op_type, ()) or not wiring.is_float(name):
                continue
            if not is_dequantize(wiring.producer.get(name)):
                return False
    return all(
        name not in wiring.outputs and all(is_quantize(reader) for reader in wiring.consumers[name])
        for name in nodes[-1].output
        if name and wiring.is_float(name)
    )
