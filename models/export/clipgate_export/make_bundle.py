"""Subcommand `bundle`: from a checkpoint to a bundle that clipgate loads.

    clipgate-export bundle --open-clip ViT-B-32-quickgelu --pretrained openai --images photos/ -o my-clip

Reads the model, writes its towers as fp32 graphs, quantises them on the images, and where the images lie in a
folder per label adds the label bank and a calibration. The same inputs give the same bytes.
"""

import argparse
import importlib.util
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from . import bundle_options, ort_format, sources
from .bank import Label
from .building import building
from .bundle import (
    CALIBRATION,
    IMAGE_ENCODER,
    LABELS,
    SELFTEST,
    TEXT_ENCODER,
    TOKENIZER,
    Description,
    Origin,
    Selftest,
    TextEntry,
    bindings,
    to_json,
    write_manifest,
)
from .calibrate import calibration_record
from .errors import UserError
from .files import write_bytes, write_whole
from .fit_bundle import CONDITIONS, fit, why_not
from .graph import Graph
from .images import ImageFolder
from .int8 import to_int8
from .labels import build_bank, read_templates
from .onnx_files import PROTOBUF_LIMIT, gather_weights
from .provenance import recipe_record
from .spec import Model
from .subject import from_bundle
from .text_tokenizer import TextTokenizer
from .verification import Bars, Report, check
from .vocabulary import check_vocabulary

RANGE_TEXTS = 512
JUDGED_IMAGES = 512

add_arguments = bundle_options.add_arguments


def run(arguments: argparse.Namespace) -> int:
    """0 with a bundle at its place, 1 without one because a bar is missed."""
    for warning in bundle_options.check(arguments):
        say(warning)
    with building(arguments.output) as (folder, work):
        load = sources.find(arguments)
        images = ImageFolder.read(arguments.images)
        if warning := images.warning():
            say(warning)
        labels = bundle_options.labels_of(arguments, images.labels)
        if not labels:
            images = images.unlabelled()
        say("reading the model, writing its fp32 graphs")
        model = load(work)
        if model.text is not None and model.text_spec is not None:
            check_vocabulary(model.text, model.text_spec.tokenizer_json)
        make(arguments, model, images, labels, folder)
        report = verify(arguments, model, images, folder)
        missed = [f"{bar.measure} {bar.value:.4f}, asked {bar.bar}" for bar in report.checked if bar.held is False]
        if missed:
            say(f"no bundle, int8 is too far from fp32: {'; '.join(missed)}; try other or more --images")
            raise SystemExit(1)
        if arguments.runtime_format == "ort":
            ort_format.convert(folder)
        if arguments.keep_fp32:
            keep(model, arguments.keep_fp32)
    if warning := report.likeness.warning():
        say(f"warning: {warning}")
    say(
        f"{arguments.output}: {model.architecture}, int8 image tower, mean cosine to fp32 {report.cosine_mean:.4f}, "
        f"less the mean embedding {report.centred_mean:.4f}"
    )
    return 0


