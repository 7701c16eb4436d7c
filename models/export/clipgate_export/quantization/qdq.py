"""The int8 graph of given ranges: QDQ nodes around every operator, so that an NPU can take the graph whole.

The recipe that Hexagon compiles into one partition and that ONNX Runtime runs fastest on a CPU: activations
QUInt8, weights symmetric QInt8, LayerNorm scales QUInt8 (Hexagon refuses them as QInt8), every operator
quantised, the bias of a MatMul as an Add behind it.
"""

from collections.abc import Collection, Mapping

import numpy as np
from onnx import ModelProto
from onnxruntime.quantization import CalibrationMethod, QDQQuantizer, QuantType, TensorData, TensorsData

from ..onnx_model import IR_VERSION, strip_traces
from .index import Index, sort_nodes
from .levels import make_shares_exact, narrow, read_levels
from .store import Store

ACTIVATION_TYPES = {8: QuantType.QUInt8, 16: QuantType.QUInt16}

Ranges = Mapping[str, tuple[float, float]]


def quantise(
    store: Store,
    ranges: Ranges,
    per_channel: bool = False,
    activation_bits: int = 8,
    keep_float: Collection[str] = (),
    only: Collection[str] = (),
    wide: Collection[str] = (),
    weight_bits: int = 8,
) -> ModelProto:
    """The QDQ graph of the fp32 graph in `store`.

    `ranges` holds lowest and highest value of every float tensor that is computed; zero is always within.
    `keep_float` names nodes to leave in fp32, `only` the only nodes to quantise (weights of others stay in the
    store), `wide` nodes whose outputs take 16 bits. Weights of fewer than 8 bits are levels of int8.
    """
    data = {
        name: TensorData(lowest=np.float32(min(low, 0.0)), highest=np.float32(max(high, 0.0)))
        for name, (low, high) in ranges.items()
    }
    read = {name for node in store.light.graph.node if node.name in only for name in node.input}
    quantizer = QDQQuantizer(
        store.loaded(read if only else None),
        per_channel,
        False,
        QuantType.QInt8,
        ACTIVATION_TYPES[activation_bits],
        TensorsData(CalibrationMethod.MinMax, data),
        list(only),
        list(keep_float),
        sorted({node.op_type for node in store.light.graph.node} - {"Cast"}),
        _options(store.light, per_channel, activation_bits, wide),
    )
    quantized = quantizer.quantize_model()
    make_shares_exact(quantized)
    if weight_bits < 8:
        found = read_levels(quantized).constants.values()
        narrow(quantized, {c.source: store.weight(c.source) for c in found if c.weight or c.product}, weight_bits)
    sort_nodes(quantized)
    strip_traces(quantized)
    quantized.ir_version = IR_VERSION
    return quantized


def _options(light: ModelProto, per_channel: bool, activation_bits: int, wide: Collection[str]) -> dict:
    """What ONNX Runtime's configuration for Qualcomm's NPUs comes to; 16 bits need its conversions as well.

    It is imported only for these, as it takes PyTorch along where that is installed.
    """
    index = Index(light)
    overrides = _overrides(index, per_channel, wide)
    scales = {
        node.input[1]: [{"quant_type": QuantType.QUInt8}]
        for node in light.graph.node
        if node.op_type == "LayerNormalization"
    }
    if activation_bits == 8 and not wide:
        return {
            "MinimumRealRange": 0.0001,
            "DedicatedQDQPair": False,
            "QDQKeepRemovableActivations": False,
            "TensorQuantOverrides": overrides | scales,
            "ActivationSymmetric": False,
            "WeightSymmetric": True,
        }
    from onnxruntime.quantization.execution_providers.qnn import get_qnn_qdq_config

    config = get_qnn_qdq_config(
        light,
        None,
        activation_type=ACTIVATION_TYPES[activation_bits],
        weight_type=QuantType.QInt8,
        per_channel=per_channel,
        weight_symmetric=True,
        init_overrides=overrides,
    )
    # Given beforehand, each of them would make it warn that it cannot be overridden.
    config.extra_options["TensorQuantOverrides"].update(scales)
    return config.extra_options


def _overrides(index: Index, per_channel: bool, wide: Collection[str]) -> dict[str, list[dict]]:
    overrides: dict[str, list[dict]] = {}
    for node in index.model.graph.node:
        if node.op_type == "MatMul" and per_channel and node.input[1] in index.tensors:
            overrides[node.input[1]] = [{"quant_type": QuantType.QInt8, "symmetric": True, "axis": 1}]
        if node.name in wide:
            overrides[node.output[0]] = [{"quant_type": QuantType.QUInt16}]
    return overrides
