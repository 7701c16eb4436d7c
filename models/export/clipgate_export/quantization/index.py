"""What a rewrite of an ONNX graph looks up: who makes and who reads a tensor, its shape, its value if constant."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, shape_inference

# Only the values of small constants matter to shape inference: those that hold shapes, axes and indices.
LARGEST_SHAPE_CONSTANT = 64


class Index:
    """A graph's tables as they were when this was made; a rewrite makes a new one for the next."""

    def __init__(self, model: ModelProto) -> None:
        self.model = model
        self.producer: dict[str, NodeProto] = {}
        self.consumers: dict[str, list[NodeProto]] = defaultdict(list)
        for node in model.graph.node:
            for name in node.output:
                self.producer[name] = node
            for name in node.input:
                self.consumers[name].append(node)
        self.outputs = {output.name for output in model.graph.output}
        self.tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self.shapes, self.types = shapes_and_types(model)

    def constant(self, name: str) -> np.ndarray | None:
        """The value of a constant tensor, or nothing for what the graph computes."""
        if name in self.tensors:
            return numpy_helper.to_array(self.tensors[name])
        node = self.producer.get(name)
        if node is not None and node.op_type == "Constant" and node.attribute[0].name == "value":
            return numpy_helper.to_array(node.attribute[0].t)
        return None

    def scalar(self, name: str) -> float | None:
        """The value of a float constant of one element."""
        if int(np.prod(self.shapes.get(name, (0,)))) != 1:
            return None
        value = self.constant(name)
        return None if value is None or value.dtype != np.float32 else float(value.ravel()[0])

    def only_consumer(self, name: str) -> NodeProto | None:
        readers = self.consumers[name]
        return readers[0] if len(readers) == 1 and name not in self.outputs else None


def attribute(node: NodeProto, name: str, default: object = None) -> object:
    for candidate in node.attribute:
        if candidate.name == name:
            return helper.get_attribute_value(candidate)
    return default


def shapes_and_types(model: ModelProto) -> tuple[dict[str, tuple[int, ...]], dict[str, int]]:
    """Shape and element type of every tensor whose shape is fixed; the weights are not copied for it."""
    skeleton = ModelProto()
    skeleton.ir_version = model.ir_version
    skeleton.opset_import.extend(model.opset_import)
    skeleton.graph.name = model.graph.name
    skeleton.graph.node.extend(model.graph.node)
    skeleton.graph.input.extend(model.graph.input)
    skeleton.graph.output.extend(model.graph.output)
    for tensor in model.graph.initializer:
        if np.prod(tensor.dims) <= LARGEST_SHAPE_CONSTANT:
            skeleton.graph.initializer.append(tensor)
        else:
            skeleton.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    inferred = shape_inference.infer_shapes(skeleton, data_prop=True).graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        tensor = value.type.tensor_type
        types[value.name] = tensor.elem_type
        if tensor.HasField("shape") and all(d.HasField("dim_value") for d in tensor.shape.dim):
            shapes[value.name] = tuple(d.dim_value for d in tensor.shape.dim)
    return shapes, types


class Edit:
    """Nodes and constants to add to a graph; `apply` puts all in order and drops what nothing reads any more."""

    def __init__(self, model: ModelProto) -> None:
        self.model = model
        self.taken = {name for node in model.graph.node for name in node.output}
        self.taken |= {tensor.name for tensor in model.graph.initializer}
        self.nodes: list[NodeProto] = []

    def name(self, wanted: str) -> str:
        """`wanted`, or with a number behind it where the graph has that name already."""
        name, count = wanted, 1
        while name in self.taken:
            count += 1
            name = f"{wanted}_{count}"
        self.taken.add(name)
        return name

    def constant(self, wanted: str, value: np.ndarray) -> str:
        name = self.name(wanted)
        self.model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, operator: str, inputs: list[str], wanted: str, **attributes: object) -> str:
        """Adds a node of one output and returns the output's name."""
        name = self.name(wanted)
        self.nodes.append(helper.make_node(operator, inputs, [name], f"node_{name}", **attributes))
        return name

    def redirect(self, old: str, new: str) -> None:
        """Lets whatever read `old` read `new`."""
        for node in self.model.graph.node:
            for place, name in enumerate(node.input):
                if name == old:
                    node.input[place] = new

    def apply(self) -> None:
        self.model.graph.node.extend(self.nodes)
        self.nodes = []
        drop_unused(self.model)
        sort_nodes(self.model)


def drop_unused(model: ModelProto) -> None:
    """Removes nodes and constants from which no output of the graph follows."""
    producer = {name: node for node in model.graph.node for name in node.output}
    wanted, stack = set(), [output.name for output in model.graph.output]
    while stack:
        name = stack.pop()
        if name in wanted:
            continue
        wanted.add(name)
        if name in producer:
            stack.extend(producer[name].input)
    replace(model.graph.node, [node for node in model.graph.node if wanted & set(node.output)])
    for place in range(len(model.graph.initializer) - 1, -1, -1):
        if model.graph.initializer[place].name not in wanted:
            del model.graph.initializer[place]


def sort_nodes(model: ModelProto) -> None:
    """Puts every node behind those that it reads, otherwise in the order they have."""
    made = {tensor.name for tensor in model.graph.initializer} | {value.name for value in model.graph.input} | {""}
    by_output = {name: node for node in model.graph.node for name in node.output}
    placed: list[NodeProto] = []
    done: set[int] = set()
    for start in model.graph.node:
        stack = [start]
        while stack:
            node = stack[-1]
            missing = [name for name in node.input if name not in made]
            if missing:
                stack.extend(by_output[name] for name in missing)
                continue
            stack.pop()
            if id(node) not in done:
                done.add(id(node))
                placed.append(node)
                made.update(node.output)
    replace(model.graph.node, placed)


def replace(field: object, values: Iterable[NodeProto | TensorProto]) -> None:
    """The repeated `field` holds copies of `values` and nothing else."""
    kept = [copy_of(value) for value in values]
    del field[:]
    field.extend(kept)


def copy_of(value: NodeProto | TensorProto) -> NodeProto | TensorProto:
    copy = type(value)()
    copy.CopyFrom(value)
    return copy
