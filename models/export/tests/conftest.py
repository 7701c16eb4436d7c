"""Tiny towers with weights as training leaves them, on one thread."""

from pathlib import Path

import pytest
import tiny_clip
import torch

from clipgate_export import tower as tower_module
from clipgate_export.tower import ImageTower

MODELS = Path(__file__).parents[2]
DATA = Path(__file__).parents[4] / "shared" / "data"

TINY_WIDTHS = (8, 12, 16, 32)

torch.set_num_threads(1)


@pytest.fixture
def pocket() -> Path:
    return MODELS / "pocket"


@pytest.fixture
def data() -> Path:
    if not DATA.is_dir():
        pytest.skip(f"needs the images and embeddings of {DATA}, which are not here")
    return DATA


@pytest.fixture
def tiny_widths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every ImageTower made in the test is some fifty times smaller."""
    monkeypatch.setattr(tower_module, "WIDTHS", TINY_WIDTHS)


@pytest.fixture(scope="session")
def tiny_tower() -> ImageTower:
    """Random weights, norms that have seen data, LayerNorm scales away from one."""
    torch.manual_seed(7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tower_module, "WIDTHS", TINY_WIDTHS)
        tower = ImageTower()
    with torch.no_grad():
        for _ in range(20):
            tower(torch.randn(8, 3, 32, 32))
        for name, parameter in tower.named_parameters():
            if name.endswith("norm.weight"):
                parameter.mul_(1 + 0.3 * torch.rand_like(parameter))
    return tower.eval()


@pytest.fixture(scope="session")
def clip_fp32(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The graph of `tiny_clip.tower`."""
    return tiny_clip.export(tiny_clip.tower(), tmp_path_factory.mktemp("clip") / "fp32.onnx")
