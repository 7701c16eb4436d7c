import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from clipgate_export import metrics


@pytest.mark.parametrize("decimals", [1, 8])
def test_auroc_is_scikit_learns_also_with_ties(decimals: int) -> None:
    draw = np.random.default_rng(3)
    inside, outside = draw.normal(0.5, 1, 300).round(decimals), draw.normal(0, 1, 200).round(decimals)
    wanted = roc_auc_score([1] * 300 + [0] * 200, np.concatenate([inside, outside]))
    assert metrics.auroc(inside, outside) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize(("hits", "n"), [(0, 20), (7, 20), (20, 20), (1000, 1620)])
def test_wilsons_interval_is_scipys(hits: int, n: int) -> None:
    wanted = stats.binomtest(hits, n).proportion_ci(method="wilson")
    figure = metrics.share(hits, n)
    assert (figure.low, figure.high) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


def test_ece_by_hand() -> None:
    confidence = np.array([0.95, 0.95, 0.65, 0.65])
    correct = np.array([1, 0, 1, 1])
    assert metrics.ece(confidence, correct, bins=10) == pytest.approx((0.45 * 2 + 0.35 * 2) / 4)


def test_a_perfect_confidence_has_no_error() -> None:
    assert metrics.ece(np.ones(5), np.ones(5)) == 0
    assert metrics.ece(np.zeros(5), np.zeros(5)) == 0


def test_the_bootstrap_covers_the_mean_and_repeats() -> None:
    values = np.random.default_rng(5).normal(2, 1, 400)
    figure = metrics.mean_figure(values)
    assert figure.low < 2 < figure.high
    assert figure == metrics.mean_figure(values)
