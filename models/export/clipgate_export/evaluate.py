"""Every figure of pocket's card, measured on the bundle's files through ONNX Runtime on one thread.

The images here only report: none of them trained anything, set a range or chose a threshold.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
from onnx import ModelProto
from safetensors.numpy import load_file

from . import metrics
from .archives import read_pixels
from .bank import Bank
from .calibrate import Gate
from .data import (
    CIFAR,
    IMAGE_EMBEDDINGS,
    OOD_ARCHIVES,
    VALIDATION,
    Splits,
    read_named_text_embeddings,
    require,
)
from .full_size import measure_photos
from .graph import Graph
from .names import group_key, read_split
from .preprocess import normalise
from .scores import OOD_SCORES, Cosines, confidence, ood_score
from .train_text import tokenize

CIFAR_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class Bundle:
    """The bundle's int8 graphs with its bank and gate."""

    def __init__(self, folder: Path, gate: Gate) -> None:
        self.folder, self.gate = folder, gate
        self.logit_scale = json.loads((folder / "manifest.json").read_text())["logit_scale"]
        self.image = Graph((folder / "image_encoder.onnx").read_bytes())
        self.text = Graph((folder / "text_encoder.onnx").read_bytes())
        self.bank = Bank.read((folder / "labels.safetensors").read_bytes())

    def cosines(self, pixels: np.ndarray) -> Cosines:
        return self.bank.cosines(self.image.embed_pixels(pixels))

    def accepts(self, cosines: Cosines) -> np.ndarray:
        return self.gate.accepts(cosines, self.logit_scale)


