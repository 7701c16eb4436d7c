"""The training loop: contrastive loss and distance to the fp32 embedding, checkpoints, and a log of the losses.

Batch and views of a step are drawn from the seed and the step's number alone, so that a run that was killed goes on
from its last checkpoint as if nothing had happened.
"""

import math
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from ..checkpoint import read_state, write_state
from ..errors import UserError
from .network import Network
from .plan import Plan
from .start import Start

WARMUP_SHARE = 0.05
LOG_STEPS = 10
# AdamW moves everything by about its rate, and a scale is a small part of the weights that it divides.
SCALE_RATE = 0.1
# Gradients longer than this are shortened: rounding makes single steps wild.
LONGEST_GRADIENT = 1.0
SMALLEST_LENGTH = 1e-12


class Trainer:
    """One run; `history` holds a record every `LOG_STEPS` steps."""

    def __init__(self, plan: Plan, image: Start, text: Start | None, identity: str) -> None:
        self.plan = plan
        self.device = plan.options.place()
        self.image, self.text = image, text
        self.students: list[Network] = [start.student.to(self.device) for start in (image, text) if start is not None]
        self.identity = identity
        image.teacher.to(self.device)
        self.text_embeds = torch.from_numpy(plan.texts.embeds).float().to(self.device)
        if text is not None:
            self.ids = torch.from_numpy(plan.texts.ids).to(self.device)
        # Weight decay would pull weights to zero and steps with them: the fp32 training has had its share.
        groups = [
            {"params": [p for student in self.students for p in student.values], "share": 1.0},
            {"params": [p for student in self.students for p in student.scales], "share": SCALE_RATE},
        ]
        self.parameters = [parameter for group in groups for parameter in group["params"]]
        self.optimizer = torch.optim.AdamW(groups, lr=plan.options.rate, weight_decay=0.0)
        self.step = 0
        self.seconds = 0.0
        self.history: list[dict] = []

    def run(self, checkpoint: Path, progress: bool) -> None:
        """From where it stands to the last step; `checkpoint` is of the last whole step that was saved."""
        options = self.plan.options
        sums: list[dict[str, float]] = []
        begun = time.monotonic() - self.seconds
        bar = tqdm(
            range(self.step, options.steps),
            initial=self.step,
            total=options.steps,
            desc=self.plan.words,
            unit="step",
            disable=None if progress else True,
        )
        for _ in bar:
            losses = self._advance()
            sums.append(losses)
            self.step += 1
            self.seconds = time.monotonic() - begun
            if self.step % LOG_STEPS == 0 or self.step == options.steps:
                means = {name: round(sum(s[name] for s in sums) / len(sums), 6) for name in losses}
                self.history.append({"step": self.step, **means})
                bar.set_postfix(loss=f"{means['loss']:.3f}")
                sums = []
                # Only where the sums are empty, so that a run which goes on logs the same means.
                if self.step // LOG_STEPS % max(1, options.checkpoint_steps // LOG_STEPS) == 0:
                    self.save(checkpoint)
        self.save(checkpoint)

    def rate(self, step: int) -> float:
        """A linear warm-up, then a cosine to zero."""
        options = self.plan.options
        warmup = max(1, round(options.steps * WARMUP_SHARE))
        if step < warmup:
            return options.rate * (step + 1) / warmup
        return options.rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, options.steps - warmup)))

    def rows(self, step: int) -> list[int]:
        """Of every pass over the images a new order; what does not fill a batch is left for another pass."""
        count = len(self.plan.examples)
        batch = min(self.plan.options.batch, count)
        epoch, place = divmod(step, count // batch)
        draw = torch.Generator().manual_seed(self.plan.options.seed + epoch)
        return torch.randperm(count, generator=draw)[place * batch : (place + 1) * batch].tolist()

    def _advance(self) -> dict[str, float]:
        plan, options = self.plan, self.plan.options
        draw = torch.Generator().manual_seed(options.seed * 1_000_003 + self.step)
        rows = self.rows(self.step)
        x = plan.examples.batch(rows, draw).to(self.device)
        classes = plan.examples.classes[rows].to(self.device)
        features = torch.zeros((), device=self.device)
        embeds = _unit(self.image.student(x))
        if plan.feature_weight:
            with torch.no_grad():
                wanted = _unit(self.image.teacher(x))
            features = _distance(embeds, wanted)
        texts = self.text_embeds
        if self.text is not None:
            chosen, classes = self._choose(classes, draw)
            texts = _unit(self.text.student(self.ids[chosen]))
            if plan.feature_weight:
                features = features + _distance(texts, self.text_embeds[chosen])
        logits = options.logit_scale * embeds @ texts.T
        contrastive = F.cross_entropy(logits, classes, label_smoothing=options.label_smoothing)
        loss = contrastive + plan.feature_weight * features
        if not torch.isfinite(loss):
            raise UserError(
                f"{plan.words}: the loss became {loss.item()} in step {self.step + 1}: the last checkpoint is whole; "
                "take a lower rate and another output folder"
            )
        for group in self.optimizer.param_groups:
            group["lr"] = group["share"] * self.rate(self.step)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, LONGEST_GRADIENT)
        self.optimizer.step()
        for student in self.students:
            student.keep_positive()
        return {"loss": loss.item(), "contrastive": contrastive.item(), "features": features.item()}

    def _choose(self, classes: Tensor, draw: torch.Generator) -> tuple[Tensor, Tensor]:
        """The texts of a step, those of the batch's classes and drawn others, and the classes as rows of these."""
        needed = classes.unique()
        others = torch.ones(len(self.ids), dtype=torch.bool)
        others[needed.cpu()] = False
        free = others.nonzero().flatten()
        room = max(0, self.plan.options.texts_a_step - len(needed))
        drawn = free[torch.randperm(len(free), generator=draw)[:room]].to(self.device)
        return torch.cat([needed, drawn]), torch.searchsorted(needed, classes)

    def save(self, path: Path) -> None:
        state = {
            "identity": self.identity,
            "students": [student.state_dict() for student in self.students],
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "history": self.history,
        }
        write_state(path, state)

    def load(self, path: Path) -> None:
        """Raises UserError for the checkpoint of another run."""
        state = read_state(path)
        if state.get("identity") != self.identity:
            raise UserError(
                f"{path}: of a training with another tower, method, images or settings; take another -o, or delete it "
                "to start anew"
            )
        for student, weights in zip(self.students, state["students"], strict=True):
            student.load_state_dict(weights)
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds, self.history = state["step"], state["seconds"], state["history"]

    @torch.no_grad()
    def embed(self, network: Network, inputs: Sequence[Tensor]) -> Tensor:
        """Unit embeddings f32 [N, D] on the CPU."""
        return torch.cat([_unit(network(x.to(self.device))).cpu() for x in inputs])


def _unit(embeds: Tensor) -> Tensor:
    return F.normalize(embeds, dim=-1, eps=SMALLEST_LENGTH)


def _distance(embeds: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared distance of unit embeddings, 2 - 2 cos."""
    return (embeds - wanted).square().sum(-1).mean()
