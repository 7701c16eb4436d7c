"""pocket's towers to int8: the image tower by the study's recipe, the text tower by the best of a few.

How extreme a value must be to be cut off, and whether each output channel gets a scale of its own, is chosen by
the mean cosine to the fp32 graph on the inputs that set the ranges, so that no others have a say.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto

from .quantization.engine import quantize_best
from .quantization.recipe import Recipe, Report

# Of a tensor's per-input extremes, which one bounds its range: the furthest of all, or this share of the inputs'.
RULES = (("minmax", 100.0), ("quantile", 99.0), ("quantile", 90.0), ("quantile", 50.0))
RECIPES = [Recipe(rule, share, per_channel=channels) for channels in (False, True) for rule, share in RULES]


def quantize_tower(fp32: Path, inputs: np.ndarray, output: Path, recipes: list[Recipe] = RECIPES) -> Report:
    """Writes the int8 graph of `fp32`; of recipes as good to four digits the first wins, the simpler one."""
    return quantize_best(fp32, lambda: iter([inputs]), recipes, output)


def unquantized_operators(model: ModelProto) -> list[str]:
    """Operators with a float input, weight or activation, that no DequantizeLinear has made."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    floats = {
        v.name for v in (*inferred.value_info, *inferred.input) if v.type.tensor_type.elem_type == TensorProto.FLOAT
    }
    floats |= {tensor.name for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT}
    dequantized = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    return [
        f"{node.op_type} {node.name}"
        for node in model.graph.node
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear") and floats & set(node.input) - dequantized
    ]
