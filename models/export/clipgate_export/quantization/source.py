"""Reads an fp32 graph that is to be quantised, and says in one line why one cannot be."""

import errno
import os
import shutil
import tempfile
from pathlib import Path

import onnx
import onnxruntime as ort
from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto

from ..errors import UserError
from ..external_data import check_external_data
from ..graph import FATAL_ONLY, one_thread
from ..onnx_files import bytes_on_disk, check_opset

# Rewrites of ONNX Runtime that would hide what is looked for here, or that cost speed once quantised.
LEFT_OUT = ["MatMulAddFusion", "TransposeOptimizer"]


def read(path: Path) -> ModelProto:
    """The graph with its weights inside and its constants folded, after all checks."""
    read_unweighted(path)
    return _folded(path)


def read_unweighted(path: Path) -> ModelProto:
    """The graph as it lies in the file, checked: one input, one output, fixed shapes, nothing outside its folder."""
    model = _parse(path)
    check_external_data(path, model)
    check_opset(path, model)
    if any(node.op_type in ("QuantizeLinear", "DequantizeLinear") for node in model.graph.node):
        raise UserError(f"{path}: is quantised already; give its fp32 source")
    initializers = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in initializers]
    for kind, values in (("input", inputs), ("output", list(model.graph.output))):
        if len(values) != 1:
            names = ", ".join(value.name for value in values)
            raise UserError(f"{path}: has {len(values)} {kind}s ({names}); one is needed: export one tower alone")
        _check_shape(path, kind, values[0])
    return model


def _parse(path: Path) -> ModelProto:
    try:
        model = onnx.load(path, load_external_data=False)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except DecodeError:
        raise UserError(f"{path}: not an ONNX file, or cut off") from None
    if not model.graph.node:
        raise UserError(f"{path}: not an ONNX file: it holds no graph")
    return model


def _check_shape(path: Path, kind: str, value: onnx.ValueInfoProto) -> None:
    dims = value.type.tensor_type.shape.dim
    for axis, dim in enumerate(dims):
        if not dim.HasField("dim_value") or dim.dim_value < 1:
            name = f" ({dim.dim_param})" if dim.dim_param else ""
            raise UserError(
                f"{path}: axis {axis}{name} of {kind} {value.name} is dynamic; export it with a fixed size, batch 1"
            )
    if kind == "input" and (not dims or dims[0].dim_value != 1):
        raise UserError(f"{path}: input {value.name} does not take one row at a time; export it with batch 1")
    if kind == "output" and value.type.tensor_type.elem_type != TensorProto.FLOAT:
        raise UserError(f"{path}: output {value.name} is not f32; give the fp32 graph")


def _folded(path: Path) -> ModelProto:
    """The graph as ONNX Runtime simplifies it: constants folded, BatchNorm in its convolution, Gelu one operator."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "folded.onnx"
        # ONNX Runtime's own error does not say that the disk is full.
        if shutil.disk_usage(folder).free < bytes_on_disk(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), folder)
        options = one_thread(FATAL_ONLY)
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(target)
        # Otherwise the folded graph would look in its own folder for the weights that the source keeps apart.
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", "folded.data")
        try:
            ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"], disabled_optimizers=LEFT_OUT)
        except Exception as error:
            raise UserError(f"{path}: ONNX Runtime refuses it: {str(error).splitlines()[0]}") from None
        return onnx.load(target)
