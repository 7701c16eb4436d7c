"""The image tower's training: interrupted and uninterrupted runs end alike, broken ones are noticed."""

from pathlib import Path

import pytest
import torch

from clipgate_export import train


@pytest.fixture
def world(tiny_widths: None, monkeypatch: pytest.MonkeyPatch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    monkeypatch.setattr(train, "BATCH", 8)
    draw = torch.Generator().manual_seed(3)
    pixels = torch.randint(0, 256, (48, 3, 64, 64), generator=draw, dtype=torch.uint8)
    classes = torch.arange(48) % 4
    text = torch.nn.functional.normalize(torch.randn(4, 512, generator=draw))
    return pixels, classes, text


def run(trainer: train.Trainer, pixels: torch.Tensor, classes: torch.Tensor, epochs: int) -> None:
    for _ in range(epochs):
        order = train.epoch_order(torch.arange(24), torch.arange(24, 48), trainer.epoch)
        trainer.run_epoch(pixels, classes, order)


def test_a_resumed_run_ends_in_the_same_weights(world: tuple, tmp_path: Path) -> None:
    pixels, classes, text = world
    whole = train.Trainer(text, 3)
    run(whole, pixels, classes, 3)

    first = train.Trainer(text, 3)
    run(first, pixels, classes, 1)
    first.save(tmp_path / "checkpoint.pt")
    second = train.Trainer(text, 3)
    second.load(tmp_path / "checkpoint.pt")
    run(second, pixels, classes, 2)

    for name, tensor in whole.average.state_dict().items():
        assert torch.equal(tensor, second.average.state_dict()[name]), name
    assert torch.equal(whole.scale, second.scale)


def test_a_checkpoint_of_another_length_is_refused(world: tuple, tmp_path: Path) -> None:
    train.Trainer(world[2], 3).save(tmp_path / "checkpoint.pt")
    with pytest.raises(SystemExit, match="3 epochs"):
        train.Trainer(world[2], 4).load(tmp_path / "checkpoint.pt")


def test_a_diverged_run_is_an_error(world: tuple) -> None:
    pixels, classes, text = world
    trainer = train.Trainer(text, 3)
    with torch.no_grad():
        trainer.tower.projection.weight[0, 0] = float("nan")
    with pytest.raises(train.Diverged, match="epoch 1, step 1"):
        run(trainer, pixels, classes, 1)
