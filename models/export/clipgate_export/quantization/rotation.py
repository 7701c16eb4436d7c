"""A transformer's residual stream turned by a random rotation that is folded into the weights, exactly in fp32.

Rotation spreads a few channels of large values over all channels, so that one scale a tensor fits them better
(QuaRot: Ashkboos et al. 2024, arXiv 2404.00456). QuaRot's stream passes through RMSNorm, which commutes with every
rotation. LayerNorm does so only with its affine part gone and its mean kept. With rows x of C channels, 1 the row of
ones and M = I - 1'1/C, which takes the mean away,

    LN(x) = g * n(x) + b,    n(x) = xM / sqrt(|xM|^2 / C + eps).

Let Q be orthogonal and 1Q = 1. Then Q1' = 1' too, so MQ = Q - 1'1/C = QM and |xQM| = |xMQ| = |xM|: n(xQ) = n(x)Q.
What reads the norm, yW + d with y = LN(x), equals n(x)(diag(g)W) + (bW + d), and of the rotated stream

    n(xQ) (Q' diag(g) W) + (bW + d).

So the norm's scale becomes 1 and its bias 0, W and d take these over, and what writes to the stream, zV + e, becomes
z(VQ) + eQ. Q is drawn uniformly (Haar) from the rotations of the C - 1 directions across 1. Where the stream begins
with something else than a linear layer, as with a norm or an activation, and where a norm's readers are not all
linear, the rotation is a matrix product of its own: C^2 multiplications a token there.
"""

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper

from ..errors import UserError
from .index import Edit, Index, attribute
from .residual import Stream, convolution_making, is_linear, is_norm, is_table, linear_readers, streams


class NotRotatable(UserError):
    """The tower has no residual stream that a rotation can be folded into."""


def rotate(model: ModelProto, seed: int) -> int:
    """Rewrites `model` in place, each stream by a rotation of its own; returns how many products were added.

    Raises NotRotatable where there is no residual stream, or something reads it that is neither linear nor a norm.
    """
    index = Index(model)
    found = [stream for stream in streams(index) if stream.additions]
    whole = [stream for stream in found if stream.obstacle is None]
    if not whole:
        reason = found[0].obstacle if found else "no LayerNormalization reads a residual addition"
        raise NotRotatable(f"the tower cannot be rotated: {reason}; take a method without rotation")
    rotations = [mean_preserving_rotation(stream.width, seed + number) for number, stream in enumerate(whole)]
    rewrite = _Rewrite(index, Edit(model))
    # What writes to one stream may read another: its bias for the norm there is made of weights rotated here.
    for stream, rotation in zip(whole, rotations, strict=True):
        rewrite.entries(stream, rotation)
    for stream, rotation in zip(whole, rotations, strict=True):
        rewrite.exits(stream, rotation)
    rewrite.edit.apply()
    return rewrite.products


def mean_preserving_rotation(width: int, seed: int) -> np.ndarray:
    """A random orthogonal matrix f64 [width, width] whose rows and columns sum to one."""
    if width < 2:
        return np.eye(width)
    draw = np.random.default_rng(seed)
    inner, upper = np.linalg.qr(draw.standard_normal((width - 1, width - 1)))
    # The signs make the distribution uniform (Mezzadri 2007, arXiv math-ph/0609050).
    inner = inner * np.sign(np.diag(upper))
    # Householder's reflection takes the first direction to that of the ones, and back.
    normal = np.full(width, width**-0.5)
    normal[0] -= 1
    reflection = np.eye(width) - 2 * np.outer(normal, normal) / (normal @ normal)
    middle = np.eye(width)
    middle[1:, 1:] = inner
    return reflection @ middle @ reflection


