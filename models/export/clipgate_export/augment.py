"""Augmentation of uint8 batches: crops, flips, colour, blur, JPEG and mixing, all drawn from one generator."""

import io
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

COLOUR = 0.35
GREY_SHARE = 0.05
BLUR_SHARE = 0.3
JPEG_QUALITY = (50, 96)


@dataclass(frozen=True)
class Views:
    """How far a view may stray from its image: ranges of a uniform draw, and shares in 0..1.

    `area` is the crop's share of the image; above 1 the image shrinks inside its own reflection, which also
    removes the 64-pixel JPEG's artefacts, as a full-size photo scaled down has none. Without `retouched` neither
    colour nor sharpness changes.
    """

    area: tuple[float, float]
    aspect: tuple[float, float]
    jpeg_share: float
    mix_share: float
    retouched: bool = True

    def always_mixed(self) -> "Views":
        return replace(self, mix_share=1.0)


# The first look at the images, and the later ones: by then the easy views are learnt.
NEAR = Views(area=(0.3, 1.0), aspect=(0.8, 1.25), jpeg_share=0.0, mix_share=0.5)
FAR = Views(area=(0.25, 1.7), aspect=(0.7, 1.43), jpeg_share=0.2, mix_share=0.5)
# The image itself, or its mirror image.
UNCHANGED = Views(area=(1.0, 1.0), aspect=(1.0, 1.0), jpeg_share=0.0, mix_share=0.0, retouched=False)


def augment(pixels: Tensor, size: int, views: Views, draw: torch.Generator) -> Tensor:
    """uint8 [N, 3, H, W] to float [N, 3, size, size] in 0..1, a different view of every image."""
    x = _crop(pixels.float() / 255, size, views, draw)
    if views.retouched:
        x = _colour(_blur(x, draw), draw)
    return _jpeg(x, views.jpeg_share, draw)


def mix(x: Tensor, targets: Tensor, share: float, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """CutMix (Yun et al. 2019, arXiv 1905.04899) on a share of the batches; targets [N, K] are mixed alike."""
    if torch.rand((), generator=draw) >= share:
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


def _crop(x: Tensor, size: int, views: Views, draw: torch.Generator) -> Tensor:
    n = len(x)
    area = _uniform(n, *views.area, draw)
    aspect = _uniform(n, *views.aspect, draw)
    longest = max(1.0, views.area[1]) ** 0.5
    width = (area * aspect).sqrt().clamp(max=longest)
    height = (area / aspect).sqrt().clamp(max=longest)
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


def _jpeg(x: Tensor, share: float, draw: torch.Generator) -> Tensor:
    """A share of the views through a JPEG encoder, as a camera's own."""
    if share == 0:
        return x
    chosen = (torch.rand(len(x), generator=draw) < share).nonzero().flatten()
    qualities = torch.randint(*JPEG_QUALITY, (len(chosen),), generator=draw)
    for row, quality in zip(chosen.tolist(), qualities.tolist(), strict=True):
        pixels = (x[row] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "jpeg", quality=quality)
        x[row] = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1).float() / 255
    return x
