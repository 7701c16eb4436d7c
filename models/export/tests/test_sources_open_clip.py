"""Models from open_clip: the whole path equals open_clip's, and what cannot be used is one clear line."""

import argparse
import json
from pathlib import Path

import numpy as np
import onnx
import open_clip
import pytest
import torch
from open_clip.model import CLIP
from safetensors.torch import save_file
from tiny_models import CONFIGURATIONS, PREPROCESS, write_configuration, write_pictures

from clipgate_export import parity, sources
from clipgate_export.errors import UserError
from clipgate_export.preprocess import MEAN, STD
from clipgate_export.sources import open_clip as source


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    sources.add_arguments(parser)
    return parser.parse_args(list(words))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(5)
    file = tmp_path_factory.mktemp("checkpoint") / "vit.safetensors"
    model = CLIP(**CONFIGURATIONS["vit"])
    source.draw(model, 5, MEAN, STD)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, file)
    return file


def test_a_vit_checkpoint_is_followed_from_file_to_embedding(checkpoint: Path, tmp_path: Path) -> None:
    configuration = write_configuration(tmp_path, "vit")
    files = write_pictures(tmp_path / "images", 6)
    model = CLIP(**CONFIGURATIONS["vit"]).eval()
    open_clip.factory.load_checkpoint(model, str(checkpoint))
    tokenizer = open_clip.SimpleTokenizer(context_length=16)
    reference = parity.open_clips_own(model, {"size": 32}, tokenizer, files, parity.TEXTS)

    loaded = sources.load(arguments("--open-clip", str(configuration), "--pretrained", str(checkpoint)), tmp_path)
    found = parity.compare(reference, loaded, files, parity.TEXTS)
    assert found.worst > parity.LEAST_COSINE
    assert (loaded.family, loaded.activation, loaded.embedding_dim) == ("clip", "quick_gelu", 24)
    assert loaded.logit_scale == pytest.approx(100, rel=1e-5) and loaded.logit_bias is None
    assert loaded.text_spec is not None and loaded.text_spec.context_length == 16

    graph = onnx.load(loaded.image)
    assert graph.opset_import[0].version == 20
    assert [dim.dim_value for dim in graph.graph.input[0].type.tensor_type.shape.dim] == [1, 3, 32, 32]
    masks = [onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(loaded.text).graph.initializer]
    assert min(float(values.min()) for values in masks if values.dtype == np.float32) > -1000


def test_a_resnet_folds_its_norms_and_takes_its_files_preprocessing(tmp_path: Path) -> None:
    configuration = write_configuration(tmp_path, "resnet", PREPROCESS)
    given = arguments("--open-clip", str(configuration), "--random-weights", "--seed", "3")
    given.work = tmp_path
    files = write_pictures(tmp_path / "images", 4)
    found = parity.check(str(configuration), given, files)
    assert found.worst > parity.LEAST_COSINE
    preprocessing = source.find_preprocessing(
        given, source.find_configuration(str(configuration)), source.Weights(None, "", "")
    )
    assert (preprocessing.size, preprocessing.interpolation, preprocessing.mean) == (64, "bilinear", (0, 0, 0))


@pytest.mark.parametrize(
    ("name", "size", "resize", "interpolation", "mean"),
    [
        ("ViT-B-32-quickgelu", 224, "shortest_edge", "bicubic", 0.48145466),
        ("MobileCLIP-S1", 256, "shortest_edge", "bilinear", 0.0),
        ("ViT-B-16-SigLIP", 224, "squash", "bicubic", 0.5),
    ],
)
def test_a_checkpoint_at_hand_has_its_familys_preprocessing(
    name: str, size: int, resize: str, interpolation: str, mean: float, checkpoint: Path
) -> None:
    given = arguments("--open-clip", name, "--pretrained", str(checkpoint))
    configuration = source.find_configuration(name)
    found = source.find_preprocessing(given, configuration, source.find_weights(given, configuration))
    assert (found.size, found.resize, found.interpolation, found.mean[0]) == (size, resize, interpolation, mean)


def refusal(words: list[str], work: Path) -> str:
    with pytest.raises(UserError) as caught:
        sources.load(arguments(*words), work)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--open-clip", "ViT-B32-quickgelu", "--random-weights"], "near names: ViT-B-32-quickgelu"),
        (["--open-clip", "ViT-B-32", "--pretrained", "laion2b_s34b_b97k"], "laion2b_s34b_b79k"),
        (["--open-clip", "ViT-B-32", "--pretrained", "openai"], "take ViT-B-32-quickgelu"),
        (["--open-clip", "ViT-B-32"], "--pretrained TAG (openai"),
        (["--open-clip", "ViT-L-14", "--random-weights"], "differ in preprocessing"),
        (["--open-clip", "roberta-ViT-B-32", "--random-weights"], "text tower is roberta-base"),
        (["--open-clip", "coca_ViT-B-32", "--random-weights"], "captioning"),
        (["--open-clip", "ViT-B-16-SigLIP", "--random-weights", "--tokenizer", "/nowhere.json"], "/nowhere.json"),
        ([], "exactly one source"),
        (["--open-clip", "ViT-B-32", "--random-weights", "--prompt-template", "a photo"], "{} once"),
    ],
)
def test_what_cannot_be_used_is_named(words: list[str], said: str, tmp_path: Path) -> None:
    assert said in refusal(words, tmp_path)


