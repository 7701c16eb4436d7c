"""Tiny models of each family for the tests of sources and bundles, and images to feed them."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
CONFIGURATIONS = {
    "vit": {
        "embed_dim": 24,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "patch_size": 8, "head_width": 16},
        "text_cfg": TEXT,
    },
    "resnet": {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
        "text_cfg": TEXT,
    },
}
# MobileCLIP's: no normalisation, bilinear.
PREPROCESS = {"mean": [0, 0, 0], "std": [1, 1, 1], "interpolation": "bilinear", "resize_mode": "shortest"}


def write_configuration(folder: Path, name: str, preprocess: dict | None = None) -> Path:
    path = folder / f"{name}.json"
    record = {"model_cfg": CONFIGURATIONS[name]}
    path.write_text(json.dumps(record if preprocess is None else record | {"preprocess_cfg": preprocess}))
    return path


def picture(seed: int, size: tuple[int, int] = (90, 70), hue: int = 0) -> Image.Image:
    """A smooth coloured pattern with some noise."""
    draw = np.random.default_rng(seed)
    coarse = draw.integers(0, 256, (5, 6, 3), np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)).astype(int)
    smooth[..., hue % 3] = smooth[..., hue % 3] // 3 + 170 * (hue > 0)
    noise = draw.integers(-8, 9, smooth.shape)
    return Image.fromarray(np.clip(smooth + noise, 0, 255).astype(np.uint8))


def write_pictures(folder: Path, count: int, first_seed: int = 0, hue: int = 0) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for place in range(count):
        file = folder / f"{place:03}.{'png' if place % 2 else 'jpg'}"
        picture(first_seed + place, hue=hue).save(file)
        files.append(file)
    return files


def write_unigram(folder: Path) -> Path:
    """A small SentencePiece model of T5's and SigLIP's kind: ids 0 <pad>, 1 </s>, 2 <unk>."""
    import sentencepiece

    words = (
        "a photo of this is cat dog fox teapot goldfish house tree river small large red green blue at night".split()
    )
    lines = [f"this is a photo of a {one} and a {other}" for one in words for other in words]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_prefix=str(folder / "spiece"),
        model_type="unigram",
        vocab_size=40,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    return folder / "spiece.model"
