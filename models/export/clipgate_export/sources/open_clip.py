"""Models by their open_clip name, with a pretrained tag, a checkpoint file at hand or drawn weights."""

import argparse
import difflib
import json
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import open_clip
import torch
from open_clip.model import CLIP, CustomTextCLIP
from open_clip.pretrained import download_pretrained, get_pretrained_cfg, list_pretrained_tags_by_model
from open_clip.tokenizer import default_bpe
from open_clip.transform import PreprocessCfg
from torch import Tensor, nn

from ..errors import UserError
from ..export import export_tower
from ..files import read_json
from ..onnx_files import one_line
from ..spec import Model, Preprocessing, TextSpec
from ..text_tokenizer import read_tokenizer, with_canonicalize, with_length
from ..tokenizer import tokenizer_json
from .drawn import draw
from .settings import CLIP_TEMPLATE, SIGLIP_TEMPLATE, UNKNOWN_LICENCE, read_preprocessing
from .weights import has_quick_gelu, is_torchscript, read_weights

RESIZES = {"shortest": "shortest_edge", "squash": "squash"}
RANDOM_SOURCE = "RANDOM WEIGHTS, FOR TESTING ONLY: the model has learned nothing and its answers mean nothing"
RANDOM_LICENCE = "RANDOM WEIGHTS, FOR TESTING ONLY: drawn numbers, no use but to test the tools"
# What open_clip's configuration file beside a checkpoint is called.
CONFIGURATION = "open_clip_config.json"
PREPROCESSING_KEYS = ("mean", "std", "interpolation", "resize_mode")


@dataclass(frozen=True)
class Configuration:
    """A model's open_clip configuration, and what it or its published tags say of preprocessing, if anything."""

    name: str
    model: dict
    preprocess: dict | None


@dataclass(frozen=True)
class Weights:
    """Where the weights come from: a checkpoint file, or none where they are drawn."""

    file: Path | None
    source: str
    licence: str


class TextTower(nn.Module):
    """input_ids i64 [N, T] to text_embeds, of a model whose text tower is not a module of its own."""

    def __init__(self, model: CLIP) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.model.encode_text(input_ids)


