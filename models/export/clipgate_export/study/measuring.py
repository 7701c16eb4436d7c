"""One row from its graph to its record: made, judged, timed."""

import hashlib
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save

from ..errors import UserError
from ..files import write_bytes
from ..graph import Graph
from ..methods_table import interleaved_speeds
from ..quantization.recipe import FP32_BITS
from .corrupted import corrupted
from .figures import figures, reliability
from .inputs import Inputs, rows_of
from .judging import Reports, accuracy, bundle, embeddings, judge
from .making import Made, make
from .rows import FP32, TEMPORARY, WORK, Row, digest

SPEED_ROUNDS = 5
# The judge's accuracy and that of its own embeddings may differ where two labels are equally likely.
TIES = 0.002


def measure(inputs: Inputs, row: Row, output: Path) -> dict:
    """The row's record but for its name; graphs and what costs time to make stay under `output`."""
    begun = time.monotonic()
    work = output / WORK
    work.mkdir(parents=True, exist_ok=True)
    model = inputs.models[row.source]
    fp32 = make(inputs, Row(row.source, FP32, FP32_BITS, row.towers, ""), work)
    made = fp32 if row.method == FP32 else make(inputs, row, work)
    record: dict = {
        "graph": {
            "file": None if row.method == FP32 else made.image.relative_to(output).as_posix(),
            "sha256": hashlib.sha256(made.image.read_bytes()).hexdigest(),
            "bytes": made.bytes,
            "packed_bytes": made.packed_bytes,
            "share_of_fp32": made.share_of_fp32,
            "kept_in_fp32": made.kept,
        },
        "made_seconds": round(time.monotonic() - begun, 1),
    }
    with tempfile.TemporaryDirectory(dir=work, prefix=TEMPORARY) as temporary:
        folder = Path(temporary)
        reports = judge(inputs, row, made, fp32, folder, work)
        own = bundle(model, made, "quantised", folder / "own")
        record["figures"] = figures(reports, [entry.ood for entry in inputs.others])
        record["refused"] = reports.refused
        record |= _seen(inputs, row, made, fp32, own, reports, work)
        for when, diagram in record["reliability"].items():
            record["figures"][f"overconfidence_{when}"] = {"value": diagram["overconfidence"]}
        if inputs.study.corruptions.images:
            folders = corrupted(inputs, model.subject.preprocessing, work)
            record["corruptions"] = {kind: accuracy(inputs, own, place) for kind, place in folders.items()}
            record["figures"]["corrupted_accuracy"] = {"value": float(np.mean(list(record["corruptions"].values())))}
        record["reports"] = asdict(reports)
    record["speed"] = _speed(inputs, row, made, fp32)
    record["seconds"] = round(time.monotonic() - begun, 1)
    return record


def _seen(inputs: Inputs, row: Row, made: Made, fp32: Made, own: Path, reports: Reports, work: Path) -> dict:
    """What needs the judge's embeddings image by image: reliability before and after, cosines to fp32."""
    model = inputs.models[row.source]
    seen = embeddings(inputs, own, work)
    rows = rows_of(model, inputs.reporting)
    classes = np.array([rows[Path(path).relative_to(inputs.reporting.path).parts[0]] for path in seen.paths])
    cosines = made.bank.cosines(seen.embeds)
    right = cosines.labels.argmax(1) == classes
    judged = reports.raw["id"]
    # Images that show nothing are embedded, but not judged.
    if judged["n"] == len(right) and abs(right.mean() - judged["accuracy"]) > TIES:
        raise UserError(
            f"{row.name}: accuracy {right.mean():.4f} by `clipgate embed`, but {judged['accuracy']:.4f} by "
            "`clipgate evaluate`: is clipgate being built anew?"
        )
    readout = model.subject.readout
    found: dict = {
        "reliability": {
            "before": reliability(cosines, readout, right, 1.0),
            "after": reliability(cosines, readout, right, reports.gated["gate"]["temperature"]),
        }
    }
    if row.method != FP32:
        key = digest([model.sha256, inputs.reporting.digest(), inputs.version])[:20]
        place = work / f"fp32-{key}.safetensors"
        if not place.exists():
            with tempfile.TemporaryDirectory(dir=work, prefix=TEMPORARY) as temporary:
                before = embeddings(inputs, bundle(model, fp32, FP32, Path(temporary) / FP32), work)
            write_bytes(place, save({"image_embeds": before.embeds}))
        likeness = (seen.embeds * load_file(place)["image_embeds"]).sum(1)
        found["cosine"] = {"mean": float(likeness.mean()), "p1": float(np.quantile(likeness, 0.01))}
    return found


def _speed(inputs: Inputs, row: Row, made: Made, fp32: Made) -> float | None:
    """As a multiple of fp32's; of fewer than 8 bits none, as the graph computes in 8 all the same."""
    if row.method == FP32:
        return 1.0
    if row.bits < 8:
        return None
    example = next(inputs.ranges.batches(inputs.models[row.source].subject.preprocessing, [0]))
    graphs = {FP32: Graph(fp32.image), row.method: Graph(made.image)}
    return round(interleaved_speeds(graphs, example, SPEED_ROUNDS, progress=False)[row.method], 3)
