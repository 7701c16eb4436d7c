"""How the image tower is trained: pocket's own way, and two that leave it too unsure or too sure of itself.

Quantisation is said to mend the calibration of underconfident CLIPs and to spoil that of overconfident ones
(arXiv 2509.21173), so the study of it needs one of each kind.
"""

from dataclasses import dataclass

from .augment import FAR, NEAR, UNCHANGED, Views


@dataclass(frozen=True)
class Pretraining:
    """`first` and `later`: the views of the first cycle and of the others, whose last share `unmixed` mixes nothing.

    `first_rate` is the first cycle's peak learning rate, `rate` that of cycles which go on from trained weights.
    `small_share`: of a cycle's epochs, from the first, on views of 48 pixels. The logit scale is learned below
    `max_logit_scale`. Of the training images each `every`-th is seen.
    """

    first: Views
    later: Views
    unmixed: float
    small_share: float
    first_rate: float
    rate: float
    label_smoothing: float
    first_logit_scale: float
    max_logit_scale: float
    every: int = 1


PRETRAININGS = {
    # CLIP's text embeddings lie close together (mean cosine 0.70 over the trained classes), so the scale
    # starts near its end: from the usual 1 / 0.07 the first epochs are spent on growing it.
    "pocket": Pretraining(
        first=NEAR,
        later=FAR,
        unmixed=0.2,
        # A cycle starts on smaller views, which cost half; the later ones end on whole images, as users' are.
        small_share=0.4,
        first_rate=2e-3,
        # A restart at the full rate would first unlearn much of the cycle before.
        rate=1e-3,
        label_smoothing=0.05,
        first_logit_scale=60.0,
        max_logit_scale=100.0,
    ),
    # Every image mixed with another, a third of each target spread over all classes, and a scale that keeps
    # the softmax flat: three things that are known to lower confidence (arXiv 1906.02629, 1905.11001, 1706.04599).
    "underconfident": Pretraining(
        first=NEAR.always_mixed(),
        later=NEAR.always_mixed(),
        unmixed=0.0,
        small_share=0.4,
        first_rate=2e-3,
        rate=5e-4,
        label_smoothing=0.3,
        first_logit_scale=40.0,
        max_logit_scale=40.0,
    ),
    # A third of the images, unchanged, again and again, with hard labels: soon all are right, and the loss goes on
    # falling by confidence alone (Guo et al. 2017, arXiv 1706.04599, section 3).
    "overconfident": Pretraining(
        first=UNCHANGED,
        later=UNCHANGED,
        unmixed=0.0,
        small_share=0.5,
        first_rate=2e-3,
        rate=1e-3,
        label_smoothing=0.0,
        first_logit_scale=100.0,
        max_logit_scale=100.0,
        every=3,
    ),
}
