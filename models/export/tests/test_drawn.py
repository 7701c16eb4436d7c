"""Drawn weights: photos get embeddings that differ, and the statistics are those that were measured."""

import numpy as np
import pytest
import torch
from open_clip.model import CLIP
from timm.models.fastvit import FastVit
from tiny_models import CONFIGURATIONS, picture
from torch import nn

from clipgate_export.likeness import SAME, Likeness
from clipgate_export.preprocess import MEAN, STD, pixel_values
from clipgate_export.sources import drawn
from clipgate_export.sources.open_clip import find_configuration, usual_pixels
from clipgate_export.spec import Preprocessing

PLAIN = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


class Fast(nn.Module):
    """What MobileCLIP's image tower is, some hundred times smaller; `visual` as in open_clip's models."""

    def __init__(self) -> None:
        super().__init__()
        self.visual = FastVit(layers=(1, 1, 1, 1), embed_dims=(8, 16, 32, 64), num_classes=24)
        self.visual.image_size = (64, 64)


def tower(kind: str) -> nn.Module:
    torch.manual_seed(3)
    return Fast() if kind == "fastvit" else CLIP(**CONFIGURATIONS[kind])


def photos(size: int) -> torch.Tensor:
    how = Preprocessing(size, "shortest_edge", "bicubic", tuple(MEAN), tuple(STD))
    return torch.from_numpy(np.stack([pixel_values(picture(seed), how) for seed in range(12)]))


def alike(model: nn.Module, size: int) -> float:
    with torch.no_grad():
        embeddings = model.eval().visual(photos(size)).numpy()
    return Likeness.of(embeddings, embeddings).alike


# A tower of two narrow layers makes less of an image than one of full size.
@pytest.mark.parametrize(("kind", "size", "most"), [("vit", 32, 0.99), ("resnet", 64, 0.9), ("fastvit", 64, 0.9)])
def test_photos_are_told_apart(kind: str, size: int, most: float) -> None:
    model = tower(kind)
    drawn.draw(model, 7, MEAN, STD)
    assert alike(model, size) < most
    state = {name: value.clone() for name, value in model.state_dict().items()}
    again = tower(kind)
    drawn.draw(again, 7, MEAN, STD)
    assert all(torch.equal(state[name], value) for name, value in again.state_dict().items())
    drawn.draw(again, 8, MEAN, STD)
    assert not all(torch.equal(state[name], value) for name, value in again.state_dict().items())


def test_as_libraries_make_it_a_residual_network_tells_nothing_apart() -> None:
    assert alike(tower("resnet"), 64) > SAME


def test_closed_branches_are_opened_and_nothing_stays_neutral() -> None:
    model = tower("fastvit")
    drawn.draw(model, 7, *PLAIN)
    scales = [value for name, value in model.named_parameters() if name.endswith("gamma")]
    assert scales and all(0.1 < value.abs().mean() < 0.5 and value.std() > 0 for value in scales)
    resnet = tower("resnet")
    drawn.draw(resnet, 7, *PLAIN)
    assert all(
        value.std() > 0
        for name, value in resnet.named_parameters()
        if name.endswith(("weight", "bias")) and value.numel() > 1
    )
    assert float(resnet.logit_scale.detach().exp()) == pytest.approx(100)


def test_statistics_are_the_batchs_own() -> None:
    tower = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5, affine=False))
    momentum = tower[1].momentum
    batch = drawn.noise_photos(8, 32, torch.Generator().manual_seed(1))
    with torch.no_grad():
        drawn.measure_statistics(tower, batch)
        normal = tower(batch)
    assert not tower.training and not tower[1].training and tower[1].momentum == momentum
    torch.testing.assert_close(normal.mean((0, 2, 3)), torch.zeros(5), atol=1e-5, rtol=0)
    # Running variances are unbiased, and a small number is added to them.
    torch.testing.assert_close(normal.std((0, 2, 3)), torch.ones(5), atol=1e-3, rtol=0)


def test_noise_is_as_photos_are() -> None:
    batch = drawn.noise_photos(64, 64, torch.Generator().manual_seed(2)).double()
    assert 0 <= batch.min() and batch.max() <= 1
    assert batch.mean() == pytest.approx(0.5, abs=0.05)
    # The radial spectrum falls about as 1/f: the octave 4 to 8 cycles has twice the amplitude of 8 to 16.
    grey = batch.mean(1) - batch.mean((1, 2, 3))[:, None, None]
    power = torch.fft.fft2(grey).abs().square().mean(0)
    frequency = torch.hypot(*torch.meshgrid(*[torch.fft.fftfreq(64) * 64] * 2, indexing="ij"))
    low, high = (power[(frequency >= a) & (frequency < 2 * a)].mean().sqrt() for a in (4, 8))
    assert 1.5 < low / high < 3


def test_pixels_are_in_the_range_of_the_models_own_preprocessing() -> None:
    mean, std = usual_pixels(find_configuration("MobileCLIP-S1"))
    assert (tuple(mean), tuple(std)) == PLAIN
    # Its published tags differ, and the first one holds.
    assert usual_pixels(find_configuration("ViT-L-14"))[0] == pytest.approx(MEAN)
