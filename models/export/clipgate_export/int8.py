"""A tower's fp32 graph to its static int8 one: the one place that chooses the quantiser."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from .files import write_bytes
from .onnx_model import graph_bytes
from .quantize import quantize_tower

Batches = Callable[[], Iterator[np.ndarray]]


@dataclass(frozen=True)
class Quantised:
    """What the manifest says of it: the recipe that was followed, and the mean cosine to fp32 on its own inputs."""

    recipe: dict
    cosine: float


def to_int8(fp32: Path, batches: Batches, output: Path) -> Quantised:
    """Writes `output`; `batches` yields the inputs that set the ranges, each [1, ...], the same every time."""
    inputs = np.concatenate(list(batches()))
    quantized = quantize_tower(onnx.load(fp32), inputs)
    write_bytes(output, graph_bytes(quantized.model))
    best = max(quantized.cosines.values())
    return Quantised({"ranges": quantized.rule, "per_channel": quantized.per_channel}, best)
