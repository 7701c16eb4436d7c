"""What the gate computes from cosines, in the words that the runtime uses too; f32 in and out, sums in f64.

Cosines c are products of unit embeddings; negatives share the softmax with the labels and never win. With logits
z = logit_scale * c / temperature, confidence is max softmax(z) over the labels, each of M negatives counted K / M times
beside K labels. Every out-of-distribution score is larger for images that the labels describe; formulas and papers
stand with each.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

LOGIT_GAP_SHARE = 0.2
NEG_LABEL_GROUPS, NEG_LABEL_GROUP_SIZE = 100, 1000
EOE_PENALTY = 0.25
MULTI_MATCHING_WEIGHT = 2.0
PAIRED = 5


@dataclass(frozen=True)
class Cosines:
    """Of N images with K labels and M negatives (often none): f32 [N, K] and [N, M].

    `between`, f32 [K, M], are those of the labels with the negatives, which `neg_refine` needs.
    """

    labels: np.ndarray
    negatives: np.ndarray
    between: np.ndarray | None = None

    @classmethod
    def without_negatives(cls, labels: np.ndarray) -> "Cosines":
        return cls(labels, np.empty((len(labels), 0), labels.dtype))

    def all(self) -> np.ndarray:
        """f32 [N, K + M]."""
        return np.concatenate([self.labels, self.negatives], 1)

    def largest_probability(self, scale: float) -> np.ndarray:
        """f32 [N]: the largest that a label has in the softmax of `scale` times all cosines."""
        return softmax(self.all() * np.float32(scale))[:, : self.labels.shape[1]].max(1)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Rows that sum to one, f32 [N, K]."""
    shifted = np.exp((logits - logits.max(1, keepdims=True)).astype(np.float32))
    return shifted / shifted.sum(1, keepdims=True)


def confidence(cosines: Cosines, logit_scale: float, temperature: float) -> np.ndarray:
    """f32 [N]: the largest probability at the calibrated temperature."""
    scale = np.float64(np.float32(logit_scale) / np.float32(temperature))
    logits = cosines.all() * scale + log_counts(cosines)
    return np.exp(scale * cosines.labels.max(1) - logsumexp(logits, axis=1)).astype(np.float32)


def log_counts(cosines: Cosines) -> np.ndarray:
    """f64 [K + M]: the logarithm of how often a text counts in probabilities: labels once, negatives K / M times.

    An image is then as likely beforehand to show a label as anything else, however many negatives there are (Bayes'
    rule with another prior: Saerens et al. 2002).
    """
    labels, negatives = cosines.labels.shape[1], cosines.negatives.shape[1]
    return np.concatenate([np.zeros(labels), np.full(negatives, np.log(labels / max(negatives, 1)))])


def msp(cosines: Cosines, scale: float) -> np.ndarray:
    """max softmax(scale * c) over labels and negatives (Hendrycks and Gimpel 2017, arXiv 1610.02136)."""
    return cosines.largest_probability(np.float32(scale))


def mcm(cosines: Cosines, _scale: float) -> np.ndarray:
    """max softmax(c) over labels and negatives (Ming et al. 2022, arXiv 2211.13445, temperature 1)."""
    return cosines.largest_probability(1.0)


def max_cosine(cosines: Cosines, _scale: float) -> np.ndarray:
    """max c over the labels."""
    return cosines.labels.max(1)


def energy(cosines: Cosines, scale: float) -> np.ndarray:
    """ln sum exp(scale * c) over the labels (Liu et al. 2020, arXiv 2010.03759, temperature 1)."""
    return logsumexp(_wide(cosines.labels, scale), axis=1).astype(np.float32)


def entropy(cosines: Cosines, scale: float) -> np.ndarray:
    """sum p ln p of the softmax over the labels alone (Chan et al. 2021, arXiv 2012.06575)."""
    logits = _wide(cosines.labels, scale)
    logs = logits - logsumexp(logits, axis=1, keepdims=True)
    return (np.exp(logs) * logs).sum(1).astype(np.float32)


def margin(cosines: Cosines, scale: float) -> np.ndarray:
    """The best label's probability less the next text's, label or negative (Scheffer et al. 2001)."""
    logits = _wide(cosines.all(), scale)
    shares = np.exp(logits - logsumexp(logits, axis=1, keepdims=True))
    best, others = _best_and_others(cosines, shares)
    return (best - others.max(1)).astype(np.float32)


