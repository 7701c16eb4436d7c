"""Where a model comes from: an open_clip name, a Hugging Face folder or a pair of ONNX graphs."""

import argparse
from collections.abc import Callable
from pathlib import Path

from ..errors import UserError
from ..spec import Model

Load = Callable[[Path], Model]

# Options that one source alone follows.
ONLY_WITH = {
    "pretrained": "open_clip",
    "random_weights": "open_clip",
    "onnx_text": "onnx_image",
    "logit_scale": "onnx_image",
    "logit_bias": "onnx_image",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    source = parser.add_argument_group("source (one of the first three)")
    source.add_argument("--open-clip", metavar="NAME", help="a model of open_clip, or its configuration file")
    source.add_argument("--hugging-face", metavar="DIR", type=Path, help="a CLIP or SigLIP model folder")
    source.add_argument("--onnx-image", metavar="FILE", type=Path, help="an fp32 image tower, with --preprocessing")
    weights = source.add_mutually_exclusive_group()
    weights.add_argument(
        "--pretrained", metavar="TAG_OR_FILE", help="with --open-clip: a tag to fetch, or a checkpoint file at hand"
    )
    weights.add_argument(
        "--random-weights", action="store_true", help="with --open-clip: drawn weights, for testing only"
    )
    source.add_argument("--onnx-text", metavar="FILE", type=Path, help="with --onnx-image: an fp32 text tower")
    source.add_argument("--tokenizer", metavar="FILE_OR_DIR", type=Path, help="tokenizer.json or a SentencePiece model")
    source.add_argument(
        "--preprocessing",
        metavar="JSON",
        type=Path,
        help="size, resize, interpolation, mean, std as in a manifest, or a preprocessor_config.json",
    )
    source.add_argument("--logit-scale", type=float, help="with --onnx-image: the factor on cosines (CLIP: 100)")
    source.add_argument("--logit-bias", type=float, help="with --onnx-image: of a model with a sigmoid loss")
    source.add_argument("--prompt-template", metavar="TEXT", help="what a label is put into, at {}")
    source.add_argument("--source", metavar="TEXT", help="where the weights come from, for the manifest")
    source.add_argument("--licence", metavar="TEXT", help="the weights' licence, for the manifest")
    source.add_argument("--seed", type=int, default=20261123, help="of drawn weights (default %(default)s)")


def find(arguments: argparse.Namespace) -> Load:
    """Checks what the arguments name as far as that takes seconds, fetches what has to be fetched.

    The result, called with a folder for the fp32 graphs, reads the model.
    """
    given = [name for name in ("open_clip", "hugging_face", "onnx_image") if getattr(arguments, name)]
    if len(given) != 1:
        raise UserError("give exactly one source: --open-clip NAME, --hugging-face DIR or --onnx-image FILE")
    for option, source in ONLY_WITH.items():
        if getattr(arguments, option) not in (None, False) and source != given[0]:
            raise UserError(f"{flag(option)} goes with {flag(source)} only; leave it out")
    template = arguments.prompt_template
    if template is not None and template.count("{}") != 1:
        raise UserError(f"--prompt-template {template!r}: it needs {{}} once, where the label goes")
    # Imported only when used: the ONNX pair needs no torch, and Hugging Face's folder no open_clip.
    if arguments.open_clip:
        from .open_clip import find as find_open_clip

        return find_open_clip(arguments)
    if arguments.hugging_face:
        from .huggingface import find as find_hugging_face

        return find_hugging_face(arguments)
    from .onnx_pair import find as find_onnx_pair

    return find_onnx_pair(arguments)


def load(arguments: argparse.Namespace, work: Path) -> Model:
    """The model that the arguments mean, its fp32 graphs written into `work`."""
    return find(arguments)(work)


def has_text(arguments: argparse.Namespace) -> bool:
    """Whether the source has a text tower."""
    return not arguments.onnx_image or arguments.onnx_text is not None


def flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"
