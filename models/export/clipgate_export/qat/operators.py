"""ONNX operators in PyTorch, over a batch: an exported tower takes one input, a training step many.

A tensor of shape [1, ...] that the graph computes is a tensor [B, 1, ...] here, the batch before the graph's own axes;
constants stay as they are. So a graph of fixed shapes needs no rewriting, whatever it reshapes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from onnx import NodeProto, helper
from torch import Tensor
from torch.nn import functional as F

Value = Tensor | None


@dataclass(frozen=True)
class Step:
    """One node: `shapes` are those of its inputs in the graph, `batched` says which of them the graph computes.

    `numbers` holds the values of inputs that are constants of integers, such as shapes, axes and indices.
    """

    node: NodeProto
    shapes: tuple[tuple[int, ...], ...]
    batched: tuple[bool, ...]
    numbers: tuple[np.ndarray | None, ...]
    outputs: tuple[tuple[int, ...], ...]

    def attribute(self, name: str, default: object = None) -> object:
        for candidate in self.node.attribute:
            if candidate.name == name:
                return helper.get_attribute_value(candidate)
        return default

    def axis(self, default: int) -> int:
        """The attribute, counted from the end, so that the batch's axis before the others does not matter."""
        rank = len(self.shapes[0])
        return int(self.attribute("axis", default)) % rank - rank

    def integers(self, place: int, name: str = "") -> list[int] | None:
        """A list that newer operator sets give as the input `place`, older ones as the attribute `name`."""
        if len(self.numbers) > place and self.numbers[place] is not None:
            return [int(number) for number in self.numbers[place].ravel()]
        found = self.attribute(name) if name else None
        return None if found is None else [int(number) for number in found]

    def aligned(self, values: Sequence[Value]) -> list[Tensor]:
        """With axes of length one behind the batch's where the others have more axes."""
        rank = max(len(shape) for shape in self.shapes)
        return [
            value.reshape(value.shape[0], *[1] * (rank - len(shape)), *value.shape[1:]) if computed else value
            for value, shape, computed in zip(values, self.shapes, self.batched, strict=True)
        ]


Operator = Callable[[Step, Sequence[Value]], Tensor | Sequence[Tensor]]


def _of_one(function: Callable[[Tensor], Tensor]) -> Operator:
    return lambda step, values: function(values[0])


def _of_all(function: Callable[..., Tensor]) -> Operator:
    return lambda step, values: function(*step.aligned(values))


def _reshaped(step: Step, values: Sequence[Value]) -> Tensor:
    return values[0].reshape(values[0].shape[0], *step.outputs[0])


def _expand(step: Step, values: Sequence[Value]) -> Tensor:
    x = values[0]
    missing = len(step.outputs[0]) - len(step.shapes[0])
    return x.reshape(x.shape[0], *[1] * missing, *x.shape[1:]).expand(x.shape[0], *step.outputs[0])


def _transpose(step: Step, values: Sequence[Value]) -> Tensor:
    order = step.attribute("perm", list(range(len(step.shapes[0])))[::-1])
    return values[0].permute(0, *[axis + 1 for axis in order])


def _gelu(step: Step, values: Sequence[Value]) -> Tensor:
    return F.gelu(values[0], approximate=step.attribute("approximate", b"none").decode())


def _hard_sigmoid(step: Step, values: Sequence[Value]) -> Tensor:
    return (values[0] * step.attribute("alpha", 0.2) + step.attribute("beta", 0.5)).clamp(0, 1)


def _clip(step: Step, values: Sequence[Value]) -> Tensor:
    low, high = (values[place] if len(values) > place else None for place in (1, 2))
    return torch.clamp(values[0], low, high)


def _cast(step: Step, values: Sequence[Value]) -> Tensor:
    kind = helper.tensor_dtype_to_np_dtype(step.attribute("to"))
    return values[0].to(torch.from_numpy(np.empty(0, kind)).dtype)


