"""What a bundle's recipe says of its making: whoever repeats it with the same of each gets the same bytes."""

import argparse
import importlib.metadata
import platform
from collections.abc import Sequence
from pathlib import Path

from . import cpu, threads
from .images import ImageFolder
from .onnx_files import GraphDigest
from .spec import Model

PACKAGES = ("torch", "open_clip_torch", "transformers", "timm", "onnx", "onnxruntime", "numpy", "pillow", "tokenizers")


def recipe_record(arguments: argparse.Namespace, model: Model, images: ImageFolder, ranges: Sequence[int]) -> dict:
    """What must be the same for the same bytes; `fp32` are the graphs that the source's weights became."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    towers = {"image": model.image} | ({"text": model.text} if model.text is not None else {})
    return {
        "versions": {"python": platform.python_version(), **versions},
        "machine": platform.machine(),
        "cpu": cpu.flags(),
        "threads": threads.available(),
        "seed": arguments.seed,
        "fp32": {name: [file.sha256 for file in _files(path)] for name, path in towers.items()},
        "images": {"sha256": images.digest(), "count": len(images.files), "ranges": len(ranges)},
        "asked": {"min_cosine": arguments.min_cosine, "min_centred_cosine": arguments.min_centred_cosine},
    }


def _files(path: Path) -> list:
    digest = GraphDigest.of(path)
    return [digest.graph, *digest.data]
