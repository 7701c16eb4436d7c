"""Towers to ONNX graphs with fixed shapes: opset 20, Gelu as one operator, BatchNorm folded, dead names gone."""

import copy
import errno
import gc
import os
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnx_ir
import torch
from onnx import ModelProto
from safetensors import SafetensorError, safe_open
from timm.utils.model import reparameterize_model
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .attention import simplify
from .data import IMAGE_SIZE
from .errors import UserError
from .onnx_model import IR_VERSION, OPSET, strip_traces
from .text_tower import CONTEXT_LENGTH, END_OF_TEXT, TextTower
from .tower import ImageTower, ResidualBlock

# A masked attention logit: far below every other, yet small enough to leave an int8 range some resolution; it adds
# exp(-100) of a masked token, nothing in f32.
MASKED = -100.0


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


def export_tower(tower: nn.Module, example: torch.Tensor, input_name: str, output_name: str, path: Path) -> Path:
    """Writes any tower of a dual encoder as an fp32 graph of the example's shape [1, ...]; consumes `tower`.

    Its attention is put into plain form in place. The weights go one tensor at a time into a data file beside `path`,
    and the tower gives its memory back; `gather_weights` makes one file of the two.
    """
    tower = simplify(reparameterize_model(tower.eval(), inplace=True))
    program = _program(tower, example, input_name, output_name)
    _bound_masks(program.model)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        onnx_ir.save(program.model, path, external_data=path.with_suffix(".data").name)
    except OSError as error:
        # numpy's tofile tells of a short write, but not that the disk is full.
        number = error.errno or errno.ENOSPC
        raise OSError(number, os.strerror(number), str(path)) from error
    tower.to("meta")
    del program, tower
    gc.collect()
    graph = onnx.load(path, load_external_data=False)
    strip_traces(graph)
    graph.ir_version = IR_VERSION
    onnx.save(graph, path)
    onnx.checker.check_model(path, full_check=True)
    check_operators(graph, path)
    return path


def check_operators(graph: ModelProto, path: Path) -> None:
    """Refuses what would not quantise whole: a Gelu in pieces, a norm left over, shapes computed at run time."""
    found = Counter(node.op_type for node in graph.graph.node)
    left = [f"{found[name]} {name}" for name in ("Erf", "BatchNormalization", "Shape", "If", "Loop") if found[name]]
    if left:
        raise RuntimeError(f"{path.name}: the exported graph holds {', '.join(left)}, which would not quantise whole")


def _bound_masks(model: onnx_ir.Model) -> None:
    """Minus infinity, or the lowest f32, in an attention mask becomes `MASKED`."""
    for value in model.graph.initializers.values():
        tensor = value.const_value
        if tensor is None or tensor.dtype != onnx_ir.DataType.FLOAT or len(tensor.shape) < 2:
            continue
        if tensor.shape[-1] != tensor.shape[-2]:
            continue
        numbers = tensor.numpy()
        if numbers.min() < -1e30:
            bounded = np.where(numbers < -1e30, np.float32(MASKED), numbers)
            value.const_value = onnx_ir.tensor(bounded, name=value.name)


def _export(tower: nn.Module, example: torch.Tensor, input_name: str, output_name: str) -> ModelProto:
    model = _program(tower, example, input_name, output_name).model_proto
    strip_traces(model)
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    return model


def _program(tower: nn.Module, example: torch.Tensor, input_name: str, output_name: str) -> torch.onnx.ONNXProgram:
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
    return program


def load_image_tower(weights: Path, made_from: str) -> tuple[ImageTower, float]:
    """The trained image tower and its logit scale, from image_tower.safetensors of a training on `made_from`."""
    tensors = _read_weights(weights, made_from)
    scale = tensors.pop("logit_scale", torch.tensor(float("nan")))
    tower = ImageTower()
    _fill(tower, tensors, weights)
    return tower.eval(), float(scale)


def load_text_tower(weights: Path, made_from: str) -> TextTower:
    """The distilled text tower, from text_tower.safetensors of a training on `made_from`."""
    tower = TextTower()
    _fill(tower, _read_weights(weights, made_from), weights)
    return tower.eval()


def _read_weights(path: Path, made_from: str) -> dict[str, torch.Tensor]:
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            source = (file.metadata() or {}).get("made_from")
    except SafetensorError as error:
        raise UserError(f"{path}: damaged ({error}); delete it to train again") from error
    if source != made_from:
        raise UserError(
            f"{path}: trained on other data or other splits than these, so what is held out here it may have seen; "
            f"delete it to train again"
        )
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise UserError(f"{path}: {name} holds a value that is not a number; delete the file to train again")
    return tensors


def _fill(tower: nn.Module, tensors: dict[str, torch.Tensor], path: Path) -> None:
    try:
        tower.load_state_dict(tensors)
    except RuntimeError as error:
        raise UserError(f"{path}: not the weights of a {type(tower).__name__}; delete it to train again") from error
