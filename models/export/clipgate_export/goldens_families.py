r"""Writes fp32 bundles of open_clip's families and open_clip's own embeddings, for the Rust tests to compare with.

    python -m clipgate_export.goldens_families ViT-B-32-quickgelu RN50 MobileCLIP-S1 \
        --photos photos-imagenet-sample.tar -o ../../build/families
    python -m clipgate_export.goldens_families ViT-B-16-SigLIP --tokenizer ../../tests/data/unigram/tokenizer.json \
        --photos photos-imagenet-sample.tar -o ../../build/families
    cargo test --test clipgate oracle::families -- --nocapture

The weights are drawn (seed fixed). `images/` gets photos as they are and as lossless PNGs, since JPEG decoders differ
by a few units; `NAME/bundle` the fp32 towers as a bundle without labels and calibration; `NAME/expected.json` the
unit embeddings that open_clip's transform, tokenizer and towers give for the images and for strings.
"""

import argparse
import gc
import io
import json
import shutil
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image, ImageOps
from torch import nn
from tqdm import tqdm

from . import goldens_unigram, sources
from .bundle import (
    IMAGE_ENCODER,
    SELFTEST,
    TEXT_ENCODER,
    TOKENIZER,
    Description,
    Origin,
    Selftest,
    TextEntry,
    write_manifest,
)
from .errors import UserError
from .files import write_bytes
from .goldens_tokenizer import PHRASES
from .graph import Graph, unit
from .sources.open_clip import agreed_preprocessing, build, find_configuration, find_weights
from .spec import Model

PHOTOS = 8
# Every sixth phrase of the tokenizer's goldens, prompts, nothing at all, and more than any context holds.
TEXTS = ("a photo of a cat.", "a photo of a dog.", "", "a very long sentence, " * 40, *PHRASES[::6])


def write_images(photos: Path, folder: Path) -> list[tuple[Path, bool]]:
    """Photos spread over the archive, each as it is and as a PNG, with whether it is lossless; one is made tall."""
    with tarfile.open(photos) as archive:
        names = sorted(member.name for member in archive if member.isfile())
        contents = [archive.extractfile(name).read() for name in names[:: max(1, len(names) // PHOTOS)][:PHOTOS]]
    written = []
    for number, content in enumerate(contents):
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
        if number == 0:
            image = image.crop((0, 0, image.width // 3, image.height))
        else:
            write_bytes(folder / f"{number}.jpg", content)
            written.append((folder / f"{number}.jpg", False))
        png = io.BytesIO()
        image.save(png, "PNG")
        write_bytes(folder / f"{number}.png", png.getvalue())
        written.append((folder / f"{number}.png", True))
    return written


def open_clips_own(
    model: nn.Module, settings: PreprocessCfg, tokenizer: object, files: Sequence[Path]
) -> tuple[np.ndarray, np.ndarray]:
    """Unit embeddings of the files and of `TEXTS`."""
    transform = image_transform_v2(settings, is_train=False)
    with torch.no_grad():
        pixels = (transform(ImageOps.exif_transpose(Image.open(file)))[None] for file in files)
        images = [model.encode_image(values).numpy() for values in tqdm(pixels, "images", len(files))]
        texts = [model.encode_text(tokenizer([text])).numpy() for text in tqdm(TEXTS, "texts")]
    return unit(np.concatenate(images)), unit(np.concatenate(texts))


def reference(name: str, arguments: argparse.Namespace, files: Sequence[Path]) -> tuple[np.ndarray, np.ndarray]:
    """`open_clips_own` of the model as open_clip builds it, with the preprocessing that its published tags name."""
    configuration = find_configuration(name)
    model = build(configuration, find_weights(arguments, configuration), arguments.seed)
    said = agreed_preprocessing(name) or {}
    fields = asdict(PreprocessCfg())
    settings = {key: value for key, value in said.items() if key in fields}
    settings["size"] = configuration.model["vision_cfg"]["image_size"]
    text = configuration.model["text_cfg"]
    if text.get("hf_tokenizer_name"):
        tokenizer = goldens_unigram.reference(arguments.tokenizer.parent, text["tokenizer_kwargs"]["clean"])
    else:
        tokenizer = open_clip.SimpleTokenizer(context_length=text.get("context_length", 77))
    return open_clips_own(model, PreprocessCfg(**settings), tokenizer, files)


def write_bundle(model: Model, folder: Path) -> None:
    """The fp32 towers as a bundle: no labels, no calibration."""
    if model.text is None or model.text_spec is None:
        raise UserError(f"{model.architecture}: no text tower")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.move(model.image, folder / IMAGE_ENCODER)
    shutil.move(model.text, folder / TEXT_ENCODER)
    write_bytes(folder / TOKENIZER, model.text_spec.tokenizer_json)
    selftest = Selftest.of(Graph(folder / IMAGE_ENCODER), model.preprocessing)
    write_bytes(folder / SELFTEST, selftest.file())
    write_manifest(
        folder,
        Description(
            id=f"{model.architecture.lower()}-fp32-drawn",
            origin=Origin(model.architecture, model.source, model.licence),
            preprocessing=model.preprocessing,
            embedding_dim=model.embedding_dim,
            logit_scale=float(np.float32(model.logit_scale)),
            logit_bias=None if model.logit_bias is None else float(np.float32(model.logit_bias)),
            activation=model.activation,
            text=TextEntry(model.text_spec.context_length, model.text_spec.prompt_template),
        ),
    )


def write_family(name: str, arguments: argparse.Namespace, images: Sequence[tuple[Path, bool]]) -> None:
    folder = arguments.output / name
    image_rows, text_rows = reference(name, arguments, [file for file, _ in images])
    gc.collect()
    with tempfile.TemporaryDirectory(dir=arguments.output) as work:
        write_bundle(sources.load(arguments, Path(work)), folder / "bundle")
    expected = {
        "images": [
            {"file": f"../images/{file.name}", "lossless": lossless, "embedding": row.tolist()}
            for (file, lossless), row in zip(images, image_rows, strict=True)
        ],
        "texts": [{"text": text, "embedding": row.tolist()} for text, row in zip(TEXTS, text_rows, strict=True)],
    }
    write_bytes(folder / "expected.json", json.dumps(expected).encode())
    print(f"{folder}: {len(images)} images, {len(TEXTS)} texts", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", metavar="NAME")
    parser.add_argument("--photos", type=Path, required=True, help="a tar archive of photos")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write into")
    sources.add_arguments(parser)
    arguments = parser.parse_args()
    arguments.random_weights = True
    images = write_images(arguments.photos, arguments.output / "images")
    for name in arguments.names:
        arguments.open_clip = name
        write_family(name, arguments, images)


if __name__ == "__main__":
    main()