class _Rewrite:
    """Puts rotated constants into the graph; `products` counts the matrix products that had to be added."""

    def __init__(self, index: Index, edit: Edit) -> None:
        self.index = index
        self.edit = edit
        self.products = 0
        self._values = {}

    def entries(self, stream: Stream, rotation: np.ndarray) -> None:
        """Rotates what the stream is made of."""
        for node, place in stream.constants:
            self._set(node, place, self._value(node, place) @ rotation)
        for node in stream.writers:
            self._rotate_output(node, rotation)
        for name in stream.sources:
            norm = self.index.producer.get(name)
            matrix, shift = rotation, np.zeros(len(rotation))
            if norm is not None and is_norm(self.index, norm):
                scale, bias = self._take_affine(norm)
                matrix, shift = scale[:, None] * rotation, bias @ rotation
            self._insert(name, matrix, shift, "rotated")

    def exits(self, stream: Stream, rotation: np.ndarray) -> None:
        """Rotates back what is read from the stream."""
        for node in stream.readers:
            self._multiply_input(node, rotation.T)
        for norm in stream.norms:
            scale, bias = self._take_affine(norm)
            matrix = rotation.T * scale
            layers = list(linear_readers(self.index, norm.output[0]))
            if None in layers:
                self._insert(norm.output[0], matrix, bias, "restored")
                continue
            for node in layers:
                weight = self._value(node, 1)
                self._shift(node, bias @ (weight.T if attribute(node, "transB", 0) else weight))
                self._multiply_input(node, matrix)

    def _value(self, node: NodeProto, place: int) -> np.ndarray:
        name = node.input[place]
        value = self._values[name] if name in self._values else numpy_helper.to_array(self.index.tensors[name])
        return value.astype(np.float64)

    def _constant(self, wanted: str, value: np.ndarray) -> str:
        name = self.edit.constant(wanted, value.astype(np.float32))
        self._values[name] = value
        return name

    def _set(self, node: NodeProto, place: int, value: np.ndarray) -> None:
        """A constant of its own, as others may read the old one."""
        node.input[place] = self._constant(f"{node.input[place]}_rotated", value)

    def _take_affine(self, norm: NodeProto) -> tuple[np.ndarray, np.ndarray]:
        """The norm's scale and bias, which it then has no more."""
        scale = self._value(norm, 1)
        bias = np.zeros_like(scale)
        self._set(norm, 1, np.ones_like(scale))
        if len(norm.input) > 2 and norm.input[2]:
            bias = self._value(norm, 2)
            self._set(norm, 2, np.zeros_like(bias))
        return scale, bias

    def _rotate_output(self, node: NodeProto, rotation: np.ndarray) -> None:
        if is_table(self.index, node):
            self._set(node, 0, self._value(node, 0) @ rotation)
            return
        if is_linear(self.index, node):
            weight = self._value(node, 1)
            self._set(node, 1, rotation.T @ weight if attribute(node, "transB", 0) else weight @ rotation)
        else:
            node = convolution_making(self.index, node.output[0])
            kernels = np.moveaxis(self._value(node, 1), 0, -1)
            self._set(node, 1, np.moveaxis(kernels @ rotation, -1, 0))
        if len(node.input) > 2 and node.input[2]:
            self._set(node, 2, np.broadcast_to(self._value(node, 2), len(rotation)) @ rotation)

    def _multiply_input(self, node: NodeProto, matrix: np.ndarray) -> None:
        """The layer's weights behind a product of its input by `matrix`."""
        weight = self._value(node, 1)
        self._set(node, 1, weight @ matrix.T if attribute(node, "transB", 0) else matrix @ weight)

    def _shift(self, node: NodeProto, shift: np.ndarray) -> None:
        """Adds `shift` to what a linear layer makes."""
        if not shift.any():
            return
        place = _bias(self.index, node)
        if place is not None:
            node, operand = place
            self._set(node, operand, self._value(node, operand) + shift)
        elif node.op_type == "Gemm":
            del node.input[2:]
            node.input.append(self._constant(f"{node.output[0]}_shift", shift))
        else:
            name = node.output[0]
            node.output[0] = self.edit.name(f"{name}_product")
            constant = self._constant(f"{name}_shift", shift)
            self.edit.nodes.append(helper.make_node("Add", [node.output[0], constant], [name], f"node_{name}_shifted"))

    def _insert(self, name: str, matrix: np.ndarray, shift: np.ndarray, suffix: str) -> None:
        """Lets all that read `name` read `name` @ matrix + shift."""
        readers = [node for node in (*self.index.model.graph.node, *self.edit.nodes) if name in node.input]
        made = self.edit.node("MatMul", [name, self._constant(f"{name}_{suffix}.weight", matrix)], f"{name}_{suffix}")
        if shift.any():
            constant = self._constant(f"{name}_{suffix}.bias", shift)
            made = self.edit.node("Add", [made, constant], f"{name}_{suffix}_shifted")
        for node in readers:
            for place, given in enumerate(node.input):
                if given == name:
                    node.input[place] = made
        self.products += 1


def _bias(index: Index, node: NodeProto) -> tuple[NodeProto, int] | None:
    """Where the bias of a linear layer stands: in a Gemm, or in the Add behind a MatMul."""
    width = index.shapes[node.output[0]][-1:]
    if node.op_type == "Gemm":
        has = len(node.input) > 2 and node.input[2] and index.shapes[node.input[2]] == width
        return (node, 2) if has else None
    addition = index.only_consumer(node.output[0])
    if addition is None or addition.op_type != "Add":
        return None
    for place, name in enumerate(addition.input):
        if name in index.tensors and index.shapes[name] == width:
            return addition, place
    return None
