"""The residual streams of a transformer's graph: what LayerNorms read and additions join, from entry to exit.

They are found by what the operators do to the channels, the last axis: whatever keeps each row of channels together
passes the stream on.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from onnx import NodeProto

from .index import Index, attribute
from .movement import RESHAPING, trace

ROWWISE = (*RESHAPING, "Transpose", "Gather", "GatherND", "Slice", "ReduceMean")


@dataclass
class Stream:
    """Tensors [.., width] that residual additions join; all are rotated alike.

    `constants` are (node, input) of what is added or joined to it, `writers` the layers and tables whose output
    is in it, `readers` the layers that read it without a norm, `norms` those that read it, `sources` the tensors that
    begin it and have to be rotated by a product, `obstacle` why it cannot be rotated.
    """

    width: int
    tensors: list[str] = field(default_factory=list)
    constants: list[tuple[NodeProto, int]] = field(default_factory=list)
    writers: list[NodeProto] = field(default_factory=list)
    readers: list[NodeProto] = field(default_factory=list)
    norms: list[NodeProto] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    additions: int = 0
    obstacle: str | None = None


def streams(index: Index) -> list[Stream]:
    """Every set of tensors that LayerNorms read and that additions and layout operators join, in the graph's order."""
    found: list[Stream] = []
    taken: set[str] = set()
    for node in index.model.graph.node:
        if is_norm(index, node) and node.input[0] not in taken:
            stream = _explore(index, node.input[0])
            taken.update(stream.tensors)
            found.append(stream)
    return found


def is_norm(index: Index, node: NodeProto) -> bool:
    if node.op_type != "LayerNormalization" or node.input[0] not in index.shapes:
        return False
    axis = int(attribute(node, "axis", -1))
    last = axis in (-1, len(index.shapes[node.input[0]]) - 1)
    return last and all(name in index.tensors for name in node.input[1:] if name)


def _explore(index: Index, start: str) -> Stream:
    stream = Stream(index.shapes[start][-1])
    pending, seen = [start], {start}

    def reach(name: str) -> None:
        if name not in seen:
            seen.add(name)
            pending.append(name)

    while pending:
        name = pending.pop()
        stream.tensors.append(name)
        _look_back(index, stream, name, reach)
        for reader in index.consumers[name]:
            _look_ahead(index, stream, name, reader, reach)
        if name in index.outputs:
            stream.obstacle = "its residual stream is the embedding itself"
    return stream


def _look_back(index: Index, stream: Stream, name: str, reach: Callable[[str], None]) -> None:
    """What makes the tensor `name` of the stream."""
    node = index.producer.get(name)
    if node is None:
        stream.sources.append(name)
    elif node.op_type in ("Add", "Concat") and _joins(index, node, stream.width):
        computed = [place for place, given in enumerate(node.input) if given not in index.tensors]
        stream.additions += node.op_type == "Add" and len(computed) > 1
        for place, given in enumerate(node.input):
            if place in computed:
                reach(given)
            else:
                stream.constants.append((node, place))
    elif keeps_channels(index, node, stream.width) and node.input[0] not in index.tensors:
        reach(node.input[0])
    elif is_linear(index, node) or is_table(index, node) or convolution_making(index, name) is not None:
        stream.writers.append(node)
    elif node.op_type == "MatMul" and _mixes_rows(index, node, stream.width):
        reach(node.input[1])
    else:
        stream.sources.append(name)


def _look_ahead(index: Index, stream: Stream, name: str, node: NodeProto, reach: Callable[[str], None]) -> None:
    """What `node` makes of the tensor `name` of the stream."""
    if is_norm(index, node) and node.input[0] == name:
        stream.norms.append(node)
    elif node.op_type in ("Add", "Concat") and _joins(index, node, stream.width):
        reach(node.output[0])
    elif keeps_channels(index, node, stream.width) and node.input[0] == name:
        reach(node.output[0])
    elif is_linear(index, node) and node.input[0] == name:
        stream.readers.append(node)
    elif node.op_type == "MatMul" and node.input[1] == name != node.input[0] and _mixes_rows(index, node, stream.width):
        reach(node.output[0])
    else:
        stream.obstacle = f"{node.op_type} {node.name} reads its residual stream and does not commute with a rotation"


