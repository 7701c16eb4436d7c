"""How much of each layer's signal the int8 graph keeps, in decibels.

For a tensor x of the fp32 graph and its dequantised counterpart y, over all values of all inputs:
10 log10(sum x^2 / sum (x - y)^2), the ratio of `onnxruntime.quantization.qdq_loss_debug`, but streamed: sums
for each channel (last axis) are kept, never the activations.

SmoothQuant divides a LayerNorm's channels and multiplies the weights behind it. Such a tensor is meant to differ:
where a gain for each channel, fitted by least squares, takes most of the noise away, the ratio is the one after it.
"""

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import ModelProto, NodeProto, helper
from onnxruntime.quantization.quant_utils import QUANT_INPUT_SUFFIX

from .graph import one_thread
from .wiring import Wiring, is_dequantize, is_quantize

EXACT_DB = 200.0
# A tensor counts as rescaled if its gains win this much, and leave a signal this clear.
RESCALED_WINS_DB, RESCALED_CLEAR_DB = 6.0, 10.0
# Fewer values a channel would be met by a gain without being rescaled.
FEWEST_FOR_GAINS = 4
# Their outputs are their inputs' values in other places.
MOVERS = ("Constant", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
WATCHED = "clipgate_snr/"


@dataclass(frozen=True)
class LayerSnr:
    """A tensor's ratio in dB, `EXACT_DB` at most; `bits` is 32 where the int8 graph keeps it in float.

    `rescaled`: the int8 graph has its channels at other scales, which the ratio does not count as noise.
    """

    tensor: str
    operator: str
    bits: int
    db: float
    rescaled: bool = False


@dataclass(frozen=True)
class Layers:
    """Matched tensors in graph order, and how many float tensors of the fp32 graph have no counterpart."""

    layers: list[LayerSnr]
    unmatched: int
    inputs: int


@dataclass(frozen=True)
class _Pair:
    """A layer's name in the fp32 graph, and what to read of the int8 one: a float, or what `quantizer` makes."""

    tensor: str
    int8: str
    operator: str
    bits: int
    quantizer: NodeProto | None


def measure(
    fp32: Path, int8: Path, inputs: Iterable[np.ndarray], progress: Callable[[], object] = lambda: None
) -> Layers:
    """The ratio of every layer whose tensor has the same name in both graphs; inputs are [1, ...] each."""
    reference, quantised = onnx.load(fp32), onnx.load(int8)
    pairs, unmatched = _match(Wiring(reference), Wiring(quantised))
    if not pairs:
        return Layers([], unmatched, 0)
    names = [pair.tensor for pair in pairs]
    with tempfile.TemporaryDirectory() as folder:
        _watch(reference, names)
        fp32_session = _session(reference, Path(folder) / "fp32.onnx")
        del reference
        watched = [_watch_dequantised(quantised, place, pair) for place, pair in enumerate(pairs)]
        _watch(quantised, watched)
        int8_session = _session(quantised, Path(folder) / "int8.onnx")
        del quantised
    fp32_input, int8_input = (session.get_inputs()[0].name for session in (fp32_session, int8_session))
    sums, count = [_Sums() for _ in pairs], 0
    for row in inputs:
        wanted = fp32_session.run(names, {fp32_input: row})
        found = int8_session.run(watched, {int8_input: row})
        for place, (x, y) in enumerate(zip(wanted, found, strict=True)):
            if x.shape != y.shape:
                raise ValueError(f"{names[place]} is {x.shape} in {fp32} and {y.shape} in {int8}")
            sums[place].add(x, y)
        count += 1
        progress()
    layers = [
        LayerSnr(pair.tensor, pair.operator, pair.bits, *own.ratio()) for pair, own in zip(pairs, sums, strict=True)
    ]
    return Layers(layers, unmatched, count)


class _Sums:
    """Of x x, x y, y y and (x - y) (x - y) over all values of a channel, f64 [4, channels]."""

    def __init__(self) -> None:
        self.sums: np.ndarray | float = 0.0
        self.count = 0

    def add(self, x: np.ndarray, y: np.ndarray) -> None:
        x, y = (values.reshape(-1, values.shape[-1] if values.ndim else 1).astype(np.float64) for values in (x, y))
        self.count += len(x)
        self.sums = self.sums + np.stack([(a * b).sum(0) for a, b in ((x, x), (x, y), (y, y), (x - y, x - y))])

    def ratio(self) -> tuple[float, bool]:
        """In dB, and whether it is the one after a gain for each channel."""
        xx, xy, yy, noise = np.asarray(self.sums)
        plain = _decibels(xx.sum(), noise.sum())
        if len(xx) == 1 or self.count < FEWEST_FOR_GAINS:
            return plain, False
        left = xx - np.divide(xy * xy, yy, out=np.zeros_like(xx), where=yy > 0)
        gained = _decibels(xx.sum(), max(left.sum(), 0.0))
        rescaled = gained > max(plain + RESCALED_WINS_DB, RESCALED_CLEAR_DB)
        return (gained, True) if rescaled else (plain, False)


def _decibels(signal: float, noise: float) -> float:
    if noise <= signal * 10 ** (-EXACT_DB / 10):
        return EXACT_DB
    return 10 * float(np.log10(max(signal, np.finfo(float).tiny) / noise))


def _match(fp32: Wiring, int8: Wiring) -> tuple[list[_Pair], int]:
    """Pairs in the fp32 graph's order, and the number of computed float tensors that have none.

    The quantiser keeps names: what Quantize reads is called as in the fp32 graph. A Relu that the range of
    Quantize replaces has left its name to the operator before it.
    """
    quantizers = {}
    for node in int8.nodes:
        if is_quantize(node) and not int8.is_constant(node.input[0]):
            quantizers.setdefault(node.input[0].removesuffix(QUANT_INPUT_SUFFIX), node)
    pairs, unmatched = [], 0
    for node in fp32.nodes:
        if node.op_type in MOVERS or fp32.is_constant(node.output[0]):
            continue
        for name in node.output:
            if name and fp32.is_float(name):
                pair = _pair(fp32, int8, quantizers.get(name), node.op_type, name)
                unmatched += pair is None
                pairs += [pair] if pair is not None else []
    return pairs, unmatched


def _pair(fp32: Wiring, int8: Wiring, quantizer: NodeProto | None, operator: str, name: str) -> _Pair | None:
    """The counterpart of `name`, if there is one and of the same shape; `quantizer` reads the int8 graph's."""
    source = int8.producer.get(name) if quantizer is None else quantizer
    there = name if quantizer is None else quantizer.input[0]
    if source is None or fp32.shapes.get(name) != int8.shapes.get(there):
        return None
    return _Pair(name, name if quantizer is None else quantizer.output[0], operator, _bits(int8, source), quantizer)


def _bits(int8: Wiring, node: NodeProto) -> int:
    if not is_quantize(node) and not is_dequantize(node):
        return 32
    # The zero point tells it where Quantize is of another domain, whose outputs ONNX knows nothing of.
    kinds = [
        int8.types.get(name) for name in (*node.input[2:3], node.output[0] if is_quantize(node) else node.input[0])
    ]
    kind = next((kind for kind in kinds if kind), onnx.TensorProto.UINT8)
    return 8 * helper.tensor_dtype_to_np_dtype(kind).itemsize


def _watch_dequantised(model: ModelProto, place: int, pair: _Pair) -> str:
    """The name of the dequantised tensor; a Dequantize of its own leaves the graph's operators as they are."""
    if pair.quantizer is None:
        return pair.int8
    name = f"{WATCHED}{place}"
    source = pair.quantizer
    node = helper.make_node(
        "DequantizeLinear", [source.output[0], *source.input[1:]], [name], name=name, domain=source.domain
    )
    node.attribute.extend(attribute for attribute in source.attribute if attribute.name == "axis")
    model.graph.node.append(node)
    return name


def _watch(model: ModelProto, names: list[str]) -> None:
    """Makes `names` outputs; the runtime finds their types and shapes itself."""
    have = {value.name for value in model.graph.output}
    for name in names:
        if name not in have:
            model.graph.output.append(onnx.ValueInfoProto(name=name))


def _session(model: ModelProto, path: Path) -> ort.InferenceSession:
    """On one thread; from a file, so that the bytes of a large model are not held twice."""
    onnx.save(model, path)
    return ort.InferenceSession(path, one_thread(), providers=["CPUExecutionProvider"])
