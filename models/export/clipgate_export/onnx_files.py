"""ONNX files on disk: weights gathered into one file, and a user's graph read with every check that it needs."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

import onnx
from onnx import ModelProto

from .errors import UserError
from .external_data import check_external_data, data_files, external_tensors, place_of
from .files import write_bytes
from .onnx_model import OPSET, graph_bytes

PROTOBUF_LIMIT = 2**31 - 1


@dataclass(frozen=True)
class Digest:
    """A file by the name that the user or the graph gives it."""

    file: str
    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path, name: str) -> "Digest":
        with path.open("rb") as file:
            return cls(name, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


@dataclass(frozen=True)
class GraphDigest:
    """A graph's own file and those that hold its weights: only together do they tell what is computed."""

    graph: Digest
    data: list[Digest]

    @classmethod
    def of(cls, path: Path) -> "GraphDigest":
        names = [] if is_ort_format(path) else data_files(onnx.load(path, load_external_data=False))
        return cls(Digest.of(path, str(path)), [Digest.of(path.parent / name, name) for name in names])

    def record(self) -> dict:
        """In JSON's types; "data" only where there are such files."""
        data = {"data": [asdict(file) for file in self.data]} if self.data else {}
        return asdict(self.graph) | data


def bytes_on_disk(path: Path) -> int:
    """Of the graph and, where it keeps them apart, of its weights."""
    names = data_files(onnx.load(path, load_external_data=False))
    return path.stat().st_size + sum((path.parent / name).stat().st_size for name in names)


def weight_bytes(model: ModelProto, folder: Path) -> int:
    """How large the model is with all its weights inside, to a few kilobytes, whether or not they are loaded."""
    outside = 0
    for place in map(place_of, external_tensors(model)):
        outside += int(place.get("length") or (folder / place["location"]).stat().st_size)
    return model.ByteSize() + outside


def gather_weights(path: Path) -> Path:
    """Rewrites `path` with the weights of its data file inside, where protobuf's 2 GB allow it."""
    model = onnx.load(path, load_external_data=False)
    data = data_files(model)
    if not data or weight_bytes(model, path.parent) > PROTOBUF_LIMIT - 2**20:
        return path
    onnx.load_external_data_for_model(model, str(path.parent))
    write_bytes(path, graph_bytes(model))
    for name in data:
        (path.parent / name).unlink()
    return path


def is_ort_format(path: Path) -> bool:
    """Whether the file is of ONNX Runtime's own format, whatever its name."""
    try:
        with path.open("rb") as file:
            return file.read(8)[4:] == b"ORTM"
    except OSError:
        return False


def read_without_weights(path: Path) -> ModelProto:
    """A user's graph, weights in other files left there."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; give an ONNX graph")
    try:
        return onnx.load(path, load_external_data=False)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except Exception as error:
        raise UserError(f"{path}: not an ONNX graph, or cut off; export or copy it again") from error


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
