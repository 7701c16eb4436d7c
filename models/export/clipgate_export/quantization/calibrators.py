"""From what was observed to the range of each tensor.

Histograms and the percentile rule are ONNX Runtime's. It lets histograms grow while it collects, so that one
small first image makes them endless; here the extremes are known beforehand and set their width. Its search
for the least divergence takes minutes a tensor in Python loops; here the same search sums with numpy.
"""

import contextlib
import io
from collections.abc import Iterable

import numpy as np
from onnxruntime.quantization.calibrate import HistogramCollector, entropy
from onnxruntime.quantization.quant_utils import smooth_distribution

from .observe import Extremes, bar
from .qdq import Ranges
from .recipe import Recipe

BINS = {"percentile": 8192, "entropy": 2048}
QUANTIZED_BINS = 128


class Histograms(HistogramCollector):
    """ONNX Runtime's collector, its bins spread over [-a, a], where a is the furthest value of all images."""

    def __init__(self, recipe: Recipe, extremes: Extremes, tensors: list[str]) -> None:
        super().__init__(recipe.calibrator, False, BINS[recipe.calibrator], QUANTIZED_BINS, recipe.percentile, None)
        furthest = dict(zip(extremes.tensors, zip(extremes.low.min(0), extremes.high.max(0), strict=True), strict=True))
        for name in tensors:
            low, high = furthest[name]
            # A tensor of nothing but zeros still needs bins of some width.
            reach = np.float32(max(abs(low), abs(high), np.finfo(np.float32).tiny))
            edges = np.linspace(-reach, reach, self.num_bins + 1, dtype=np.float32)
            self.histogram_dict[name] = (np.zeros(self.num_bins, np.int64), edges, low, high, reach)

    def get_entropy_threshold(self, histogram: tuple, num_quantized_bins: int) -> tuple[np.ndarray, np.ndarray]:
        """The base class's search, quicker; its answers are the same."""
        counts, edges, lowest, highest = histogram[:4]
        middle, half = counts.size // 2, num_quantized_bins // 2
        cumulative = np.concatenate([[0], np.cumsum(counts)])
        best, threshold = None, (edges[0], edges[-1])
        for reach in range(half, middle + 1):
            start, end = middle - reach, min(middle + reach + 1, counts.size)
            inside = counts[start:end]
            reference = inside.copy()
            reference[0] += cumulative[start]
            reference[-1] += cumulative[-1] - cumulative[end]
            divergence = _divergence(reference, inside, num_quantized_bins)
            if best is None or divergence < best:
                best, threshold = divergence, (edges[start], edges[end])
        return max(threshold[0], lowest), min(threshold[1], highest)


def _divergence(reference: np.ndarray, inside: np.ndarray, levels: int) -> float:
    """Kullback-Leibler divergence of the clipped counts from the same counts in `levels` equal steps."""
    merged = inside.size // levels
    starts = np.arange(levels) * merged
    totals = np.add.reduceat(inside, starts)
    filled = np.add.reduceat((reference != 0)[: levels * merged].astype(np.int64), starts)
    # What does not divide evenly stays empty, as in the base class; its counts are in the last step.
    spread = np.zeros(reference.size, np.int64)
    means = np.where(filled > 0, totals / np.maximum(filled, 1), 0).astype(np.int64)
    spread[: levels * merged] = np.repeat(means, merged)
    p, q = smooth_distribution(reference), smooth_distribution(spread)
    return np.inf if p is None or q is None else float(entropy(p, q))


def from_extremes(recipe: Recipe, extremes: Extremes) -> Ranges:
    """ "minmax" and "quantile"; also the first estimate for the others."""
    share = recipe.percentile / 100 if recipe.calibrator == "quantile" else 1.0
    low = np.quantile(extremes.low, 1 - share, axis=0)
    high = np.quantile(extremes.high, share, axis=0)
    return {name: (float(a), float(b)) for name, a, b in zip(extremes.tensors, low, high, strict=True)}


def from_samples(
    recipe: Recipe, extremes: Extremes, tensors: list[str], samples: Iterable[dict[str, np.ndarray]], progress: bool
) -> Ranges:
    """ "percentile" and "entropy" over samples of `tensors`; the others keep their extremes."""
    histograms = Histograms(recipe, extremes, tensors)
    for sample in samples:
        histograms.collect_value(sample)
    ranges = dict(from_extremes(recipe, extremes))
    if recipe.calibrator == "percentile":
        # The base class prints what it does.
        with contextlib.redirect_stdout(io.StringIO()):
            found = histograms.compute_percentile()
    else:
        found = {
            name: histograms.get_entropy_threshold(histogram, QUANTIZED_BINS)
            for name, histogram in bar(histograms.histogram_dict.items(), "entropy", len(tensors), progress)
        }
    ranges.update({name: (float(limits[0]), float(limits[1])) for name, limits in found.items()})
    return ranges
