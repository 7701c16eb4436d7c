"""How much the cosine of two graphs' embeddings says.

Where one graph gives different inputs nearly the same embedding, any other graph of about that output has a cosine
near 1 to it, whatever it makes of its input. Less the mean embedding, only what tells inputs apart is compared.
"""

from dataclasses import dataclass

import numpy as np

# Above this mean cosine between different inputs, an error as large as all differences still has cosine 0.999.
SAME = 0.999


@dataclass(frozen=True)
class Likeness:
    """Of the same N inputs, row by row, f64 [N]: the cosines of two graphs' embeddings.

    `plain` as they are; `centred` with the reference's mean embedding taken from both, NaN for a single input.
    `alike` is the reference's mean cosine between different inputs, NaN for a single one.
    """

    plain: np.ndarray
    centred: np.ndarray
    alike: float

    @classmethod
    def of(cls, reference: np.ndarray, other: np.ndarray, middle: np.ndarray | None = None) -> "Likeness":
        """Both [N, D], of any length; a row that is zero or not finite has cosine 0.

        `middle` [D] stands in for the reference's own mean direction where that is known better.
        """
        reference, other = directions(reference), directions(other)
        count, own = len(reference), reference.mean(0)
        alike, centred = float("nan"), np.full(count, np.nan)
        if count > 1:
            # The sum over all pairs is the squared length of the sum, which holds every row paired with itself too.
            alike = float(count**2 * (own @ own) - (reference**2).sum()) / (count * (count - 1))
        if count > 1 or middle is not None:
            middle = own if middle is None else middle
            centred = (directions(reference - middle) * directions(other - middle)).sum(1) * other.any(1)
        return cls((reference * other).sum(1), centred, alike)

    def warning(self, inputs: str = "images") -> str | None:
        """One line where the cosines say nothing."""
        if not self.alike > SAME:
            return None
        return (
            f"the reference's embeddings of different {inputs} agree to {self.alike:.5f} on average, so that a cosine "
            f"to them says nothing: take more varied {inputs}, or doubt the weights"
        )


def directions(rows: np.ndarray) -> np.ndarray:
    """Rows of unit length, f64 [N, D]; zero where a row has no direction."""
    wide = rows.astype(np.float64)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    usable = np.isfinite(norms) & (norms > 0)
    return np.where(usable, wide / np.where(usable, norms, 1.0), 0.0)
