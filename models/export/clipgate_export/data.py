"""Tiny ImageNet training images and CLIP text embeddings, as pocket's splits name them."""

import hashlib
import io
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors import SafetensorError, safe_open

from .errors import UserError

IMAGE_SIZE = 64
TRAINING_SHARDS = tuple(f"tiny-imagenet-train-{shard}.safetensors" for shard in range(4))
TEXT_EMBEDDINGS = "clip-vit-b32-text.safetensors"
VALIDATION, CIFAR, FULL_SIZE = "tiny-imagenet-val-a.tar", "cifar10-test.tar", "photos-imagenet-sample.tar"
IMAGE_EMBEDDINGS = "clip-vit-b32-images.safetensors"
OOD_ARCHIVES = {
    "textures (DTD)": "ood-textures.tar",
    "sign language digits": "ood-signlang.tar",
    "blood cells (BCCD)": "ood-bloodcells.tar",
}
EVERYTHING = (*TRAINING_SHARDS, TEXT_EMBEDDINGS, VALIDATION, CIFAR, FULL_SIZE, IMAGE_EMBEDDINGS, *OOD_ARCHIVES.values())
ROLES = ("quantisation", "temperature", "thresholds")


def require(folder: Path, name: str) -> Path:
    """A file of the data folder; where it is missing, the error says where its origin and format are written."""
    path = folder / name
    if not path.is_file():
        raise UserError(
            f"{path}: not found. The data are no part of clipgate: models/README.md, section Data, says where each "
            f"file comes from and what is in it; pass their folder as --data"
        )
    return path


@dataclass(frozen=True)
class Splits:
    """Which images train, calibrate and certify; written once by models/pocket/make_splits.py."""

    label_wnids: list[str]
    label_names: list[str]
    trained_wnids: list[str]
    never_trained_wnids: list[str]
    held_out: dict[str, list[int]]

    @classmethod
    def read(cls, path: Path) -> "Splits":
        try:
            raw = json.loads(path.read_text())
            splits = cls(
                label_wnids=[label["wnid"] for label in raw["labels"]],
                label_names=[label["name"] for label in raw["labels"]],
                trained_wnids=raw["trained_wnids"],
                never_trained_wnids=raw["never_trained_wnids"],
                held_out={role: [int(index) for index in raw["held_out"][role]] for role in ROLES},
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path}: not the record of models/pocket/make_splits.py ({error!r})") from error
        if not set(splits.label_wnids) <= set(splits.trained_wnids):
            raise UserError(f"{path}: a label is not among the trained classes")
        return splits

    def check(self, images: "Images", path: Path) -> None:
        """Every held-out image exists, is of a trained class and serves one role; every class gives the same share."""
        trained = set(self.trained_wnids)
        if not trained <= set(images.wnids):
            raise UserError(f"{path}: class {sorted(trained - set(images.wnids))[0]} is not in the training images")
        chosen = [index for indices in self.held_out.values() for index in indices]
        if len(set(chosen)) != len(chosen):
            raise UserError(f"{path}: an image has two roles")
        for role, indices in self.held_out.items():
            if not all(0 <= index < len(images.wnids) and images.wnids[index] in trained for index in indices):
                raise UserError(f"{path}: {role} names an image that is not there or of no trained class")
            counts = Counter(images.wnids[index] for index in indices)
            if len(counts) != len(trained) or len(set(counts.values())) != 1:
                raise UserError(f"{path}: {role} does not take the same number of images of every trained class")


@dataclass(frozen=True)
class Images:
    """Encoded images by running index, each with its class's wnid."""

    jpegs: list[bytes]
    wnids: list[str]

    def digest(self) -> str:
        """SHA-256 of what an index means: every image's class and length, in order."""
        digest = hashlib.sha256()
        for jpeg, wnid in zip(self.jpegs, self.wnids, strict=True):
            digest.update(f"{wnid} {len(jpeg)}\n".encode())
        return digest.hexdigest()

    def decode(self, indices: list[int]) -> np.ndarray:
        """uint8 [N, 64, 64, 3], RGB."""
        pixels = np.empty((len(indices), IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
        for row, index in enumerate(indices):
            pixels[row] = np.asarray(Image.open(io.BytesIO(self.jpegs[index])).convert("RGB"))
        return pixels


def read_tiny_imagenet(folder: Path) -> Images:
    """All four training shards, in order, so that an index means what splits.json means by it."""
    shards = [require(folder, name) for name in TRAINING_SHARDS]
    jpegs: list[bytes] = []
    wnids: list[str] = []
    for shard in shards:
        try:
            with safe_open(shard, "np") as tensors:
                classes = json.loads(tensors.metadata()["classes"])
                content = tensors.get_tensor("jpeg_bytes").tobytes()
                offsets = tensors.get_tensor("offsets")
                wnids += [classes[label][0] for label in tensors.get_tensor("labels")]
        except (SafetensorError, KeyError, IndexError, TypeError, ValueError) as error:
            raise UserError(
                f"{shard}: damaged, or no training images as models/README.md describes ({error})"
            ) from error
        jpegs += [content[a:b] for a, b in zip(offsets[:-1], offsets[1:], strict=True)]
    return Images(jpegs, wnids)


def read_text_embeddings(folder: Path, wnids: list[str]) -> np.ndarray:
    """CLIP ViT-B/32 text embeddings, unit length, f32 [K, 512], one ImageNet class each."""
    with safe_open(require(folder, TEXT_EMBEDDINGS), "np") as tensors:
        rows = {wnid: row for row, wnid in enumerate(json.loads(tensors.metadata()["imagenet"])["wnids"])}
        embeddings = tensors.get_tensor("imagenet")
    return np.ascontiguousarray(embeddings[[rows[wnid] for wnid in wnids]], np.float32)


def read_imagenet_names(folder: Path, wnids: list[str]) -> list[str]:
    """The names that CLIP's authors gave to ImageNet's classes."""
    with safe_open(require(folder, TEXT_EMBEDDINGS), "np") as tensors:
        imagenet = json.loads(tensors.metadata()["imagenet"])
    names = dict(zip(imagenet["wnids"], imagenet["names"], strict=True))
    return [names[wnid] for wnid in wnids]


def read_named_text_embeddings(folder: Path) -> tuple[list[str], np.ndarray]:
    """Every distinct name with its embedding, f32 [N, 512]: names as a person would type them."""
    found: dict[str, np.ndarray] = {}
    with safe_open(require(folder, TEXT_EMBEDDINGS), "np") as tensors:
        for vocabulary in ("imagenet", "lvis", "openimages", "objects365", "coco"):
            names = json.loads(tensors.metadata()[vocabulary])["names"]
            for name, embedding in zip(names, tensors.get_tensor(vocabulary), strict=True):
                found.setdefault(name.replace("_", " ").strip(), embedding)
    return list(found), np.stack(list(found.values())).astype(np.float32)


def made_from(images: Images, splits: Path) -> str:
    """What binds weights to the images that trained them: SHA-256 of the order of the images and of the splits."""
    return hashlib.sha256(f"{images.digest()} {hashlib.sha256(splits.read_bytes()).hexdigest()}".encode()).hexdigest()
