"""ONNX files on disk: weights gathered into one file, and a user's graph read with every check that it needs."""

from pathlib import Path, PurePosixPath, PureWindowsPath

import onnx
from onnx import ModelProto, TensorProto

from .errors import UserError
from .files import write_bytes
from .onnx_model import OPSET, graph_bytes

PROTOBUF_LIMIT = 2**31 - 1


def weight_bytes(model: ModelProto, folder: Path) -> int:
    """How large the model is with all its weights inside, to a few kilobytes, whether or not they are loaded."""
    outside = 0
    for tensor in model.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            place = {entry.key: entry.value for entry in tensor.external_data}
            outside += int(place.get("length") or (folder / place["location"]).stat().st_size)
    return model.ByteSize() + outside


def gather_weights(path: Path) -> Path:
    """Rewrites `path` with the weights of its data file inside, where protobuf's 2 GB allow it."""
    model = onnx.load(path, load_external_data=False)
    data = {
        entry.value
        for tensor in model.graph.initializer
        if tensor.data_location == TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }
    if not data or weight_bytes(model, path.parent) > PROTOBUF_LIMIT - 2**20:
        return path
    onnx.load_external_data_for_model(model, str(path.parent))
    write_bytes(path, graph_bytes(model))
    for name in data:
        (path.parent / name).unlink()
    return path


def read_without_weights(path: Path) -> ModelProto:
    """A user's graph, weights in other files left there."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; give an ONNX graph")
    try:
        return onnx.load(path, load_external_data=False)
    except Exception as error:
        raise UserError(f"{path}: not an ONNX graph ({one_line(error)}); export or copy it again") from error


def read_untrusted(path: Path) -> ModelProto:
    """A user's graph with its weights, or a `UserError` naming what is wrong with the file."""
    model = read_without_weights(path)
    if not model.graph.node:
        raise UserError(f"{path}: not an ONNX graph, or one without a node")
    check_opset(path, model)
    check_external_data(path, model)
    if weight_bytes(model, path.parent) > PROTOBUF_LIMIT - 2**20:
        raise UserError(f"{path}: over 2 GB of weights, more than one ONNX file can hold; take a smaller model")
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except Exception as error:
        raise UserError(f"{path}: its external data cannot be read ({one_line(error)})") from error
    return model


def check_opset(path: Path, model: ModelProto) -> None:
    for opset in model.opset_import:
        if opset.domain in ("", "ai.onnx") and opset.version > OPSET:
            raise UserError(f"{path}: opset {opset.version} is too new; export it with opset {OPSET}")


def check_external_data(path: Path, model: ModelProto) -> None:
    """Every weight outside the file must lie in a plain file of the same folder, links not followed."""
    folder = path.parent.resolve()
    tensors = [*model.graph.initializer]
    tensors += [a.t for node in model.graph.node for a in node.attribute if a.type == onnx.AttributeProto.TENSOR]
    for tensor in tensors:
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        place = {entry.key: entry.value for entry in tensor.external_data}.get("location", "")
        parts = {*PurePosixPath(place).parts, *PureWindowsPath(place).parts}
        inside = place and not PurePosixPath(place).is_absolute() and not PureWindowsPath(place).drive
        if not inside or ".." in parts or folder not in (folder / place).resolve().parents:
            raise UserError(
                f"{path}: the weights of {tensor.name!r} lie outside its folder ({place!r}), which is refused; "
                "save the graph with its data beside it"
            )
        if not (folder / place).is_file():
            raise UserError(f"{path}: its data file {place!r} is missing; copy it beside the graph")


def fixed_shape(path: Path, value: onnx.ValueInfoProto) -> list[int]:
    """The shape of an input or output, all of it numbers, or a `UserError` that names the dynamic axis."""
    shape = []
    for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
        if not dimension.HasField("dim_value") or dimension.dim_value < 1:
            name = dimension.dim_param or "unknown"
            raise UserError(
                f"{path}: axis {axis} of {value.name!r} is dynamic ({name}); fix it: python -m "
                f"onnxruntime.tools.make_dynamic_shape_fixed --input_name {value.name} --input_shape 1,... IN OUT"
            )
        shape.append(dimension.dim_value)
    return shape


def one_line(error: BaseException, longest: int = 200) -> str:
    """An exception's words on one line."""
    words = " ".join(str(error).split()) or type(error).__name__
    return words if len(words) <= longest else words[: longest - 1] + "…"
