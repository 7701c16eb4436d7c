"""The command line of `clipgate-export bundle`, and what can be wrong with it before anything takes time."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from . import sources
from .bank import Label
from .building import refuse_existing, refuse_unwritable
from .errors import UserError
from .images import FEWEST_IMAGES, image_paths, label_folders
from .labels import read_labels, read_templates, wordnet_ids
from .verification import LIMITS

RANGE_IMAGES = 256
FEWEST_TEXTS = 16
DEFAULTS = {limit.option: limit.default for limit in LIMITS}
# With fewer labelled images even no change at all cannot be told from a drop of two points.
FEWEST_FOR_DROP = 149


def add_arguments(parser: argparse.ArgumentParser) -> None:
    sources.add_arguments(parser)
    parser.add_argument(
        "--images",
        type=Path,
        required=True,
        metavar="DIR",
        help="photos like those that the model will see, at least 16; one sub-folder a label adds bank and calibration",
    )
    parser.add_argument(
        "--labels", metavar="FILE_OR_LIST", help="a label a line, or labels with commas between; adds a bank"
    )
    parser.add_argument("--templates", type=Path, metavar="FILE", help="templates to average a label over, one a line")
    parser.add_argument("--text-int8", action="store_true", help="quantise the text tower too")
    parser.add_argument(
        "--range-images", type=int, default=RANGE_IMAGES, metavar="N", help="images that set the ranges (%(default)s)"
    )
    parser.add_argument(
        "--min-cosine",
        type=float,
        default=DEFAULTS["min-cosine"],
        metavar="X",
        help="least mean cosine of int8 to fp32 embeddings; below it no bundle is made (%(default)s)",
    )
    parser.add_argument(
        "--min-centred-cosine",
        type=float,
        default=DEFAULTS["min-centred-cosine"],
        metavar="X",
        help="the same with the mean fp32 embedding taken from both, which leaves what tells images apart; 0 asks "
        "nothing (%(default)s)",
    )
    parser.add_argument(
        "--max-drop",
        type=float,
        default=DEFAULTS["max-drop"],
        metavar="POINTS",
        help=f"largest upper bound of the drop in accuracy, from {FEWEST_FOR_DROP} labelled images on (%(default)s)",
    )
    parser.add_argument(
        "--runtime-format",
        choices=["onnx", "ort"],
        default="onnx",
        help="how the bundle's graphs are written: ONNX, or ONNX Runtime's own format, which starts faster and in less "
        "memory and which `clipgate-export ort-format` makes of the former (%(default)s)",
    )
    parser.add_argument("--id", help="the bundle's short name (default: that of -o)")
    parser.add_argument("--keep-fp32", type=Path, metavar="DIR", help="keep the fp32 graphs there, for `verify`")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the bundle to make")


def check(arguments: argparse.Namespace) -> list[str]:
    """Whatever is wrong with the command line and the small files it names; returns warnings, a line each."""
    refuse_existing(arguments.output)
    if arguments.range_images < FEWEST_IMAGES:
        raise UserError(f"--range-images {arguments.range_images}: at least {FEWEST_IMAGES} are needed")
    for option, most in (("min_cosine", 1.0), ("min_centred_cosine", 1.0), ("max_drop", 100.0)):
        value = getattr(arguments, option)
        if not -most <= value <= most:
            raise UserError(f"--{option.replace('_', '-')} {value}: a number from {-most:g} to {most:g} is needed")
    if arguments.keep_fp32 is not None:
        kept, output = arguments.keep_fp32.resolve(), arguments.output.resolve()
        if output in (kept, *kept.parents):
            raise UserError(f"--keep-fp32 {arguments.keep_fp32}: lies in the bundle; choose a folder outside it")
        refuse_unwritable(arguments.keep_fp32)
    text = sources.has_text(arguments)
    if arguments.text_int8 and not text:
        raise UserError("--text-int8: the source has no text tower; give --onnx-text FILE, or leave it out")
    if arguments.labels is not None and not text:
        raise UserError("--labels: a label needs a text tower; give --onnx-text FILE, or leave --labels out")
    folders = label_folders(arguments.images, image_paths(arguments.images))
    labels = labels_of(arguments, folders)
    # open_clip's list of ImageNet's names serves the other sources.
    if arguments.text_int8 and arguments.onnx_image and len(labels) < FEWEST_TEXTS:
        raise UserError(f"--text-int8: give at least {FEWEST_TEXTS} --labels, whose texts set the text tower's ranges")
    if arguments.templates is not None:
        if not labels:
            raise UserError("--templates: there are no labels to put into them; give --labels, or one folder a label")
        read_templates(arguments.templates, "{}")
    ids = wordnet_ids([label.name for label in labels])
    if not ids:
        return []
    return [
        f"warning: {len(ids)} labels are WordNet ids (first {ids[0]}), which become prompts as they are and mean "
        "nothing to the model; name them with --labels FILE, a line for each: FOLDER, a tab, NAME"
    ]


def labels_of(arguments: argparse.Namespace, folders: Sequence[str]) -> list[Label]:
    """The bank's labels: those that were given, or the image folders where a text tower can embed them; or none."""
    if arguments.labels is None and not (folders and sources.has_text(arguments)):
        return []
    return read_labels(arguments.labels, folders)
