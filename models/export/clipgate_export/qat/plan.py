"""What a training is asked to do: method, bits, data and settings, and what they are called."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..augment import Views, augment
from ..errors import UserError
from ..quantization.recipe import FP32_BITS, WEIGHT_BITS

SEED = 20261123
# A step draws by more than a million times the seed and its own number: PyTorch takes 64 bits.
SEEDS = 2**32
DEVICES = ("cpu", "cuda")
# Of weights; at 32 nothing is rounded, and what changes is the training's doing.
BITS = (FP32_BITS, *WEIGHT_BITS)
# A trained tower needs no views that stray far: half of an image's area and more, nothing mixed.
VIEWS = Views(area=(0.5, 1.0), aspect=(0.8, 1.25), jpeg_share=0.0, mix_share=0.0)


@dataclass(frozen=True)
class Method:
    """`rotated`: the residual stream is, first. `feature_weight`: of the squared distance to fp32's embedding."""

    rotated: bool
    feature_weight: float


METHODS = {
    "lsq": Method(rotated=False, feature_weight=0.0),
    "lsq-distil": Method(rotated=False, feature_weight=10.0),
    "rot-lsq": Method(rotated=True, feature_weight=0.0),
}


@dataclass(frozen=True)
class Examples:
    """Labelled images: `pixels` gives those of some rows, u8 [B, 3, S, S], as the preprocessing cuts them.

    `classes` i64 [N] are rows of the texts; `sha256` tells these images from others.
    """

    classes: Tensor
    pixels: Callable[[Sequence[int]], Tensor]
    mean: Sequence[float]
    std: Sequence[float]
    sha256: str

    def __len__(self) -> int:
        return len(self.classes)

    def batch(self, rows: Sequence[int], draw: torch.Generator | None) -> Tensor:
        """pixel_values f32 [B, 3, S, S]: a drawn view of each image, or the image itself."""
        pixels = self.pixels(rows)
        x = pixels.float() / 255 if draw is None else augment(pixels, pixels.shape[-1], VIEWS, draw)
        mean, std = (torch.tensor(list(v)).view(1, 3, 1, 1) for v in (self.mean, self.std))
        return (x - mean) / std

    def spaced(self, most: int) -> list[int]:
        """At most `most` rows, evenly spaced."""
        return np.linspace(0, len(self) - 1, min(most, len(self)), dtype=int).tolist()


@dataclass(frozen=True)
class Texts:
    """What the images are told apart by: fp32's unit embeddings of K texts, f32 [K, D].

    With `fp32` and `ids` i64 [K, T] the text tower is trained and quantised as well, and makes them anew.
    """

    embeds: np.ndarray
    fp32: Path | None = None
    ids: np.ndarray | None = None


@dataclass(frozen=True)
class Options:
    """`steps` of `batch` images; `rate` of AdamW, after a warm-up a cosine to zero.

    `feature_weight` overrules the method's. `logit_scale` is the model's own; `label_smoothing` in [0, 1).
    `range_images` set the first ranges of activations, by the share `percentile` of their extremes. `texts_a_step`:
    how many texts at most a step embeds where the text tower is trained. `device`: "cpu", "cuda" or nothing for the
    best there is.
    """

    steps: int = 1000
    batch: int = 64
    rate: float = 1e-4
    logit_scale: float = 100.0
    label_smoothing: float = 0.0
    feature_weight: float | None = None
    per_channel: bool = False
    range_images: int = 128
    percentile: float = 99.0
    texts_a_step: int = 128
    checkpoint_steps: int = 100
    seed: int = SEED
    device: str | None = None

    def __post_init__(self) -> None:
        wrong = [
            name for name in ("steps", "range_images", "texts_a_step", "checkpoint_steps") if getattr(self, name) < 1
        ]
        if self.batch < 2:
            wrong.append("batch")
        if not 0 < self.rate < np.inf:
            wrong.append("rate")
        if not 0 <= self.label_smoothing < 1:
            wrong.append("label_smoothing")
        if wrong:
            raise UserError(f"{wrong[0].replace('_', ' ')} {getattr(self, wrong[0])}: too small, or out of range")
        if not 0 <= self.seed < SEEDS:
            raise UserError(f"seed {self.seed}: take one from 0 to {SEEDS - 1}")
        if self.device not in (None, *DEVICES):
            raise UserError(f"device {self.device!r}: one of {', '.join(DEVICES)}")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise UserError("device cuda: PyTorch finds no GPU here; take cpu")

    def place(self) -> torch.device:
        return torch.device(self.device or ("cuda" if torch.cuda.is_available() else "cpu"))


@dataclass(frozen=True)
class Plan:
    """A checked request; `identity` is the same for runs that go on from one another's checkpoints."""

    fp32: Path
    method: str
    bits: int
    examples: Examples
    texts: Texts
    options: Options

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UserError(f"method {self.method!r}: one of {', '.join(METHODS)}")
        if self.bits not in BITS:
            raise UserError(f"{self.bits} bits: weights take one of {', '.join(map(str, BITS))}")
        if self.bits == FP32_BITS and METHODS[self.method].rotated:
            raise UserError(f"{self.method} in 32 bits: a rotation changes nothing where nothing is rounded")
        if len(self.examples) < 2:
            raise UserError(f"{len(self.examples)} training images: at least 2 are needed, some thousand are better")
        rows = len(self.texts.embeds)
        if rows < 2 or int(self.examples.classes.max()) >= rows or int(self.examples.classes.min()) < 0:
            raise UserError(f"{rows} texts: at least 2 are needed, and one for every class of the images")
        if (self.texts.fp32 is None) != (self.texts.ids is None):
            raise UserError("a text tower is trained on token ids: give both or neither")
        if self.texts.ids is not None and len(self.texts.ids) != rows:
            raise UserError(f"{len(self.texts.ids)} rows of token ids for {rows} texts")

    @property
    def rotation(self) -> int | None:
        return self.options.seed if METHODS[self.method].rotated else None

    @property
    def activation_bits(self) -> int:
        return FP32_BITS if self.bits == FP32_BITS else 8

    @property
    def feature_weight(self) -> float:
        asked = self.options.feature_weight
        return METHODS[self.method].feature_weight if asked is None else asked

    @property
    def words(self) -> str:
        return f"{self.method}, w{self.bits}a{self.activation_bits}"

    def identity(self) -> str:
        options = {k: v for k, v in asdict(self.options).items() if k not in ("checkpoint_steps", "device")}
        digest = hashlib.sha256(f"{self.method} {self.bits} {options} {self.examples.sha256}".encode())
        digest.update(np.ascontiguousarray(self.examples.classes.numpy()).tobytes())
        digest.update(np.ascontiguousarray(self.texts.embeds, np.float32).tobytes())
        for path in (self.fp32, self.texts.fp32):
            if path is not None:
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        if self.texts.ids is not None:
            digest.update(np.ascontiguousarray(self.texts.ids).tobytes())
        return digest.hexdigest()
