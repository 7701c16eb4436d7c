"""A bundle of schema 1: the graphs, the label bank, the calibration, the self-test and their manifest."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from .bank import Bank
from .data import IMAGE_SIZE
from .files import write_bytes
from .graph import Graph
from .preprocess import MEAN, STD, normalise
from .text_tower import CONTEXT_LENGTH

SELFTEST_SEED = 20261123
PROMPT_TEMPLATE = "a {}"


@dataclass(frozen=True)
class Origin:
    """What the manifest says about the weights."""

    architecture: str
    source: str
    licence: str


@dataclass(frozen=True)
class Selftest:
    """A drawn image and the unit embedding that the int8 graph gives it on one thread."""

    pixel_values: np.ndarray
    image_embeds: np.ndarray

    @classmethod
    def of(cls, graph: Graph) -> "Selftest":
        pixel_values = normalise(selftest_pixels()[None])
        return cls(pixel_values, graph(pixel_values))

    def file(self) -> bytes:
        return save({"pixel_values": self.pixel_values, "image_embeds": self.image_embeds})

    def digest(self) -> str:
        return hashlib.sha256(np.ascontiguousarray(self.image_embeds, "<f4").tobytes()).hexdigest()


def selftest_pixels() -> np.ndarray:
    """uint8 [64, 64, 3]: coloured blocks over a gradient, the same everywhere (integers only)."""
    draw = np.random.Generator(np.random.PCG64(SELFTEST_SEED))
    blocks = draw.integers(0, 128, (8, 8, 3)).repeat(8, 0).repeat(8, 1)
    row, column = np.mgrid[0:IMAGE_SIZE, 0:IMAGE_SIZE]
    return (blocks + np.stack([row + column, 2 * row, 127 - 2 * column], -1) % 128).astype(np.uint8)


def bindings(image_encoder: bytes, bank: Bank, selftest: Selftest) -> dict:
    """`bound_to` of a calibration."""
    return {
        "graph_sha256": hashlib.sha256(image_encoder).hexdigest(),
        "bank_sha256": bank.digest(),
        "preprocessing": "exact",
        "selftest_sha256": selftest.digest(),
    }


def to_json(record: object) -> bytes:
    return (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode()


def write_bundle(
    folder: Path,
    origin: Origin,
    logit_scale: float,
    image_encoder: bytes,
    text_encoder: bytes,
    tokenizer: bytes,
    bank: Bank,
    calibration: dict,
    selftest: Selftest,
) -> None:
    """Writes every file whole, the manifest last, so that a bundle with a manifest of its own is complete."""
    contents = {
        "image_encoder.onnx": image_encoder,
        "text_encoder.onnx": text_encoder,
        "tokenizer.json": tokenizer,
        "labels.safetensors": bank.file(),
        "calibration.json": to_json(calibration),
        "selftest.safetensors": selftest.file(),
    }
    manifest = {
        "schema": 1,
        "requires": [],
        "id": "pocket",
        "version": 1,
        "architecture": origin.architecture,
        "source": origin.source,
        "licence": origin.licence,
        "preprocessing": {
            "size": IMAGE_SIZE,
            "resize": "shortest_edge",
            "interpolation": "bicubic",
            "mean": list(MEAN),
            "std": list(STD),
        },
        "embedding_dim": bank.text_embeds.shape[1],
        "logit_scale": logit_scale,
        "image_encoder": {"file": "image_encoder.onnx"},
        "text_encoder": {
            "file": "text_encoder.onnx",
            "tokenizer": "tokenizer.json",
            "context_length": CONTEXT_LENGTH,
            "prompt_template": PROMPT_TEMPLATE,
        },
        "labels": {"file": "labels.safetensors"},
        "calibration": {"file": "calibration.json"},
        "selftest": {"file": "selftest.safetensors"},
        "files": {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            for name, content in contents.items()
        },
    }
    for name, content in contents.items():
        write_bytes(folder / name, content)
    write_bytes(folder / "manifest.json", to_json(manifest))