def _softmax(step: Step, values: Sequence[Value]) -> Tensor:
    return values[0].softmax(step.axis(-1))


def _layer_norm(step: Step, values: Sequence[Value]) -> Tensor:
    shape = step.shapes[0][step.axis(-1) :]
    weight, bias = (values[place] if len(values) > place else None for place in (1, 2))
    return F.layer_norm(values[0], shape, weight, bias, step.attribute("epsilon", 1e-5))


def _gemm(step: Step, values: Sequence[Value]) -> Tensor:
    a, b = values[0], values[1]
    a = a.mT if step.attribute("transA", 0) else a
    b = b.mT if step.attribute("transB", 0) else b
    product = step.attribute("alpha", 1.0) * (a @ b)
    if len(values) < 3 or values[2] is None:
        return product
    return product + step.attribute("beta", 1.0) * values[2]


def _padded(step: Step, x: Tensor, value: float) -> Tensor:
    """Maps [B, C, H, W] with the node's padding around them."""
    pads = list(step.attribute("pads", [0] * 4))
    if step.attribute("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        raise NotImplementedError("padding that depends on the size")
    return F.pad(x, [pads[1], pads[3], pads[0], pads[2]], value=value) if any(pads) else x


def _conv(step: Step, values: Sequence[Value]) -> Tensor:
    x, weight = values[0].flatten(0, 1), values[1]
    bias = values[2] if len(values) > 2 else None
    options = {name: list(step.attribute(name, [1, 1])) for name in ("strides", "dilations")}
    maps = F.conv2d(
        _padded(step, x, 0.0), weight, bias, options["strides"], 0, options["dilations"], step.attribute("group", 1)
    )
    return maps[:, None]


def _pool(step: Step, values: Sequence[Value]) -> Tensor:
    x, size = values[0].flatten(0, 1), list(step.attribute("kernel_shape"))
    strides = list(step.attribute("strides", [1] * len(size)))
    counts_pads = step.attribute("count_include_pad", 0) or not any(step.attribute("pads", [0]))
    if step.attribute("ceil_mode", 0) or any(d != 1 for d in step.attribute("dilations", [1])):
        raise NotImplementedError("pooling with a ceiling or dilations")
    if step.node.op_type == "MaxPool":
        return F.max_pool2d(_padded(step, x, -torch.inf), size, strides)[:, None]
    if not counts_pads:
        raise NotImplementedError("a mean that leaves its padding out")
    return F.avg_pool2d(_padded(step, x, 0.0), size, strides)[:, None]


def _global_mean(step: Step, values: Sequence[Value]) -> Tensor:
    return values[0].mean(list(range(3, values[0].ndim)), keepdim=True)


def _reduced(step: Step, values: Sequence[Value]) -> Tensor:
    rank = len(step.shapes[0])
    axes = step.integers(1, "axes") or list(range(rank))
    function = {"ReduceMean": torch.mean, "ReduceSum": torch.sum, "ReduceMax": torch.amax, "ReduceMin": torch.amin}
    kept = bool(step.attribute("keepdims", 1))
    return function[step.node.op_type](values[0], [axis % rank - rank for axis in axes], keepdim=kept)


def _norm(step: Step, values: Sequence[Value]) -> Tensor:
    rank = len(step.shapes[0])
    axes = [axis % rank - rank for axis in step.integers(1, "axes") or range(rank)]
    return torch.linalg.vector_norm(values[0], dim=axes, keepdim=bool(step.attribute("keepdims", 1)))


def _arg_max(step: Step, values: Sequence[Value]) -> Tensor:
    if step.attribute("select_last_index", 0):
        raise NotImplementedError("the last of equal maxima")
    return values[0].argmax(step.axis(0), keepdim=bool(step.attribute("keepdims", 1)))


def _gather(step: Step, values: Sequence[Value]) -> Tensor:
    data, axis = values[0], step.axis(0)
    if not step.batched[0]:
        if axis != -len(step.shapes[0]):
            raise NotImplementedError("computed indices into another axis than a table's first")
        return F.embedding(values[1], data) if data.ndim == 2 else data[values[1]]
    places = step.numbers[1]
    if places is None:
        raise NotImplementedError("computed indices into a computed tensor")
    size = step.shapes[0][axis]
    found = data.index_select(axis, torch.from_numpy(places.ravel() % size).to(data.device))
    return found.reshape(data.shape[0], *step.outputs[0])


def _gather_nd(step: Step, values: Sequence[Value]) -> Tensor:
    data, places = values
    if step.attribute("batch_dims", 0) or not step.batched[0]:
        raise NotImplementedError("GatherND with batches of its own, or from a constant")
    if not step.batched[1]:
        places = places.expand(data.shape[0], *places.shape)
    first = torch.arange(data.shape[0], device=data.device).reshape(-1, *[1] * (places.ndim - 2))
    return data[(first, *places.unbind(-1))]


def _slice(step: Step, values: Sequence[Value]) -> Tensor:
    x, rank = values[0], len(step.shapes[0])
    starts, ends = step.integers(1), step.integers(2)
    axes = step.integers(3) or list(range(len(starts)))
    steps = step.integers(4) or [1] * len(starts)
    for axis, start, end, stride in zip(axes, starts, ends, steps, strict=True):
        places = range(step.shapes[0][axis])[slice(start, end, stride)] if stride > 0 else None
        if places is None:
            raise NotImplementedError("a slice that goes backwards")
        cut = [slice(None)] * (rank + 1)
        cut[axis % rank + 1] = slice(places.start, places.stop, places.step)
        x = x[tuple(cut)]
    return x


def _split(step: Step, values: Sequence[Value]) -> Sequence[Tensor]:
    axis = step.axis(0)
    return values[0].split([shape[axis] for shape in step.outputs], axis)


def _concat(step: Step, values: Sequence[Value]) -> Tensor:
    batch = next(value.shape[0] for value, computed in zip(values, step.batched, strict=True) if computed)
    parts = [
        value if computed else value.expand(batch, *value.shape)
        for value, computed in zip(values, step.batched, strict=True)
    ]
    return torch.cat(parts, step.axis(0))


OPERATORS: dict[str, Operator] = {
    "Abs": _of_one(torch.abs),
    "Add": _of_all(torch.add),
    "ArgMax": _arg_max,
    "AveragePool": _pool,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "Div": _of_all(torch.div),
    "Dropout": _of_one(lambda x: x),
    "Erf": _of_one(torch.erf),
    "Exp": _of_one(torch.exp),
    "Expand": _expand,
    "Flatten": _reshaped,
    "Gather": _gather,
    "GatherND": _gather_nd,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_mean,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _of_one(F.hardswish),
    "Identity": _of_one(lambda x: x),
    "LayerNormalization": _layer_norm,
    "LessOrEqual": _of_all(torch.le),
    "MatMul": _of_all(torch.matmul),
    "Max": _of_all(torch.maximum),
    "MaxPool": _pool,
    "Min": _of_all(torch.minimum),
    "Mul": _of_all(torch.mul),
    "Neg": _of_one(torch.neg),
    "Pow": _of_all(torch.pow),
    "ReduceL2": _norm,
    "ReduceMax": _reduced,
    "ReduceMean": _reduced,
    "ReduceMin": _reduced,
    "ReduceSum": _reduced,
    "Relu": _of_one(torch.relu),
    "Reshape": _reshaped,
    "Sigmoid": _of_one(torch.sigmoid),
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _split,
    "Sqrt": _of_one(torch.sqrt),
    "Squeeze": _reshaped,
    "Sub": _of_all(torch.sub),
    "Tanh": _of_one(torch.tanh),
    "Transpose": _transpose,
    "Unsqueeze": _reshaped,
}
