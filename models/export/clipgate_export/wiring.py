"""How the tensors of an ONNX graph hang together: who makes one, who reads it, which are floats."""

from collections import defaultdict
from functools import cached_property

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, numpy_helper

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)
# A tensor with more elements says nothing about shapes, and is left out where types are inferred.
SHAPE_SIZED = 64


def qualified(node: NodeProto) -> str:
    """`domain:operator`, with `ai.onnx` for the default domain."""
    return f"{node.domain or 'ai.onnx'}:{node.op_type}"


def is_quantize(node: NodeProto | None) -> bool:
    return node is not None and node.op_type == "QuantizeLinear"


def is_dequantize(node: NodeProto | None) -> bool:
    return node is not None and node.op_type == "DequantizeLinear"


class Wiring:
    """Of a model's top graph; the model is read, never changed."""

    def __init__(self, model: ModelProto) -> None:
        self.model = model
        self.nodes = list(model.graph.node)
        self.initializers = {tensor.name: tensor for tensor in model.graph.initializer}
        self.outputs = {value.name for value in model.graph.output}
        self.producer = {output: node for node in self.nodes for output in node.output if output}
        self.consumers: dict[str, list[NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in dict.fromkeys(node.input):
                if name:
                    self.consumers[name].append(node)

    @cached_property
    def _inferred(self) -> list[ValueInfoProto]:
        """Types and shapes of all tensors that ONNX's inference can tell; the weights' values are not copied."""
        light = ModelProto()
        light.ir_version = self.model.ir_version
        light.opset_import.extend(self.model.opset_import)
        light.graph.name = self.model.graph.name
        light.graph.node.extend(self.model.graph.node)
        light.graph.input.extend(self.model.graph.input)
        light.graph.output.extend(self.model.graph.output)
        for tensor in self.model.graph.initializer:
            if np.prod(tensor.dims) <= SHAPE_SIZED and tensor.data_location != TensorProto.EXTERNAL:
                light.graph.initializer.append(tensor)
            else:
                light.graph.initializer.add(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
        inferred = onnx.shape_inference.infer_shapes(light).graph
        return [*self.model.graph.value_info, *inferred.value_info, *inferred.input, *inferred.output]

    @cached_property
    def types(self) -> dict[str, int]:
        """Element types by tensor, the stored ones included."""
        types = {value.name: value.type.tensor_type.elem_type for value in self._inferred}
        return types | {name: tensor.data_type for name, tensor in self.initializers.items()}

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of inputs, outputs and computed tensors; 0 where a dimension is not fixed."""
        return {
            value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim) for value in self._inferred
        }

    def is_float(self, name: str) -> bool:
        """Also where the type is unknown, behind an operator of another domain, unless Quantize has made it."""
        if is_quantize(self.producer.get(name)):
            return False
        return self.types.get(name, TensorProto.UNDEFINED) in (*FLOATS, TensorProto.UNDEFINED)

    def is_constant(self, name: str) -> bool:
        """Whether it is stored, or follows from stored tensors through Constant, Quantize and Dequantize alone."""
        if name in self.initializers:
            return True
        node = self.producer.get(name)
        if node is None:
            return False
        return node.op_type == "Constant" or (
            (is_quantize(node) or is_dequantize(node)) and self.is_constant(node.input[0])
        )

    def value(self, name: str) -> np.ndarray | None:
        """A stored tensor, or nothing where it is computed or its data lies in another file."""
        tensor = self.initializers.get(name)
        if tensor is None or tensor.data_location == TensorProto.EXTERNAL:
            return None
        return numpy_helper.to_array(tensor)