def test_without_a_network_a_tag_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(tag: dict) -> str:
        raise FileNotFoundError("Failed to download file.\nLast error: no route")

    monkeypatch.setattr(source, "download_pretrained", offline)
    assert "give --pretrained FILE" in refusal(
        ["--open-clip", "ViT-B-32-quickgelu", "--pretrained", "openai"], tmp_path
    )


def test_checkpoints_that_are_none_are_named(checkpoint: Path, tmp_path: Path) -> None:
    configuration = str(write_configuration(tmp_path, "vit"))
    with_tensors = dict(open_clip.factory.load_state_dict(str(checkpoint)))
    torch.save(CLIP(**CONFIGURATIONS["vit"]), tmp_path / "module.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    save_file({k: v for k, v in with_tensors.items() if "ln_final" not in k}, tmp_path / "missing.safetensors")
    save_file(with_tensors | {"more": torch.zeros(1)}, tmp_path / "more.safetensors")
    save_file(with_tensors | {"ln_final.weight": torch.full((32,), torch.nan)}, tmp_path / "nan.safetensors")
    save_file(
        with_tensors | {"ln_final.weight": torch.zeros(7), "text_projection": torch.zeros(2, 24)},
        tmp_path / "shape.safetensors",
    )
    for name, content in (
        ("cut.safetensors", checkpoint.read_bytes()[:100_000]),
        ("noise.pt", b"\x80\x02noise" * 50),
        ("noise.bin", np.random.default_rng(0).integers(0, 256, 5000, np.uint8).tobytes()),
        ("empty.pt", b""),
        ("page.pt", b"<!DOCTYPE html><html>not found</html>"),
        ("pointer.bin", b"version https://git-lfs.example/spec/v1\noid sha256:00\nsize 1\n"),
    ):
        (tmp_path / name).write_bytes(content)
    for name, said in (
        ("missing.safetensors", "ln_final.weight is missing (1 more tensors like it)"),
        ("more.safetensors", "the model has no more;"),
        ("nan.safetensors", "ln_final.weight holds a value that is not finite"),
        ("shape.safetensors", "text_projection is [2, 24], not [32, 24] (1 more tensors like it)"),
        ("module.pt", "holds a open_clip.model.CLIP, and to load it would run code"),
        ("list.pt", "of a format that open_clip does not read"),
        ("cut.safetensors", "damaged"),
        ("noise.pt", "damaged"),
        ("noise.bin", "damaged"),
        ("empty.pt", "empty, no checkpoint"),
        ("page.pt", "a web page, no checkpoint"),
        ("pointer.bin", "only a pointer of Git LFS"),
    ):
        message = refusal(["--open-clip", configuration, "--pretrained", str(tmp_path / name)], tmp_path)
        assert said in message and name in message and len(message) < 400, message


class TwoTowers(torch.nn.Module):
    """CLIP's two towers in one call, with OpenAI's settings beside the weights, half of them in 16 bits."""

    def __init__(self, model: CLIP) -> None:
        super().__init__()
        for name, module in model.named_children():
            setattr(self, name, module)
        for name in ("positional_embedding", "text_projection", "logit_scale"):
            setattr(self, name, getattr(model, name))
        for name, value in (("input_resolution", 32), ("context_length", 16), ("vocab_size", 49408)):
            self.register_buffer(name, torch.tensor(value))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.visual(image)


@pytest.fixture(scope="module")
def archive(checkpoint: Path) -> Path:
    """The checkpoint as a TorchScript archive, as OpenAI published CLIP."""
    model = CLIP(**CONFIGURATIONS["vit"]).eval()
    open_clip.factory.load_checkpoint(model, str(checkpoint))
    traced = torch.jit.trace(TwoTowers(model), torch.zeros(1, 3, 32, 32), check_trace=False)
    # OpenAI's weights are in 16 bits, those of norms and embeddings in 32.
    for name, value in traced.named_parameters():
        if value.ndim == 2 and "embedding" not in name:
            value.data = value.data.half()
    file = checkpoint.parent / "ViT-B-32.pt"
    traced.save(str(file))
    return file


def test_openais_archive_is_read(archive: Path, checkpoint: Path, tmp_path: Path) -> None:
    configuration = str(write_configuration(tmp_path, "vit"))
    loaded, model = (
        source.build(source.find_configuration(configuration), source.Weights(file, "", ""), 0)
        for file in (archive, checkpoint)
    )
    wanted = model.state_dict()
    assert loaded.state_dict().keys() == wanted.keys()
    for name, value in loaded.state_dict().items():
        # f16 keeps 11 bits of each number.
        torch.testing.assert_close(value, wanted[name], rtol=2**-11, atol=1e-7, msg=name)
        assert value.dtype == wanted[name].dtype
    other = CONFIGURATIONS["vit"] | {"quick_gelu": False}
    (tmp_path / "gelu.json").write_text(json.dumps({"model_cfg": other}))
    words = ["--open-clip", str(tmp_path / "gelu.json"), "--pretrained", str(archive)]
    assert "ViT-B-32.pt have another activation than this model; quick_gelu must be true" in refusal(words, tmp_path)
    words = ["--open-clip", "ViT-B-32", "--pretrained", str(archive)]
    assert "take ViT-B-32-quickgelu" in refusal(words, tmp_path)
