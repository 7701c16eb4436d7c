"""What embeddings are worth against a label bank: accuracy, calibration, detection, and what int8 costs of them.

Judges that are not ours: netcal for the expected calibration error, scikit-learn for the area under the ROC
curve, SciPy for the exact binomial bound.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats
from sklearn.metrics import roc_auc_score

from .calibrate import fit_temperature
from .metrics import BOOTSTRAP_DRAWS, BOOTSTRAP_SEED, ECE_BINS
from .scores import Cosines, available, confidence, log_counts, ood_score

LEVEL = 0.95
FOLD_SEED = 20261123


@dataclass(frozen=True)
class Readout:
    """How cosines become probabilities: a softmax, or with a bias a sigmoid each (SigLIP, arXiv 2303.15343)."""

    logit_scale: float
    logit_bias: float | None = None

    def confidence(self, cosines: Cosines, temperature: float) -> np.ndarray:
        """f32 [N]: the largest probability that a label has."""
        if self.logit_bias is None:
            return confidence(cosines, self.logit_scale, temperature)
        return _sigmoid(self._logits(cosines.labels.max(1)) / temperature).astype(np.float32)

    def nll(self, cosines: Cosines, classes: np.ndarray, temperature: float) -> float:
        """Mean negative log likelihood in nats; of the sigmoids, the sum over the labels of an image's pairs."""
        if self.logit_bias is None:
            logits = cosines.all().astype(np.float64) * self.logit_scale / temperature + log_counts(cosines)
            top = logits.max(1, keepdims=True)
            log_sum = np.log(np.exp(logits - top).sum(1)) + top[:, 0]
            return float((log_sum - logits[np.arange(len(classes)), classes]).mean())
        signed = self._signed(cosines, classes)
        return float(np.logaddexp(0, -signed / temperature).sum(1).mean())

    def fit_temperature(self, cosines: Cosines, classes: np.ndarray) -> float:
        """The temperature of least `nll`, in [0.01, 100]."""
        if self.logit_bias is None:
            return fit_temperature(cosines, self.logit_scale, classes)
        signed = self._signed(cosines, classes)
        # As convex in 1/temperature as the softmax's: bisection on the slope.
        low, high = 0.01, 100.0
        for _ in range(100):
            middle = (low + high) / 2
            low, high = (low, middle) if -(signed * _sigmoid(-signed * middle)).sum() > 0 else (middle, high)
        return 2 / (low + high)

    def ood_scores(self, cosines: Cosines) -> dict[str, np.ndarray]:
        """f32 [N] by name; a sigmoid's probability orders images as the largest cosine does."""
        kinds = available(cosines) if self.logit_bias is None else ("max_cosine",)
        return {kind: ood_score(kind, cosines, self.logit_scale) for kind in kinds}

    def _logits(self, cosines: np.ndarray) -> np.ndarray:
        return cosines.astype(np.float64) * self.logit_scale + self.logit_bias

    def _signed(self, cosines: Cosines, classes: np.ndarray) -> np.ndarray:
        """f64 [N, K + M]: logits, with the sign turned where image and text do not belong together."""
        logits = -self._logits(cosines.all())
        rows = np.arange(len(classes))
        logits[rows, classes] *= -1
        return logits


@dataclass(frozen=True)
class Drop:
    """Share of images that fp32 gets right and int8 does not, less the reverse; `upper` is the 95 % bound."""

    value: float
    upper: float
    lost: int
    gained: int
    n: int


def accuracy_drop(fp32_right: np.ndarray, int8_right: np.ndarray) -> Drop:
    """The drop with its one-sided 95 % bound over the same images, bool [N].

    The bound is the paired percentile bootstrap's (Efron and Tibshirani 1993). Where few images change sides the
    bootstrap knows too little spread, so it is never below the exact binomial bound on the lost share
    (Clopper and Pearson 1934) less the gained share: 16 images without a change prove nothing.
    """
    n = len(fp32_right)
    lost, gained = int((fp32_right & ~int8_right).sum()), int((~fp32_right & int8_right).sum())
    # A draw of n images with replacement holds multinomially many of each kind.
    draws = np.random.default_rng(BOOTSTRAP_SEED).multinomial(
        n, [lost / n, gained / n, (n - lost - gained) / n], BOOTSTRAP_DRAWS
    )
    bootstrap = float(np.quantile((draws[:, 0] - draws[:, 1]) / n, LEVEL))
    exact = 1.0 if lost == n else float(stats.beta.ppf(LEVEL, lost + 1, n - lost))
    return Drop((lost - gained) / n, max(bootstrap, exact - gained / n), lost, gained, n)


def expected_calibration_error(confidences: np.ndarray, right: np.ndarray) -> float:
    """By netcal, over 15 bins of equal width."""
    # Importing netcal takes seconds, and only labelled images need it.
    from netcal.metrics import ECE

    return float(ECE(ECE_BINS).measure(confidences.astype(np.float64), right.astype(int)))


def area_under_roc(inside: np.ndarray, outside: np.ndarray) -> float:
    """By scikit-learn; inside the labels is the positive class."""
    return float(roc_auc_score([1] * len(inside) + [0] * len(outside), np.concatenate([inside, outside])))


@dataclass(frozen=True)
class Calibration:
    """Of one graph's labelled images: before at a given temperature, after at one refitted on its own cosines."""

    ece_before: float
    ece_after: float
    nll_before: float
    nll_after: float
    temperature: float


def calibration(readout: Readout, cosines: Cosines, classes: np.ndarray, temperature: float) -> Calibration:
    """`after` is cross-fitted: each half of the images is judged at the temperature that the other half fits.

    The temperature reported is fitted on all.
    """
    right = cosines.labels.argmax(1) == classes
    order = np.random.default_rng(FOLD_SEED).permutation(len(classes))
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    after = np.empty(len(classes), np.float32)
    nll = 0.0
    for fitted, judged in (halves, halves[::-1]):
        own = readout.fit_temperature(_rows(cosines, fitted), classes[fitted])
        after[judged] = readout.confidence(_rows(cosines, judged), own)
        nll += readout.nll(_rows(cosines, judged), classes[judged], own) * len(judged) / len(classes)
    return Calibration(
        ece_before=expected_calibration_error(readout.confidence(cosines, temperature), right),
        ece_after=expected_calibration_error(after, right),
        nll_before=readout.nll(cosines, classes, temperature),
        nll_after=nll,
        temperature=readout.fit_temperature(cosines, classes),
    )


def _rows(cosines: Cosines, rows: np.ndarray) -> Cosines:
    return Cosines(cosines.labels[rows], cosines.negatives[rows])


def _sigmoid(x: np.ndarray) -> np.ndarray:
    """In the form whose exponential cannot overflow."""
    return np.exp(-np.logaddexp(0, -x))
