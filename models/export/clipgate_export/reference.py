"""Subcommand `reference`: a bundle's twin around another graph of its image tower, for `clipgate evaluate --reference`.

    clipgate-export reference --bundle my-clip --graph fp32/image_fp32.onnx -o my-clip-fp32

All but graph and self-test is the bundle's own. A calibration speaks of one graph alone, so the twin has none; the
recipe is that of the other graph and is left behind too.
"""

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np

from .building import building, refuse_existing
from .bundle import IMAGE_ENCODER, Selftest, file_entry, rename, to_json
from .errors import UserError
from .files import read_json, write_bytes
from .onnx_files import read_untrusted
from .onnx_model import graph_bytes
from .subject import from_bundle

# Quantisation keeps the drawn self-test's embedding within 0.9 of its own; unrelated models' lie near 0.
LEAST_LIKENESS = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", type=Path, required=True, metavar="DIR", help="the bundle to be compared")
    parser.add_argument(
        "--graph",
        type=Path,
        required=True,
        metavar="FILE",
        help="another graph of its image encoder, such as the image_fp32.onnx that `bundle --keep-fp32` keeps",
    )
    parser.add_argument("--id", help="the twin's short name (default: that of -o)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the twin to make")


def run(arguments: argparse.Namespace) -> int:
    """0 with the twin at its place."""
    refuse_existing(arguments.output)
    subject = from_bundle(arguments.bundle, arguments.graph)
    given, own = subject.graphs
    selftest = Selftest.of(given, subject.preprocessing)
    likeness = float(np.vdot(own(selftest.pixel_values), selftest.image_embeds))
    if not likeness >= LEAST_LIKENESS:
        raise UserError(
            f"{arguments.graph}: another model's: its embedding of the self-test is at cosine {likeness:.2f} to that "
            f"of {arguments.bundle}; give a graph of the same weights"
        )
    content = graph_bytes(read_untrusted(arguments.graph))
    record = read_json(arguments.bundle / "manifest.json")
    with building(arguments.output) as (folder, _):
        record["id"] = arguments.id or arguments.output.resolve().name
        record["source"] = f"{arguments.graph.name} in place of the image encoder; {record.get('source', '')}"
        calibration = record.pop("calibration", {}).get("file")
        record.pop("recipe", None)
        rename(record, "image_encoder", IMAGE_ENCODER)
        new = {IMAGE_ENCODER: content, record["selftest"]["file"]: selftest.file()}
        names = [name for name in record["files"] if name != calibration]
        for name in names:
            if name in new:
                write_bytes(folder / name, new[name])
            else:
                shutil.copyfile(arguments.bundle / name, folder / name)
        record["files"] = {name: file_entry(folder / name) for name in names}
        write_bytes(folder / "manifest.json", to_json(record))
    print(
        f"{arguments.output}: {record['id']}, cosine {likeness:.4f} to {arguments.bundle} on the self-test, without a "
        "calibration",
        file=sys.stderr,
    )
    return 0