def find(arguments: argparse.Namespace) -> Callable[[Path], Model]:
    """Everything but the weights, which the result reads."""
    for noisy in (None, "huggingface_hub"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    configuration = find_configuration(arguments.open_clip)
    refuse_what_cannot_be_followed(configuration)
    weights = find_weights(arguments, configuration)
    preprocessing = find_preprocessing(arguments, configuration, weights)
    text = text_spec(arguments, configuration)
    return partial(load, arguments, configuration, weights, preprocessing, text)


def load(
    arguments: argparse.Namespace,
    configuration: Configuration,
    weights: Weights,
    preprocessing: Preprocessing,
    text: TextSpec,
    work: Path,
) -> Model:
    model = build(configuration, weights, arguments.seed)
    family = "siglip" if model.logit_bias is not None else "clip"
    scale = float(model.logit_scale.detach().exp())
    bias = None if model.logit_bias is None else float(model.logit_bias.detach())
    activation = activation_of(model.visual)
    image, text_tower = split_towers(model)
    del model
    size = preprocessing.size
    image_file = export_tower(
        image, torch.zeros(1, 3, size, size), "pixel_values", "image_embeds", work / "image_fp32.onnx"
    )
    ids = torch.zeros(1, text.context_length, dtype=torch.long)
    text_file = export_tower(text_tower, ids, "input_ids", "text_embeds", work / "text_fp32.onnx")
    return Model(
        family=family,
        architecture=configuration.name,
        source=arguments.source or weights.source,
        licence=arguments.licence or weights.licence,
        image=image_file,
        text=text_file,
        preprocessing=preprocessing,
        text_spec=text,
        embedding_dim=configuration.model["embed_dim"],
        logit_scale=scale,
        logit_bias=bias,
        activation=activation,
    )


def find_configuration(name: str) -> Configuration:
    """Of a built-in name, or of a JSON file as open_clip writes it."""
    if name.endswith(".json"):
        record = read_json(Path(name))
        model = record.get("model_cfg", record)
        if not {"embed_dim", "vision_cfg", "text_cfg"} <= set(model):
            raise UserError(f"{name}: no open_clip configuration; it needs embed_dim, vision_cfg and text_cfg")
        title = Path(name).parent.name if Path(name).name == CONFIGURATION else Path(name).stem
        return Configuration(title, model, record.get("preprocess_cfg"))
    cleaned = name.replace("/", "-")
    model = open_clip.get_model_config(cleaned) if ":" not in name else None
    if model is None:
        raise UserError(f"{name}: open_clip knows no such model{near(cleaned, open_clip.list_models())}")
    return Configuration(cleaned, model, None)


def near(word: str, words: list[str]) -> str:
    """The words that `word` may have been meant to be, as the end of a message."""
    folded = {other.casefold(): other for other in words}
    close = difflib.get_close_matches(word.casefold(), folded, n=3, cutoff=0.5)
    return f"; near names: {', '.join(folded[match] for match in close)}" if close else ""


def refuse_what_cannot_be_followed(configuration: Configuration) -> None:
    text = configuration.model["text_cfg"]
    if "multimodal_cfg" in configuration.model:
        raise UserError(f"{configuration.name}: a captioning model (CoCa); take a model of two towers")
    if text.get("hf_model_name"):
        raise UserError(
            f"{configuration.name}: its text tower is {text['hf_model_name']}, whose tokenizer the runtime cannot "
            "follow; take a model with CLIP's or SigLIP's text tower"
        )
    options = text.get("tokenizer_kwargs") or {}
    odd = [f"{key} {value!r}" for key, value in options.items() if (key, value) not in KNOWN_TOKENIZER_OPTIONS]
    if text.get("tokenizer_mode"):
        odd.append(f"tokenizer_mode {text['tokenizer_mode']!r}")
    if odd:
        raise UserError(f"{configuration.name}: its tokenizer has {', '.join(odd)}, which the runtime cannot follow")


KNOWN_TOKENIZER_OPTIONS = (("clean", "canonicalize"), ("clean", "lower"), ("strip_sep_token", False))


def find_weights(arguments: argparse.Namespace, configuration: Configuration) -> Weights:
    """The checkpoint's file, fetched only where a tag names it."""
    name, given = configuration.name, arguments.pretrained
    if arguments.random_weights:
        return Weights(None, f"{RANDOM_SOURCE} (seed {arguments.seed})", RANDOM_LICENCE)
    tags = list_pretrained_tags_by_model(name)
    if not given:
        known = f" ({', '.join(tags)})" if tags else ""
        raise UserError(f"{name}: give --pretrained TAG{known} or --pretrained FILE, or --random-weights for a test")
    if Path(given).is_file():
        if is_torchscript(Path(given)):
            refuse_other_activation(configuration, given, has_quick_gelu(Path(given)))
        return Weights(Path(given), f"open_clip {name}, checkpoint {Path(given).name}", UNKNOWN_LICENCE)
    tag = get_pretrained_cfg(name, given)
    if not tag:
        raise UserError(f"{given}: neither a checkpoint file nor a tag of {name}{near(given, tags)}")
    refuse_other_activation(configuration, f"tag {given}", bool(tag.get("quick_gelu")))
    print(f"fetching the weights of {name}, tag {given}", file=sys.stderr, flush=True)
    try:
        file = download_pretrained(tag)
    except Exception as error:
        raise UserError(
            f"{name}: the weights of tag {given} cannot be fetched ({one_line(error, 120)}); download the checkpoint "
            "where there is a network and give --pretrained FILE"
        ) from error
    return Weights(Path(file), f"open_clip {name}, tag {given}", UNKNOWN_LICENCE)


def refuse_other_activation(configuration: Configuration, weights: str, quick_gelu: bool | None) -> None:
    """QuickGELU and GELU have the same weights' shapes: the wrong one gives a model that is quietly worse."""
    quick, name = bool(configuration.model.get("quick_gelu")), configuration.name
    if quick_gelu in (None, quick) or "timm_model_name" in configuration.model["vision_cfg"]:
        return
    other = name.removesuffix("-quickgelu") if quick else f"{name}-quickgelu"
    mend = f"take {other}" if other in open_clip.list_models() else f"quick_gelu must be {str(not quick).lower()} there"
    raise UserError(f"{name}: the weights of {weights} have another activation than this model; {mend}")


def find_preprocessing(arguments: argparse.Namespace, configuration: Configuration, weights: Weights) -> Preprocessing:
    """The user's own, the checkpoint's configuration file, the tag's, or what all tags of the name agree on."""
    if arguments.preprocessing:
        return read_preprocessing(arguments.preprocessing)
    told = configuration.preprocess
    beside = weights.file.parent / CONFIGURATION if weights.file else None
    if told is None and arguments.pretrained and not Path(arguments.pretrained).is_file():
        told = get_pretrained_cfg(configuration.name, arguments.pretrained)
    elif told is None and beside and beside.is_file():
        told = read_json(beside).get("preprocess_cfg")
    elif told is None:
        told = agreed_preprocessing(configuration.name)
    settings = asdict(PreprocessCfg()) | {key: told[key] for key in PREPROCESSING_KEYS if key in (told or {})}
    size = configuration.model["vision_cfg"].get("image_size", 224)
    sizes = set(size) if isinstance(size, list | tuple) else {size}
    if len(sizes) != 1:
        raise UserError(f"{configuration.name}: its images are {size}, not square, which the runtime cannot follow")
    if settings["resize_mode"] not in RESIZES:
        raise UserError(f"{configuration.name}: resize mode {settings['resize_mode']!r} cannot be followed")
    return Preprocessing(
        sizes.pop(),
        RESIZES[settings["resize_mode"]],
        settings["interpolation"],
        tuple(settings["mean"]),
        tuple(settings["std"]),
    )


def agreed_preprocessing(name: str) -> dict | None:
    """What every published tag of the model says, or None where there is no tag (open_clip's defaults hold)."""
    tags = [get_pretrained_cfg(name, tag) for tag in list_pretrained_tags_by_model(name)]
    said = {json.dumps({key: tag.get(key) for key in PREPROCESSING_KEYS}) for tag in tags}
    if len(said) > 1:
        raise UserError(
            f"{name}: its published weights differ in preprocessing; give --preprocessing JSON, or put the "
            f"checkpoint's {CONFIGURATION} beside it"
        )
    return tags[0] if tags else None


def build(configuration: Configuration, weights: Weights, seed: int) -> CLIP | CustomTextCLIP:
    """The model with its weights, for inference, every number of it finite."""
    settings = {key: value for key, value in configuration.model.items() if key != "custom_text"}
    kind = CustomTextCLIP if configuration.model.get("custom_text") else CLIP
    torch.manual_seed(seed)
    try:
        model = kind(**settings)
    except Exception as error:
        raise UserError(f"{configuration.name}: open_clip cannot build it ({one_line(error)})") from error
    if weights.file is None:
        draw(model, seed, *usual_pixels(configuration))
    else:
        read_weights(model, weights.file)
    for name, value in model.state_dict().items():
        if value.is_floating_point() and not value.isfinite().all():
            raise UserError(f"{weights.file or configuration.name}: {name} holds a value that is not finite")
    return model.eval().requires_grad_(False)


def usual_pixels(configuration: Configuration) -> tuple[Sequence[float], Sequence[float]]:
    """Mean and deviation that the model, or the first of its published tags, subtracts and divides by."""
    told = configuration.preprocess
    tags = list_pretrained_tags_by_model(configuration.name)
    if told is None and tags:
        told = get_pretrained_cfg(configuration.name, tags[0])
    settings = asdict(PreprocessCfg()) | {key: told[key] for key in ("mean", "std") if key in (told or {})}
    return settings["mean"], settings["std"]


def split_towers(model: CLIP | CustomTextCLIP) -> tuple[nn.Module, nn.Module]:
    """The two towers, neither of which holds the other."""
    image = model.visual
    del model.visual
    return image, model.text if isinstance(model, CustomTextCLIP) else TextTower(model)


def activation_of(tower: nn.Module) -> str:
    """The name of the activation that the tower has most of."""
    names = []
    for module in tower.modules():
        if type(module).__name__ == "QuickGELU":
            names.append("quick_gelu")
        elif type(module).__name__ in ("GELU", "GELUTanh", "GeluTanh"):
            tanh = "Tanh" in type(module).__name__ or getattr(module, "approximate", "none") == "tanh"
            names.append("gelu_tanh" if tanh else "gelu")
        elif isinstance(module, nn.ReLU):
            names.append("relu")
    return max(sorted(set(names)), key=names.count) if names else "none"


def text_spec(arguments: argparse.Namespace, configuration: Configuration) -> TextSpec:
    """CLIP's own byte pair encoding unless the configuration names another tokenizer, which must be at hand or fetched.

    As in open_clip's `get_tokenizer`.
    """
    text = configuration.model["text_cfg"]
    length = text.get("context_length", 77)
    hub = text.get("hf_tokenizer_name")
    siglip = hub or "siglip" in configuration.name.lower()
    template = arguments.prompt_template or (SIGLIP_TEMPLATE if siglip else CLIP_TEMPLATE)
    if not siglip and not arguments.tokenizer:
        return TextSpec(length, template, tokenizer_json(Path(default_bpe()), length))
    if arguments.tokenizer:
        tokenizer, pad = read_tokenizer(arguments.tokenizer), None
    else:
        tokenizer, pad = fetch_tokenizer(configuration.name, hub)
    options = text.get("tokenizer_kwargs") or {}
    if options.get("clean") == "canonicalize" or not hub:
        tokenizer = with_canonicalize(tokenizer)
    return TextSpec(length, template, with_length(tokenizer, length, pad or "</s>"))


def fetch_tokenizer(name: str, hub: str | None) -> tuple:
    """A tokenizer and its padding token from the hub."""
    at_hand = "give --tokenizer FILE (tokenizer.json or the SentencePiece .model)"
    if not hub:
        raise UserError(f"{name}: its tokenizer is not part of open_clip; {at_hand}")
    try:
        from transformers import AutoTokenizer

        found = AutoTokenizer.from_pretrained(hub)
        return found.backend_tokenizer, found.pad_token
    except Exception as error:
        raise UserError(f"{name}: its tokenizer {hub} cannot be fetched ({one_line(error, 100)}); {at_hand}") from error
