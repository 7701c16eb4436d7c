"""Static int8 of a tower: QDQ nodes around every operator, so that an NPU can take the graph whole.

Activations are QUInt8, weights symmetric QInt8, LayerNorm scales QUInt8 (Hexagon refuses them as QInt8).
The ranges come from example inputs; how extreme a value must be to be cut off is chosen among `RULES` by
the mean cosine to the fp32 graph on those same inputs, so that no other image has a say.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import ModelProto, TensorProto, helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize
from onnxruntime.quantization.execution_providers.qnn import get_qnn_qdq_config
from onnxruntime.quantization.shape_inference import quant_pre_process

from .graph import Graph
from .onnx_model import IR_VERSION, strip_traces

FLOATS = (TensorProto.FLOAT,)
# Of a tensor's per-input extremes, which one bounds its range: the furthest of all, or this quantile.
RULES: dict[str, float] = {"minmax": 1.0, "quantile-0.99": 0.99, "quantile-0.9": 0.9, "median": 0.5}
CHOICE_INPUTS = 180


@dataclass(frozen=True)
class Extremes:
    """The smallest and largest value of each float tensor for each input, f32 [inputs, tensors]."""

    tensors: list[str]
    low: np.ndarray
    high: np.ndarray

    def ranges(self, quantile: float) -> dict[str, tuple[float, float]]:
        low = np.quantile(self.low, 1 - quantile, axis=0)
        high = np.quantile(self.high, quantile, axis=0)
        return {name: (float(a), float(b)) for name, a, b in zip(self.tensors, low, high, strict=True)}


@dataclass(frozen=True)
class Quantized:
    """The int8 graph, with the rule and channel mode that won and every candidate's mean cosine."""

    model: ModelProto
    rule: str
    per_channel: bool
    cosines: dict[str, float]


def preprocess(model: ModelProto) -> ModelProto:
    """Shapes inferred and constants folded, as the quantiser wants its input."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "fp32.onnx", Path(folder) / "preprocessed.onnx"
        onnx.save(model, source)
        quant_pre_process(source, target, skip_symbolic_shape=True)
        return onnx.load(target)


def measure_extremes(model: ModelProto, inputs: np.ndarray) -> Extremes:
    """Runs `model` over `inputs` [N, ...] with a ReduceMin and ReduceMax behind every float tensor."""
    watched = ModelProto()
    watched.CopyFrom(model)
    inferred = onnx.shape_inference.infer_shapes(model)
    kinds = {v.name: v.type.tensor_type.elem_type for v in (*inferred.graph.value_info, *inferred.graph.output)}
    made = [output for node in model.graph.node for output in node.output]
    tensors = [model.graph.input[0].name] if model.graph.input[0].type.tensor_type.elem_type in FLOATS else []
    tensors += [name for name in made if kinds.get(name) in FLOATS]
    outputs = []
    for name in tensors:
        for operator in ("ReduceMin", "ReduceMax"):
            outputs.append(f"{name}.{operator}")
            watched.graph.node.append(helper.make_node(operator, [name], [outputs[-1]], keepdims=0))
            watched.graph.output.append(helper.make_tensor_value_info(outputs[-1], TensorProto.FLOAT, []))
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    name = model.graph.input[0].name
    rows = np.array([session.run(outputs, {name: inputs[i : i + 1]}) for i in range(len(inputs))], np.float32)
    return Extremes(tensors, rows[:, 0::2], rows[:, 1::2])


class OneInput(CalibrationDataReader):
    """Satisfies the quantiser, which wants to see data; the ranges are given to it."""

    def __init__(self, name: str, row: np.ndarray) -> None:
        self.rows = iter([{name: row}])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.rows, None)


def quantize_with_ranges(
    model: ModelProto, ranges: dict[str, tuple[float, float]], example: np.ndarray, per_channel: bool
) -> ModelProto:
    """The QDQ graph of a preprocessed `model`; every float tensor's range is given."""
    overrides: dict[str, list[dict]] = {
        name: [{"rmin": np.float32(min(low, 0.0)), "rmax": np.float32(max(high, 0.0))}]
        for name, (low, high) in ranges.items()
    }
    for node in model.graph.node:
        if node.op_type == "LayerNormalization":
            overrides[node.input[1]] = [{"quant_type": QuantType.QUInt8}]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, source)
        config = get_qnn_qdq_config(
            source,
            OneInput(model.graph.input[0].name, example),
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=per_channel,
            weight_symmetric=True,
            init_overrides=overrides,
        )
        quantize(source, target, config)
        quantized = onnx.load(target)
    strip_traces(quantized)
    quantized.ir_version = IR_VERSION
    return quantized


def unquantized_operators(model: ModelProto) -> list[str]:
    """Operators with a float input, weight or activation, that no DequantizeLinear has made."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    floats = {v.name for v in (*inferred.value_info, *inferred.input) if v.type.tensor_type.elem_type in FLOATS}
    floats |= {tensor.name for tensor in model.graph.initializer if tensor.data_type in FLOATS}
    dequantized = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    return [
        f"{node.op_type} {node.name}"
        for node in model.graph.node
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear") and floats & set(node.input) - dequantized
    ]


def quantize_tower(model: ModelProto, inputs: np.ndarray, channel_modes: Sequence[bool] = (False, True)) -> Quantized:
    """The best of every rule and channel mode by mean cosine over `inputs`, to four digits.

    Ties go to the earlier candidate: the simpler channel mode, the wider range.
    """
    prepared = preprocess(model)
    extremes = measure_extremes(prepared, inputs)
    judged = inputs[:: max(1, len(inputs) // CHOICE_INPUTS)]
    reference = Graph(model)(judged)
    cosines: dict[str, float] = {}
    best: tuple[float, ModelProto, str, bool] | None = None
    for per_channel in channel_modes:
        for rule, quantile in RULES.items():
            candidate = quantize_with_ranges(prepared, extremes.ranges(quantile), inputs[:1], per_channel)
            cosine = round(float((Graph(candidate)(judged) * reference).sum(1).mean()), 4)
            cosines[f"{rule}, {'per channel' if per_channel else 'per tensor'}"] = cosine
            if best is None or cosine > best[0]:
                best = (cosine, candidate, rule, per_channel)
    if best is None:
        raise ValueError("no channel mode to try")
    return Quantized(best[1], best[2], best[3], cosines)
