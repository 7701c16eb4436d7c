"""Distils pocket's text tower from CLIP ViT-B/32's text embeddings of some 2,300 names.

    python -m clipgate_export.train_text --data ../shared/data --models models/pocket -o build/pocket

Every prompt around a name has the name's one target, so that prompts barely move the embedding. Tokens
are dropped at random: a name that is cut short still points near its relatives, which is all that an
unseen name can hope for. The split is written before the training and read back afterwards.
"""

import argparse
import hashlib
import math
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from .checkpoint import read_state, write_state
from .data import Splits, read_named_text_embeddings
from .errors import UserError, report_errors
from .files import write_bytes
from .names import TEMPLATES, read_split, split_names, write_split
from .text_tower import CONTEXT_LENGTH, END_OF_TEXT, PADDING, TOKEN_WIDTH, VOCABULARY, TextTower

SEED = 20261123
STEPS = 2400
CHECKPOINT_STEPS = 300
BATCH = 256
PEAK_RATE = 3e-3
WARMUP_STEPS = 100
WEIGHT_DECAY = 0.05
TOKEN_DROPOUT = 0.12
CONTRASTIVE_SCALE = 20.0
CONTRASTIVE_SHARE = 0.1
LONGEST_TRAINED = 24


def tokenize(texts: list[str]) -> Tensor:
    """i64 [N, 77] as open_clip tokenizes: start, pieces, end of text, zeros; cut to the context."""
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer()(texts, CONTEXT_LENGTH)


DROPPED = 0


def train_tower(input_ids: Tensor, targets: Tensor, steps: int = STEPS, checkpoint: Path | None = None) -> TextTower:
    """A tower from `input_ids` [templates, N, T] and unit `targets` [N, 512]; the same seed, the same weights.

    It learns a table of the pieces that occur, in the order of their ids and after a row of zeros for
    dropped ones, and spreads it over the whole vocabulary at the end. With `checkpoint`, an interrupted run goes
    on where that file left it.
    """
    torch.manual_seed(SEED)
    draw = torch.Generator().manual_seed(SEED)
    seen, rank = input_ids.unique(return_inverse=True)
    input_ids = rank + 1
    tower = TextTower()
    tower.tokens = nn.Embedding(len(seen) + 1, TOKEN_WIDTH, padding_idx=DROPPED)
    with torch.no_grad():
        tower.tokens.weight.mul_(0.3)
        tower.projection.bias.copy_(targets.mean(0))
    decayed = [p for p in tower.parameters() if p.ndim > 1]
    plain = [p for p in tower.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}], lr=PEAK_RATE
    )
    batch_size = min(BATCH, len(targets))
    done = 0
    if checkpoint and checkpoint.exists():
        done = load_checkpoint(checkpoint, tower, optimizer, draw)
    for step in tqdm(range(done, steps), desc="text tower", initial=done, total=steps, disable=not sys.stderr.isatty()):
        if checkpoint and step > done and step % CHECKPOINT_STEPS == 0:
            save_checkpoint(checkpoint, tower, optimizer, draw, step)
        share = min(step / WARMUP_STEPS, 0.5 * (1 + math.cos(math.pi * step / steps)))
        for group in optimizer.param_groups:
            group["lr"] = PEAK_RATE * share
        rows = torch.randint(len(targets), (batch_size,), generator=draw)
        template = torch.randint(len(input_ids), (batch_size,), generator=draw)
        chosen = input_ids[template, rows]
        used = int(chosen.argmax(1).max()) + 1
        with torch.autocast("cpu", torch.bfloat16):
            embeds = tower(drop_pieces(chosen[:, :used], draw))
        embeds = F.normalize(embeds.float())
        likeness = (embeds * targets[rows]).sum(1)
        logits = CONTRASTIVE_SCALE * embeds @ targets.T
        loss = (1 - likeness).mean() * CONTRASTIVE_SCALE + CONTRASTIVE_SHARE * F.cross_entropy(logits, rows)
        if not torch.isfinite(loss):
            raise UserError(
                f"the text tower's loss became {loss.item()} in step {step + 1}: lower PEAK_RATE in train_text.py"
            )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(tower.parameters(), 1.0)
        optimizer.step()
    learned = tower.tokens.weight.detach()
    tower.tokens = nn.Embedding(VOCABULARY, TOKEN_WIDTH)
    with torch.no_grad():
        tower.tokens.weight.zero_()
        tower.tokens.weight[seen] = learned[1:]
        # Padding is masked, so that its row is noise; a text's own "!" shares the id and shall say nothing.
        tower.tokens.weight[PADDING] = 0
    return tower.eval()


