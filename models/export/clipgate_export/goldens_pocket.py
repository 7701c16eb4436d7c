r"""Writes what pocket's bundle says of the example photos, for the Rust tests to compare themselves with.

    python -m clipgate_export.goldens_pocket --bundle ../pocket --photos ../../examples/photos \
        -o ../../tests/data/pocket.json

The whole path is computed by other people's code: Pillow decodes and resizes, ONNX Runtime's Python package runs the
graph, SciPy takes the softmax. `clipgate_export.pocket` runs this whenever it writes the bundle.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from safetensors import safe_open
from scipy.special import softmax

from .files import write_bytes
from .graph import Graph
from .preprocess import decode, normalise, resize_and_crop


def describe(bundle: Path, photos: Path) -> dict:
    """Scores, probabilities and cosines of every JPEG in `photos`, in name order."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    calibration = json.loads((bundle / "calibration.json").read_text())
    with safe_open(bundle / "labels.safetensors", "np") as bank:
        labels = [label["name"] for label in json.loads(bank.metadata()["labels"])]
        text = bank.get_tensor("text_embeds").astype(np.float64)
        negative = bank.get_tensor("negative_embeds").astype(np.float64)
    graph = Graph((bundle / "image_encoder.onnx").read_bytes())
    scale = manifest["logit_scale"]
    answers = {}
    for photo in sorted(photos.glob("*.jpg")):
        pixels = resize_and_crop(decode(photo.read_bytes()).convert("RGB"))
        image = graph(normalise(pixels)[None])[0].astype(np.float64)
        cosines, others = text @ image, negative @ image
        both = np.concatenate([cosines, others])
        best = int(cosines.argmax())
        shares = np.exp(scale * both / calibration["temperature"])
        even_odds = shares[: len(labels)].sum() + shares[len(labels) :].mean() * len(labels)
        answers[photo.name] = {
            "label": labels[best],
            "confidence": float(shares[best] / even_odds),
            "similarities": [round(float(cosine), 6) for cosine in cosines],
            "negative_similarities": [round(float(cosine), 6) for cosine in others],
            "msp": float(softmax(scale * both)[best]),
            "mcm": float(softmax(both)[best]),
            "max_cosine": float(cosines.max()),
        }
    return {"graph_sha256": manifest["files"]["image_encoder.onnx"]["sha256"], "photos": answers}


def write(bundle: Path, photos: Path, output: Path) -> None:
    """`describe`, as a file."""
    write_bytes(output, (json.dumps(describe(bundle, photos), indent=1) + "\n").encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    write(arguments.bundle, arguments.photos, arguments.output)


if __name__ == "__main__":
    main()
