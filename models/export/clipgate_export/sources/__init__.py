"""Where a model comes from: an open_clip name, a Hugging Face folder or a pair of ONNX graphs."""

import argparse
from pathlib import Path

from ..errors import UserError
from ..spec import Model


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


def load(arguments: argparse.Namespace, work: Path) -> Model:
    """The model that the arguments mean, its fp32 graphs written into `work`."""
    given = [name for name in ("open_clip", "hugging_face", "onnx_image") if getattr(arguments, name)]
    if len(given) != 1:
        raise UserError("give exactly one source: --open-clip NAME, --hugging-face DIR or --onnx-image FILE")
    template = arguments.prompt_template
    if template is not None and template.count("{}") != 1:
        raise UserError(f"--prompt-template {template!r}: it needs {{}} once, where the label goes")
    # Imported only when used: the ONNX pair needs no torch, and Hugging Face's folder no open_clip.
    if arguments.open_clip:
        from .open_clip import load as load_open_clip

        return load_open_clip(arguments, work)
    if arguments.pretrained or arguments.random_weights:
        raise UserError("--pretrained and --random-weights go with --open-clip only")
    if arguments.hugging_face:
        from .huggingface import load as load_hugging_face

        return load_hugging_face(arguments, work)
    from .onnx_pair import load as load_onnx_pair

    return load_onnx_pair(arguments, work)
