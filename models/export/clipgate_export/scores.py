"""What the gate computes from cosines, in f32 and in the words that the runtime uses too.

Cosines c are products of unit embeddings; negatives share the softmax with the labels and never win. With
logits z = logit_scale * c / temperature: confidence is max softmax(z); msp is max softmax(logit_scale * c)
(Hendrycks and Gimpel 2017, arXiv 1610.02136); mcm is max softmax(c) (Ming et al. 2022, arXiv 2211.13445,
temperature 1); max_cosine is max c.
"""

from dataclasses import dataclass

import numpy as np

OOD_SCORES = ("msp", "mcm", "max_cosine")


@dataclass(frozen=True)
class Cosines:
    """Of N images with K labels and M negatives (often none): f32 [N, K] and [N, M]."""

    labels: np.ndarray
    negatives: np.ndarray

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
    return cosines.largest_probability(np.float32(logit_scale) / np.float32(temperature))


def ood_score(kind: str, cosines: Cosines, logit_scale: float) -> np.ndarray:
    """f32 [N], larger for images that the labels describe."""
    if kind == "msp":
        return confidence(cosines, logit_scale, 1.0)
    if kind == "mcm":
        return cosines.largest_probability(1.0)
    if kind == "max_cosine":
        return cosines.labels.max(1)
    raise ValueError(f"no OOD score is called {kind!r}; there are {', '.join(OOD_SCORES)}")
