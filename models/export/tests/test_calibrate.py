import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from clipgate_export import calibrate
from clipgate_export.scores import Cosines, confidence, ood_score, softmax


def noisy(n: int, labels: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosines as an image tower makes them, and the true classes."""
    draw = np.random.default_rng(seed)
    classes = draw.integers(0, labels, n)
    cosines = draw.normal(0.1, 0.05, (n, labels))
    cosines[np.arange(n), classes] += draw.normal(0.12, 0.08, n)
    return cosines.astype(np.float32), classes


@pytest.mark.parametrize("scale", [3.0, 25.0, 100.0])
def test_the_temperature_is_the_one_scipy_finds(scale: float) -> None:
    cosines, classes = noisy(500, 10, 1)
    own, others = Cosines(cosines[:, :6], cosines[:, 6:]), classes < 6
    own, classes = Cosines(own.labels[others], own.negatives[others]), classes[others]
    logits = own.all().astype(np.float64) * scale

    def nll(log_temperature: float) -> float:
        # Each of four negatives counts 6 / 4 times.
        counted = logits / np.exp(log_temperature) + np.log([1.0] * 6 + [1.5] * 4)
        return -log_softmax(counted, 1)[np.arange(len(classes)), classes].mean()

    wanted = np.exp(minimize_scalar(nll, bounds=(-5, 5), method="bounded", options={"xatol": 1e-9}).x)
    assert calibrate.fit_temperature(own, scale, classes) == pytest.approx(wanted, rel=1e-4)


def test_the_confidence_threshold_keeps_the_rule_above_it() -> None:
    cosines, classes = noisy(800, 10, 2)
    sure = confidence(Cosines.without_negatives(cosines), 40.0, 1.3)
    correct = cosines.argmax(1) == classes
    threshold = calibrate.fit_confidence_threshold(sure, correct)
    assert threshold in sure.astype(float)
    for other in np.unique(sure[sure >= np.float32(threshold)]):
        accepted = sure >= other
        assert accepted.sum() < calibrate.FEWEST_ACCEPTED or (~correct[accepted]).mean() <= calibrate.TARGET_RISK
    below = sure[sure < np.float32(threshold)]
    assert (~correct[sure >= below.max()]).mean() > calibrate.TARGET_RISK


def test_nothing_is_accepted_where_every_answer_is_wrong() -> None:
    sure = np.linspace(0.1, 0.9, 100, dtype=np.float32)
    assert calibrate.fit_confidence_threshold(sure, np.zeros(100, bool)) == calibrate.NEVER


def test_the_similarity_threshold_lets_few_others_in() -> None:
    cosines, classes = noisy(600, 12, 4)
    threshold, accepted = calibrate.fit_similarity_threshold(cosines, classes)
    own = np.zeros(cosines.shape, bool)
    own[np.arange(600), classes] = True
    assert (cosines[~own] >= np.float32(threshold)).mean() <= 0.05
    assert accepted == (cosines[own] >= np.float32(threshold)).mean()


def test_a_gate_passes_95_percent_of_its_own_images_and_repeats() -> None:
    def images(seed: int) -> tuple[Cosines, np.ndarray]:
        cosines, classes = noisy(400, 10, seed)
        return Cosines.without_negatives(cosines), classes

    temperature, thresholds = images(5), images(6)
    never = Cosines.without_negatives(np.random.default_rng(7).normal(0.1, 0.05, (200, 10)).astype(np.float32))
    gate = calibrate.fit_gate(40.0, temperature, never, thresholds)
    passed = ood_score(gate.score, thresholds[0], 40.0) >= np.float32(gate.ood_threshold)
    assert 0.95 <= passed.mean() <= 0.96
    assert gate.coverage == gate.accepts(thresholds[0], 40.0).mean()
    assert gate == calibrate.fit_gate(40.0, temperature, never, thresholds)


def test_scores_by_hand() -> None:
    cosines = Cosines.without_negatives(np.array([[0.3, 0.1]], np.float32))
    assert softmax(cosines.labels).sum() == pytest.approx(1)
    assert ood_score("max_cosine", cosines, 10.0)[0] == np.float32(0.3)
    assert ood_score("mcm", cosines, 10.0)[0] == pytest.approx(1 / (1 + np.exp(-0.2)))
    assert ood_score("msp", cosines, 10.0)[0] == pytest.approx(1 / (1 + np.exp(-2.0)))
    assert confidence(cosines, 10.0, 2.0)[0] == pytest.approx(1 / (1 + np.exp(-1.0)))
    shared = Cosines(cosines.labels, np.array([[0.3]], np.float32))
    # Two labels and one negative: this counts twice.
    assert confidence(shared, 10.0, 2.0)[0] == pytest.approx(1 / (3 + np.exp(-1.0)))
    assert ood_score("max_cosine", shared, 10.0)[0] == np.float32(0.3)
    assert ood_score("msp", shared, 10.0)[0] == pytest.approx(1 / (2 + np.exp(-2.0)))
    with pytest.raises(ValueError, match="'loudness'"):
        ood_score("loudness", cosines, 10.0)
