"""The image tower of a bundle that lies there, as a module that can be trained on.

A graph that ships has its batch norms folded into the convolutions and its weights on int8 levels. The weights are what
these levels stand for. A convolution's norm gets the statistics of some images, and the scale and shift that undo them:
it then computes the same in training, where a norm goes by its batch, as afterwards.
"""

import re
from pathlib import Path

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from onnx import NodeProto, numpy_helper
from torch import Tensor, nn

from .data import Images, Splits
from .errors import UserError
from .files import read_json
from .preprocess import normalise
from .quantization.index import attribute
from .quantization.levels import QUANTIZED, dequantised, read_levels
from .tower import HEADS, WIDTHS, ImageTower, ResidualBlock

# Attention is simplified at export: the query takes in the scores' scale, its bias and that of the output what the
# biases of key and value add.
ATTENTION = re.compile(r"attention_(\d+)_(query|key|value|out)")
QUERY_SCALE = (WIDTHS[-1] // HEADS) ** -0.5
# What has weights of its own; a batch norm's are in its convolution.
KINDS = (nn.Conv2d, nn.Linear, nn.LayerNorm)
# These set the statistics of the norms.
STATISTICS_IMAGES = 1024


def image_tower(bundle: Path, images: Images, splits: Splits) -> tuple[ImageTower, float, list[dict]]:
    """What models/pocket ships: the tower, its logit scale, and the log of its training by epoch."""
    some = images.decode(splits.held_out["quantisation"][:STATISTICS_IMAGES])
    tower = with_weights_of(bundle, torch.from_numpy(normalise(some)))
    manifest, report = (read_json(bundle / name) for name in ("manifest.json", "report.json"))
    try:
        return tower, float(manifest["logit_scale"]), report["training"]["epochs"]
    except (KeyError, TypeError) as error:
        raise UserError(f"{bundle}: manifest.json or report.json are not those of pocket ({error})") from error


def with_weights_of(bundle: Path, examples: Tensor) -> ImageTower:
    """`examples` are pixel_values f32 [N, 3, S, S] for the norms' statistics; some hundreds are enough."""
    path = bundle / "image_encoder.onnx"
    tower = ImageTower().eval()
    layers = {name: layer for name, layer in tower.named_modules() if isinstance(layer, KINDS)}
    found = _layers(path)
    if found.keys() != layers.keys():
        odd = sorted(found.keys() ^ layers.keys())
        raise UserError(f"{path}: {odd[0]} is in this graph or in pocket's tower, but not in both")
    norms = _norms(tower)
    with torch.no_grad():
        for name, (weight, bias) in found.items():
            layer = layers[name]
            if weight.shape != tuple(layer.weight.shape):
                raise UserError(f"{path}: {name} is {list(weight.shape)}, in pocket's {list(layer.weight.shape)}")
            layer.weight.copy_(torch.from_numpy(weight))
            if name in norms:
                norms[name].bias.copy_(torch.from_numpy(bias))
                norms[name].running_var.fill_(1 - norms[name].eps)
            elif layer.bias is not None:
                layer.bias.copy_(torch.from_numpy(bias))
    _set_statistics(tower, [(layers[name], norm) for name, norm in norms.items()], examples)
    return tower


def _norms(tower: ImageTower) -> dict[str, nn.BatchNorm2d]:
    """The batch norms by the names of their convolutions."""
    found = {"patch": tower.patch_norm}
    for place, block in enumerate(tower.stages):
        assert isinstance(block, ResidualBlock)
        found |= {f"stages.{place}.first": block.first_norm, f"stages.{place}.second": block.second_norm}
        if isinstance(block.shortcut, nn.Sequential):
            found[f"stages.{place}.shortcut.0"] = block.shortcut[1]
    return found


@torch.no_grad()
def _set_statistics(tower: ImageTower, pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]], examples: Tensor) -> None:
    """The norms' means and variances over `examples`, their outputs unchanged."""
    seen: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def watch(layer: nn.Module, _: object, output: Tensor) -> None:
        variance, mean = torch.var_mean(output.float(), dim=(0, 2, 3))
        seen[layer] = mean, variance

    hooks = [convolution.register_forward_hook(watch) for convolution, _ in pairs]
    tower(examples)
    for hook in hooks:
        hook.remove()
    for convolution, norm in pairs:
        mean, variance = seen[convolution]
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.bias.add_(mean)
        norm.weight.copy_((variance + norm.eps).sqrt())


def _layers(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Weight and bias of each layer by its name in the tower; weights of linear layers as [out, in]."""
    try:
        model = onnx.load(path)
    except (OSError, DecodeError) as error:
        raise UserError(f"{path}: cannot be read as an ONNX graph ({error})") from error
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    constants = read_levels(model).constants.values()
    values = {constant.source: dequantised(constant, tensors) for constant in constants}
    made = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    found = {}
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm", "MatMul", "LayerNormalization"):
            names = [made.get(name, "").removesuffix(QUANTIZED) for name in node.input[1:]]
            if names[0] in values:
                name, weight, bias = _layer(node, names, values)
                found[name] = weight, bias
    return found


def _layer(node: NodeProto, names: list[str], values: dict[str, np.ndarray]) -> tuple[str, np.ndarray, np.ndarray]:
    weight = values[names[0]]
    if node.op_type == "MatMul" or (node.op_type == "Gemm" and not attribute(node, "transB", 0)):
        weight = weight.T
    bias = values[names[1]] if len(names) > 1 else np.zeros(len(weight), np.float32)
    # A linear layer's weight may have lost its name on the way, its bias keeps it.
    name = names[-1].rpartition(".")[0]
    if attention := ATTENTION.fullmatch(name):
        block, role = attention.groups()
        name = f"blocks.{block}.{'attention_out' if role == 'out' else role}"
        if role == "query":
            weight, bias = weight / QUERY_SCALE, bias / QUERY_SCALE
    return name, np.ascontiguousarray(weight, np.float32), np.ascontiguousarray(bias, np.float32)
