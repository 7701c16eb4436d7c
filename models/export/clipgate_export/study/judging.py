"""What `clipgate evaluate` says of a row's bundle, beside the model before quantisation, on the same images.

Twice: without a gate at the model's own logit scale, and with gates that each graph's own embeddings of a part of the
images fit, counted on the rest. Where no threshold keeps the promise for either, that is said, and a gate that accepts
half of the images takes its place for what needs a fitted temperature.
"""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open

from ..bundle import SELFTEST, Selftest
from ..errors import UserError
from ..evaluating import call, copy, evaluate
from ..files import read_json
from ..graph import Graph
from .inputs import MANIFEST, Inputs, Model
from .making import Made
from .rows import FP32, TEMPORARY, Row

# Each image is one word of a command line.
IMAGES_A_CALL = 500
FEWEST_RESAMPLES = 20
# Below the study's working folder: embeddings, so that each graph sees each image once.
KEPT = "embeddings"


@dataclass(frozen=True)
class Seen:
    """Unit embeddings f32 [N, D] by the judge's own preprocessing and runtime, and their images' paths."""

    embeds: np.ndarray
    paths: list[str]


def bundle(model: Model, made: Made, name: str, folder: Path, calibrated: bool = False) -> Path:
    """The model's bundle around the row's graph and labels, with a self-test of its own."""
    record = read_json(model.folder / MANIFEST)
    selftest = Selftest.of(Graph(made.image), model.subject.preprocessing).file()
    contents = {
        record["image_encoder"]["file"]: made.image.read_bytes(),
        record["labels"]["file"]: made.bank.file(),
        record.get("selftest", {}).get("file", SELFTEST): selftest,
    }
    return copy(model.folder, contents, name, folder, calibrated)


@dataclass(frozen=True)
class Reports:
    """`raw`: without a gate. `gated`: with one. `promised`: with one that keeps the promise; or `refused` says why.

    Beside fp32 all three hold both, unless fp32 alone has no such gate: then `promised` is of the row alone.
    """

    raw: dict
    gated: dict
    promised: dict | None
    refused: str | None


def judge(inputs: Inputs, row: Row, made: Made, fp32: Made, folder: Path, work: Path) -> Reports:
    """`folder` takes copies of bundles, `work` what the judge keeps of the images for the next question."""
    model, study = inputs.models[row.source], inputs.study
    words = ["--id", str(inputs.reporting.path), "--seed", str(study.seed), "--resamples", str(study.resamples)]
    words += ["--keep", str(work / KEPT)]
    for entry in inputs.others:
        words += ["--ood", f"{entry.ood.name}={entry.ood.images}"]
    pairs = {
        calibrated: [
            str(bundle(model, graph, name, folder / f"{name}-{calibrated}", calibrated))
            for name, graph in (("quantised", made), (FP32, fp32))
        ]
        for calibrated in (False, True)
    }

    def report(calibrated: bool, alone: bool, *options: str) -> dict:
        own, reference = pairs[calibrated]
        beside = [] if alone else ["--reference", reference]
        return evaluate(inputs.clipgate, ["--bundle", own, *beside, *words, *options])

    alone = row.method == FP32
    fit = ("--fit-fraction", str(study.promise.fit_fraction))
    keeping = (*fit, "--method", "ltt", "--target-risk", str(study.promise.risk))
    raw = report(False, alone)
    try:
        gated = report(True, alone, *keeping)
        return Reports(raw, gated, gated, None)
    except UserError as error:
        refused = str(error)
    gated = report(True, alone, *fit, "--method", "accept-rate", "--accept-rate", "0.5")
    if not alone:
        try:
            return Reports(raw, gated, report(True, True, *keeping), None)
        except UserError as error:
            refused = str(error)
    return Reports(raw, gated, None, refused)


def accuracy(inputs: Inputs, own: Path, images: Path) -> float:
    """Of the bundle `own` on label folders; only the value, so few resamples."""
    words = ["--bundle", str(own), "--id", str(images), "--resamples", str(FEWEST_RESAMPLES)]
    return evaluate(inputs.clipgate, words)["id"]["accuracy"]


def embeddings(inputs: Inputs, own: Path, work: Path) -> Seen:
    """Of the reporting images by the bundle `own`; `work` takes a file for a moment."""
    embeds, paths = [], []
    files = [str(file.path) for file in inputs.reporting.files]
    with tempfile.TemporaryDirectory(dir=work, prefix=TEMPORARY) as folder:
        output = Path(folder) / "embeds.safetensors"
        for first in range(0, len(files), IMAGES_A_CALL):
            words = ["embed", "--bundle", str(own), "-o", str(output), *files[first : first + IMAGES_A_CALL]]
            call(inputs.clipgate, words)
            with safe_open(output, "np") as tensors:
                embeds.append(tensors.get_tensor("image_embeds"))
                paths += json.loads(tensors.metadata()["paths"])
    return Seen(np.concatenate(embeds), paths)
