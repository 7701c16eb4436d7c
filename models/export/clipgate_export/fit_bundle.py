"""A bundle's calibration from the user's own labelled images: temperature from one half, thresholds from the other."""

from dataclasses import dataclass

import numpy as np

from .bank import Bank
from .calibrate import Gate, fit_gate
from .graph import Graph
from .images import ImageFolder
from .scores import Cosines
from .spec import Preprocessing

# Below this many images in a half, a threshold would be chance.
FEWEST_IN_A_HALF = 50
FEWEST_LABELS = 3
# Stand-ins for other images have one label less: scores that sum over the labels would take that for strangeness.
CANDIDATES = ("msp", "mcm", "max_cosine")
CONDITIONS = (
    "No promise: the thresholds were chosen and measured on the same images of the user's folder. Images outside the "
    "labels were stood in for by the temperature images, each against all labels but its own."
)


@dataclass(frozen=True)
class Fitted:
    """The gate, and on how many temperature and threshold images it was fitted."""

    gate: Gate
    counts: tuple[int, int]


def why_not(labels: int, halves: tuple[list[int], list[int]]) -> str | None:
    """The reason why no calibration can be fitted, if there is one.

    A model of the sigmoid loss is no reason: its bias is the same for every label and cancels in the softmax.
    """
    if labels < FEWEST_LABELS:
        return f"{labels} labels, at least {FEWEST_LABELS} are needed"
    if min(map(len, halves)) < FEWEST_IN_A_HALF:
        left = sum(map(len, halves))
        return f"{left} labelled images are left beside those for the ranges, {2 * FEWEST_IN_A_HALF} are needed"
    return None


def fit(
    graph: Graph,
    images: ImageFolder,
    preprocessing: Preprocessing,
    bank: Bank,
    row_of: dict[str, int],
    halves: tuple[list[int], list[int]],
    logit_scale: float,
) -> Fitted:
    """`graph` is the int8 image encoder that ships, `row_of` an image folder's row in the bank."""

    def labelled(rows: list[int]) -> tuple[Cosines, np.ndarray]:
        embeds = np.concatenate([graph(batch) for batch in images.batches(preprocessing, rows)])
        return bank.cosines(embeds), np.array([row_of[str(images.files[row].label)] for row in rows])

    temperature, thresholds = labelled(halves[0]), labelled(halves[1])
    gate = fit_gate(logit_scale, temperature, without_own_label(*temperature), thresholds, CANDIDATES)
    return Fitted(gate, (len(halves[0]), len(halves[1])))


def without_own_label(cosines: Cosines, classes: np.ndarray) -> Cosines:
    """Images as if their label did not exist: f32 [N, K - 1], so that none of the labels describes them."""
    kept = np.ones(cosines.labels.shape, bool)
    kept[np.arange(len(classes)), classes] = False
    return Cosines.without_negatives(cosines.labels[kept].reshape(len(classes), -1))
