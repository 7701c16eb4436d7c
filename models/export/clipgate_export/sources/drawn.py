"""Weights for tests: a model that has learned nothing, and yet gives different photos different embeddings.

As libraries initialise them, residual networks do not: their branches begin at zero (Goyal et al. 2017, arXiv
1706.02677, section 5.1; LayerScale, arXiv 2103.17239), and running statistics that were never measured let one
constant drown what differs between images. A cosine of such embeddings is 1 whatever the graph computes.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

# As many images tell a channel's mean and deviation, at hundreds of places each.
PHOTOS = 16
# A deviation of this much about a neutral value, so that a test notices each parameter.
OFF_NEUTRAL = 0.1
# A factor initialised below the first closes a residual branch. Opened to the second, a branch adds a tenth of the
# variance; wide open, drawn BatchNorm networks are chaotic (Yang et al. 2019, arXiv 1902.08129): rounding grows with
# depth as in no trained network.
CLOSED, BRANCH = 0.01, 0.3
# CLIP's scale is clamped to it in training (arXiv 2103.00020, section 2.5).
LOGIT_SCALE = 100.0
# Of the noise's octaves, before a sigmoid: photos are between flat grey and black and white.
CONTRAST = 0.6


def draw(model: nn.Module, seed: int, mean: Sequence[float], std: Sequence[float]) -> None:
    """Moves the parameters of an open_clip model off their neutral values and measures its running statistics.

    The same seed and number of threads give the same weights. `mean` and `std` are those of the model's
    preprocessing.
    """
    noise = torch.Generator().manual_seed(seed)
    move_off_neutral(model, noise)
    size = model.visual.image_size
    photos = noise_photos(PHOTOS, size if isinstance(size, int) else size[0], noise)
    shape = (1, 3, 1, 1)
    with torch.no_grad():
        measure_statistics(model.visual, (photos - torch.tensor(mean).view(shape)) / torch.tensor(std).view(shape))


def move_off_neutral(model: nn.Module, noise: torch.Generator) -> None:
    """Norms, biases and LayerScales away from 0 and 1, closed branches opened, CLIP's usual logit scale."""
    with torch.no_grad():
        for name, value in model.named_parameters():
            moved = OFF_NEUTRAL * torch.randn(value.shape, generator=noise)
            if name.endswith("logit_scale"):
                value.fill_(math.log(LOGIT_SCALE))
            elif is_scale(name, value):
                closed = value.abs().max() < CLOSED
                value.copy_((BRANCH if closed else 1.0) * (1 + moved))
            elif value.ndim == 1:
                value.add_(moved)


def is_scale(name: str, value: Tensor) -> bool:
    """Whether it is a norm's or LayerScale's factor per channel."""
    return name.endswith((".weight", ".gamma")) and max(value.shape, default=1) == value.numel()


def noise_photos(count: int, size: int, noise: torch.Generator) -> Tensor:
    """f32 [count, 3, size, size] in 0 to 1: as much contrast in every octave, as photos have.

    Natural images' amplitude falls with frequency (Field 1987, J. Opt. Soc. Am. A 4, 2379); most of it is grey.
    """
    total = torch.zeros(count, 3, size, size)
    cells = 1
    while cells <= size:
        colour = torch.randn(count, 3, cells, cells, generator=noise)
        grey = torch.randn(count, 1, cells, cells, generator=noise)
        total += functional.interpolate(grey + colour / 2, size=(size, size), mode="bilinear")
        cells *= 2
    return torch.sigmoid(CONTRAST * total)


def measure_statistics(tower: nn.Module, pixel_values: Tensor) -> None:
    """Every BatchNorm's running mean and variance become those of this batch; the tower is left in eval mode."""
    norms = [module for module in tower.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    tower.eval()
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        # The plain average over all batches seen, of which there is one.
        norm.momentum = None
        norm.train()
    tower(pixel_values)
    tower.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
