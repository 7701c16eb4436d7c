"""A graph whose weights lie in a file, so that variants of it are small and sessions map the weights."""

import itertools
import tempfile
from collections.abc import Collection
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.external_data_helper import ExternalDataInfo

from ..graph import FATAL_ONLY, one_thread
from ..stopping import undisturbed
from .index import copy_of, shapes_and_types

WEIGHTS = "weights.bin"
# Smaller constants stay in the graph: shapes, indices and scalars, which operators want to see at load time.
SMALLEST_BYTES = 1024
# What mmap asks of an offset, on every system there is.
ALIGNMENT = 65536
# Tells ONNX Runtime's quantiser that the shapes in the graph are complete.
INFERRED = ("onnx.infer", "onnxruntime.quant")


class Store:
    """`light` is the model but for its weights, and says every tensor's shape. The folder goes when this is closed.

    The model itself may then be forgotten: a message of the protobuf library frees what was in it only as a whole.
    """

    def __init__(self, model: ModelProto) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="clipgate-")
        self.folder = Path(self._folder.name)
        self._numbers = itertools.count()
        self.light = without_weights(model)
        state_shapes(self.light, model)
        with open(self.folder / WEIGHTS, "wb") as file:
            for tensor in model.graph.initializer:
                content = numpy_helper.to_array(tensor).tobytes()
                if len(content) < SMALLEST_BYTES:
                    self.light.graph.initializer.append(tensor)
                    continue
                file.seek(-file.tell() % ALIGNMENT, 1)
                self.light.graph.initializer.append(_pointer(tensor, file.tell(), len(content)))
                file.write(content)

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        with undisturbed():
            self._folder.cleanup()

    def weight(self, name: str) -> np.ndarray:
        """The value of an initializer of `light`."""
        tensor = next(tensor for tensor in self.light.graph.initializer if tensor.name == name)
        return numpy_helper.to_array(self._inside(tensor))

    def loaded(self, names: Collection[str] | None = None) -> ModelProto:
        """A copy of `light` with the weights `names`, or all, inside."""
        model = copy_of(self.light)
        for tensor in model.graph.initializer:
            if names is None or tensor.name in names:
                tensor.CopyFrom(self._inside(tensor))
        return model

    def _inside(self, tensor: TensorProto) -> TensorProto:
        if tensor.data_location != TensorProto.EXTERNAL:
            return tensor
        place = ExternalDataInfo(tensor)
        inside = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
        with open(self.folder / WEIGHTS, "rb") as file:
            file.seek(place.offset)
            inside.raw_data = file.read(place.length)
        return inside

    def session(self, model: ModelProto, short_lived: bool = False) -> ort.InferenceSession:
        """One thread on the CPU; `model` is `light` or made from it.

        A short-lived one reads the weights where they lie, which is slower but makes no copy of them for itself.
        """
        path = self.folder / f"{next(self._numbers)}.onnx"
        path.write_bytes(model.SerializeToString())
        options = one_thread(FATAL_ONLY)
        options.add_session_config_entry("session.disable_prepacking", str(int(short_lived)))
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        path.unlink()
        return session


def without_weights(model: ModelProto) -> ModelProto:
    """A copy that has no initializers at all."""
    copy = ModelProto(ir_version=model.ir_version)
    copy.opset_import.extend(model.opset_import)
    copy.graph.name = model.graph.name
    copy.graph.node.extend(model.graph.node)
    copy.graph.input.extend(model.graph.input)
    copy.graph.output.extend(model.graph.output)
    return copy


def state_shapes(light: ModelProto, model: ModelProto) -> None:
    """Writes every tensor's shape into the graph, where ONNX Runtime's quantiser looks for it."""
    shapes, types = shapes_and_types(model)
    named = {value.name for value in (*light.graph.input, *light.graph.output)}
    for node in light.graph.node:
        for name in node.output:
            if name in shapes and name not in named:
                light.graph.value_info.append(helper.make_tensor_value_info(name, types[name], shapes[name]))
    entry = light.metadata_props.add()
    entry.key, entry.value = INFERRED


def _pointer(tensor: TensorProto, offset: int, length: int) -> TensorProto:
    """The tensor with its bytes in the weights file."""
    pointer = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    pointer.data_location = TensorProto.EXTERNAL
    for key, value in (("location", WEIGHTS), ("offset", str(offset)), ("length", str(length))):
        pointer.external_data.add(key=key, value=value)
    return pointer
