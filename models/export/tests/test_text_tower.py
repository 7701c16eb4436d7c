from pathlib import Path

import pytest
import torch

from clipgate_export import train_text
from clipgate_export.text_tower import END_OF_TEXT, TextTower
from clipgate_export.train_text import embed, train_tower


def ids(*pieces: int) -> torch.Tensor:
    row = torch.zeros(77, dtype=torch.long)
    row[: len(pieces) + 2] = torch.tensor([49406, *pieces, END_OF_TEXT])
    return row


def test_what_follows_the_end_of_text_has_no_influence() -> None:
    torch.manual_seed(1)
    tower = TextTower().eval()
    torch.nn.init.normal_(tower.tokens.weight)
    padded = torch.stack([ids(320, 1125), ids(320, 1125)])
    padded[1, 10:] = 17
    a, b = tower(padded)
    assert torch.allclose(a, b, atol=1e-5)
    short = tower(padded[:1, :12])
    assert torch.allclose(a, short[0], atol=1e-5)


def test_it_learns_repeats_and_leaves_unseen_pieces_at_zero() -> None:
    draw = torch.Generator().manual_seed(2)
    targets = torch.nn.functional.normalize(torch.randn(12, 512, generator=draw) + 1)
    names = torch.stack([ids(1000 + n, 2000 + n % 3)[:8] for n in range(12)])
    templates = torch.stack([names, torch.stack([ids(320, 1000 + n, 2000 + n % 3)[:8] for n in range(12)])])
    tower, again = train_tower(templates, targets, 60), train_tower(templates, targets, 60)
    for name, tensor in tower.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    assert (embed(tower, names) * targets.numpy()).sum(1).mean() > 0.9
    assert not tower.tokens.weight[5000:40000].any()


def test_an_interrupted_training_ends_in_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_text, "CHECKPOINT_STEPS", 10)
    draw = torch.Generator().manual_seed(4)
    targets = torch.nn.functional.normalize(torch.randn(6, 512, generator=draw))
    names = torch.stack([ids(1000 + n)[:6] for n in range(6)])[None]
    whole = train_tower(names, targets, 25)

    checkpoint = tmp_path / "text_checkpoint.pt"
    save, saved = train_text.save_checkpoint, []

    def save_and_stop_at_the_second(*arguments: object) -> None:
        save(*arguments)
        saved.append(arguments)
        if len(saved) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(train_text, "save_checkpoint", save_and_stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        train_tower(names, targets, 25, checkpoint)
    again = train_tower(names, targets, 25, checkpoint)
    assert len(saved) == 2
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
