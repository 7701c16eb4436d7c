r"""The table of out-of-distribution scores: pocket's labels, and CIFAR-10's by CLIP ViT-B/32's own embeddings.

    clipgate-export scores --data ../../../shared/data --bundle ../pocket -o scores.md

The images here only report: score, negatives and thresholds were chosen on others (`clipgate_export.pocket`). Areas
under the ROC curve take the labels' images as the positive class; brackets hold 95 % bootstrap intervals.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from tqdm import tqdm

from .archives import read_pixels
from .bank import Bank
from .data import (
    CIFAR,
    IMAGE_EMBEDDINGS,
    OOD_ARCHIVES,
    VALIDATION,
    Splits,
    read_named_text_embeddings,
    require,
)
from .files import write_bytes
from .graph import Graph
from .metrics import BOOTSTRAP_SEED, Figure
from .names import group_key
from .pocket_bank import Words, distinct, farthest, labels, with_negatives
from .scores import Cosines, available, ood_score

DRAWS = 1000
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
    """Labels with their negatives, images that show them, and images that do not."""

    title: str
    bank: Bank
    logit_scale: float
    inside: np.ndarray
    outside: list[Images]
    shipped: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = __doc__.splitlines()[0]
    parser.add_argument("--data", type=Path, required=True, help="the folder that models/README.md describes")
    parser.add_argument("--bundle", type=Path, required=True, help="models/pocket")
    parser.add_argument("-o", "--output", type=Path, required=True, help="Markdown file to write")


def run(arguments: argparse.Namespace) -> int:
    sections = [render(task) for task in tasks(arguments.data, arguments.bundle)]
    write_bytes(arguments.output, ("\n\n".join(sections) + "\n").encode())
    return 0


def tasks(data: Path, bundle: Path) -> Iterator[Task]:
    splits = Splits.read(bundle / "splits.json")
    manifest = json.loads((bundle / "manifest.json").read_text())
    shipped = json.loads((bundle / "calibration.json").read_text())["ood"]["score"]
    graph = Graph((bundle / "image_encoder.onnx").read_bytes())
    names, pixels = read_pixels(require(data, VALIDATION))
    wnids = np.array([name.split("/")[0] for name in names])

    def embed(pixels: np.ndarray) -> np.ndarray:
        return graph.embed_pixels(pixels)

    paths, cifar = read_pixels(require(data, CIFAR))
    near = np.array([path.split("/")[0] in NEAR_POCKET for path in paths])
    outside = [
        Images("never-trained classes", "near", embed(pixels[np.isin(wnids, splits.never_trained_wnids)])),
        Images(f"CIFAR-10: {', '.join(NEAR_POCKET)}", "near", embed(cifar[near])),
    ]
    for name, archive in OOD_ARCHIVES.items():
        outside.append(Images(name, "far", embed(read_pixels(require(data, archive))[1])))
    yield Task(
        "pocket's labels, Tiny ImageNet's validation images",
        Bank.read((bundle / "labels.safetensors").read_bytes()),
        manifest["logit_scale"],
        embed(pixels[np.isin(wnids, splits.label_wnids)]),
        outside,
        shipped,
    )
    yield cifar_task(data, shipped)


def cifar_task(data: Path, shipped: str) -> Task:
    """CIFAR-10's ten names; as negatives every other name of the vocabulary."""
    names, embeddings = read_named_text_embeddings(data)
    row_of = {name.casefold(): row for row, name in reversed(list(enumerate(names)))}
    own = np.ascontiguousarray(embeddings[[row_of[name] for name in CIFAR_NAMES]])
    bank = Bank(labels(list(CIFAR_NAMES), [""] * len(CIFAR_NAMES)), own, [], np.empty((0, own.shape[1]), np.float32))
    words = farthest(own, distinct(Words(names, embeddings), {group_key(name) for name in CIFAR_NAMES}, own))
    images = load_file(require(data, IMAGE_EMBEDDINGS))

    def unit(name: str) -> np.ndarray:
        found = images[f"{name}_image_embeds"]
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    return Task(
        "CIFAR-10's names, CLIP ViT-B/32's embeddings",
        with_negatives(bank, words, len(words.names)),
        CLIP_LOGIT_SCALE,
        unit("cifar10"),
        [Images("Flickr8k", "far", unit("flickr8k")), Images("mixed web photos", "far", unit("mixed_web"))],
        shipped,
    )