def logit_gap(cosines: Cosines, scale: float) -> np.ndarray:
    """Mean gap of the best label's logit to the nearest other texts', N - 1 of them, N a fifth of all and 2 at least
    (Liang et al. 2025, arXiv 2510.20134, equation 8)."""
    logits = _wide(cosines.all(), scale)
    best, others = _best_and_others(cosines, logits)
    nearest = max(2, int(np.ceil(LOGIT_GAP_SHARE * logits.shape[1]))) - 1
    return (best - np.sort(others, 1)[:, ::-1][:, :nearest].mean(1)).astype(np.float32)


def neg_label(cosines: Cosines, scale: float) -> np.ndarray:
    """The labels' share of the softmax, averaged over groups of negatives: every G-th is in one group
    (Jiang et al. 2024, arXiv 2403.20078)."""
    count = cosines.negatives.shape[1]
    groups = min(max(count // NEG_LABEL_GROUP_SIZE, 1), NEG_LABEL_GROUPS)
    inside = logsumexp(_wide(cosines.labels, scale), axis=1)
    negatives = _wide(cosines.negatives, scale)
    outside = np.stack([logsumexp(negatives[:, group::groups], axis=1) for group in range(groups)], 1)
    with np.errstate(over="ignore"):
        return (1 / (1 + np.exp(outside - inside[:, None]))).mean(1).astype(np.float32)


def eoe(cosines: Cosines, _scale: float) -> np.ndarray:
    """The best label's part of softmax(c) less a quarter of the best negative's
    (Cao et al. 2024, arXiv 2406.00806, equation 3)."""
    shares = np.exp(cosines.all().astype(np.float64))
    shares /= shares.sum(1, keepdims=True)
    labels = cosines.labels.shape[1]
    return (shares[:, :labels].max(1) - EOE_PENALTY * shares[:, labels:].max(1)).astype(np.float32)


def neg_refine(cosines: Cosines, scale: float) -> np.ndarray:
    """neg_label and, twice, the best match of a near label and a near negative together against the negative alone
    (Ansari et al. 2025, arXiv 2507.09795; the direction half-way between the texts stands for "LABEL and NEGATIVE")."""
    if cosines.between is None:
        raise ValueError("neg_refine needs the cosines between labels and negatives")
    labels, negatives = (_nearest(group) for group in (cosines.labels, cosines.negatives))
    rows = np.arange(len(labels))
    gains = []
    for label in labels.T:
        for negative in negatives.T:
            c = cosines.labels[rows, label].astype(np.float64)
            n = cosines.negatives[rows, negative].astype(np.float64)
            together = (c + n) / np.sqrt(2 + 2 * cosines.between[label, negative].astype(np.float64))
            gains.append(scale * (together - n))
    match = 1 / (1 + np.exp(-np.max(gains, axis=0)))
    return neg_label(cosines, scale) + (MULTI_MATCHING_WEIGHT * match).astype(np.float32)


# Those that say something of labels alone, and those that need negatives.
WITHOUT_NEGATIVES: dict[str, Callable[[Cosines, float], np.ndarray]] = {
    function.__name__: function for function in (msp, mcm, max_cosine, energy, entropy, margin, logit_gap)
}
WITH_NEGATIVES = {function.__name__: function for function in (neg_label, eoe, neg_refine)}
OOD_SCORES = tuple(WITHOUT_NEGATIVES | WITH_NEGATIVES)


def available(cosines: Cosines) -> tuple[str, ...]:
    """The scores that say something of these cosines."""
    return OOD_SCORES if cosines.negatives.shape[1] else tuple(WITHOUT_NEGATIVES)


def ood_score(kind: str, cosines: Cosines, logit_scale: float) -> np.ndarray:
    """f32 [N], larger for images that the labels describe."""
    functions = WITHOUT_NEGATIVES | WITH_NEGATIVES
    if kind not in functions:
        raise ValueError(f"no OOD score is called {kind!r}; there are {', '.join(OOD_SCORES)}")
    return functions[kind](cosines, logit_scale)


def _wide(cosines: np.ndarray, scale: float) -> np.ndarray:
    return cosines.astype(np.float64) * np.float64(np.float32(scale))


def _best_and_others(cosines: Cosines, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of values [N, K + M] the best label's, [N], and those of all other texts, [N, K + M - 1]."""
    best = cosines.labels.argmax(1)
    others = np.ones(values.shape, bool)
    others[np.arange(len(best)), best] = False
    return values[~others], values[others].reshape(len(best), -1)


def _nearest(cosines: np.ndarray) -> np.ndarray:
    """The columns of the largest cosines of each row, i64 [N, up to `PAIRED`]."""
    return np.argsort(-cosines, axis=1, kind="stable")[:, :PAIRED]
