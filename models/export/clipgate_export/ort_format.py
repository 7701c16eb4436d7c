"""Subcommand `ort-format`: a bundle whose graphs are in ONNX Runtime's own format.

    clipgate-export ort-format --bundle my-clip -o my-clip-ort

The graphs are optimised once, here, instead of at every start, and their weights can be used where they lie in a
mapped file. Digest, self-test and calibration are bound to the new files, which are the ones that are executed.

The level is "extended": fused operators that every CPU build of ONNX Runtime has. "All" would add the layout of this
very processor's registers. A file loads in the version that wrote it, which the manifest's recipe names, and in newer
ones. ONNX Runtime writes its tables in another order every time, so two files of one graph have two digests.
"""

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort

from .building import building, refuse_existing
from .bundle import Selftest, file_entry, rename, selftest_pixels, to_json
from .errors import UserError
from .files import read_json, write_bytes
from .graph import ERRORS, drawn_input, one_thread
from .onnx_files import is_ort_format, one_line
from .preprocess import normalise
from .subject import from_bundle, load_graph

SUFFIX, LEVEL = ".ort", "extended"
# A calibration's thresholds are of cosines, and a cosine of unit vectors moves by no more than their distance: this
# one turns at most the last digit that anything prints.
FARTHEST = 1e-5
# Besides the self-test's image.
COMPARED = 31


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", type=Path, required=True, metavar="DIR", help="a bundle with ONNX graphs")
    parser.add_argument(
        "--drop-calibration",
        action="store_true",
        help="leave the calibration out, which is refused where the new graph's embeddings are not the old one's",
    )
    parser.add_argument("--id", help="the new bundle's short name (default: the old one's)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the bundle to make")


def run(arguments: argparse.Namespace) -> int:
    """0 with the bundle at its place."""
    refuse_existing(arguments.output)
    record = read_json(arguments.bundle / "manifest.json")
    image = (record.get("image_encoder") or {}).get("file") or ""
    # Checks names and digests.
    from_bundle(arguments.bundle, arguments.bundle / image)
    with building(arguments.output) as (folder, _):
        for name in ("manifest.json", *record["files"]):
            shutil.copyfile(arguments.bundle / name, folder / name)
        farthest = convert(folder, arguments.id, arguments.drop_calibration)
    print(f"{arguments.output}: embeddings within {farthest:.1e} of those of {arguments.bundle}", file=sys.stderr)
    return 0


def convert(folder: Path, name: str | None = None, drop_calibration: bool = False) -> float:
    """Puts the graphs of the bundle in `folder` into the format; how far an embedding moved at most."""
    record = read_json(folder / "manifest.json")
    subject = from_bundle(folder, folder / record["image_encoder"]["file"])
    record["id"] = name or record["id"]
    history = {"level": LEVEL, "onnxruntime": ort.__version__}
    farthest = 0.0
    for role in ("image_encoder", "text_encoder"):
        if role not in record:
            continue
        old = folder / record[role]["file"]
        if is_ort_format(old):
            raise UserError(f"{old}: is of the ORT format already; give the bundle that it was made from")
        new = old.with_suffix(SUFFIX)
        optimise(old, new)
        graphs = [load_graph(path) for path in (old, new)]
        if role == "image_encoder":
            inputs = images(subject.preprocessing.size, subject.preprocessing.mean, subject.preprocessing.std)
            selftest = Selftest.of(graphs[1], subject.preprocessing)
        else:
            entry = graphs[0].session.get_inputs()[0]
            inputs = np.concatenate([drawn_input(entry, seed) for seed in range(COMPARED)])
        moved = distance(*(graph(inputs) for graph in graphs))
        farthest = max(farthest, moved)
        history[role] = {"made_from_sha256": record["files"][old.name]["sha256"], "farthest": moved}
        if moved > FARTHEST and not (role == "image_encoder" and drop_calibration):
            raise UserError(
                f"{old.name}: in the ORT format an embedding moves by {moved:.1e}, more than {FARTHEST:g}, so nothing "
                "that was fitted on this graph holds for the new one; with --drop-calibration an image encoder can do "
                "without, to be calibrated anew"
            )
        rename(record, role, new.name)
        old.unlink()
    write_bytes(folder / record["selftest"]["file"], selftest.file())
    calibrate(folder, record, selftest, drop_calibration)
    record["recipe"] = (record.get("recipe") or {}) | {"ort_format": history}
    record["files"] = {file: file_entry(folder / file) for file in record["files"]}
    write_bytes(folder / "manifest.json", to_json(record))
    return farthest


def calibrate(folder: Path, record: dict, selftest: Selftest, drop: bool) -> None:
    """Binds the calibration to the new graph and self-test, or takes it out."""
    file = record.get("calibration", {}).get("file")
    if file is None:
        return
    if drop:
        del record["calibration"], record["files"][file]
        (folder / file).unlink()
        return
    calibration = read_json(folder / file)
    bound_to = {
        "graph_sha256": file_entry(folder / record["image_encoder"]["file"])["sha256"],
        "selftest_sha256": selftest.digest(),
    }
    calibration["bound_to"] = calibration["bound_to"] | bound_to
    write_bytes(folder / file, to_json(calibration))


def optimise(source: Path, target: Path) -> None:
    """Writes the graph of `source` as ONNX Runtime executes it, in its own format."""
    options = one_thread(ERRORS)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(target)
    options.add_session_config_entry("session.save_model_format", "ORT")
    try:
        ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise UserError(f"{source}: ONNX Runtime {ort.__version__} refuses it ({one_line(error)})") from error


def images(size: int, mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray:
    """pixel_values f32 [COMPARED + 1, 3, size, size]: the self-test's, and smooth noise from dark to bright."""
    draw = np.random.default_rng(0)
    edge = -(-size // 8)
    pixels = [selftest_pixels(size)]
    for place in range(COMPARED):
        blocks = draw.integers(0, 256, (8, 8, 3)).repeat(edge, 0).repeat(edge, 1)[:size, :size]
        noise = draw.integers(-20, 21, (size, size, 3))
        pixels.append(np.clip(blocks * (place + 1) // COMPARED + noise, 0, 255).astype(np.uint8))
    return normalise(np.stack(pixels), mean, std)


def distance(old: np.ndarray, new: np.ndarray) -> float:
    """The largest Euclidean distance between embeddings of the same input, [0, 2]."""
    return float(np.linalg.norm(old.astype(np.float64) - new, axis=1).max())