def render(task: Task) -> str:
    """One Markdown table: a row a score, without and with negatives, then what the shipped score gains."""
    alone = Bank(task.bank.labels, task.bank.text_embeds, [], task.bank.negative_embeds[:0])
    count = len(task.bank.negatives)
    values = {("labels alone", kind): found for kind, found in scored(task, alone)}
    values |= {(f"{count} negatives", kind): found for kind, found in scored(task, task.bank)}
    # Without negatives to take part in it, a score is the same in both.
    same = {kind for kind in ("max_cosine", "energy", "entropy")}
    rows = [key for key in values if not (key[0] != "labels alone" and key[1] in same)]
    ours = (f"{count} negatives", task.shipped) if task.shipped not in same else ("labels alone", task.shipped)
    heads = " | ".join(f"{group.name} ({group.distance}, n {len(group.embeddings)})" for group in task.outside)
    lines = [
        f"### {task.title} (n {len(task.inside)})\n",
        f"| texts | score | {heads} |",
        f"|---|---|{'---|' * len(task.outside)}",
    ]
    for key in tqdm(rows, desc=task.title, unit="score", disable=None):
        cells = (figure(area(inside, outside)) for inside, outside in values[key])
        name = f"**`{key[1]}`**" if key == ours else f"`{key[1]}`"
        lines.append(f"| {key[0]} | {name} | {' | '.join(cells)} |")
    for baseline in (("labels alone", "msp"), (f"{count} negatives", "msp")):
        pairs = zip(values[ours], values[baseline], strict=True)
        cells = (signed(gain(*pair)) for pair in pairs)
        lines.append(f"| | `{task.shipped}` less `msp`, {baseline[0]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def scored(task: Task, bank: Bank) -> Iterator[tuple[str, list[tuple[np.ndarray, np.ndarray]]]]:
    """Of each score, the values of the images inside and of each set outside."""
    inside = bank.cosines(task.inside)
    outside = [bank.cosines(group.embeddings) for group in task.outside]

    def value(kind: str, cosines: Cosines) -> np.ndarray:
        return ood_score(kind, cosines, task.logit_scale)

    for kind in available(inside):
        own = value(kind, inside)
        yield kind, [(own, value(kind, other)) for other in outside]


def area(inside: np.ndarray, outside: np.ndarray) -> Figure:
    """The area under the ROC curve with its interval."""
    whole, drawn = areas(inside, outside)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Figure(whole, float(low), float(high), len(inside) + len(outside))


def gain(ours: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> Figure:
    """The difference of two scores' areas, the same images drawn for both."""
    (whole, drawn), (other_whole, other_drawn) = areas(*ours), areas(*other)
    low, high = np.quantile(drawn - other_drawn, (0.025, 0.975))
    return Figure(whole - other_whole, float(low), float(high), len(ours[0]) + len(ours[1]))


def areas(inside: np.ndarray, outside: np.ndarray) -> tuple[float, np.ndarray]:
    """The area and those of `DRAWS` bootstrap samples, f64 [`DRAWS`], ties counting one half.

    The values are sorted once; a sample is how often each image was drawn.
    """
    draw = np.random.default_rng(BOOTSTRAP_SEED)
    n, m = len(inside), len(outside)
    _, place = np.unique(np.concatenate([inside, outside]), return_inverse=True)
    size = int(place.max()) + 1

    def of(drawn_inside: np.ndarray, drawn_outside: np.ndarray) -> float:
        ins = np.bincount(place[:n][drawn_inside], minlength=size)
        outs = np.bincount(place[n:][drawn_outside], minlength=size)
        below = np.cumsum(outs) - outs
        return float((ins * (below + outs / 2)).sum() / (n * m))

    samples = [of(draw.integers(0, n, n), draw.integers(0, m, m)) for _ in range(DRAWS)]
    return of(np.arange(n), np.arange(m)), np.array(samples)


def figure(found: Figure) -> str:
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def signed(found: Figure) -> str:
    return f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
