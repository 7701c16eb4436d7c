"""Trains pocket's image tower against locked CLIP text embeddings (LiT, arXiv 2111.07991).

    python -m clipgate_export.train --data ../shared/data --splits models/pocket/splits.json -o build/pocket

`--as` takes another way to train, `--from` goes on from the weights of a bundle that lies there already.
Every epoch ends in a checkpoint, so that an interrupted run goes on where it stopped; the same seed and
thread count draw the same batches either way. A finished run goes on too, with `--cycles` made longer.
"""

import argparse
import json
import math
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from .augment import Views, augment, mix
from .checkpoint import read_state, write_state
from .data import Images, Splits, made_from, read_text_embeddings, read_tiny_imagenet
from .errors import UserError, report_errors
from .files import write_bytes
from .pretraining import PRETRAININGS, Pretraining
from .shipped import STATISTICS_IMAGES, with_weights_of
from .tower import ImageTower

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
BATCH = 256
# Epochs from one warm restart to the next (SGDR: Loshchilov and Hutter, arXiv 1608.03983).
CYCLES = (16, 18)
WEIGHT_DECAY = 0.05
# Of random weights, and of trained ones, whose optimizer has no memory yet.
WARMUP_EPOCHS, GOING_ON_WARMUP_EPOCHS = 1, 0.1
# Of the smaller views.
SMALL_SIZE = 48
EMA_DECAY = 0.998
OTHER_CLASS_SHARE = 0.5
# Some two epochs are enough to leave chance behind; a tower that has not, or that fell back, is lost.
JUDGED_AFTER, LOST_FACTOR = 3, 1.5
SEED = 20261123


class Diverged(UserError):
    """The loss is no longer a number, or the tower no longer tells the classes apart."""


