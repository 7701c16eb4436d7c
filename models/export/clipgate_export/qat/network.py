"""A graph as a PyTorch module: a QDQ graph learns its weights and scales, an fp32 graph its weights or nothing.

The module runs the very nodes of the graph that will be shipped, so that the trained numbers only have to be written
back: there is no second description of the tower that could differ.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper
from torch import Tensor, nn

from ..errors import UserError
from ..quantization import levels as quantised
from ..quantization.index import Index
from ..quantization.levels import Activation, Constant, dequantised, highest_level, read_levels
from ..quantization.masks import FAR_BELOW
from ..quantization.movement import MOVING
from . import lsq
from .operators import OPERATORS, Step

# No step falls below this share of its first value: it stays a positive number.
SMALLEST_STEP = 1e-3


@dataclass(frozen=True)
class Trained:
    """A quantised constant: where its parameters are, and its levels."""

    constant: Constant
    zero: int
    low: int
    high: int
    value: str
    step: str | None


class Network(nn.Module):
    """Inputs [B, ...] of the graph's own element type to embeddings f32 [B, D]."""

    def __init__(
        self,
        model: ModelProto,
        sources: Mapping[str, np.ndarray] | None = None,
        bits: int = 8,
        learned: Collection[str] = (),
    ) -> None:
        """`sources` holds the fp32 values of the constants that are quantised, `bits` are those of the weights.

        `learned` names constants that are trained without being quantised.
        Raises UserError for an operator that is not known here.
        """
        super().__init__()
        self.model = model
        index = Index(model)
        tensors = {name: numpy_helper.to_array(tensor) for name, tensor in index.tensors.items()}
        self._levels = read_levels(model)
        self._names: dict[str, str] = {}
        self._floors: dict[str, float] = {}
        sources = sources or {}
        self._constants = [self._trained(it, tensors, sources, bits) for it in self._levels.constants.values()]
        self._zeros: dict[str, int] = {}
        for activation in self._levels.activations.values():
            self._add_step(activation.scale, torch.tensor(tensors[activation.scale].reshape(())))
            self._zeros[activation.scale] = int(tensors[activation.zero_point])
        self._steps = [_step(index, node, tensors) for node in model.graph.node]
        self._learned = [name for name in learned if name in tensors]
        self._add_unquantised(tensors)
        self._last = {name: place for place, node in enumerate(model.graph.node) for name in node.input}
        self._repeated = _repeated(model)

    @property
    def values(self) -> list[nn.Parameter]:
        """Weights and biases."""
        return [p for name, p in self.named_parameters() if name.startswith("value")]

    @property
    def learned_sources(self) -> list[str]:
        """What the quantised constants that are learned are called in the fp32 graph."""
        pairs = ((trained.constant.source, getattr(self, trained.value)) for trained in self._constants)
        return [source for source, value in pairs if isinstance(value, nn.Parameter)]

    @property
    def scales(self) -> list[nn.Parameter]:
        return [p for name, p in self.named_parameters() if name.startswith("step")]

    def forward(self, inputs: Tensor) -> Tensor:
        return self.run(inputs[:, None]).flatten(1)

    def run(self, inputs: Tensor) -> Tensor:
        """Inputs [B, 1, ...] to the graph's output, the batch before the graph's own axes."""
        made = self._dequantised()
        made[self.model.graph.input[0].name] = inputs
        output = self.model.graph.output[0].name
        for place, step in enumerate(self._steps):
            node = step.node
            if node.op_type == "DequantizeLinear":
                # Of a constant it is made already; a computed tensor has been dequantised where it was quantised.
                if node.input[0] in made:
                    made[node.output[0]] = made[node.input[0]]
            elif node.op_type == "QuantizeLinear":
                x = made[node.input[0]]
                made[node.output[0]] = x if place in self._repeated else self._quantised(node, x)
            else:
                given = [made.get(name, self._unquantised(name)) if name else None for name in node.input]
                found = OPERATORS[node.op_type](step, given)
                made.update(zip(node.output, found if isinstance(found, (tuple, list)) else [found], strict=False))
            for name in node.input:
                if self._last.get(name) == place and name != output:
                    made.pop(name, None)
        return made[output]

    @torch.no_grad()
    def keep_positive(self) -> None:
        """After each optimiser step."""
        for name, floor in self._floors.items():
            self._step_of(name).clamp_(min=floor)

    @torch.no_grad()
    def numbers(self) -> dict[str, np.ndarray]:
        """Scales f32, integer levels and what is not quantised by the names of the graph's initializers, as the forward
        pass uses them."""
        found = {name: getattr(self, self._names[name]).cpu().numpy() for name in self._learned}
        for name in self._floors:
            found[name] = self._step_of(name).cpu().numpy()
        for activation in self._levels.activations.values():
            found[activation.scale] = self._activation_step(activation).cpu().numpy()
        for trained in self._constants:
            constant = trained.constant
            scale = self._scale(trained)
            found[constant.scale] = scale.cpu().numpy()
            value = getattr(self, trained.value)
            ratio = (value / _fitted(scale, constant.axis, value.ndim)).double().round()
            found[constant.quantised] = ratio.add(trained.zero).clamp(trained.low, trained.high).cpu().numpy()
        return found

    def exported(self) -> ModelProto:
        """The graph with what was learned in it."""
        model = ModelProto()
        model.CopyFrom(self.model)
        quantised.write(model, self.numbers())
        return model

    def _trained(
        self, constant: Constant, tensors: Mapping[str, np.ndarray], sources: Mapping[str, np.ndarray], bits: int
    ) -> Trained:
        stored = tensors[constant.quantised]
        zero = int(tensors[constant.zero_point].ravel()[0])
        scale = tensors[constant.scale]
        limits = np.iinfo(stored.dtype)
        low, high = int(limits.min), int(limits.max)
        if constant.weight:
            high = highest_level(bits)
            low = -high
        value = sources.get(constant.source)
        if value is None:
            value = dequantised(constant, tensors)
        # An attention mask is no weight, and its range has to hold it.
        layer = constant.weight or constant.product is not None or value.ndim < 2
        learned = value.size > 1 and (layer or float(value.max() - value.min()) < FAR_BELOW)
        name = self._add("value", constant.quantised, torch.tensor(value.astype(np.float32)), learned)
        if constant.product is None:
            first = torch.tensor(scale.reshape(-1 if constant.axis is not None else ()))
            if constant.weight and constant.source in sources:
                first = lsq.first_step(torch.tensor(value), high, constant.axis)
            self._add_step(constant.scale, first, learned)
        step = None if constant.product else self._names[constant.scale]
        return Trained(constant, zero, low, high, name, step)

    def _add(self, kind: str, name: str, value: Tensor, learned: bool) -> str:
        """A parameter, or a buffer; its own name must not hold the dots that names in graphs have."""
        attribute = f"{kind}_{len(self._names)}"
        self._names[name] = attribute
        if learned:
            self.register_parameter(attribute, nn.Parameter(value.clone()))
        else:
            self.register_buffer(attribute, value.clone())
        return attribute

    def _add_step(self, name: str, first: Tensor, learned: bool = True) -> None:
        if name not in self._names:
            self._add("step", name, first.float(), learned)
            self._floors[name] = float(first.min()) * SMALLEST_STEP

    def _add_unquantised(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Float constants that no DequantizeLinear makes, and tables that computed indices go into."""
        known = set(self._names)
        for step in self._steps:
            if step.node.op_type in ("QuantizeLinear", "DequantizeLinear"):
                continue
            for name in step.node.input:
                if name in tensors and name not in known:
                    known.add(name)
                    learned = name in self._learned
                    self._add("value" if learned else "fixed", name, torch.tensor(tensors[name]), learned)

    def _unquantised(self, name: str) -> Tensor | None:
        return getattr(self, self._names[name]) if name in self._names else None

    def _step_of(self, name: str) -> Tensor:
        return getattr(self, self._names[name])

    def _scale(self, trained: Trained) -> Tensor:
        """A bias has the product of its layer's scales for a step, and no say in it."""
        if trained.step is not None:
            return getattr(self, trained.step)
        activations = self._levels.activations
        x, weight = (
            self._activation_step(activations[name]) if name in activations else self._step_of(name)
            for name in trained.constant.product
        )
        return (x * weight).detach()

    def _dequantised(self) -> dict[str, Tensor]:
        """Every constant on its levels, by the name of its DequantizeLinear's input."""
        made = {}
        for trained in self._constants:
            value, scale = getattr(self, trained.value), self._scale(trained)
            fitted = _fitted(scale, trained.constant.axis, value.ndim)
            sharing = value.numel() / scale.numel()
            made[trained.constant.quantised] = lsq.quantise(
                value, fitted, trained.zero, trained.low, trained.high, sharing
            )
        return made

    def _quantised(self, node: NodeProto, x: Tensor) -> Tensor:
        activation = self._levels.activations[node.input[1]]
        step, zero = self._activation_step(activation), self._zeros[activation.scale]
        return lsq.quantise(x, step, zero, activation.low, activation.high, x.numel() / x.shape[0])

    def _activation_step(self, activation: Activation) -> Tensor:
        step = self._step_of(activation.scale)
        return lsq.whole_reciprocal(step) if activation.shares else step


def _fitted(scale: Tensor, axis: int | None, rank: int) -> Tensor:
    return scale if axis is None else scale.reshape([-1 if place == axis % rank else 1 for place in range(rank)])


def _repeated(model: ModelProto) -> set[int]:
    """The QuantizeLinear nodes whose input is on their levels already: layout operators change no value."""
    on_levels: dict[str, str] = {}
    found = set()
    for place, node in enumerate(model.graph.node):
        if node.op_type == "QuantizeLinear":
            if on_levels.get(node.input[0]) == node.input[1]:
                found.add(place)
            on_levels[node.output[0]] = node.input[1]
        elif node.input and (node.op_type in MOVING or node.op_type == "DequantizeLinear"):
            if node.input[0] in on_levels:
                on_levels.update(dict.fromkeys(node.output, on_levels[node.input[0]]))
    return found


def _step(index: Index, node: NodeProto, tensors: Mapping[str, np.ndarray]) -> Step:
    known = (*OPERATORS, "QuantizeLinear", "DequantizeLinear")
    if node.op_type not in known or node.domain not in ("", "ai.onnx"):
        raise UserError(
            f"{node.op_type} {node.name}: this operator cannot be trained here; quantise the tower without training"
        )
    computed = [bool(name) and name not in tensors and not _constant(index, name) for name in node.input]
    numbers = [
        tensors[name] if name in tensors and index.types[name] in (TensorProto.INT64, TensorProto.INT32) else None
        for name in node.input
    ]
    missing = [name for name in (*node.input, *node.output) if name and name not in index.shapes]
    if missing and node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
        raise UserError(f"{node.op_type} {node.name}: the shape of {missing[0]} is not fixed; export it for one size")
    return Step(
        node,
        tuple(index.shapes.get(name, ()) for name in node.input),
        tuple(computed),
        tuple(numbers),
        tuple(index.shapes.get(name, ()) for name in node.output),
    )


def _constant(index: Index, name: str) -> bool:
    """Whether the tensor is a dequantised constant."""
    maker = index.producer.get(name)
    return maker is not None and maker.op_type == "DequantizeLinear" and maker.input[0] in index.tensors
