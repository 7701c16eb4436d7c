"""The weights that a graph keeps in other files: found wherever they hide, and refused where they do not fit."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

from .errors import UserError

# Of each element type that fills whole bytes, how many.
ELEMENT_BYTES = {
    TensorProto.FLOAT: 4,
    TensorProto.FLOAT16: 2,
    TensorProto.BFLOAT16: 2,
    TensorProto.DOUBLE: 8,
    TensorProto.BOOL: 1,
    TensorProto.INT8: 1,
    TensorProto.INT16: 2,
    TensorProto.INT32: 4,
    TensorProto.INT64: 8,
    TensorProto.UINT8: 1,
    TensorProto.UINT16: 2,
    TensorProto.UINT32: 4,
    TensorProto.UINT64: 8,
}
LONGEST_SHOWN = 40


def external_tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Every tensor whose values lie in another file, those inside nodes, inner graphs and functions too."""
    found = [*_tensors(model.graph), *(t for function in model.functions for t in _in_nodes(function.node))]
    return (tensor for tensor in found if tensor.data_location == TensorProto.EXTERNAL)


def place_of(tensor: TensorProto) -> dict[str, str]:
    """Where the values of an external tensor lie: location, offset and length as the graph spells them."""
    return {entry.key: entry.value for entry in tensor.external_data}


def data_files(model: ModelProto) -> list[str]:
    """The names of the files that hold weights of the graph, sorted."""
    return sorted({place_of(tensor).get("location", "") for tensor in external_tensors(model)})


def check_external_data(path: Path, model: ModelProto) -> None:
    """Every weight outside the file must lie in a plain file of the same folder, links not followed, and within it."""
    folder = path.parent.resolve()
    for tensor in external_tensors(model):
        place = place_of(tensor).get("location", "")
        parts = {*PurePosixPath(place).parts, *PureWindowsPath(place).parts}
        inside = place and not PurePosixPath(place).is_absolute() and not PureWindowsPath(place).drive
        if not inside or ".." in parts or folder not in (folder / place).resolve().parents:
            raise UserError(
                f"{path}: the weights of {tensor.name!r} lie outside its folder ({place!r}), which is refused; "
                "save the graph with its data beside it"
            )
        if not (folder / place).is_file():
            raise UserError(f"{path}: its data file {place!r} is missing; copy it beside the graph")
        check_extent(path, tensor, (folder / place).stat().st_size)


def check_extent(path: Path, tensor: TensorProto, size: int) -> None:
    """The tensor must end within its data file of `size` bytes, and be as long as its shape and type say."""
    place = place_of(tensor)
    offset = _whole_number(path, tensor, "offset", 0)
    length = _whole_number(path, tensor, "length", max(0, size - offset))
    if offset + length > size:
        raise UserError(
            f"{path}: the weights of {tensor.name!r} end at byte {offset + length} of {place['location']!r}, which "
            f"has {size}; copy both files again"
        )
    if tensor.data_type not in ELEMENT_BYTES:
        return
    needed = math.prod(tensor.dims) * ELEMENT_BYTES[tensor.data_type]
    if length < needed or ("length" in place and length > needed):
        raise UserError(
            f"{path}: the weights of {tensor.name!r} have {length} bytes in {place['location']!r}, but their shape "
            f"{list(tensor.dims)} takes {needed}; save the graph again"
        )


def _whole_number(path: Path, tensor: TensorProto, key: str, missing: int) -> int:
    place = place_of(tensor)
    text = place.get(key, str(missing))
    # The format holds numbers as text; int() would take signs, spaces, underscores and other scripts' digits too.
    if not (text.isascii() and text.isdigit() and len(text) <= LONGEST_SHOWN):
        raise UserError(
            f"{path}: the {key} of {tensor.name!r} in {place['location']!r} is {text[:LONGEST_SHOWN]!r}, no whole "
            "number; save the graph again"
        )
    return int(text)


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _in_nodes(graph.node)


def _in_nodes(nodes: Iterable[NodeProto]) -> Iterator[TensorProto]:
    for attribute in (attribute for node in nodes for attribute in node.attribute):
        if attribute.type == AttributeProto.TENSOR:
            yield attribute.t
        yield from attribute.tensors
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)
        for graph in (attribute.g, *attribute.graphs):
            yield from _tensors(graph)
