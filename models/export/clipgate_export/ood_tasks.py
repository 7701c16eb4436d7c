"""What the tables of scores are measured on: labels, images that show them, and images that do not."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from .archives import read_pixels
from .bank import Bank
from .calibrate import ID_PASS_SHARE, fit_temperature
from .data import (
    CIFAR,
    IMAGE_EMBEDDINGS,
    OOD_ARCHIVES,
    VALIDATION,
    Splits,
    read_named_text_embeddings,
    require,
)
from .gate_table import Cut
from .graph import Graph
from .metrics import BOOTSTRAP_SEED
from .names import group_key
from .pocket_bank import Words, distinct, farthest, labels, with_negatives
from .scores import ood_score

CLIP_LOGIT_SCALE = 100.0
CIFAR_NAMES = ("airplane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
# Of CIFAR-10's classes those of which no default label of pocket is a kind.
NEAR_POCKET = ("airplane", "deer", "frog", "horse", "ship")


@dataclass(frozen=True)
class Images:
    """A named set of images as unit embeddings, f32 [N, 512]; near or far from the labels."""

    name: str
    distance: str
    embeddings: np.ndarray


@dataclass(frozen=True)
class Task:
    """Labels with their negatives, images that show them (with the labels' rows), and images that do not.

    `confidence_threshold` is that of the bundle's own gate, where its graph made the embeddings. The gate is counted on
    the images from row `counted_from` on.
    """

    title: str
    bank: Bank
    logit_scale: float
    inside: np.ndarray
    classes: np.ndarray
    outside: list[Images]
    cut: Cut
    confidence_threshold: float | None
    counted_from: int

    def alone(self) -> Bank:
        """The labels without negatives."""
        return Bank(self.bank.labels, self.bank.text_embeds, [], self.bank.negative_embeds[:0])


def tasks(data: Path, bundle: Path) -> Iterator[Task]:
    splits = Splits.read(bundle / "splits.json")
    manifest = json.loads((bundle / "manifest.json").read_text())
    calibration = json.loads((bundle / "calibration.json").read_text())
    graph = Graph((bundle / "image_encoder.onnx").read_bytes())
    names, pixels = read_pixels(require(data, VALIDATION))
    wnids = np.array([name.split("/")[0] for name in names])
    row_of = {wnid: row for row, wnid in enumerate(splits.label_wnids)}

    def embed(pixels: np.ndarray) -> np.ndarray:
        return graph.embed_pixels(pixels)

    paths, cifar = read_pixels(require(data, CIFAR))
    near = np.array([path.split("/")[0] in NEAR_POCKET for path in paths])
    outside = [
        Images("never-trained classes", "near", embed(pixels[np.isin(wnids, splits.never_trained_wnids)])),
        Images(f"CIFAR-10's {', '.join(NEAR_POCKET)}", "near", embed(cifar[near])),
    ]
    for name, archive in OOD_ARCHIVES.items():
        outside.append(Images(name, "far", embed(read_pixels(require(data, archive))[1])))
    labelled = np.isin(wnids, splits.label_wnids)
    ood = calibration["ood"]
    yield Task(
        "pocket's labels, Tiny ImageNet's validation images",
        Bank.read((bundle / "labels.safetensors").read_bytes()),
        manifest["logit_scale"],
        embed(pixels[labelled]),
        np.array([row_of[wnid] for wnid in wnids[labelled]]),
        outside,
        Cut(ood["score"], ood["threshold"], calibration["temperature"]),
        calibration["confidence"]["threshold"],
        0,
    )
    yield cifar_task(data, ood["score"])


def cifar_task(data: Path, score: str) -> Task:
    """CIFAR-10's ten names; as negatives every other name of the vocabulary."""
    names, embeddings = read_named_text_embeddings(data)
    row_of = {name.casefold(): row for row, name in reversed(list(enumerate(names)))}
    own = np.ascontiguousarray(embeddings[[row_of[name] for name in CIFAR_NAMES]])
    bank = Bank(labels(list(CIFAR_NAMES), [""] * len(CIFAR_NAMES)), own, [], np.empty((0, own.shape[1]), np.float32))
    words = farthest(own, distinct(Words(names, embeddings), {group_key(name) for name in CIFAR_NAMES}, own))
    bank = with_negatives(bank, words, len(words.names))
    images = load_file(require(data, IMAGE_EMBEDDINGS))

    def unit(name: str) -> np.ndarray:
        found = images[f"{name}_image_embeds"]
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    # In a drawn order, so that the first half is like the second.
    order = np.random.default_rng(BOOTSTRAP_SEED).permutation(len(images["cifar10_labels"]))
    inside, classes = unit("cifar10")[order], images["cifar10_labels"].astype(np.int64)[order]
    half = len(classes) // 2
    fitting = bank.cosines(inside[:half])
    scores = np.sort(ood_score(score, fitting, CLIP_LOGIT_SCALE))
    return Task(
        "CIFAR-10's names, CLIP ViT-B/32's embeddings",
        bank,
        CLIP_LOGIT_SCALE,
        inside,
        classes,
        [Images("Flickr8k", "far", unit("flickr8k")), Images("mixed web photos", "far", unit("mixed_web"))],
        Cut(
            score,
            float(scores[int((1 - ID_PASS_SHARE) * half + 1e-9)]),
            fit_temperature(fitting, CLIP_LOGIT_SCALE, classes[:half]),
        ),
        None,
        half,
    )