def _joins(index: Index, node: NodeProto, width: int) -> bool:
    """An addition of rows of channels, or rows put beside one another."""
    rank = len(index.shapes.get(node.output[0], ()))
    apart = node.op_type == "Add" or int(attribute(node, "axis", 0)) % rank != rank - 1
    return apart and all(index.shapes.get(name, (0,))[-1:] == (width,) for name in (*node.input, *node.output))


def _mixes_rows(index: Index, node: NodeProto, width: int) -> bool:
    """A product whose second operand is rows of channels that the graph computes."""
    computed = node.input[1] not in index.tensors
    return computed and index.shapes.get(node.input[1], ())[-1:] == (width,) and len(index.shapes[node.input[1]]) > 1


def keeps_channels(index: Index, node: NodeProto, width: int) -> bool:
    """A layout operator or mean whose rows of `width` channels are rows of its input, or means of such."""
    if node.op_type not in ROWWISE or len(node.output) != 1:
        return False
    before, after = index.shapes.get(node.input[0]), index.shapes.get(node.output[0])
    if not before or not after or before[-1] != width or after[-1] != width:
        return False
    last = len(before) - 1
    if node.op_type == "Transpose":
        return attribute(node, "perm", list(range(len(before)))[::-1])[-1] == last
    if node.op_type == "Gather":
        return int(attribute(node, "axis", 0)) % len(before) != last
    if node.op_type == "GatherND":
        return index.shapes.get(node.input[1], (len(before),))[-1] < len(before)
    if node.op_type in ("Slice", "ReduceMean"):
        place = 3 if node.op_type == "Slice" else 1
        axes = index.constant(node.input[place]) if len(node.input) > place and node.input[place] else None
        return axes is not None and all(int(axis) % len(before) != last for axis in np.ravel(axes))
    return True


def is_linear(index: Index, node: NodeProto) -> bool:
    """A MatMul or Gemm of a computed tensor by a constant matrix [inputs, outputs]."""
    if node.op_type not in ("MatMul", "Gemm") or node.input[0] in index.tensors or node.input[1] not in index.tensors:
        return False
    if len(index.shapes[node.input[1]]) != 2:
        return False
    if node.op_type == "MatMul":
        return True
    bias = node.input[2] if len(node.input) > 2 else ""
    plain = attribute(node, "alpha", 1.0) == 1.0 and attribute(node, "beta", 1.0) == 1.0
    return plain and not attribute(node, "transA", 0) and (not bias or bias in index.tensors)


def is_table(index: Index, node: NodeProto) -> bool:
    """A Gather of rows of a constant table, as token embeddings are."""
    return node.op_type == "Gather" and node.input[0] in index.tensors and int(attribute(node, "axis", 0)) == 0


def convolution_making(index: Index, name: str) -> NodeProto | None:
    """The convolution whose maps are the rows of `name`, channel by channel in order."""
    moved = trace(index, name)
    node = index.producer.get(moved.source)
    if node is None or node.op_type != "Conv" or moved.factor != 1.0 or node.input[1] not in index.tensors:
        return None
    maps = index.shapes[moved.source]
    channel = moved.places // int(np.prod(maps[2:])) % maps[1]
    alone = moved.source
    while alone != name:
        reader = index.only_consumer(alone)
        if reader is None:
            return None
        alone = reader.output[0]
    return node if channel.shape[-1] == maps[1] and (channel == np.arange(maps[1])).all() else None


def linear_readers(index: Index, name: str) -> Iterator[NodeProto | None]:
    """The linear layers that read `name`, by rows or by means of rows; None for each other reader."""
    pending = [name]
    width = index.shapes[name][-1]
    while pending:
        tensor = pending.pop()
        if tensor in index.outputs:
            yield None
        for node in index.consumers[tensor]:
            if node.input[0] == tensor and is_linear(index, node):
                yield node
            elif node.input[0] == tensor and keeps_channels(index, node, width):
                pending.append(node.output[0])
            else:
                yield None
