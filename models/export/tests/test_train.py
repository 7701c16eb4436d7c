"""The image tower's training: interrupted and uninterrupted runs end alike, broken ones are noticed."""

import resource
import signal
from pathlib import Path

import pytest
import torch

from clipgate_export import train
from clipgate_export.augment import FAR, NEAR, UNCHANGED
from clipgate_export.errors import UserError


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
    whole = train.Trainer(text, (3,))
    run(whole, pixels, classes, 3)

    first = train.Trainer(text, (3,))
    run(first, pixels, classes, 1)
    first.save(tmp_path / "checkpoint.pt")
    second = train.Trainer(text, (3,))
    second.load(tmp_path / "checkpoint.pt")
    run(second, pixels, classes, 2)

    for name, tensor in whole.average.state_dict().items():
        assert torch.equal(tensor, second.average.state_dict()[name]), name
    assert torch.equal(whole.scale, second.scale)


def test_a_checkpoint_of_another_schedule_is_refused(world: tuple, tmp_path: Path) -> None:
    pixels, classes, text = world
    begun = train.Trainer(text, (3,))
    run(begun, pixels, classes, 1)
    begun.save(tmp_path / "checkpoint.pt")
    with pytest.raises(UserError, match="cycles of 3 epochs, not 4,2: pass --cycles 3"):
        train.Trainer(text, (4, 2)).load(tmp_path / "checkpoint.pt")


def test_a_finished_run_goes_on_with_another_cycle(world: tuple, tmp_path: Path) -> None:
    pixels, classes, text = world
    whole = train.Trainer(text, (2, 2))
    run(whole, pixels, classes, 4)

    first = train.Trainer(text, (2,))
    run(first, pixels, classes, 2)
    first.save(tmp_path / "checkpoint.pt")
    longer = train.Trainer(text, (2, 2))
    longer.load(tmp_path / "checkpoint.pt")
    assert longer.place() == (1, 2)
    run(longer, pixels, classes, 2)

    assert torch.equal(whole.tower.projection.weight, longer.tower.projection.weight)


def test_views_grow_and_go_further_from_cycle_to_cycle(world: tuple) -> None:
    trainer = train.Trainer(world[2], (10, 10))
    seen = []
    for trainer.epoch in range(20):
        seen.append(trainer.views())
    assert [size for _, size in seen[:10]] == [train.SMALL_SIZE] * 4 + [None] * 6
    assert {views for views, _ in seen[:10]} == {NEAR}
    assert [views.mix_share for views, _ in seen[10:]] == [FAR.mix_share] * 8 + [0.0] * 2


def test_views_are_pixels_in_range_and_repeat(world: tuple) -> None:
    first, second = (train.augment(world[0], 64, FAR, torch.Generator().manual_seed(5)) for _ in range(2))
    assert first.shape == (48, 3, 64, 64)
    assert torch.equal(first, second)
    assert 0 <= first.min() and first.max() <= 1


def test_unchanged_views_are_the_images_or_their_mirror_images(world: tuple) -> None:
    pixels = world[0]
    views = train.augment(pixels, 64, UNCHANGED, torch.Generator().manual_seed(5))
    plain = pixels.float() / 255
    same = (views - plain).abs().amax((1, 2, 3)) < 1e-5
    mirrored = (views - plain.flip(-1)).abs().amax((1, 2, 3)) < 1e-5
    assert torch.equal(same, ~mirrored)
    assert 0 < same.sum() < len(pixels)


def test_a_checkpoint_of_another_way_is_refused(world: tuple, tmp_path: Path) -> None:
    train.Trainer(world[2], (3,)).save(tmp_path / "checkpoint.pt")
    other = train.Trainer(world[2], (3,), way=train.PRETRAININGS["overconfident"])
    with pytest.raises(UserError, match="another --as or --from"):
        other.load(tmp_path / "checkpoint.pt")


def test_a_run_that_goes_on_starts_at_the_rate_of_a_restart(world: tuple) -> None:
    pixels, classes, text = world
    begun = train.ImageTower()
    trainer = train.Trainer(text, (2,), begun=begun)
    trainer._set_rate(0, 1.0)
    assert trainer.optimizer.param_groups[0]["lr"] < trainer.way.rate
    drawn = train.Trainer(text, (2,))
    drawn._set_rate(0, 1.0)
    assert drawn.optimizer.param_groups[0]["lr"] == drawn.way.first_rate


def test_a_diverged_run_is_an_error(world: tuple) -> None:
    pixels, classes, text = world
    trainer = train.Trainer(text, (3,))
    with torch.no_grad():
        trainer.tower.projection.weight[0, 0] = float("nan")
    with pytest.raises(train.Diverged, match="epoch 1, step 1"):
        run(trainer, pixels, classes, 1)


def test_a_full_disk_leaves_the_checkpoint_before(world: tuple, tmp_path: Path) -> None:
    trainer, checkpoint = train.Trainer(world[2], (3,)), tmp_path / "checkpoint.pt"
    trainer.save(checkpoint)
    before = checkpoint.read_bytes()
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            trainer.save(checkpoint)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert checkpoint.read_bytes() == before
    assert list(tmp_path.iterdir()) == [checkpoint]


def test_a_checkpoint_of_other_splits_is_refused(world: tuple, tmp_path: Path) -> None:
    train.Trainer(world[2], (3,), "these images").save(tmp_path / "checkpoint.pt")
    with pytest.raises(UserError, match="another splits.json"):
        train.Trainer(world[2], (3,), "others").load(tmp_path / "checkpoint.pt")


def test_a_damaged_checkpoint_is_named(world: tuple, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    train.Trainer(world[2], (3,)).save(checkpoint)
    checkpoint.write_bytes(checkpoint.read_bytes()[:5000])
    with pytest.raises(UserError, match="checkpoint.pt: damaged"):
        train.Trainer(world[2], (3,)).load(checkpoint)


def test_weights_that_are_no_numbers_are_not_saved(world: tuple, tmp_path: Path) -> None:
    trainer, checkpoint = train.Trainer(world[2], (3,)), tmp_path / "checkpoint.pt"
    trainer.save(checkpoint)
    before = checkpoint.read_bytes()
    with torch.no_grad():
        trainer.average.projection.weight[0, 0] = float("inf")
    with pytest.raises(train.Diverged, match="projection.weight is not a number"):
        trainer.save(checkpoint)
    assert checkpoint.read_bytes() == before
