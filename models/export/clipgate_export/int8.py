"""A tower's fp32 graph to its static int8 one: the one place that chooses the quantiser."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .quantization.engine import quantize
from .quantization.recipe import Recipe

Batches = Callable[[], Iterator[np.ndarray]]


DEFAULT = Recipe()


@dataclass(frozen=True)
class Quantised:
    """What the manifest says of it: the recipe that was followed, and the mean cosine to fp32 on its own inputs."""

    recipe: dict
    cosine: float


def to_int8(fp32: Path, batches: Batches, output: Path, recipe: Recipe = DEFAULT) -> Quantised:
    """Writes `output`; `batches` yields the inputs that set the ranges, each [1, ...], the same every time."""
    report = quantize(fp32, batches, recipe, output, progress=True)
    return Quantised(report.record(), report.mean_cosine)
