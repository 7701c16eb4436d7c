"""`clipgate-export verify`: the int8 image encoder against the fp32 one, on the user's own images.

    clipgate-export verify --bundle DIR --fp32 image_fp32.onnx --images photos/ --ood textures=textures/

Exit status 0 when every bar is held, 1 when one is missed, 2 on an error.
"""

import argparse
import math
import sys
from pathlib import Path

from . import lint, subject, verify_report
from .building import refuse_unwritable
from .bundle import to_json
from .errors import UserError
from .files import write_bytes
from .images import ImageFolder
from .verification import LIMITS, SNR_IMAGES, Bars, check

OFF = "off"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", type=Path, help="a bundle: its int8 graph, preprocessing, labels and scale")
    parser.add_argument("--int8", type=Path, help="instead of --bundle: the int8 image encoder")
    parser.add_argument("--fp32", type=Path, help="the fp32 image encoder to compare with")
    parser.add_argument("--fp32-text", type=Path, help="with --bundle: the fp32 text encoder to compare its own with")
    parser.add_argument("--manifest", type=Path, help="with --int8: a manifest.json with preprocessing and logit scale")
    parser.add_argument("--images", type=Path, required=True, help="a folder of images, or of one folder a label")
    parser.add_argument("--labels", type=Path, help="a label bank to choose among, instead of the bundle's")
    parser.add_argument(
        "--ood", action="append", default=[], metavar="NAME=DIR", help="images that no label describes; repeatable"
    )
    parser.add_argument(
        "--snr-images", type=int, default=SNR_IMAGES, help="images to compare layers on; 0 for none (%(default)s)"
    )
    for limit in LIMITS:
        parser.add_argument(
            f"--{limit.option}",
            type=_bar,
            default=limit.default,
            metavar="X",
            # argparse fills in its own % signs.
            help=(
                f"bar: {limit.measure}{', ' + limit.unit if limit.unit else ''} "
                f"(default {OFF if limit.default is None else limit.default}; `{OFF}` asks nothing)"
            ).replace("%", "%%"),
        )
    parser.add_argument(
        "--fail-on-lint",
        choices=[lint.ERROR, lint.WARNING, OFF],
        default=lint.ERROR,
        help="a finding this grave or graver misses a bar (%(default)s)",
    )
    parser.add_argument("--json", type=Path, metavar="F", help="write the report as JSON")
    parser.add_argument("--markdown", type=Path, metavar="F", help="write the report as Markdown, besides printing it")


def run(arguments: argparse.Namespace) -> int:
    """Prints the report on stdout; 0 if every bar is held, otherwise 1."""
    bars = Bars(
        {limit.option: getattr(arguments, limit.option.replace("-", "_")) for limit in LIMITS},
        None if arguments.fail_on_lint == OFF else arguments.fail_on_lint,
    )
    if arguments.snr_images < 0:
        raise UserError(f"--snr-images {arguments.snr_images}: 0 or more are needed")
    for path in (arguments.json, arguments.markdown):
        if path is not None:
            refuse_unwritable(path.parent)
    compared = subject.from_arguments(arguments)
    outside = [(name, read_folder(path)) for name, path in map(_named_folder, arguments.ood)]
    report = check(compared, read_folder(arguments.images), None, outside, bars, arguments.snr_images)
    words = verify_report.render(report)
    if arguments.json is not None:
        write_bytes(arguments.json, to_json(verify_report.record(report)))
    if arguments.markdown is not None:
        write_bytes(arguments.markdown, words.encode())
    sys.stdout.write(words)
    return 0 if report.passed else 1


def read_folder(path: Path) -> ImageFolder:
    """Says on stderr which images were skipped."""
    folder = ImageFolder.read(path, use="comparing")
    if (warning := folder.warning()) is not None:
        print(f"{path}: {warning}", file=sys.stderr)
    return folder


def _bar(text: str) -> float | None:
    if text == OFF:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor {OFF!r}")
    return value


def _named_folder(text: str) -> tuple[str, Path]:
    name, separator, path = text.partition("=")
    if not (name and separator and path):
        raise UserError(f"--ood {text}: not of the form NAME=DIR")
    return name, Path(path)
