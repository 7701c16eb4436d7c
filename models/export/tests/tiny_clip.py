"""A CLIP image tower as open_clip builds it, small enough for a test, as a graph and as what it computes."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from open_clip.model import QuickGELU
from open_clip.transformer import VisionTransformer
from torch import nn

from clipgate_export.quantization.engine import quantize
from clipgate_export.quantization.recipe import Recipe, Report

SIZE, PATCH, WIDTH, HEADS, LAYERS, DIM = 32, 8, 32, 4, 3, 24


def tower(quick_gelu: bool = True) -> VisionTransformer:
    torch.manual_seed(5)
    activation = QuickGELU if quick_gelu else nn.GELU
    made = VisionTransformer(SIZE, PATCH, WIDTH, LAYERS, HEADS, 4.0, output_dim=DIM, act_layer=activation).eval()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "ln_" in name or name.endswith("bias"):
                parameter.add_(0.2 * torch.randn_like(parameter))
            elif "resblocks" in name:
                parameter.mul_(2)
    return made


def export(made: nn.Module, path: Path, shape: tuple[int, ...] = (1, 3, SIZE, SIZE)) -> Path:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            made,
            (torch.zeros(shape),),
            input_names=["pixel_values"],
            output_names=["image_embeds"],
            opset_version=20,
            dynamo=True,
            verbose=False,
        )
    onnx.save(program.model_proto, path)
    return path


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 3, SIZE, SIZE)).astype(np.float32)


def embed(made: nn.Module, pixel_values: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return made(torch.from_numpy(pixel_values)).numpy()


IMAGES = images(24)


def batches() -> Iterator[np.ndarray]:
    """`IMAGES`, four at a time."""
    yield from np.split(IMAGES, 6)


def quantized(fp32: Path, folder: Path, recipe: Recipe) -> Report:
    """By `recipe`, with the ranges of `batches`; the graph is `folder`'s int8.onnx."""
    return quantize(fp32, batches, recipe, folder / "int8.onnx")
