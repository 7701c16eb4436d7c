"""A tower's fp32 graph to its static int8 one, by the recipe that a bundle gets unless a layer needs more."""

from dataclasses import dataclass, replace
from pathlib import Path

from .quantization.engine import quantize_best
from .quantization.observe import Batches
from .quantization.recipe import Recipe, Report

# One scale a tensor, as the NPU wants it; which share of the images' extremes stays within is chosen by the cosine.
RECIPES = (Recipe("minmax"), Recipe("quantile", 99.0), Recipe("quantile", 90.0))
# Where these miss the target: single values cut off, and a scale for each output channel, which convolutions of one
# channel each need most.
FURTHER = (
    Recipe("percentile", 99.99),
    Recipe("percentile", 99.99, per_channel=True),
    Recipe("minmax", per_channel=True),
    Recipe("quantile", 90.0, per_channel=True),
)


# The images that set the ranges fit them a little better than others do: of the loss that is allowed on any, this
# share is allowed on them.
MARGIN = 0.9


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
            "centred_cosine_to_fp32": round(report.centred_cosine, 4),
            "share_of_fp32": round(report.share_of_fp32, 4),
        }


def to_int8(
    fp32: Path, batches: Batches, output: Path, target_cosine: float, target_centred: float | None = None
) -> Quantised:
    """Writes `output`; `batches` yields the inputs that set the ranges, each [1, ...], the same every time.

    Where no recipe reaches the targets over those inputs, the layers that suffer most stay in float.
    """

    def towards(recipes: tuple[Recipe, ...]) -> list[Recipe]:
        targets = {"target_cosine": _aim(target_cosine), "target_centred": _aim(target_centred)}
        return [replace(recipe, **targets) for recipe in recipes]

    return Quantised(quantize_best(fp32, batches, towards(RECIPES), output, progress=True, further=towards(FURTHER)))


def _aim(target: float | None) -> float | None:
    """The target with its margin; one of 0 asks nothing, one of 1 cannot be reached and is left to the final check."""
    return 1 - MARGIN * (1 - target) if target is not None and 0 < target < 1 else None
