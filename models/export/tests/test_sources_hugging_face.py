"""CLIP and SigLIP folders of Hugging Face: the whole path equals transformers' own, nothing is left to chance."""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_models import write_pictures, write_unigram
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
    SiglipTokenizer,
)

from clipgate_export import parity, sources
from clipgate_export.errors import UserError
from clipgate_export.graph import unit
from clipgate_export.tokenizer import START, tokenizer_json

TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
TEXTS = ("a photo of a cat", "This is a photo of a red teapot, at night!", "x", "fox " * 40)


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    sources.add_arguments(parser)
    return parser.parse_args(list(words))


def moved_off_neutral(model: torch.nn.Module) -> torch.nn.Module:
    torch.manual_seed(4)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.1 * torch.randn(value.shape))
    return model.eval()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    text = TOWER | {"vocab_size": 49408, "max_position_embeddings": 12, "projection_dim": 24, "eos_token_id": 49407}
    vision = TOWER | {"image_size": 32, "patch_size": 8, "projection_dim": 24}
    moved_off_neutral(CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=24))).save_pretrained(
        folder
    )
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32).save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes(hugging_faces_own(12))
    return folder


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("siglip")
    write_unigram(folder)
    text = TOWER | {"vocab_size": 90, "max_position_embeddings": 12, "projection_size": 32}
    config = SiglipConfig(text_config=text, vision_config=TOWER | {"image_size": 32, "patch_size": 8})
    moved_off_neutral(SiglipModel(config)).save_pretrained(folder)
    SiglipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def hugging_faces_own(length: int) -> bytes:
    """CLIP's tokenizer with the special tokens called as Hugging Face calls them."""
    import open_clip

    clips = tokenizer_json(Path(open_clip.tokenizer.default_bpe()), length)
    return clips.replace(START.encode(), b"<|startoftext|>").replace(b"<end_of_text>", b"<|endoftext|>")


def embed(model: torch.nn.Module, pixels: torch.Tensor, ids: torch.Tensor) -> parity.Reference:
    with torch.no_grad():
        return parity.Reference(
            unit(model.get_image_features(pixel_values=pixels).pooler_output.numpy()),
            unit(model.get_text_features(input_ids=ids).pooler_output.numpy()),
        )


def test_a_clip_folder_is_followed(clip: Path, tmp_path: Path) -> None:
    files = write_pictures(tmp_path / "images", 4)
    loaded = sources.load(arguments("--hugging-face", str(clip)), tmp_path)
    processor = CLIPImageProcessorPil.from_pretrained(clip)
    pixels = processor([Image.open(file) for file in files], return_tensors="pt").pixel_values
    from open_clip import SimpleTokenizer

    ids = SimpleTokenizer(context_length=12)(list(TEXTS))
    found = parity.compare(embed(CLIPModel.from_pretrained(clip).eval(), pixels, ids), loaded, files, TEXTS)
    assert found.worst > parity.LEAST_COSINE
    assert (loaded.family, loaded.activation, loaded.embedding_dim) == ("clip", "quick_gelu", 24)
    assert loaded.logit_bias is None and loaded.text_spec is not None
    assert START.encode() in loaded.text_spec.tokenizer_json


def test_a_siglip_folder_is_followed(siglip: Path, tmp_path: Path) -> None:
    files = write_pictures(tmp_path / "images", 4)
    loaded = sources.load(arguments("--hugging-face", str(siglip)), tmp_path)
    processor = SiglipImageProcessorPil.from_pretrained(siglip)
    pixels = processor([Image.open(file) for file in files], return_tensors="pt").pixel_values
    tokenizer = SiglipTokenizer(str(siglip / "spiece.model"), model_max_length=12)
    ids = tokenizer(list(TEXTS), padding="max_length", truncation=True, max_length=12, return_tensors="pt").input_ids
    model = SiglipModel.from_pretrained(siglip).eval()
    found = parity.compare(embed(model, pixels, ids), loaded, files, TEXTS)
    assert found.worst > parity.LEAST_COSINE
    assert (loaded.family, loaded.activation, loaded.preprocessing.resize) == ("siglip", "gelu_tanh", "squash")
    assert loaded.logit_bias == pytest.approx(float(model.logit_bias.detach()))
    assert np.isclose(loaded.logit_scale, float(model.logit_scale.detach().exp()))


def broken(clip: Path, tmp_path: Path, name: str) -> Path:
    return Path(shutil.copytree(clip, tmp_path / name))


def test_what_is_wrong_with_a_folder_is_named(clip: Path, tmp_path: Path) -> None:
    without = broken(clip, tmp_path, "without")
    tensors = load_file(without / "model.safetensors")
    save_file({k: v for k, v in tensors.items() if k != "visual_projection.weight"}, without / "model.safetensors")
    shapes = broken(clip, tmp_path, "shapes")
    wrong = {"visual_projection.weight": torch.zeros(24, 7), "text_projection.weight": torch.zeros(3, 32)}
    save_file(tensors | wrong, shapes / "model.safetensors", {"format": "pt"})
    cut = broken(clip, tmp_path, "cut")
    (cut / "model.safetensors").write_bytes((clip / "model.safetensors").read_bytes()[:200_000])
    pickled = broken(clip, tmp_path, "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    bert = broken(clip, tmp_path, "bert")
    (bert / "config.json").write_text('{"model_type": "bert"}')
    cropped = broken(clip, tmp_path, "cropped")
    settings = json.loads((cropped / "preprocessor_config.json").read_text())
    (cropped / "preprocessor_config.json").write_text(json.dumps(settings | {"size": {"shortest_edge": 40}}))
    bare = broken(clip, tmp_path, "bare")
    (bare / "tokenizer.json").unlink()
    for folder, said in (
        (without, "visual_projection.weight is missing;"),
        (shapes, "text_projection.weight is [3, 32], not [24, 32] (1 more are missing or of another shape)"),
        (cut, "damaged safetensors"),
        (pickled, "no model.safetensors"),
        (bert, "'bert'"),
        (cropped, "shortest edge becomes 40"),
        (bare, "no tokenizer"),
        (tmp_path / "nowhere", "no such folder"),
    ):
        with pytest.raises(UserError) as caught:
            sources.load(arguments("--hugging-face", str(folder)), tmp_path)
        assert said in str(caught.value) and "\n" not in str(caught.value), str(caught.value)
