"""What pocket's towers are judged by: which inputs set ranges, which choose a method, which only report.

Images come from `splits.json`: those for quantisation set the ranges, those for the temperature fit it, those for
the thresholds choose the method; Tiny ImageNet's validation images and the sets outside the labels only report.
The text tower is judged by the same images, seen by the fp32 image tower, with the labels' embeddings made by the
text tower in question; names that it was not trained on report its cosine.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .archives import read_pixels
from .bank import Bank
from .data import Images, Splits, read_named_text_embeddings, read_tiny_imagenet
from .evaluate import OOD_ARCHIVES
from .graph import Graph
from .names import read_split
from .pocket import text_range_inputs
from .preprocess import normalise
from .scores import Cosines
from .train_text import tokenize

NEVER_TRAINED = "never-trained classes"
CHOOSING_NAMES = 600
WORK = ("image_fp32.onnx", "text_fp32.onnx")


@dataclass(frozen=True)
class Seen:
    """What one graph makes of a task: cosines by role or outside set, and embeddings to compare with fp32's."""

    cosines: dict[str, Cosines]
    choosing: np.ndarray
    reporting: np.ndarray


@dataclass(frozen=True)
class Task:
    """One tower: its fp32 graph, the inputs that set ranges [1, ...] each, and how a graph is looked at.

    `classes` are rows of the labels, i64 [N], for the roles "temperature", "choosing" and "reporting".
    """

    tower: str
    fp32: Path
    batches: Callable[[], Iterator[np.ndarray]]
    example: np.ndarray
    classes: dict[str, np.ndarray]
    outside: tuple[str, ...]
    logit_scale: float
    ood_score: str
    see: Callable[[Graph], Seen]


@dataclass(frozen=True)
class Pixels:
    """Preprocessed images by role and outside set, uint8 [N, 64, 64, 3], and the classes of those with labels."""

    by_name: dict[str, np.ndarray]
    classes: dict[str, np.ndarray]

    @property
    def outside(self) -> tuple[str, ...]:
        return tuple(name for name in self.by_name if name not in self.classes)


def read_tasks(data: Path, bundle: Path, work: Path, range_images: int) -> list[Task]:
    """Both towers' tasks; `bundle` is models/pocket: its splits, bank, logit scale and OOD score; `work` has `WORK`.

    `range_images` of the images for quantisation set the image tower's ranges, evenly spaced.
    """
    image_fp32, text_fp32 = (work / name for name in WORK)
    splits = Splits.read(bundle / "splits.json")
    images = read_tiny_imagenet(data)
    pixels = read_images(data, splits, images)
    bank = Bank.read((bundle / "labels.safetensors").read_bytes())
    manifest, calibration = (json.loads((bundle / name).read_text()) for name in ("manifest.json", "calibration.json"))
    logit_scale, ood_score = manifest["logit_scale"], calibration["ood"]["score"]
    held_out = splits.held_out["quantisation"]
    chosen = np.linspace(0, len(held_out) - 1, min(range_images, len(held_out)), dtype=int)
    ranges = normalise(images.decode([held_out[place] for place in chosen]))

    def see_images(graph: Graph) -> Seen:
        embeds = {name: graph.embed_pixels(found) for name, found in pixels.by_name.items()}
        cosines = {name: bank.cosines(found) for name, found in embeds.items()}
        return Seen(cosines, embeds["choosing"], embeds["reporting"])

    text_ranges = text_range_inputs(data, bundle)
    names, _ = read_named_text_embeddings(data)
    trained, held_out = read_split(bundle / "text_split.json", names)
    trained = trained[:: max(1, len(trained) // CHOOSING_NAMES)]
    choosing, reporting = (tokenize([f"a {names[row]}" for row in rows]).numpy() for rows in (trained, held_out))
    labels, negatives = (
        tokenize([f"a {label.name}" for label in group]).numpy() for group in (bank.labels, bank.negatives)
    )
    fp32_embeds: dict[str, np.ndarray] = {}

    def see_texts(graph: Graph) -> Seen:
        if not fp32_embeds:
            image = Graph(image_fp32)
            fp32_embeds.update({name: image.embed_pixels(found) for name, found in pixels.by_name.items()})
        own = Bank(bank.labels, graph(labels), bank.negatives, graph(negatives))
        cosines = {name: own.cosines(found) for name, found in fp32_embeds.items()}
        return Seen(cosines, graph(choosing), graph(reporting))

    shared = {
        "classes": pixels.classes,
        "outside": pixels.outside,
        "logit_scale": logit_scale,
        "ood_score": ood_score,
    }
    return [
        Task("image", image_fp32, lambda: rows(ranges), ranges[:1], see=see_images, **shared),
        Task("text", text_fp32, lambda: rows(text_ranges), text_ranges[:1], see=see_texts, **shared),
    ]


def read_images(data: Path, splits: Splits, images: Images) -> Pixels:
    class_of = {wnid: row for row, wnid in enumerate(splits.label_wnids)}
    by_name, classes = {}, {}
    for name, role in (("temperature", "temperature"), ("choosing", "thresholds")):
        chosen = [index for index in splits.held_out[role] if images.wnids[index] in class_of]
        by_name[name] = images.decode(chosen)
        classes[name] = np.array([class_of[images.wnids[index]] for index in chosen])
    paths, pixels = read_pixels(data / "tiny-imagenet-val-a.tar")
    wnids = np.array([path.split("/")[0] for path in paths])
    labelled = np.isin(wnids, splits.label_wnids)
    by_name["reporting"] = pixels[labelled]
    classes["reporting"] = np.array([class_of[wnid] for wnid in wnids[labelled]])
    by_name[NEVER_TRAINED] = pixels[np.isin(wnids, splits.never_trained_wnids)]
    for name, archive in OOD_ARCHIVES.items():
        by_name[name] = read_pixels(data / archive)[1]
    return Pixels(by_name, classes)


def rows(inputs: np.ndarray) -> Iterator[np.ndarray]:
    """Inputs [N, ...] as [1, ...] each."""
    return (inputs[place : place + 1] for place in range(len(inputs)))
