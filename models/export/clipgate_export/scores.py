"""What the gate computes from cosines, in f32 and in the words that the runtime uses too.

cosines c [N, K] are products of unit embeddings. With logits z = logit_scale * c / temperature:
confidence is max softmax(z); msp is max softmax(logit_scale * c) (Hendrycks and Gimpel 2017, arXiv
1610.02136); mcm is max softmax(c) (Ming et al. 2022, arXiv 2211.13445, temperature 1); max_cosine is max c.
"""

import numpy as np

OOD_SCORES = ("msp", "mcm", "max_cosine")


def softmax(logits: np.ndarray) -> np.ndarray:
    """Rows that sum to one, f32 [N, K]."""
    shifted = np.exp((logits - logits.max(1, keepdims=True)).astype(np.float32))
    return shifted / shifted.sum(1, keepdims=True)


def confidence(cosines: np.ndarray, logit_scale: float, temperature: float) -> np.ndarray:
    """f32 [N]: the largest probability at the calibrated temperature."""
    return softmax(cosines * np.float32(logit_scale) / np.float32(temperature)).max(1)


def ood_score(kind: str, cosines: np.ndarray, logit_scale: float) -> np.ndarray:
    """f32 [N], larger for images that the labels describe."""
    if kind == "msp":
        return confidence(cosines, logit_scale, 1.0)
    if kind == "mcm":
        return softmax(cosines).max(1)
    if kind == "max_cosine":
        return cosines.max(1)
    raise ValueError(f"no OOD score is called {kind!r}; there are {', '.join(OOD_SCORES)}")
