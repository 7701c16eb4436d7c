"""Towers to ONNX graphs with fixed shapes: opset 20, Gelu as one operator, BatchNorm folded, dead names gone."""

import copy
import warnings
from pathlib import Path

import onnx
import torch
from onnx import ModelProto
from safetensors import safe_open
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .data import IMAGE_SIZE
from .text_tower import CONTEXT_LENGTH, END_OF_TEXT, TextTower
from .tower import ImageTower, ResidualBlock

OPSET = 20
IR_VERSION = 10


def fold_batch_norms(tower: ImageTower) -> ImageTower:
    """A copy for inference whose convolutions have taken over the norms behind them (exact but for rounding)."""
    tower = copy.deepcopy(tower).eval()
    tower.patch, tower.patch_norm = fuse_conv_bn_eval(tower.patch, tower.patch_norm), nn.Identity()
    for block in tower.stages:
        if not isinstance(block, ResidualBlock):
            raise TypeError(f"a stage of the image tower is a {type(block).__name__}, not a ResidualBlock")
        block.first, block.first_norm = fuse_conv_bn_eval(block.first, block.first_norm), nn.Identity()
        block.second, block.second_norm = fuse_conv_bn_eval(block.second, block.second_norm), nn.Identity()
        if isinstance(block.shortcut, nn.Sequential):
            block.shortcut = nn.Sequential(fuse_conv_bn_eval(block.shortcut[0], block.shortcut[1]))
    return tower


def export_image_tower(tower: ImageTower, size: int = IMAGE_SIZE) -> ModelProto:
    """pixel_values f32 [1, 3, size, size] to image_embeds f32 [1, 512]."""
    return _export(
        fold_batch_norms(tower).to(memory_format=torch.contiguous_format),
        torch.zeros(1, 3, size, size),
        "pixel_values",
        "image_embeds",
    )


def export_text_tower(tower: TextTower) -> ModelProto:
    """input_ids i64 [1, 77] to text_embeds f32 [1, 512]."""
    example = torch.zeros(1, CONTEXT_LENGTH, dtype=torch.long)
    example[0, 1] = END_OF_TEXT
    return _export(copy.deepcopy(tower).eval(), example, "input_ids", "text_embeds")


def _export(tower: nn.Module, example: torch.Tensor, input_name: str, output_name: str) -> ModelProto:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            tower,
            (example,),
            input_names=[input_name],
            output_names=[output_name],
            opset_version=OPSET,
            dynamo=True,
            optimize=True,
            verbose=False,
        )
    if program is None:
        raise RuntimeError(f"torch made no ONNX program for {output_name}")
    model = program.model_proto
    strip_traces(model)
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    return model


def strip_traces(model: ModelProto) -> None:
    """Removes what tells where and how the graph was made, and operator sets that no node uses."""
    used = {node.domain for node in model.graph.node}
    kept = [opset for opset in model.opset_import if opset.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    for holder in (model, model.graph, *model.graph.node):
        if hasattr(holder, "metadata_props"):
            del holder.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        del value.metadata_props[:]
        value.doc_string = ""
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
        tensor.doc_string = ""
    model.doc_string = model.graph.doc_string = ""
    model.producer_name, model.producer_version = "clipgate_export", ""


def load_image_tower(weights: Path) -> tuple[ImageTower, float]:
    """The trained image tower and its logit scale, from image_tower.safetensors."""
    with safe_open(weights, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    scale = float(tensors.pop("logit_scale"))
    tower = ImageTower()
    tower.load_state_dict(tensors)
    return tower.eval(), scale


def load_text_tower(weights: Path) -> TextTower:
    """The distilled text tower, from text_tower.safetensors."""
    tower = TextTower()
    with safe_open(weights, "pt") as file:
        tower.load_state_dict({name: file.get_tensor(name) for name in file.keys()})
    return tower.eval()