def measure(data: Path, folder: Path, image_fp32: ModelProto, text_fp32: ModelProto, gate: Gate, command: Path) -> dict:
    """All figures, ready for JSON; intervals are 95 %. `command` is a clipgate that decides on the photos."""
    splits = Splits.read(folder / "splits.json")
    bundle = Bundle(folder, gate)
    names, pixels = read_pixels(require(data, VALIDATION))
    wnids = np.array([name.split("/")[0] for name in names])
    class_of = {wnid: row for row, wnid in enumerate(splits.label_wnids)}
    labelled = np.isin(wnids, splits.label_wnids)
    classes = np.array([class_of[wnid] for wnid in wnids[labelled]])
    inside, top1 = measure_labels(bundle, pixels[labelled], classes, Graph(image_fp32))
    trained = np.isin(wnids, splits.trained_wnids)
    rows = np.array([class_of.get(wnid, -1) for wnid in wnids[trained]])
    top1["ece_with_negatives"] = measure_open_ece(bundle, pixels[trained], rows)
    report = {
        "labels": len(splits.label_wnids),
        "negatives": len(bundle.bank.negatives),
        "logit_scale": bundle.logit_scale,
        "gate": {
            "temperature": gate.temperature,
            "score": gate.score,
            "ood_threshold": gate.ood_threshold,
            "confidence_threshold": gate.confidence_threshold,
            "similarity_threshold": gate.similarity_threshold,
            "true_accept_rate": gate.true_accept_rate,
            "coverage": gate.coverage,
            "selective_risk": gate.selective_risk,
            "development_auroc": gate.auroc,
        },
        "validation": top1,
        "cifar10": measure_cifar(bundle, data, folder),
        "outside": measure_outside(bundle, data, inside, pixels[np.isin(wnids, splits.never_trained_wnids)]),
        "photos": measure_photos(command, folder, data, splits),
        "text": measure_text(bundle, data, Graph(text_fp32), pixels[labelled], classes, splits),
        "latency_ms": measure_latency(bundle, Graph(image_fp32), Graph(text_fp32)),
        "files": {
            path.name: {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
            for path in sorted(folder.iterdir())
            if path.name in json.loads((folder / "manifest.json").read_text())["files"]
        },
    }
    return report


def measure_labels(bundle: Bundle, pixels: np.ndarray, classes: np.ndarray, fp32: Graph) -> tuple[Cosines, dict]:
    """The int8 cosines over the default labels, and what follows from them."""
    embeddings, reference = bundle.image.embed_pixels(pixels), fp32.embed_pixels(pixels)
    cosines, reference_cosines = bundle.bank.cosines(embeddings), bundle.bank.cosines(reference)
    hits = cosines.labels.argmax(1) == classes
    reference_hits = reference_cosines.labels.argmax(1) == classes
    accepted = bundle.accepts(cosines)
    likenesses = (embeddings * reference).sum(1)
    drop = metrics.mean_figure(reference_hits.astype(float) - hits.astype(float))
    return cosines, {
        "top1_fp32": metrics.share(int(reference_hits.sum()), len(hits)).record(),
        "top1_int8": metrics.share(int(hits.sum()), len(hits)).record(),
        "top1_drop": drop.record(),
        "cosine_int8_fp32": metrics.mean_figure(likenesses).record(),
        "ece_before": metrics.ece_figure(confidence(cosines, bundle.logit_scale, 1.0), hits).record(),
        "ece_after": metrics.ece_figure(
            confidence(cosines, bundle.logit_scale, bundle.gate.temperature), hits
        ).record(),
        "accepted": metrics.share(int(accepted.sum()), len(hits)).record(),
        "right_of_accepted": metrics.share(int(hits[accepted].sum()), int(accepted.sum())).record(),
    }


def measure_open_ece(bundle: Bundle, pixels: np.ndarray, classes: np.ndarray) -> dict:
    """ECE where images of the negatives' classes, -1, are as many as images of the labels: for them no label is right.

    Of the more numerous ones every so-and-so-many-th is taken.
    """
    own, others = np.flatnonzero(classes >= 0), np.flatnonzero(classes < 0)
    many = min(len(own), len(others))
    taken = np.concatenate([rows[np.arange(many) * len(rows) // many] for rows in (own, others)])
    cosines = bundle.cosines(pixels[taken])
    hits = cosines.labels.argmax(1) == classes[taken]
    return metrics.ece_figure(confidence(cosines, bundle.logit_scale, bundle.gate.temperature), hits).record()


def measure_cifar(bundle: Bundle, data: Path, folder: Path) -> dict:
    """Zero-shot over the ten names, by CLIP's own text embeddings and by the text tower's."""
    names, embeddings = read_named_text_embeddings(data)
    row = {name.casefold(): place for place, name in reversed(list(enumerate(names)))}
    missing = [name for name in CIFAR_NAMES if name not in row]
    used = {"automobile": "car", "ship": "boat", "airplane": "aeroplane"}
    asked = [used.get(name, name) if name in missing else name for name in CIFAR_NAMES]
    bank = embeddings[[row[name] for name in asked]]
    paths, pixels = read_pixels(require(data, CIFAR))
    classes = np.array([CIFAR_NAMES.index(path.split("/")[0]) for path in paths])
    images = bundle.image.embed_pixels(pixels)
    own = bundle.text(tokenize([f"a {name}" for name in asked]).numpy())
    hits, own_hits = (images @ bank.T).argmax(1) == classes, (images @ own.T).argmax(1) == classes
    unseen = {group_key(names[r]) for r in read_split(folder / "text_split.json", names)[1]}
    return {
        "names": asked,
        "names_held_out": [name for name in asked if group_key(name) in unseen],
        "clip_text": metrics.share(int(hits.sum()), len(hits)).record(),
        "text_tower": metrics.share(int(own_hits.sum()), len(own_hits)).record(),
    }


def measure_outside(bundle: Bundle, data: Path, inside: Cosines, never_trained: np.ndarray) -> list[dict]:
    """Accepted share and AUROC for each set outside the labels, as it is and recompressed."""
    sets = [("never-trained classes of Tiny ImageNet", "as they are", never_trained)]
    for name, archive in OOD_ARCHIVES.items():
        for recompressed in (False, True):
            form = "64-pixel JPEG q75" if recompressed else "as they are"
            sets.append((name, form, read_pixels(require(data, archive), recompressed)[1]))
    rows = []
    for name, form, pixels in sets:
        outside = bundle.cosines(pixels)
        areas = {
            kind: metrics.bootstrap(
                metrics.auroc,
                ood_score(kind, inside, bundle.logit_scale),
                ood_score(kind, outside, bundle.logit_scale),
            ).record()
            for kind in OOD_SCORES
        }
        accepted = metrics.share(int(bundle.accepts(outside).sum()), len(pixels))
        rows.append({"name": name, "form": form, "accepted": accepted.record(), "auroc": areas})
    return rows


def measure_text(
    bundle: Bundle, data: Path, fp32: Graph, pixels: np.ndarray, classes: np.ndarray, splits: Splits
) -> dict:
    """The int8 text tower against CLIP's embeddings, on names trained on and held out."""
    names, embeddings = read_named_text_embeddings(data)
    images = load_file(require(data, IMAGE_EMBEDDINGS))
    pictures = np.concatenate([v for name, v in sorted(images.items()) if name.endswith("image_embeds")])
    trained, held_out = read_split(bundle.folder / "text_split.json", names)
    ids = tokenize([f"a {name}" for name in names]).numpy()
    int8, reference = bundle.text(ids), fp32(ids)
    photo = bundle.text(tokenize([f"a photo of a {name}." for name in names]).numpy())
    result: dict = {"cosine_int8_fp32": metrics.mean_figure((int8 * reference).sum(1)).record()}
    mean = embeddings[trained].mean(0)
    for group, rows in (("trained", trained), ("held_out", held_out)):
        likenesses = (int8[rows] * embeddings[rows]).sum(1)
        nearest = (int8[rows] @ embeddings[rows].T).argmax(1)
        found = np.array(
            [group_key(names[rows[at]]) == group_key(names[row]) for at, row in zip(nearest, rows, strict=True)]
        )
        agree = (pictures @ int8[rows].T).argmax(1) == (pictures @ embeddings[rows].T).argmax(1)
        result[group] = {
            "distinct_names": len({names[row].casefold() for row in rows}),
            "cosine": metrics.mean_figure(likenesses).record(),
            "cosine_of_the_mean": metrics.mean_figure(embeddings[rows] @ mean / np.linalg.norm(mean)).record(),
            "finds_own_name": metrics.share(int(found.sum()), len(rows)).record(),
            "zero_shot_agreement": metrics.share(int(agree.sum()), len(pictures)).record(),
            "template_cosine": metrics.mean_figure((int8[rows] * photo[rows]).sum(1)).record(),
        }
    own = bundle.text(tokenize([f"a {name}" for name in splits.label_names]).numpy())
    hits = (bundle.image.embed_pixels(pixels) @ own.T).argmax(1) == classes
    result["default_labels_in_words"] = metrics.share(int(hits.sum()), len(hits)).record()
    return result


def measure_latency(bundle: Bundle, image_fp32: Graph, text_fp32: Graph) -> dict:
    """Median milliseconds of one run on one thread, both forms in turn."""
    image = normalise(np.full((1, 64, 64, 3), 127, np.uint8))
    text = tokenize(["a school bus"]).numpy()
    rounds = [(image_fp32.median_ms(image, 30), bundle.image.median_ms(image, 30)) for _ in range(5)]
    text_rounds = [(text_fp32.median_ms(text, 30), bundle.text.median_ms(text, 30)) for _ in range(3)]
    best, best_text = np.min(rounds, axis=0), np.min(text_rounds, axis=0)
    return {
        "image_fp32": round(float(best[0]), 2),
        "image_int8": round(float(best[1]), 2),
        "image_ratio": round(float(np.median([a / b for a, b in rounds])), 2),
        "text_fp32": round(float(best_text[0]), 2),
        "text_int8": round(float(best_text[1]), 2),
    }
