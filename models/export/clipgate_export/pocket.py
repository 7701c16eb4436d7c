"""Makes the whole of models/pocket with one command: weights, graphs, bank, calibration, bundle, card.

    python -m clipgate_export.pocket --data ../../../shared/data --work ../../build/pocket -o ../pocket

Towers whose weights are not in the work folder are trained first (hours on a CPU); delete them and their
checkpoints to train again. With `--image-from BUNDLE` the image tower is what that bundle's int8 weights stand for,
quantised anew. The card's figures, the Rust tests' goldens and the outputs in the project's pages follow.
"""

import argparse
import importlib.util
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto
from open_clip.tokenizer import default_bpe

from . import card, chapters, evaluate, goldens_pocket, htp_check, shipped, train, train_text
from .bundle import Description, Origin, Selftest, TextEntry, bindings, to_json, write_bundle
from .calibrate import calibration_record, fit_gate
from .data import (
    EVERYTHING,
    IMAGE_SIZE,
    Images,
    Splits,
    made_from,
    read_named_text_embeddings,
    read_tiny_imagenet,
    require,
)
from .errors import UserError, report_errors
from .export import export_image_tower, export_text_tower, load_image_tower, load_text_tower
from .files import write_bytes
from .graph import Graph
from .names import TEMPLATES, read_split
from .onnx_model import graph_bytes
from .pocket_bank import Development, choose
from .preprocess import MEAN, STD, normalise
from .quantize import quantize_tower
from .spec import Preprocessing
from .study.methods import METHODS
from .study.rule import BITS
from .text_tower import CONTEXT_LENGTH
from .tokenizer import tokenizer_json
from .tower import ImageTower

# By what the gate makes of it: the winner of `study.rule`, whose figures src/docs/quantization.md has.
IMAGE_METHOD = "percentile"
NEVER_TRAINED_PER_CLASS = 500
TEXT_RANGE_NAMES = 600
NPU_IMAGES = 8
PREPROCESSING = Preprocessing(IMAGE_SIZE, "shortest_edge", "bicubic", MEAN, STD)
PROMPT_TEMPLATE = "a {}"
# In the project: what the Rust tests compare themselves with follows the bundle.
PHOTOS, GOLDENS = "examples/photos", "tests/data/pocket.json"
LICENCE = "research and evaluation only, as it was trained on ImageNet's images: see models/pocket/LICENSE"
SOURCE = "clipgate models/export; Tiny ImageNet-200 and OpenAI CLIP ViT-B/32 text embeddings"
ARCHITECTURE = (
    "image: convolution stem and two transformer blocks, 64x64; text: one transformer block; "
    "static int8 QDQ; 512-d, OpenAI CLIP ViT-B/32's text space"
)


@dataclass(frozen=True)
class Towers:
    """Both towers as fp32 graphs, the image tower's logit scale, and the log of its training by epoch."""

    image: ModelProto
    text: ModelProto
    logit_scale: float
    history: list[dict]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="weights, checkpoints and fp32 graphs")
    parser.add_argument("-o", "--output", type=Path, required=True, help="models/pocket")
    parser.add_argument(
        "--image-from", type=Path, metavar="BUNDLE", help="weights of the image tower: this bundle's, int8"
    )
    parser.add_argument("--no-report", action="store_true", help="leave the card and the pages as they are")
    arguments = parser.parse_args()

    for name in EVERYTHING:
        require(arguments.data, name)
    project = arguments.output.resolve().parents[1]
    if not arguments.no_report and not (shutil.which("cargo") and (project / "Cargo.toml").is_file()):
        raise UserError("cargo and clipgate's project around -o are needed for the card; or give --no-report")
    splits = Splits.read(arguments.output / "splits.json")
    images = read_tiny_imagenet(arguments.data)
    splits.check(images, arguments.output / "splits.json")
    towers = get_towers(arguments, images, splits)

    say("quantising the image tower")
    image = quantize_tower(
        arguments.work / "image_fp32.onnx",
        normalise(images.decode(splits.held_out["quantisation"])),
        arguments.work / "image_int8.onnx",
        [METHODS[IMAGE_METHOD].recipe(BITS, train.SEED)],
    )
    say(f"image tower: {image.recipe.words()}: {image.candidates}")
    say("quantising the text tower")
    text = quantize_tower(
        arguments.work / "text_fp32.onnx",
        text_range_inputs(arguments.data, arguments.output),
        arguments.work / "text_int8.onnx",
    )
    say(f"text tower: {text.recipe.words()}: {text.candidates}")
    image_bytes, text_bytes = ((arguments.work / name).read_bytes() for name in ("image_int8.onnx", "text_int8.onnx"))

    graph = Graph(image_bytes)
    say("choosing negatives and thresholds")
    temperature, thresholds = (labelled(graph, images, splits, role) for role in ("temperature", "thresholds"))
    never_trained = graph.embed_pixels(images.decode(never_trained_sample(images, splits)))
    choice = choose(arguments.data, splits, Development(temperature[0], never_trained), towers.logit_scale)
    bank = choice.bank
    say(f"{choice.mined} mined negatives: {choice.areas}")
    selftest = Selftest.of(graph, PREPROCESSING)
    gate = fit_gate(
        towers.logit_scale,
        (bank.cosines(temperature[0]), temperature[1]),
        bank.cosines(never_trained),
        (bank.cosines(thresholds[0]), thresholds[1]),
    )
    say(f"gate: {gate}")
    calibration = calibration_record(
        gate,
        bindings(image_bytes, bank, selftest),
        "Tiny ImageNet-200 training images held out by splits.json",
        (len(temperature[1]), len(thresholds[1])),
    )
    write_bundle(
        arguments.output,
        Description(
            id="pocket",
            origin=Origin(ARCHITECTURE, SOURCE, LICENCE),
            preprocessing=PREPROCESSING,
            embedding_dim=bank.text_embeds.shape[1],
            logit_scale=towers.logit_scale,
            text=TextEntry(CONTEXT_LENGTH, PROMPT_TEMPLATE),
        ),
        image_bytes,
        text_bytes,
        tokenizer_json(Path(default_bpe())),
        bank,
        calibration,
        selftest,
    )
    if (project / PHOTOS).is_dir():
        goldens_pocket.write(arguments.output, project / PHOTOS, project / GOLDENS)
        say(f"{GOLDENS}: what the bundle says of {PHOTOS}, for the Rust tests")
    if arguments.no_report:
        return
    say("building clipgate with the new bundle")
    chapters.run("cargo build --release", project)
    say("measuring")
    command = chapters.binaries(project) / "clipgate"
    report = evaluate.measure(arguments.data, arguments.output, towers.image, towers.text, gate, command)
    report["training"] = {
        "cycles": list(train.CYCLES),
        "epochs": towers.history,
        "from_int8": arguments.image_from is not None,
    }
    report["quantisation"] = {
        "image": {"recipe": image.recipe.words(), "cosines": image.candidates},
        "text": {"recipe": text.recipe.words(), "cosines": text.candidates},
    }
    report["mined_negatives"] = {"chosen": choice.mined, "development_auroc": choice.record()}
    report["npu"] = check_npu(arguments.output / "image_encoder.onnx", images, splits)
    write_bytes(arguments.output / "report.json", to_json(report))
    card.write(arguments.output, report)
    say(f"{arguments.output / 'README.md'} and {arguments.output / 'report.json'} are written")
    chapters.write(project)


