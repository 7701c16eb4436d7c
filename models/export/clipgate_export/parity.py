"""The whole fp32 path against open_clip itself: image file to embedding, string to embedding.

    python -m clipgate_export.parity ViT-B-32-quickgelu RN50 --images photos/ --work /tmp/parity

Each model gets drawn weights (or --pretrained FILE); open_clip's transform, tokenizer and towers give the reference,
the written graphs with this package's preprocessing and tokenizer.json the answer. Exit 1 if a cosine is below 0.9999,
as it is or with the mean embedding taken from both sides.
SigLIP models need --tokenizer FOLDER, which both sides read. With --preprocessing, which must then say what
open_clip does by default, a model whose published weights differ can be compared (ViT-L-14).
"""

import argparse
import gc
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import open_clip
import torch
from open_clip.tokenizer import HFTokenizer
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch import nn

from . import sources
from .errors import UserError, report_errors
from .graph import Graph, unit
from .images import image_paths
from .likeness import Likeness
from .preprocess import decode, pixel_values
from .sources.open_clip import agreed_preprocessing, build, find_configuration, find_weights
from .spec import Model
from .text_tokenizer import TextTokenizer

LEAST_COSINE = 0.9999
TEXTS = (
    "a photo of a cat.",
    "A Photo of THE Eiffel Tower, at night!",
    "  two   spaces\tand a tab\n",
    "a caf\u00e9 in M\u00fcnchen &amp; a na\u00efve r\u00e9sum\u00e9",
    "\u732b\u3068\u72ac",
    "1234567890 3.14159 $5.00 50%",
    "it's, we'll, they've; don't (really)",
    "snake_case and hy-phen-ated words",
    "emoji \U0001f408 and \u201cquotes\u201d \u2014 dash\u2026",
    "",
    "x",
    "a very long sentence " * 30,
)


@dataclass(frozen=True)
class Parity:
    """How like the reference's the embeddings of all images and of all texts are."""

    images: Likeness
    texts: Likeness

    @property
    def worst(self) -> float:
        """The smallest cosine, plain or centred."""
        return float(min(values.min() for side in (self.images, self.texts) for values in (side.plain, side.centred)))


@dataclass(frozen=True)
class Reference:
    """open_clip's unit embeddings of the files and of the texts."""

    images: np.ndarray
    texts: np.ndarray


def open_clips_own(
    model: nn.Module, transform_settings: dict, tokenizer: object, files: Sequence[Path], texts: Sequence[str]
) -> Reference:
    transform = image_transform_v2(PreprocessCfg(**transform_settings), is_train=False)
    with torch.no_grad():
        pixels = (transform(Image.open(file))[None] for file in files)
        images = np.concatenate([model.encode_image(values).numpy() for values in pixels])
        embeds = np.concatenate([model.encode_text(tokenizer([text])).numpy() for text in texts])
    return Reference(unit(images), unit(embeds))


def compare(reference: Reference, model: Model, files: Sequence[Path], texts: Sequence[str]) -> Parity:
    if model.text is None or model.text_spec is None:
        raise UserError("parity needs both towers")
    image, text = Graph(model.image), Graph(model.text)
    pixels = (pixel_values(decode(file.read_bytes()), model.preprocessing)[None] for file in files)
    images = np.concatenate([image(values) for values in pixels])
    texts_embeds = text(TextTokenizer(model.text_spec.tokenizer_json)(texts))
    return Parity(Likeness.of(reference.images, images), Likeness.of(reference.texts, texts_embeds))


def check(name: str, arguments: argparse.Namespace, files: Sequence[Path]) -> Parity:
    """Builds the model twice from the same seed or file: once for the reference, once to export."""
    arguments.open_clip = name
    configuration = find_configuration(name)
    model = build(configuration, find_weights(arguments, configuration), arguments.seed)
    size = configuration.model["vision_cfg"].get("image_size", 224)
    told = configuration.preprocess
    if told is None and not arguments.preprocessing:
        told = agreed_preprocessing(configuration.name)
    told = told or {}
    settings = asdict(PreprocessCfg(size=size)) | {key: told[key] for key in asdict(PreprocessCfg()) if key in told}
    settings["size"] = size
    text = configuration.model["text_cfg"]
    length = text.get("context_length", 77)
    if arguments.tokenizer:
        options = text.get("tokenizer_kwargs") or {}
        tokenizer = HFTokenizer(str(arguments.tokenizer), context_length=length, **options)
    else:
        tokenizer = open_clip.SimpleTokenizer(context_length=length)
    reference = open_clips_own(model, settings, tokenizer, files, TEXTS)
    del model
    gc.collect()
    with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
        return compare(reference, sources.load(arguments, Path(folder)), files, TEXTS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", metavar="NAME")
    parser.add_argument("--images", type=Path, required=True, help="a folder of photos")
    parser.add_argument("--count", type=int, default=16, help="photos to compare (%(default)s)")
    parser.add_argument("--work", type=Path, help="where the graphs are written and removed again")
    sources.add_arguments(parser)
    arguments = parser.parse_args()
    arguments.random_weights = arguments.random_weights or not arguments.pretrained
    held = True
    found = image_paths(arguments.images)
    if arguments.count < 2:
        raise UserError(f"--count {arguments.count}: at least 2 photos, so that there is something to tell apart")
    files = found[:: max(1, len(found) // arguments.count)][: arguments.count]
    print(f"| model | {len(files)} photos | centred | alike | {len(TEXTS)} texts | centred | alike | s | peak GB |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in arguments.names:
        start = time.monotonic()
        parity = check(name, arguments, files)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        seconds = time.monotonic() - start
        cells = [
            f"{side.plain.min():.7f} | {side.centred.min():.7f} | {side.alike:.3f}"
            for side in (parity.images, parity.texts)
        ]
        print(f"| {name} | {' | '.join(cells)} | {seconds:.0f} | {peak:.1f} |", flush=True)
        for side, inputs in ((parity.images, "photos"), (parity.texts, "texts")):
            if warning := side.warning(inputs):
                print(f"{name}: {warning}", file=sys.stderr, flush=True)
        held = held and parity.worst >= LEAST_COSINE
    if not held:
        sys.exit(1)


if __name__ == "__main__":
    report_errors(main)
