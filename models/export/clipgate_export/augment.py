"""Augmentation of uint8 batches: crops, flips, colour, blur and mixing, all drawn from one generator."""

import torch
from torch import Tensor
from torch.nn import functional as F

CROP_AREA = (0.3, 1.0)
ASPECT = (0.8, 1.25)
COLOUR = 0.35
GREY_SHARE = 0.05
BLUR_SHARE = 0.3
MIX_SHARE = 0.5


def augment(pixels: Tensor, size: int, draw: torch.Generator) -> Tensor:
    """uint8 [N, 3, H, W] to float [N, 3, size, size] in 0..1, a different view of every image."""
    x = _crop(pixels.float() / 255, size, draw)
    x = _blur(x, draw)
    return _colour(x, draw)


def mix(x: Tensor, targets: Tensor, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """CutMix (Yun et al. 2019, arXiv 1905.04899) on half of the batches; targets [N, K] are mixed alike."""
    if torch.rand((), generator=draw) >= MIX_SHARE:
        return x, targets
    n, _, height, width = x.shape
    kept = torch.rand((), generator=draw).item()
    cut = (1 - kept) ** 0.5
    box_height, box_width = int(height * cut), int(width * cut)
    top = int(torch.randint(height - box_height + 1, (), generator=draw))
    left = int(torch.randint(width - box_width + 1, (), generator=draw))
    other = torch.randperm(n, generator=draw)
    x = x.clone()
    x[:, :, top : top + box_height, left : left + box_width] = x[
        other, :, top : top + box_height, left : left + box_width
    ]
    kept = 1 - box_height * box_width / (height * width)
    return x, kept * targets + (1 - kept) * targets[other]


def _uniform(n: int, low: float, high: float, draw: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(n, generator=draw)


def _crop(x: Tensor, size: int, draw: torch.Generator) -> Tensor:
    n = len(x)
    area = _uniform(n, *CROP_AREA, draw)
    aspect = _uniform(n, *ASPECT, draw)
    width = (area * aspect).sqrt().clamp(max=1)
    height = (area / aspect).sqrt().clamp(max=1)
    flip = (torch.rand(n, generator=draw) < 0.5).float() * 2 - 1
    transform = torch.zeros(n, 2, 3)
    transform[:, 0, 0] = width * flip
    transform[:, 1, 1] = height
    transform[:, 0, 2] = _uniform(n, -1, 1, draw) * (1 - width)
    transform[:, 1, 2] = _uniform(n, -1, 1, draw) * (1 - height)
    grid = F.affine_grid(transform, [n, 3, size, size], align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _blur(x: Tensor, draw: torch.Generator) -> Tensor:
    chosen = torch.rand(len(x), generator=draw) < BLUR_SHARE
    if chosen.any():
        size = x.shape[-1]
        factor = _uniform(1, 0.5, 0.9, draw).item()
        small = F.interpolate(x[chosen], scale_factor=factor, mode="bilinear", antialias=True)
        x[chosen] = F.interpolate(small, size=(size, size), mode="bilinear")
    return x


def _colour(x: Tensor, draw: torch.Generator) -> Tensor:
    n = len(x)

    def factor() -> Tensor:
        return _uniform(n, 1 - COLOUR, 1 + COLOUR, draw).view(n, 1, 1, 1)

    x = x * factor()
    mean = x.mean((1, 2, 3), keepdim=True)
    x = mean + (x - mean) * factor()
    grey = x.mean(1, keepdim=True)
    saturation = factor()
    saturation[torch.rand(n, generator=draw) < GREY_SHARE] = 0
    x = grey + (x - grey) * saturation
    x = x + 0.05 * torch.randn(n, 3, 1, 1, generator=draw)
    return x.clamp(0, 1)
