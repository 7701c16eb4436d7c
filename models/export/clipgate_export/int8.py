"""A tower's fp32 graph to its static int8 one, by the recipe that a bundle gets unless a layer needs more."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from .quantization.engine import quantize, quantize_best
from .quantization.observe import Batches
from .quantization.recipe import Recipe, Report

# One scale a tensor, as the NPU wants it; which share of the images' extremes stays within is chosen by the cosine.
RECIPES = (Recipe("minmax"), Recipe("quantile", 99.0), Recipe("quantile", 90.0))


@dataclass(frozen=True)
class Quantised:
    """What was done, for people and for the manifest."""

    report: Report

    def record(self) -> dict:
        report = self.report
        return {
            "method": report.recipe.words(),
            "tried": report.candidates,
            "kept_in_float": [layer.name for layer in report.layers[: report.kept]],
            "cosine_to_fp32": round(report.mean_cosine, 4),
            "share_of_fp32": round(report.share_of_fp32, 4),
        }


def to_int8(fp32: Path, batches: Batches, output: Path, target_cosine: float) -> Quantised:
    """Writes `output`; `batches` yields the inputs that set the ranges, each [1, ...], the same every time.

    Where no recipe reaches the target over those inputs, the layers that suffer most stay in float.
    """
    report = quantize_best(fp32, batches, RECIPES, output, progress=True)
    if report.mean_cosine < target_cosine < 1:
        print(
            f"cosine {report.mean_cosine:.4f}, asked {target_cosine}: measuring layer by layer what to keep in float",
            file=sys.stderr,
            flush=True,
        )
        report = quantize(fp32, batches, replace(report.recipe, target_cosine=target_cosine), output, progress=True)
    return Quantised(report)
