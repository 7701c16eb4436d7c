"""`clipgate-export quantize`: an fp32 ONNX tower and a folder of images to a static int8 graph."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ..building import refuse_unwritable
from ..errors import UserError
from ..files import write_bytes
from ..images import FEWEST_IMAGES, ImageFolder, spaced
from ..preprocess import MEAN, STD
from ..spec import INTERPOLATIONS, RESIZES, Preprocessing
from .engine import quantize_best
from .recipe import CALIBRATORS, WEIGHT_BITS, Recipe
from .source import read_unweighted

MOST_IMAGES = 256
# SmoothQuant's strengths between "all in the activations" and "all in the weights" that are worth a try.
ALPHAS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("fp32", type=Path, help="an image tower: one input [1, 3, S, S], one output [1, D]")
    parser.add_argument("--images", type=Path, required=True, help="a folder of photos like those of the later use")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the int8 graph")
    parser.add_argument("--report", type=Path, help="what was done, as JSON")
    parser.add_argument("--calibrator", choices=CALIBRATORS, default="minmax", help="what bounds a tensor's range")
    parser.add_argument("--percentile", type=float, default=99.99, help="for quantile and percentile")
    parser.add_argument(
        "--smooth-alpha",
        default=None,
        metavar="A[,A...]|sweep",
        help="SmoothQuant of this strength; of several the best by centred cosine, against none as well",
    )
    parser.add_argument(
        "--rotate",
        type=int,
        metavar="SEED",
        help="rotate a transformer's residual stream at random before it is quantised (QuaRot)",
    )
    parser.add_argument("--weight-bits", type=int, choices=WEIGHT_BITS, default=8, help="levels of int8 (%(default)s)")
    parser.add_argument("--per-channel", action="store_true", help="a scale for each output channel of a weight")
    parser.add_argument("--activation-bits", type=int, choices=(8, 16), default=8)
    parser.add_argument("--keep-float", action="append", default=[], metavar="NODE", help="leave this node in fp32")
    parser.add_argument("--target-cosine", type=float, help="keep the worst layers out until this mean cosine is met")
    parser.add_argument(
        "--target-centred-cosine",
        type=float,
        help="the same with the mean fp32 embedding taken from both, which shows what is lost of the differences",
    )
    parser.add_argument("--fallback-bits", type=int, choices=(16, 32), default=32, help="of the layers kept out")
    parser.add_argument("--most-images", type=int, default=MOST_IMAGES, help=f"default: {MOST_IMAGES}")
    add_preprocessing_arguments(parser)


def add_preprocessing_arguments(parser: argparse.ArgumentParser) -> None:
    """What `preprocessing_of` reads beside the tower."""
    parser.add_argument("--resize", choices=RESIZES, default=RESIZES[0])
    parser.add_argument("--interpolation", choices=INTERPOLATIONS, default=INTERPOLATIONS[0])
    parser.add_argument("--mean", type=float, nargs=3, default=list(MEAN), metavar=("R", "G", "B"))
    parser.add_argument("--std", type=float, nargs=3, default=list(STD), metavar=("R", "G", "B"))


def run(arguments: argparse.Namespace) -> int:
    """Exit status 1 if a target cosine was asked for and not reached."""
    recipes = _recipes(arguments)
    if arguments.most_images < FEWEST_IMAGES:
        raise UserError(f"--most-images {arguments.most_images}: at least {FEWEST_IMAGES} are needed")
    for path in (arguments.output, arguments.report):
        if path is not None:
            refuse_unwritable(path.parent)
    if arguments.output.exists() and arguments.fp32.exists() and arguments.output.samefile(arguments.fp32):
        raise UserError(f"{arguments.output}: -o is the fp32 graph itself; choose another name")
    preprocessing = preprocessing_of(arguments)
    folder = ImageFolder.read(arguments.images)
    if warning := folder.warning():
        print(warning, file=sys.stderr)
    chosen = spaced(len(folder.files), arguments.most_images)
    report = quantize_best(
        arguments.fp32, lambda: folder.batches(preprocessing, chosen), recipes, arguments.output, progress=True
    )
    if arguments.report:
        write_bytes(arguments.report, (json.dumps(report.record(), indent=1) + "\n").encode())
    print("\n".join(report.lines()))
    return 0 if report.target_met else 1


def preprocessing_of(arguments: argparse.Namespace) -> Preprocessing:
    """The tower's size and the arguments' resize mode, filter, mean and deviation."""
    model = read_unweighted(arguments.fp32)
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    if len(shape) != 4 or shape[1] != 3 or shape[2] != shape[3]:
        raise UserError(f"{arguments.fp32}: its input is {shape}, not [1, 3, S, S]; give an image tower")
    return Preprocessing(
        shape[2], arguments.resize, arguments.interpolation, tuple(arguments.mean), tuple(arguments.std)
    )


def _recipes(arguments: argparse.Namespace) -> Sequence[Recipe]:
    alphas: list[float | None] = [None]
    if arguments.smooth_alpha == "sweep":
        alphas += ALPHAS
    elif arguments.smooth_alpha is not None:
        try:
            given = [float(word) for word in arguments.smooth_alpha.split(",")]
        except ValueError:
            raise UserError(f"--smooth-alpha {arguments.smooth_alpha}: numbers from 0 to 1, or sweep") from None
        alphas = given if len(given) == 1 else [None, *given]
    try:
        return [
            Recipe(
                calibrator=arguments.calibrator,
                percentile=arguments.percentile,
                smooth_alpha=alpha,
                rotation=arguments.rotate,
                per_channel=arguments.per_channel,
                activation_bits=arguments.activation_bits,
                weight_bits=arguments.weight_bits,
                keep_float=tuple(arguments.keep_float),
                target_cosine=arguments.target_cosine,
                target_centred=arguments.target_centred_cosine,
                fallback_bits=arguments.fallback_bits,
            )
            for alpha in alphas
        ]
    except ValueError as error:
        raise UserError(str(error)) from None
