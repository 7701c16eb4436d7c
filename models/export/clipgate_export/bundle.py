"""A bundle of schema 1: the graphs, the label bank, the calibration, the self-test and their manifest."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from .bank import Bank
from .files import write_bytes
from .graph import Graph
from .preprocess import normalise
from .spec import Preprocessing

SELFTEST_SEED = 20261123
# What fills each role, in the manifest's order; a bundle may lack those after the first and the self-test.
IMAGE_ENCODER = "image_encoder.onnx"
TEXT_ENCODER = "text_encoder.onnx"
TOKENIZER = "tokenizer.json"
LABELS = "labels.safetensors"
CALIBRATION = "calibration.json"
SELFTEST = "selftest.safetensors"
FILES = (IMAGE_ENCODER, TEXT_ENCODER, TOKENIZER, LABELS, CALIBRATION, SELFTEST)


@dataclass(frozen=True)
class Origin:
    """What the manifest says about the weights."""

    architecture: str
    source: str
    licence: str


@dataclass(frozen=True)
class TextEntry:
    """What the manifest says about texts."""

    context_length: int
    prompt_template: str


@dataclass(frozen=True)
class Description:
    """The manifest but for its files; `recipe` records how the bundle was made, for whoever makes it again."""

    id: str
    origin: Origin
    preprocessing: Preprocessing
    embedding_dim: int
    logit_scale: float
    text: TextEntry | None
    logit_bias: float | None = None
    activation: str | None = None
    recipe: dict | None = None


@dataclass(frozen=True)
class Selftest:
    """A drawn image and the unit embedding that the int8 graph gives it on one thread."""

    pixel_values: np.ndarray
    image_embeds: np.ndarray

    @classmethod
    def of(cls, graph: Graph, preprocessing: Preprocessing) -> "Selftest":
        pixels = selftest_pixels(preprocessing.size)[None]
        pixel_values = normalise(pixels, preprocessing.mean, preprocessing.std)
        return cls(pixel_values, graph(pixel_values))

    def file(self) -> bytes:
        return save({"pixel_values": self.pixel_values, "image_embeds": self.image_embeds})

    def digest(self) -> str:
        return hashlib.sha256(np.ascontiguousarray(self.image_embeds, "<f4").tobytes()).hexdigest()


def selftest_pixels(size: int) -> np.ndarray:
    """uint8 [size, size, 3]: eight by eight coloured blocks over a gradient, the same everywhere (integers only)."""
    draw = np.random.Generator(np.random.PCG64(SELFTEST_SEED))
    edge = -(-size // 8)
    blocks = draw.integers(0, 128, (8, 8, 3)).repeat(edge, 0).repeat(edge, 1)[:size, :size]
    row, column = np.mgrid[0:size, 0:size]
    return (blocks + np.stack([row + column, 2 * row, 127 - 2 * column], -1) % 128).astype(np.uint8)


def bindings(image_encoder: Path | bytes, bank: Bank, selftest: Selftest) -> dict:
    """`bound_to` of a calibration."""
    content = image_encoder if isinstance(image_encoder, bytes) else image_encoder.read_bytes()
    return {
        "graph_sha256": hashlib.sha256(content).hexdigest(),
        "bank_sha256": bank.digest(),
        "preprocessing": "exact",
        "selftest_sha256": selftest.digest(),
    }


def to_json(record: object) -> bytes:
    return (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode()


def write_bundle(
    folder: Path,
    description: Description,
    image_encoder: bytes,
    text_encoder: bytes,
    tokenizer: bytes,
    bank: Bank,
    calibration: dict,
    selftest: Selftest,
) -> None:
    """Writes every file whole, the manifest last, so that a bundle with a manifest of its own is complete."""
    contents = {
        IMAGE_ENCODER: image_encoder,
        TEXT_ENCODER: text_encoder,
        TOKENIZER: tokenizer,
        LABELS: bank.file(),
        CALIBRATION: to_json(calibration),
        SELFTEST: selftest.file(),
    }
    for name, content in contents.items():
        write_bytes(folder / name, content)
    write_manifest(folder, description)


def write_manifest(folder: Path, description: Description) -> None:
    """The manifest of the files that lie in `folder`."""
    present = [name for name in FILES if (folder / name).is_file()]
    manifest: dict = {
        "schema": 1,
        "requires": [],
        "id": description.id,
        "version": 1,
        "architecture": description.origin.architecture,
        "source": description.origin.source,
        "licence": description.origin.licence,
        "preprocessing": description.preprocessing.record(),
        "embedding_dim": description.embedding_dim,
        "logit_scale": description.logit_scale,
    }
    if description.logit_bias is not None:
        manifest["logit_bias"] = description.logit_bias
    if description.activation is not None:
        manifest["activation"] = description.activation
    manifest["image_encoder"] = {"file": IMAGE_ENCODER}
    if description.text is not None:
        manifest["text_encoder"] = {
            "file": TEXT_ENCODER,
            "tokenizer": TOKENIZER,
            "context_length": description.text.context_length,
            "prompt_template": description.text.prompt_template,
        }
    for role, name in (("labels", LABELS), ("calibration", CALIBRATION), ("selftest", SELFTEST)):
        if name in present:
            manifest[role] = {"file": name}
    if description.recipe is not None:
        manifest["recipe"] = description.recipe
    manifest["files"] = {name: file_entry(folder / name) for name in present}
    write_bytes(folder / "manifest.json", to_json(manifest))


def file_entry(path: Path) -> dict:
    """A file's line in the manifest's `files`."""
    with path.open("rb") as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest(), "bytes": path.stat().st_size}


def rename(record: dict, role: str, name: str) -> None:
    """Gives the file of `role` another name, at the same place in the manifest's list."""
    old = record[role]["file"]
    record[role]["file"] = name
    record["files"] = {name if file == old else file: entry for file, entry in record["files"].items()}
