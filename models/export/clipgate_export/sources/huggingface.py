"""CLIP and SigLIP folders as Hugging Face keeps them: config.json, model.safetensors, preprocessor and tokenizer."""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
import transformers
from open_clip.tokenizer import default_bpe
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import PreTrainedConfig

from ..errors import UserError
from ..export import export_tower
from ..files import read_json
from ..onnx_files import one_line
from ..spec import Model, Preprocessing, TextSpec
from ..text_tokenizer import read_tokenizer, same_vocabulary, with_canonicalize, with_length
from ..tokenizer import tokenizer_json
from .settings import (
    CLIP_TEMPLATE,
    SIGLIP_TEMPLATE,
    UNKNOWN_LICENCE,
    hugging_face_preprocessing,
    read_preprocessing,
)

MODELS = {"clip": transformers.CLIPModel, "siglip": transformers.SiglipModel}
CONFIGURATIONS = {"clip": transformers.CLIPConfig, "siglip": transformers.SiglipConfig}
PREPROCESSOR = "preprocessor_config.json"
# Hugging Face's names of activations in this package's words.
ACTIVATIONS = {"gelu_pytorch_tanh": "gelu_tanh"}


class Tower(nn.Module):
    """A tower and the projection behind its pooled output, if it has one."""

    def __init__(self, tower: nn.Module, projection: nn.Module | None) -> None:
        super().__init__()
        self.tower, self.projection = tower, projection or nn.Identity()

    def forward(self, values: Tensor) -> Tensor:
        return self.projection(self.tower(values).pooler_output)


def find(arguments: argparse.Namespace) -> Callable[[Path], Model]:
    """Everything but the weights, which the result reads."""
    folder = arguments.hugging_face
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give one with config.json and model.safetensors")
    config = read_json(folder / "config.json")
    family = config.get("model_type")
    if family not in MODELS:
        raise UserError(f"{folder}: a model of type {family!r}; this source reads {' and '.join(MODELS)}")
    if arguments.preprocessing:
        preprocessing = read_preprocessing(arguments.preprocessing)
    else:
        preprocessing = hugging_face_preprocessing(read_json(folder / PREPROCESSOR), folder / PREPROCESSOR)
    settings = read_settings(folder, family)
    expected = settings.vision_config.image_size
    if preprocessing.size != expected:
        raise UserError(f"{folder}: the images become {preprocessing.size} pixels, but the model takes {expected}")
    text = text_spec(arguments, folder, family, settings)
    name = config.get("_name_or_path") or folder.resolve().name
    return partial(load, arguments, family, name, preprocessing, text, weight_files(folder))


def load(
    arguments: argparse.Namespace,
    family: str,
    name: str,
    preprocessing: Preprocessing,
    text: TextSpec,
    weights: Sequence[Path],
    work: Path,
) -> Model:
    folder = arguments.hugging_face
    model = read_model(folder, family, weights)
    expected = preprocessing.size
    scale = float(model.logit_scale.detach().exp())
    bias = float(model.logit_bias.detach()) if family == "siglip" else None
    activation = model.config.vision_config.hidden_act
    image = Tower(model.vision_model, getattr(model, "visual_projection", None))
    text_tower = Tower(model.text_model, getattr(model, "text_projection", None))
    dimension = embedding_dim(model.config, family)
    del model
    pixels = torch.zeros(1, 3, expected, expected)
    image_file = export_tower(image, pixels, "pixel_values", "image_embeds", work / "image_fp32.onnx")
    ids = torch.zeros(1, text.context_length, dtype=torch.long)
    text_file = export_tower(text_tower, ids, "input_ids", "text_embeds", work / "text_fp32.onnx")
    return Model(
        family=family,
        architecture=name,
        source=arguments.source or f"Hugging Face folder {folder.resolve().name}",
        licence=arguments.licence or UNKNOWN_LICENCE,
        image=image_file,
        text=text_file,
        preprocessing=preprocessing,
        text_spec=text,
        embedding_dim=dimension,
        logit_scale=scale,
        logit_bias=bias,
        activation=ACTIVATIONS.get(activation, activation),
    )


def weight_files(folder: Path) -> list[Path]:
    found = sorted(folder.glob("*.safetensors"))
    if not found:
        raise UserError(f"{folder}: no model.safetensors; convert the weights to safetensors first")
    return found


def read_settings(folder: Path, family: str) -> PreTrainedConfig:
    """config.json with all that it leaves to the family's defaults."""
    try:
        return CONFIGURATIONS[family].from_pretrained(folder, local_files_only=True)
    except Exception as error:
        raise UserError(f"{folder / 'config.json'}: not of a {family} model ({one_line(error, 160)})") from error


def read_model(folder: Path, family: str, weights: Sequence[Path]) -> nn.Module:
    """The whole model from safetensors, nothing fetched, no tensor left to chance."""
    for file in weights:
        check_finite(file)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        model, found = MODELS[family].from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            # Otherwise the error is a table over many lines.
            ignore_mismatched_sizes=True,
            attn_implementation="eager",
            dtype=torch.float32,
            output_loading_info=True,
        )
    except Exception as error:
        raise UserError(f"{folder}: the model cannot be read ({one_line(error, 160)})") from error
    wrong = [f"{name} is {list(stored)}, not {list(asked)}" for name, stored, asked in sorted(found["mismatched_keys"])]
    wrong += [f"{name} is missing" for name in sorted(found["missing_keys"])]
    if wrong:
        others = f" ({len(wrong) - 1} more are missing or of another shape)" if len(wrong) > 1 else ""
        raise UserError(f"{folder}: not the weights of its config.json: {wrong[0]}{others}; fetch both again")
    return model.eval().requires_grad_(False)


def check_finite(file: Path) -> None:
    try:
        with safe_open(file, "pt") as tensors:
            for name in tensors.keys():
                value = tensors.get_tensor(name)
                if value.is_floating_point() and not value.isfinite().all():
                    raise UserError(f"{file}: {name} holds a value that is not finite")
    except (SafetensorError, OSError) as error:
        raise UserError(f"{file}: a damaged safetensors file ({one_line(error, 120)}); fetch it again") from error


def embedding_dim(config: PreTrainedConfig, family: str) -> int:
    return config.projection_dim if family == "clip" else config.vision_config.hidden_size


def text_spec(arguments: argparse.Namespace, folder: Path, family: str, config: PreTrainedConfig) -> TextSpec:
    """The folder's tokenizer, cut and padded to the text tower's length.

    A vocabulary that is CLIP's own is written as open_clip has it. SigLIP's end token pads too, and its texts are
    canonicalised, as `SiglipTokenizer` does.
    """
    length = config.text_config.max_position_embeddings
    tokenizer = read_tokenizer(arguments.tokenizer or folder)
    if family == "siglip":
        template = arguments.prompt_template or SIGLIP_TEMPLATE
        return TextSpec(length, template, with_length(with_canonicalize(tokenizer, underscore=""), length, "</s>"))
    template = arguments.prompt_template or CLIP_TEMPLATE
    end = next((token for token in ("<|endoftext|>", "<end_of_text>") if tokenizer.token_to_id(token)), None)
    if end is None:
        raise UserError(f"{folder}: its tokenizer has no <|endoftext|>, so it is not CLIP's byte pair encoding")
    written, clips = with_length(tokenizer, length, end), tokenizer_json(Path(default_bpe()), length)
    return TextSpec(length, template, clips if same_vocabulary(written, clips) else written)