def save_checkpoint(
    path: Path, tower: TextTower, optimizer: torch.optim.Optimizer, draw: torch.Generator, step: int
) -> None:
    """Everything that the steps from `step` on depend on."""
    state = {"tower": tower.state_dict(), "optimizer": optimizer.state_dict(), "draw": draw.get_state(), "step": step}
    write_state(path, state)


def load_checkpoint(path: Path, tower: TextTower, optimizer: torch.optim.Optimizer, draw: torch.Generator) -> int:
    """Takes up what `save_checkpoint` wrote and returns its step."""
    state = read_state(path)
    tower.load_state_dict(state["tower"])
    optimizer.load_state_dict(state["optimizer"])
    draw.set_state(state["draw"])
    return state["step"]


def drop_pieces(ranks: Tensor, draw: torch.Generator) -> Tensor:
    """Some pieces between start and end of text become `DROPPED`."""
    end = ranks.argmax(1, keepdim=True)
    places = torch.arange(ranks.shape[1])[None]
    drop = torch.rand(ranks.shape, generator=draw) < TOKEN_DROPOUT
    return ranks.masked_fill(drop & (places > 0) & (places < end), DROPPED)


@torch.no_grad()
def embed(tower: TextTower, input_ids: Tensor) -> np.ndarray:
    """Unit text embeddings, f32 [N, 512]."""
    return torch.cat([F.normalize(tower(part)) for part in input_ids.split(BATCH)]).numpy()


def made_from(names: list[str], split: Path) -> str:
    """What binds a text tower to the names that it may have learnt: SHA-256 of all names and of the split."""
    return hashlib.sha256("\n".join(names).encode() + split.read_bytes()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True, help="folder of splits.json and text_split.json")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of text_tower.safetensors")
    arguments = parser.parse_args()
    train(arguments.data, arguments.models, arguments.output)


def train(data: Path, models: Path, output: Path) -> None:
    """Writes `output`/text_tower.safetensors, and `models`/text_split.json if it is not there yet."""
    names, embeddings = read_named_text_embeddings(data)
    split = models / "text_split.json"
    if not split.exists():
        write_split(split, names, split_names(names, Splits.read(models / "splits.json").label_names)[1])
    rows, held_out = read_split(split, names)
    longest = min(LONGEST_TRAINED, CONTEXT_LENGTH)
    ids = torch.stack([tokenize([t.format(names[r]) for r in rows])[:, :longest] for t in TEMPLATES])
    ids[..., -1] = torch.where(ids[..., -1] > 0, END_OF_TEXT, ids[..., -1])
    targets = F.normalize(torch.from_numpy(embeddings[rows]))
    source = made_from(names, split)
    checkpoint = output / f"text_checkpoint-{source[:16]}.pt"
    tower = train_tower(ids, targets, checkpoint=checkpoint)
    write_bytes(output / "text_tower.safetensors", save(tower.state_dict(), {"made_from": source}))
    checkpoint.unlink(missing_ok=True)
    for label, which in (("trained", rows), ("held-out", held_out)):
        for template in ("a {}", "a photo of a {}."):
            got = embed(tower, tokenize([template.format(names[r]) for r in which]))
            cosines = (got * embeddings[which]).sum(1)
            own = (got @ embeddings[which].T).argmax(1) == np.arange(len(which))
            print(f"{label} {template!r}: n {len(which)}, cosine {cosines.mean():.4f}, retrieval {own.mean():.3f}")


if __name__ == "__main__":
    report_errors(main)