def verify(arguments: argparse.Namespace, model: Model, images: ImageFolder, folder: Path) -> Report:
    """The bundle in `folder` against the fp32 graphs, on the images that set no ranges as far as there are any."""
    ranges, *halves = images.split(arguments.range_images)
    taken = set(ranges)
    rows = sorted(halves[0] + halves[1]) or [row for row in range(len(images.files)) if row not in taken]
    if not rows:
        say(f"warning: {len(ranges)} photos are too few to keep any back: int8 is judged on those that set its ranges")
        rows = ranges
    rows = rows[:: max(1, len(rows) // JUDGED_IMAGES)]
    enough = bool(images.labels) and len(rows) >= bundle_options.FEWEST_FOR_DROP and not arguments.random_weights
    with_text = arguments.text_int8 and (folder / LABELS).exists()
    bars = dict.fromkeys(bundle_options.DEFAULTS) | {
        "min-cosine": arguments.min_cosine,
        "min-centred-cosine": arguments.min_centred_cosine,
        "max-drop": arguments.max_drop if enough else None,
        "min-text-cosine": arguments.min_cosine if with_text else None,
    }
    if images.labels and not importlib.util.find_spec("torch"):
        # The judge of calibration errors needs torch; the rest of the check does not.
        images = images.unlabelled()
        if enough:
            say("warning: torch is not installed, so the drop in accuracy is not measured: --max-drop is not asked")
            bars["max-drop"] = None
    subject = from_bundle(folder, model.image, fp32_text=model.text if with_text else None)
    return check(subject, images, rows, bars=Bars(bars), snr_images=0)


def make(
    arguments: argparse.Namespace, model: Model, images: ImageFolder, labels: Sequence[Label], folder: Path
) -> None:
    """Fills `folder` with the bundle."""
    ranges, *halves = images.split(arguments.range_images)
    say(f"quantising the image tower on {len(ranges)} images")
    quantised = to_int8(
        model.image,
        lambda: images.batches(model.preprocessing, ranges),
        folder / IMAGE_ENCODER,
        arguments.min_cosine,
        arguments.min_centred_cosine,
    )
    for line in quantised.report.lines():
        say(f"  {line}")
    recipe = recipe_record(arguments, model, images, ranges) | {"image": quantised.record()}
    graph = Graph(folder / IMAGE_ENCODER)
    selftest = Selftest.of(graph, model.preprocessing)
    write_bytes(folder / SELFTEST, selftest.file())

    if model.text is not None and model.text_spec is not None:
        write_bytes(folder / TOKENIZER, model.text_spec.tokenizer_json)
        if arguments.text_int8:
            texts = range_texts(arguments, model, labels)
            say(f"quantising the text tower on {len(texts)} texts")
            ids = TextTokenizer(model.text_spec.tokenizer_json)(texts)
            tower = to_int8(model.text, lambda: (row[None] for row in ids), folder / TEXT_ENCODER, arguments.min_cosine)
            recipe["text"] = tower.record()
        else:
            shutil.copyfile(in_one_file(model.text), folder / TEXT_ENCODER)

    if labels:
        add_labels(arguments, model, images, labels, (halves[0], halves[1]), graph, selftest, folder)
    spec = model.text_spec
    write_manifest(
        folder,
        Description(
            id=arguments.id or arguments.output.resolve().name,
            origin=Origin(model.architecture, model.source, model.licence),
            preprocessing=model.preprocessing,
            embedding_dim=model.embedding_dim,
            logit_scale=float(np.float32(model.logit_scale)),
            logit_bias=None if model.logit_bias is None else float(np.float32(model.logit_bias)),
            activation=model.activation,
            text=None if spec is None else TextEntry(spec.context_length, spec.prompt_template),
            recipe=recipe,
        ),
    )


def add_labels(
    arguments: argparse.Namespace,
    model: Model,
    images: ImageFolder,
    labels: Sequence[Label],
    halves: tuple[list[int], list[int]],
    graph: Graph,
    selftest: Selftest,
    folder: Path,
) -> None:
    """The bank, and the calibration where the images are labelled and enough."""
    template = model.text_spec.prompt_template if model.text_spec else ""
    bank = build_bank(model, labels, read_templates(arguments.templates, template))
    write_bytes(folder / LABELS, bank.file())
    reason = why_not(len(labels), halves) if images.labels else "the images are not in label folders"
    if reason:
        say(f"the bundle has a bank but no calibration: {reason}")
        return
    row_of = {label.wnid: row for row, label in enumerate(labels)}
    fitted = fit(graph, images, model.preprocessing, bank, row_of, halves, model.logit_scale)
    source = f"the folder {images.path.resolve().name}, sha256 {images.digest()[:16]}"
    record = calibration_record(
        fitted.gate, bindings(folder / IMAGE_ENCODER, bank, selftest), source, fitted.counts, CONDITIONS
    )
    write_bytes(folder / CALIBRATION, to_json(record))


def range_texts(arguments: argparse.Namespace, model: Model, labels: Sequence[Label]) -> list[str]:
    """Texts that set the text tower's ranges: the labels, and ImageNet's names where open_clip has them at hand."""
    names = [label.name for label in labels]
    if not arguments.onnx_image:
        from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

        names += list(IMAGENET_CLASSNAMES)
    template = model.text_spec.prompt_template if model.text_spec else "{}"
    templates = [template, *(line for line in read_templates(arguments.templates, template) if line != template), "{}"]
    step = max(1, len(names) // RANGE_TEXTS)
    return [templates[row % len(templates)].replace("{}", name) for row, name in enumerate(names[::step])]


def in_one_file(text: Path) -> Path:
    """The same graph with its weights inside, as a bundle carries it."""
    gathered = gather_weights(text)
    if gathered.with_suffix(".data").exists():
        raise UserError(f"the fp32 text tower has over {PROTOBUF_LIMIT} bytes, more than a graph can hold; --text-int8")
    return gathered


def keep(model: Model, folder: Path) -> None:
    for path in (model.image, model.text):
        for file in (path, path.with_suffix(".data")) if path else ():
            if file.exists():
                with file.open("rb") as source:
                    write_whole(folder / file.name, partial(shutil.copyfileobj, source))


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