def check_npu(graph: Path, images: Images, splits: Splits) -> dict | None:
    """`htp_check` over some of the temperature images, or nothing where onnxruntime-qnn is not installed."""
    if importlib.util.find_spec("onnxruntime_qnn") is None:
        say("onnxruntime-qnn is not installed: the card will not say whether the NPU takes the graph")
        return None
    held_out = splits.held_out["temperature"]
    chosen = held_out[:: len(held_out) // NPU_IMAGES][:NPU_IMAGES]
    return htp_check.check(graph, normalise(images.decode(chosen)))


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def get_towers(arguments: argparse.Namespace, images: Images, splits: Splits) -> Towers:
    """Both towers as graphs, which are written to the work folder too."""
    work = arguments.work
    tower, logit_scale, history = get_image_tower(arguments, images, splits)
    text_weights = work / "text_tower.safetensors"
    if not text_weights.exists():
        say("training the text tower")
        train_text.train(arguments.data, arguments.output, work)
    names, _ = read_named_text_embeddings(arguments.data)
    text_source = train_text.made_from(names, arguments.output / "text_split.json")
    image, text = export_image_tower(tower), export_text_tower(load_text_tower(text_weights, text_source))
    for name, model in (("image_fp32.onnx", image), ("text_fp32.onnx", text)):
        write_bytes(work / name, graph_bytes(model))
        onnx.checker.check_model(work / name)
    return Towers(image, text, float(np.float32(logit_scale)), history)


def get_image_tower(
    arguments: argparse.Namespace, images: Images, splits: Splits
) -> tuple[ImageTower, float, list[dict]]:
    """The tower, its logit scale and its log: of a bundle, or from the work folder, trained if they are missing."""
    if arguments.image_from is not None:
        return shipped.image_tower(arguments.image_from, images, splits)
    weights, log = (arguments.work / name for name in ("image_tower.safetensors", "train_log.jsonl"))
    splits_file = arguments.output / "splits.json"
    if not weights.exists():
        say("training the image tower")
        train.train(arguments.data, splits_file, arguments.work)
    tower, logit_scale = load_image_tower(weights, made_from(images, splits_file))
    try:
        return tower, logit_scale, [json.loads(line) for line in log.read_text().splitlines()]
    except ValueError as error:
        raise UserError(f"{log}: not the log that the training wrote ({error})") from error


def text_range_inputs(data: Path, models: Path) -> np.ndarray:
    """input_ids i64 [N, 77] of names trained on, each in a template, that set the text tower's ranges."""
    names, _ = read_named_text_embeddings(data)
    rows, _ = read_split(models / "text_split.json", names)
    chosen = rows[:: max(1, len(rows) // TEXT_RANGE_NAMES)]
    texts = [TEMPLATES[place % len(TEMPLATES)].format(names[row]) for place, row in enumerate(chosen)]
    return train_text.tokenize(texts).numpy()


def labelled(graph: Graph, images: Images, splits: Splits, role: str) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings f32 [N, 512] of a role's images that show a default label, and the labels' rows i64 [N]."""
    class_of = {wnid: row for row, wnid in enumerate(splits.label_wnids)}
    chosen = [index for index in splits.held_out[role] if images.wnids[index] in class_of]
    rows = np.array([class_of[images.wnids[index]] for index in chosen])
    return graph.embed_pixels(images.decode(chosen)), rows


def never_trained_sample(images: Images, splits: Splits) -> list[int]:
    """The first images of each class that no training saw."""
    by_class: dict[str, list[int]] = {wnid: [] for wnid in splits.never_trained_wnids}
    for index, wnid in enumerate(images.wnids):
        if wnid in by_class and len(by_class[wnid]) < NEVER_TRAINED_PER_CLASS:
            by_class[wnid].append(index)
    return [index for wnid in splits.never_trained_wnids for index in by_class[wnid]]


if __name__ == "__main__":
    report_errors(main)
