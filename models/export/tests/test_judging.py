"""The judges' own numbers, and bounds that small samples cannot fool."""

import numpy as np
import pytest
from scipy import optimize, special, stats

from clipgate_export import metrics
from clipgate_export.judging import (
    Readout,
    accuracy_drop,
    area_under_roc,
    calibration,
    expected_calibration_error,
)
from clipgate_export.scores import Cosines


@pytest.fixture(scope="module")
def drawn() -> tuple[Cosines, np.ndarray]:
    """Cosines of 600 images with 7 labels and 3 negatives; most images are nearest to their own label."""
    draw = np.random.default_rng(4)
    cosines = draw.normal(0.2, 0.03, (600, 10)).astype(np.float32)
    classes = draw.integers(0, 7, 600)
    cosines[np.arange(600), classes] += 0.05
    return Cosines(cosines[:, :7], cosines[:, 7:]), classes


def test_the_bootstrap_bound_is_scipys() -> None:
    draw = np.random.default_rng(1)
    fp32, int8 = draw.random(900) < 0.8, draw.random(900) < 0.78
    drop = accuracy_drop(fp32, int8)
    assert drop.value == pytest.approx(fp32.mean() - int8.mean())
    paired = fp32.astype(float) - int8.astype(float)
    wanted = stats.bootstrap(
        (paired,), np.mean, n_resamples=4000, confidence_level=0.9, method="percentile", random_state=2
    ).confidence_interval.high
    assert drop.upper == pytest.approx(wanted, abs=0.003)


@pytest.mark.parametrize("n", [16, 149, 2000])
def test_no_change_on_few_images_proves_little(n: int) -> None:
    right = np.arange(n) % 3 > 0
    drop = accuracy_drop(right, right)
    exact = stats.binomtest(0, n).proportion_ci(0.9, "exact").high
    assert (drop.value, drop.lost, drop.gained) == (0, 0, 0)
    assert drop.upper == pytest.approx(exact)
    assert (drop.upper <= 0.02) == (n >= 149)


def test_everything_lost() -> None:
    assert accuracy_drop(np.ones(20, bool), np.zeros(20, bool)).upper == 1


def test_the_judges_agree_with_the_cards_own_figures() -> None:
    draw = np.random.default_rng(5)
    confidence = draw.random(3000).astype(np.float32)
    right = draw.random(3000) < confidence**1.4
    assert expected_calibration_error(confidence, right) == pytest.approx(metrics.ece(confidence, right), abs=1e-6)
    inside, outside = draw.normal(1, 1, 200).round(1), draw.normal(0, 1, 150).round(1)
    assert area_under_roc(inside, outside) == pytest.approx(metrics.auroc(inside, outside), abs=1e-12)


def test_softmax_likelihood_and_temperature(drawn: tuple[Cosines, np.ndarray]) -> None:
    cosines, classes = drawn
    readout = Readout(80.0)

    def nll(temperature: float) -> float:
        # Each of three negatives counts 7 / 3 times.
        logits = 80 * cosines.all().astype(np.float64) / temperature + np.log([1] * 7 + [7 / 3] * 3)
        return float(-special.log_softmax(logits, 1)[np.arange(600), classes].mean())

    assert readout.nll(cosines, classes, 1.7) == pytest.approx(nll(1.7), rel=1e-6)
    best = optimize.minimize_scalar(nll, bounds=(0.01, 20), method="bounded", options={"xatol": 1e-6}).x
    assert readout.fit_temperature(cosines, classes) == pytest.approx(best, rel=1e-3)


def test_sigmoid_likelihood_and_temperature(drawn: tuple[Cosines, np.ndarray]) -> None:
    cosines, classes = drawn
    readout = Readout(100.0, -24.0)

    def nll(temperature: float) -> float:
        logits = (100 * cosines.all().astype(np.float64) - 24) / temperature
        own = np.eye(10, dtype=bool)[classes]
        return float(-np.where(own, special.log_expit(logits), special.log_expit(-logits)).sum(1).mean())

    assert readout.nll(cosines, classes, 0.6) == pytest.approx(nll(0.6), rel=1e-6)
    best = optimize.minimize_scalar(nll, bounds=(0.01, 20), method="bounded", options={"xatol": 1e-6}).x
    assert readout.fit_temperature(cosines, classes) == pytest.approx(best, rel=1e-3)
    wanted = special.expit((100 * cosines.labels.astype(np.float64).max(1) - 24) / 0.6)
    assert readout.confidence(cosines, 0.6) == pytest.approx(wanted, rel=1e-5)
    assert list(readout.ood_scores(cosines)) == ["max_cosine"]


def test_refitting_mends_a_wrong_temperature(drawn: tuple[Cosines, np.ndarray]) -> None:
    cosines, classes = Cosines.without_negatives(drawn[0].labels), drawn[1]
    found = calibration(Readout(80.0), cosines, classes, 0.3)
    assert found.ece_after < found.ece_before / 2
    assert found.nll_after < found.nll_before
    assert found.temperature == pytest.approx(Readout(80.0).fit_temperature(cosines, classes))
    assert found == calibration(Readout(80.0), cosines, classes, 0.3)
