"""A lint of an int8 graph: what costs accuracy, speed or the NPU, each with its reason and a remedy.

An `error` keeps the graph out of clipgate's runtime or says that it is not int8, a `warning` costs accuracy, speed
or the NPU, a `note` says what another provider would do. Costs that the reasons quote were measured on ViT-B/32.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto

from .errors import UserError
from .islands import float_regions
from .onnx_files import is_ort_format
from .operator_sets import HTP, XNNPACK_FLOAT, XNNPACK_QUANTISED
from .wiring import Wiring, is_dequantize, is_quantize, qualified

# The newest opset that every ONNX Runtime the library loads (1.28 and later) executes.
NEWEST_OPSET = 25

ERROR, WARNING, NOTE = SEVERITIES = ("error", "warning", "note")
NAMED = 4
OLDEST_OPSET, GELU_OPSET = 13, 20
GEMMS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
HALVES = {TensorProto.FLOAT16: "f16", TensorProto.BFLOAT16: "bf16", TensorProto.DOUBLE: "f64"}
EIGHT_BITS = {TensorProto.INT8: 0, TensorProto.UINT8: 128}
SIXTEEN_BITS = (TensorProto.INT16, TensorProto.UINT16)
# What stands between operators without computing anything.
SILENT = ("QuantizeLinear", "DequantizeLinear", "Constant", "Identity")


@dataclass(frozen=True)
class Finding:
    """One broken rule: `node` names the culprits, the first few of them."""

    rule: str
    severity: str
    node: str
    reason: str
    remedy: str

    def record(self) -> dict[str, str]:
        return asdict(self)


def lint(path: Path) -> list[Finding]:
    """All findings about the graph in `path`, the gravest first; external data is not read."""
    if is_ort_format(path):
        return [
            Finding(
                "ORT format",
                NOTE,
                path.name,
                "the file holds the graph as ONNX Runtime has optimised it, so nothing can be said of its operators, "
                "quantisation and operator set; no provider but the CPU's takes it as it is",
                "lint the ONNX graph that it was made from",
            )
        ]
    try:
        model = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}: name an ONNX file that can be read") from error
    except Exception as error:
        raise UserError(f"{path}: not an ONNX graph: export or copy it again") from error
    if not model.graph.node:
        raise UserError(f"{path}: not an ONNX graph, or one without nodes: export or copy it again")
    return lint_model(model)


def lint_model(model: ModelProto) -> list[Finding]:
    wiring = Wiring(model)
    findings = [finding for rule in RULES for finding in rule(wiring)]
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def opset(wiring: Wiring) -> Iterator[Finding]:
    version = next((o.version for o in wiring.model.opset_import if o.domain in ("", "ai.onnx")), 1)
    if version > NEWEST_OPSET:
        yield Finding(
            "opset",
            ERROR,
            f"opset {version}",
            f"ONNX Runtime 1.28, the oldest that clipgate loads, executes up to {NEWEST_OPSET}",
            f"export with opset {GELU_OPSET}",
        )
    elif version < OLDEST_OPSET:
        yield Finding(
            "opset",
            ERROR,
            f"opset {version}",
            f"DequantizeLinear has no axis before opset {OLDEST_OPSET}: weights per channel cannot be said",
            f"export with opset {GELU_OPSET}, or convert by onnx.version_converter",
        )
    elif version < GELU_OPSET:
        yield Finding(
            "opset",
            NOTE,
            f"opset {version}",
            f"there is no Gelu operator before opset {GELU_OPSET}: exact GELU has to be spelt with Erf",
            f"export with opset {GELU_OPSET}",
        )


def inputs_and_outputs(wiring: Wiring) -> Iterator[Finding]:
    """What src/session.rs accepts: one f32 or i64 input, one f32 output, both of fixed shape."""
    graph = wiring.model.graph
    given = [value for value in graph.input if value.name not in wiring.initializers]
    for role, values, wanted in (
        ("input", given, (TensorProto.FLOAT, TensorProto.INT64)),
        ("output", graph.output, (TensorProto.FLOAT,)),
    ):
        if len(values) != 1:
            yield Finding(
                "inputs-outputs",
                ERROR,
                _first([value.name for value in values]) or f"no {role}",
                f"the graph has {len(values)} {role}s; clipgate's runtime feeds one tensor and reads one",
                "export each tower by itself, with the embedding as its only output",
            )
        for value in values:
            kind = value.type.tensor_type.elem_type
            if kind not in wanted:
                yield Finding(
                    "inputs-outputs",
                    ERROR,
                    value.name,
                    f"the {role} is {TensorProto.DataType.Name(kind).lower()}",
                    "export pixel_values as f32, input_ids as i64 and the embedding as f32",
                )
            if not value.type.tensor_type.HasField("shape") or any(
                not dim.HasField("dim_value") or dim.dim_value < 1 for dim in value.type.tensor_type.shape.dim
            ):
                shape = [dim.dim_param or dim.dim_value or "?" for dim in value.type.tensor_type.shape.dim]
                yield Finding(
                    "dynamic-shape",
                    ERROR,
                    f"{value.name} [{', '.join(map(str, shape))}]",
                    "clipgate's runtime allocates once and the NPU compiles for one shape: both refuse this",
                    "fix it: python -m onnxruntime.tools.make_dynamic_shape_fixed --input_name NAME --input_shape ...",
                )


def external_data(wiring: Wiring) -> Iterator[Finding]:
    places = [
        entry.value
        for tensor in wiring.initializers.values()
        if tensor.data_location == TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    ]
    if places:
        yield Finding(
            "external-data",
            ERROR,
            _first(list(dict.fromkeys(places))),
            f"{len(places)} tensors lie in other files, which the manifest's digest of the graph does not cover",
            "save the graph as one file: onnx.save(onnx.load(F), G)",
        )


def quantisation(wiring: Wiring) -> Iterator[Finding]:
    if not any(is_quantize(node) for node in wiring.nodes):
        yield Finding(
            "not-quantised",
            ERROR,
            f"{len(wiring.nodes)} nodes",
            "no QuantizeLinear is in the graph: it is not static int8",
            "clipgate-export quantize",
        )


def float_nodes(wiring: Wiring) -> Iterator[Finding]:
    if not any(is_quantize(node) for node in wiring.nodes):
        return
    for region in float_regions(wiring):
        kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(n.op_type for n in region.nodes).items())
        island = region.after_quantised and region.before_quantised
        yield Finding(
            "unquantised-island" if island else "unquantised-end",
            WARNING,
            _named(region.nodes),
            f"computed in float ({kinds}){' between int8 operators' if island else ''}: the CPU loses its int8 kernel "
            "there, and such a graph may not compile for HTP (onnxruntime-qnn 2.7.0, v75: error 1002)",
            "quantise all operator types, or keep it if the recipe left it in float for accuracy's sake",
        )


def weights(wiring: Wiring) -> Iterator[Finding]:
    asymmetric, per_channel = [], []
    for node in wiring.nodes:
        if node.op_type not in GEMMS:
            continue
        for name in node.input[:2]:
            source = wiring.producer.get(name)
            if not is_dequantize(source) or not wiring.is_constant(source.input[0]):
                continue
            zero = wiring.value(source.input[2]) if len(source.input) > 2 and source.input[2] else None
            centre = EIGHT_BITS.get(wiring.types.get(source.input[0], 0))
            if centre is not None and (zero is not None or centre) and np.any((0 if zero is None else zero) != centre):
                asymmetric.append(node)
            scale = wiring.value(source.input[1])
            if node.op_type == "MatMul" and scale is not None and scale.size > 1:
                per_channel.append(node)
    if asymmetric:
        yield Finding(
            "asymmetric-weights",
            WARNING,
            _named(asymmetric),
            f"{len(asymmetric)} int8 weights have a zero point off the centre: every product needs a correction, "
            "Arm's fast kernels are passed over, and HTP takes weights per channel only if they are symmetric",
            "quantise with weight_type QInt8 and weight_symmetric",
        )
    if per_channel:
        # onnxruntime/quantization/execution_providers/qnn/quant_config.py, _process_matmul, says that QNN refuses it.
        yield Finding(
            "per-channel-matmul",
            NOTE,
            _named(per_channel),
            f"{len(per_channel)} MatMul weights are quantised per channel: ONNX Runtime's QNN configuration avoids it "
            "as unsupported, though onnxruntime-qnn 2.7.0 compiles it for HTP v75",
            "check with clipgate_export.htp_check, or quantise MatMul per tensor",
        )


def layer_norm_scales(wiring: Wiring) -> Iterator[Finding]:
    bad = []
    for node in wiring.nodes:
        if node.op_type == "LayerNormalization":
            source = wiring.producer.get(node.input[1])
            if is_dequantize(source) and wiring.types.get(source.input[0]) == TensorProto.INT8:
                bad.append(node)
    if bad:
        yield Finding(
            "layer-norm-scale",
            WARNING,
            _named(bad),
            f"{len(bad)} LayerNormalizations have a scale in int8: HTP refuses them (error 3110), and the graph falls "
            "into 26 partitions",
            "quantise LayerNormalization's scale as QUInt8 (init_overrides)",
        )


def erf(wiring: Wiring) -> Iterator[Finding]:
    bad = [node for node in wiring.nodes if node.op_type == "Erf"]
    if bad:
        yield Finding(
            "erf",
            WARNING,
            _named(bad),
            f"{len(bad)} Erf: in a quantised graph HTP leaves it to the CPU, which cuts the graph into 13 parts; "
            "the CPU computes it in float",
            "export with opset 20 so that GELU is one Gelu operator, then quantise again",
        )


def half_precision(wiring: Wiring) -> Iterator[Finding]:
    made = {output: node for node in wiring.nodes for output in node.output}
    for kind, name in HALVES.items():
        tensors = [tensor for tensor, found in wiring.types.items() if found == kind]
        if tensors:
            yield Finding(
                "half-precision",
                WARNING,
                _first([made[t].name or t if t in made else t for t in tensors]),
                f"{len(tensors)} tensors are {name}: the CPU has no kernel for most operators and casts to f32",
                "export the checkpoint in f32 before quantising",
            )


def sixteen_bits(wiring: Wiring) -> Iterator[Finding]:
    wide = [
        node
        for node in wiring.nodes
        if is_quantize(node) and len(node.input) > 2 and wiring.types.get(node.input[2]) in SIXTEEN_BITS
    ]
    if wide:
        yield Finding(
            "sixteen-bit-activations",
            NOTE,
            _named(wide),
            f"{len(wide)} activations have 16 bits: HTP computes them, the CPU has no fast kernel (148 ms to 32 ms)",
            "keep them for an NPU only, or few of them",
        )


def htp_operators(wiring: Wiring) -> Iterator[Finding]:
    for kind, nodes in _by_kind(wiring, HTP | {"ai.onnx:Erf"}).items():
        yield Finding(
            "outside-htp",
            WARNING,
            _named(nodes),
            f"{len(nodes)} {kind}: not among the operators that the QNN provider documents; they fall to the CPU",
            "replace it in the model, or compute it outside the graph",
        )


def xnnpack_operators(wiring: Wiring) -> Iterator[Finding]:
    quantised = any(is_quantize(node) for node in wiring.nodes)
    outside = _by_kind(wiring, XNNPACK_QUANTISED if quantised else XNNPACK_FLOAT)
    if outside:
        kinds = ", ".join(f"{len(nodes)} {kind.removeprefix('ai.onnx:')}" for kind, nodes in outside.items())
        yield Finding(
            "outside-xnnpack",
            NOTE,
            kinds,
            "XNNPACK's provider does not document these operators in int8; they stay on the CPU provider, as do "
            "convolutions of u8 activations with s8 weights",
            "run on the CPU provider, which is clipgate's default",
        )


RULES = (
    opset,
    inputs_and_outputs,
    external_data,
    quantisation,
    float_nodes,
    weights,
    layer_norm_scales,
    erf,
    half_precision,
    sixteen_bits,
    htp_operators,
    xnnpack_operators,
)


def _by_kind(wiring: Wiring, known: frozenset[str]) -> dict[str, list[NodeProto]]:
    outside: dict[str, list[NodeProto]] = defaultdict(list)
    for node in wiring.nodes:
        if qualified(node) not in known and node.op_type not in SILENT:
            outside[qualified(node)].append(node)
    return dict(sorted(outside.items()))


def _named(nodes: list[NodeProto]) -> str:
    return _first([node.name or f"{node.op_type} -> {node.output[0]}" for node in nodes])


def _first(names: list[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
