"""The methods that a study compares, the simpler before the others."""

from collections.abc import Callable
from dataclasses import dataclass

from ..qat.plan import BITS
from ..quantization.recipe import WEIGHT_BITS, Recipe

# Layers that hurt most stay in fp32 until the mean cosine to fp32 is this: what `clipgate-export table` asks too.
MIXED_TARGET = 0.9999


@dataclass(frozen=True)
class Method:
    """`recipe` makes the recipe of some bits and a seed; None where the tower is trained (see `qat.plan.METHODS`).

    `bits` are those of the weights that are worth a row: below 8, training and the two simplest ways without it; 32 is
    the same training with nothing rounded, which tells the two apart.
    """

    bits: tuple[int, ...]
    recipe: Callable[[int, int], Recipe] | None = None

    @property
    def kind(self) -> str:
        return "QAT" if self.recipe is None else "PTQ"


METHODS: dict[str, Method] = {
    "minmax": Method(WEIGHT_BITS, lambda bits, _: Recipe(weight_bits=bits)),
    "minmax-channel": Method(WEIGHT_BITS, lambda bits, _: Recipe(per_channel=True, weight_bits=bits)),
    "percentile": Method((8,), lambda bits, _: Recipe("percentile", 99.99, weight_bits=bits)),
    "entropy": Method((8,), lambda bits, _: Recipe("entropy", weight_bits=bits)),
    "smoothquant": Method((8,), lambda bits, _: Recipe(smooth_alpha=0.5, weight_bits=bits)),
    "mixed": Method((8,), lambda bits, _: Recipe(target_cosine=MIXED_TARGET, weight_bits=bits)),
    "rotation": Method(WEIGHT_BITS, lambda bits, seed: Recipe(rotation=seed, weight_bits=bits)),
    "lsq": Method(BITS),
    "lsq-distil": Method(BITS),
    "rot-lsq": Method(WEIGHT_BITS),
}
