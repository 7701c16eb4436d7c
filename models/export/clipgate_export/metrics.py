"""The card's figures and their 95 % intervals."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Z_95 = 1.959963984540054
BOOTSTRAP_DRAWS = 2000
BOOTSTRAP_SEED = 20261123
ECE_BINS = 15


@dataclass(frozen=True)
class Figure:
    """A value with its 95 % interval and the number of observations behind it."""

    value: float
    low: float
    high: float
    n: int

    def record(self) -> dict[str, float | int]:
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}


def share(hits: int, n: int) -> Figure:
    """A proportion with Wilson's score interval (Wilson 1927); 0 to 1 where n is 0."""
    if n == 0:
        return Figure(0.0, 0.0, 1.0, 0)
    p = hits / n
    centre = (p + Z_95**2 / (2 * n)) / (1 + Z_95**2 / n)
    half = Z_95 * np.sqrt(p * (1 - p) / n + Z_95**2 / (4 * n * n)) / (1 + Z_95**2 / n)
    return Figure(p, float(max(0.0, centre - half)), float(min(1.0, centre + half)), n)


def bootstrap(statistic: Callable[..., float], *samples: np.ndarray) -> Figure:
    """A statistic with its percentile bootstrap interval; each sample's rows are drawn independently."""
    draw = np.random.default_rng(BOOTSTRAP_SEED)
    values = []
    for _ in range(BOOTSTRAP_DRAWS):
        values.append(statistic(*(rows[draw.integers(0, len(rows), len(rows))] for rows in samples)))
    low, high = np.quantile(values, (0.025, 0.975))
    return Figure(float(statistic(*samples)), float(low), float(high), sum(len(rows) for rows in samples))


def auroc(inside: np.ndarray, outside: np.ndarray) -> float:
    """The probability that a score of `inside` is the larger one, ties counting one half (Mann and Whitney)."""
    both = np.concatenate([inside, outside])
    _, inverse, counts = np.unique(both, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[inverse]
    n, m = len(inside), len(outside)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))


def ece(confidence: np.ndarray, correct: np.ndarray, bins: int = ECE_BINS) -> float:
    """Expected calibration error over bins of equal width, (low, high] (Guo et al. 2017, arXiv 1706.04599)."""
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    weights = np.bincount(index, minlength=bins)
    gaps = np.bincount(index, correct.astype(np.float64), bins) - np.bincount(index, confidence, bins)
    return float(np.abs(gaps).sum() / weights.sum())


def ece_figure(confidence: np.ndarray, correct: np.ndarray) -> Figure:
    """`ece` with its bootstrap interval."""
    return bootstrap(lambda rows: ece(rows[:, 0], rows[:, 1]), np.column_stack([confidence, correct]))


def mean_figure(values: np.ndarray) -> Figure:
    """A mean with its bootstrap interval."""
    return bootstrap(lambda rows: float(rows.mean()), np.asarray(values, np.float64))