class Trainer:
    """The state of one run; everything that a checkpoint holds."""

    def __init__(
        self,
        text: Tensor,
        cycles: tuple[int, ...],
        made_from: str = "",
        way: Pretraining = PRETRAININGS["pocket"],
        begun: ImageTower | None = None,
    ) -> None:
        """`begun` is a trained tower to go on from; otherwise the weights are drawn."""
        torch.manual_seed(SEED)
        self.way = way
        self.goes_on = begun is not None
        self.tower = (ImageTower() if begun is None else begun).to(memory_format=torch.channels_last)
        self.average = ImageTower().to(memory_format=torch.channels_last)
        self.average.load_state_dict(self.tower.state_dict())
        self.log_scale = torch.nn.Parameter(torch.tensor(math.log(way.first_logit_scale)))
        self.text = text
        decayed = [p for p in self.tower.parameters() if p.ndim > 1]
        plain = [p for p in self.tower.parameters() if p.ndim <= 1] + [self.log_scale]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}],
            lr=way.first_rate,
        )
        self.cycles = cycles
        self.made_from = made_from
        self.epoch = 0
        self.steps = 0
        self.history: list[dict] = []

    @property
    def identity(self) -> str:
        """The way of training, and whether it began with drawn weights."""
        return f"{self.way}, {'going on' if self.goes_on else 'from the start'}"

    @property
    def epochs(self) -> int:
        return sum(self.cycles)

    def place(self) -> tuple[int, int]:
        """The cycle of the current epoch and the epochs before that cycle."""
        before = 0
        for cycle, length in enumerate(self.cycles):
            if self.epoch < before + length:
                return cycle, before
            before += length
        raise ValueError(f"epoch {self.epoch} is past the {self.epochs} of the run")

    def views(self) -> tuple[Views, int | None]:
        """What the current epoch's images look like, and their size where it is not their own."""
        cycle, before = self.place()
        share = (self.epoch - before) / self.cycles[cycle]
        views = self.way.first if cycle == 0 else self.way.later
        if cycle > 0 and share >= 1 - self.way.unmixed:
            views = replace(views, mix_share=0.0)
        return views, SMALL_SIZE if share < self.way.small_share else None

    @property
    def scale(self) -> Tensor:
        return self.log_scale.exp().clamp(max=self.way.max_logit_scale)

    def run_epoch(self, pixels: Tensor, classes: Tensor, order: Tensor) -> float:
        """One pass over `order`; returns the mean loss."""
        draw = torch.Generator().manual_seed(SEED + 1000 + self.epoch)
        views, size = self.views()
        cycle, before = self.place()
        batches = order[: len(order) // BATCH * BATCH].view(-1, BATCH)
        losses = []
        self.tower.train()
        progress = tqdm(batches, desc=f"epoch {self.epoch + 1}/{self.epochs}", disable=not sys.stderr.isatty())
        for step, batch in enumerate(progress):
            self._set_rate(cycle, self.epoch - before + step / len(batches))
            x = augment(pixels[batch], size or pixels.shape[-1], views, draw)
            targets = F.one_hot(classes[batch], len(self.text)).float()
            x, targets = mix(x, targets, views.mix_share, draw)
            x = normalised(x)
            with torch.autocast("cpu", torch.bfloat16):
                embeds = self.tower(x)
            logits = self.scale * F.normalize(embeds.float()) @ self.text.T
            loss = F.cross_entropy(logits, targets, label_smoothing=self.way.label_smoothing)
            if not torch.isfinite(loss):
                raise Diverged(
                    f"the loss became {loss.item()} in epoch {self.epoch + 1}, step {step + 1}: the checkpoint of "
                    f"epoch {self.epoch} is whole; lower its rates in pretraining.py and run again"
                )
            self.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.tower.parameters(), 1.0)
            self.optimizer.step()
            self._update_average()
            losses.append(loss.item())
            progress.set_postfix(loss=f"{np.mean(losses[-50:]):.3f}")
        self.epoch += 1
        return float(np.mean(losses))

    def _set_rate(self, cycle: int, epoch: float) -> None:
        """A linear warm-up in the first cycle, then a cosine to zero in each (SGDR's eq. 5); `epoch` of the cycle."""
        warmup, peak = 0, self.way.rate
        if cycle == 0 and self.goes_on:
            warmup = GOING_ON_WARMUP_EPOCHS
        elif cycle == 0:
            warmup, peak = WARMUP_EPOCHS, self.way.first_rate
        if epoch < warmup:
            share = epoch / warmup
        else:
            share = 0.5 * (1 + math.cos(math.pi * (epoch - warmup) / (self.cycles[cycle] - warmup)))
        for group in self.optimizer.param_groups:
            group["lr"] = peak * share

    @torch.no_grad()
    def _update_average(self) -> None:
        """Exponential moving average; its memory grows with the run, so that it never drags the start along."""
        decay = min(EMA_DECAY, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        for kept, new in zip(self.average.state_dict().values(), self.tower.state_dict().values(), strict=True):
            if kept.dtype.is_floating_point:
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)

    def save(self, path: Path) -> None:
        """Raises Diverged, and leaves the checkpoint before, where a weight is not a number."""
        for name, tensor in (*self.tower.state_dict().items(), *self.average.state_dict().items()):
            if not torch.isfinite(tensor).all():
                raise Diverged(
                    f"{name} is not a number after epoch {self.epoch}: {path} is of the epoch before and whole; "
                    f"lower its rates in pretraining.py and run again"
                )
        state = {
            "made_from": self.made_from,
            "tower": self.tower.state_dict(),
            "average": self.average.state_dict(),
            "log_scale": self.log_scale.detach(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "cycles": list(self.cycles),
            "steps": self.steps,
            "history": self.history,
            "way": self.identity,
        }
        write_state(path, state)

    def load(self, path: Path) -> None:
        state = read_state(path)
        if state["made_from"] != self.made_from:
            raise UserError(
                f"{path} is of a run on other images or another splits.json, whose held-out images it may have "
                f"trained on: take another -o, or delete it to start anew"
            )
        if state.get("way", self.identity) != self.identity:
            raise UserError(
                f"{path} is of a run by another --as or --from: take another -o, or delete it to start anew"
            )
        started = cycles_started(tuple(state["cycles"]), state["epoch"])
        if self.cycles[: len(started)] != started:
            asked, wanted = (",".join(map(str, cycles)) for cycles in (self.cycles, started))
            raise UserError(
                f"{path} is of a run in cycles of {wanted} epochs, not {asked}: pass --cycles {wanted}, "
                f"longer if you like, or delete it to start anew"
            )
        self.tower.load_state_dict(state["tower"])
        self.average.load_state_dict(state["average"])
        with torch.no_grad():
            self.log_scale.copy_(state["log_scale"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch = state["epoch"]
        self.steps = state["steps"]
        self.history = state["history"]


def cycles_started(cycles: tuple[int, ...], epoch: int) -> tuple[int, ...]:
    """Those that a run has begun after `epoch` epochs: the ones that it can no longer change."""
    return tuple(length for place, length in enumerate(cycles) if sum(cycles[:place]) < epoch)


def cycle_lengths(text: str) -> tuple[int, ...]:
    """`--cycles`: "16,20" is two cycles."""
    lengths = tuple(int(length) for length in text.split(","))
    if any(length <= WARMUP_EPOCHS for length in lengths):
        raise ValueError(f"a cycle needs more than {WARMUP_EPOCHS} epoch")
    return lengths


def epoch_order(labelled: Tensor, others: Tensor, epoch: int) -> Tensor:
    """Every image of a default label and a share of the other classes' images, shuffled."""
    draw = torch.Generator().manual_seed(SEED + epoch)
    share = others[torch.randperm(len(others), generator=draw)[: int(len(others) * OTHER_CLASS_SHARE)]]
    both = torch.cat([labelled, share])
    return both[torch.randperm(len(both), generator=draw)]


@torch.no_grad()
def judge(tower: ImageTower, pixels: Tensor, classes: Tensor, text: Tensor, scale: float) -> tuple[float, float]:
    """Top-1 over the rows of `text`, and the mean confidence at the logit scale; pixels uint8 [N, 3, H, W]."""
    tower.eval()
    hits, confidence = 0, 0.0
    for start in range(0, len(pixels), BATCH):
        x = normalised(pixels[start : start + BATCH].float() / 255)
        with torch.autocast("cpu", torch.bfloat16):
            embeds = tower(x)
        shares = (scale * F.normalize(embeds.float()) @ text.T).softmax(1)
        best = shares.max(1)
        hits += int((best.indices == classes[start : start + BATCH]).sum())
        confidence += float(best.values.sum())
    return hits / len(pixels), confidence / len(pixels)


def normalised(x: Tensor) -> Tensor:
    """pixel_values of pixels f32 [N, 3, H, W] in 0..1, in the convolutions' favourite layout."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (MEAN, STD))
    return ((x - mean) / std).contiguous(memory_format=torch.channels_last)


def to_pixels(images: Images, indices: list[int]) -> Tensor:
    return torch.from_numpy(images.decode(indices)).permute(0, 3, 1, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--cycles", type=cycle_lengths, default=CYCLES, help="epochs of each cycle, as in 16,20")
    parser.add_argument("--as", dest="way", choices=PRETRAININGS, default="pocket", help="default: %(default)s")
    parser.add_argument(
        "--from", dest="bundle", type=Path, help="go on from the weights in this bundle (models/pocket)"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of checkpoint, log and weights")
    arguments = parser.parse_args()
    way = PRETRAININGS[arguments.way]
    train(arguments.data, arguments.splits, arguments.output, arguments.cycles, way, arguments.bundle)


def train(
    data: Path,
    splits_file: Path,
    output: Path,
    cycles: tuple[int, ...] = CYCLES,
    way: Pretraining = PRETRAININGS["pocket"],
    bundle: Path | None = None,
) -> None:
    """Writes `output`/image_tower.safetensors and train_log.jsonl, going on from `output`/checkpoint.pt.

    The first run goes on from the weights of `bundle`, if one is given.
    """
    splits = Splits.read(splits_file)
    images = read_tiny_imagenet(data)
    splits.check(images, splits_file)
    source = made_from(images, splits_file)
    text = torch.from_numpy(read_text_embeddings(data, splits.trained_wnids))
    class_of = {wnid: row for row, wnid in enumerate(splits.trained_wnids)}
    held_out = {index for indices in splits.held_out.values() for index in indices}
    training = [i for i, w in enumerate(images.wnids) if w in class_of and i not in held_out][:: way.every]

    pixels = to_pixels(images, training)
    classes = torch.tensor([class_of[images.wnids[i]] for i in training])
    default_rows = torch.tensor([class_of[wnid] for wnid in splits.label_wnids])
    is_default = torch.isin(classes, default_rows)
    labelled, others = is_default.nonzero().flatten(), (~is_default).nonzero().flatten()

    # Progress is watched on the images that will set the temperature; it chooses nothing.
    watched = [i for i in splits.held_out["temperature"] if images.wnids[i] in set(splits.label_wnids)]
    watched_pixels = to_pixels(images, watched)
    watched_classes = torch.tensor([splits.label_wnids.index(images.wnids[i]) for i in watched])

    begun = None
    if bundle is not None:
        chosen = pixels[torch.randperm(len(pixels), generator=torch.Generator().manual_seed(SEED))[:STATISTICS_IMAGES]]
        begun = with_weights_of(bundle, normalised(chosen.float() / 255))
    trainer = Trainer(text, cycles, source, way, begun)
    checkpoint = output / "checkpoint.pt"
    if checkpoint.exists():
        trainer.load(checkpoint)
        print(f"going on from {checkpoint} after epoch {trainer.epoch}", flush=True)
    while trainer.epoch < trainer.epochs:
        start = time.monotonic()
        loss = trainer.run_epoch(pixels, classes, epoch_order(labelled, others, trainer.epoch))
        scale = trainer.scale.item()
        top1, confidence = judge(trainer.average, watched_pixels, watched_classes, text[default_rows], scale)
        record = {
            "epoch": trainer.epoch,
            "loss": round(loss, 4),
            "held_out_top1": round(top1, 4),
            "held_out_confidence": round(confidence, 4),
            "logit_scale": round(scale, 3),
            "seconds": round(time.monotonic() - start, 1),
        }
        trainer.history.append(record)
        print(json.dumps(record), flush=True)
        if trainer.epoch >= JUDGED_AFTER and top1 < min(LOST_FACTOR / len(default_rows), 1):
            raise Diverged(
                f"after {trainer.epoch} epochs {top1:.1%} of the held-out images are right, hardly more than chance: "
                f"the run has diverged; lower its rates in pretraining.py, delete {checkpoint} and start anew"
            )
        trainer.save(checkpoint)

    log = "".join(json.dumps(record) + "\n" for record in trainer.history)
    write_bytes(output / "train_log.jsonl", log.encode())
    weights = {name: tensor.contiguous() for name, tensor in trainer.average.state_dict().items()}
    weights["logit_scale"] = trainer.scale.detach().clone()
    write_bytes(output / "image_tower.safetensors", save(weights, {"made_from": source}))


if __name__ == "__main__":
    report_errors(main)
