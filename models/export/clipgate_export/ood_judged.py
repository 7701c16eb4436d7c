"""What `clipgate evaluate` says of embeddings: the command is the judge of areas and of what its gate accepts."""

import hashlib
import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from .bank import Bank
from .bundle import to_json
from .errors import UserError
from .files import write_bytes
from .metrics import Figure
from .scores import OOD_SCORES


@dataclass(frozen=True)
class Separation:
    """How one score tells one set from the labels' images: both in [0, 1], with 95 % bootstrap intervals."""

    auroc: Figure
    fpr95: Figure


@dataclass(frozen=True)
class Judged:
    """Of each score, one separation a set; and the share of the labels' images that the bundle's gate answers."""

    scores: dict[str, list[Separation]]
    coverage: float | None


def judge(
    command: Path,
    bundle: Path,
    bank: Bank,
    logit_scale: float,
    inside: tuple[np.ndarray, np.ndarray],
    outside: list[np.ndarray],
    of_bundle: bool,
) -> Judged:
    """`inside` holds embeddings f32 [N, D] and rows of the labels i64 [N]; `of_bundle`, whether its graph made them."""
    graph = hashlib.sha256((bundle / "image_encoder.onnx").read_bytes()).hexdigest()
    metadata = {"graph_sha256": graph} if of_bundle else None
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        model = with_scale(bundle, logit_scale, folder / "model")
        write_bytes(folder / "bank.safetensors", bank.file())
        tensors = {"image_embeds": wide(inside[0]), "labels": inside[1].astype(np.int64)}
        save_file(tensors, folder / "id.safetensors", metadata)
        asked = [str(command), "evaluate", "--format", "json", "--bundle", str(model)]
        asked += ["--bank", str(folder / "bank.safetensors"), "--embeddings", str(folder / "id.safetensors")]
        for place, embeddings in enumerate(outside):
            file = folder / f"ood{place}.safetensors"
            save_file({"image_embeds": wide(embeddings)}, file, metadata)
            asked += ["--ood", f"{place}={file}"]
        done = subprocess.run(asked, capture_output=True, text=True)
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise UserError(f"{command} evaluate: exit {done.returncode}: {said}")
    return read(json.loads(done.stdout))


def read(report: dict) -> Judged:
    """From the command's JSON; its sets are named by their places."""
    sets = sorted(report["ood"], key=lambda found: int(found["name"]))

    def value(found: dict, what: str, kind: str) -> Figure:
        low, high = found["intervals"][what][kind]
        return Figure(found[what][kind], low, high, found["n"] + report["id"]["n"])

    # The command's own entry `gate` is one of these under another name.
    kinds = [kind for kind in OOD_SCORES if kind in sets[0]["auroc"]]
    scores = {
        kind: [Separation(value(found, "auroc", kind), value(found, "fpr95", kind)) for found in sets] for kind in kinds
    }
    gate = report["gate"]
    return Judged(scores, gate["coverage"] if gate else None)


def with_scale(bundle: Path, logit_scale: float, folder: Path) -> Path:
    """A bundle whose model has this logit scale, its other files being those of `bundle`; that itself if it has it."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    if manifest["logit_scale"] == logit_scale:
        return bundle
    folder.mkdir()
    for name in manifest["files"]:
        write_bytes(folder / name, (bundle / name).read_bytes())
    write_bytes(folder / "manifest.json", to_json(manifest | {"logit_scale": logit_scale}))
    return folder


def wide(embeddings: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(embeddings, np.float32)
