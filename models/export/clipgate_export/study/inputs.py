"""What a study works on: its models and images, read, checked and hashed before anything is made."""

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

from ..bank import Bank
from ..errors import UserError
from ..evaluating import call
from ..files import read_json
from ..images import ImageFolder
from ..quantization.source import read_unweighted
from ..subject import Subject, from_bundle
from .config import Ood, Study
from .methods import METHODS

MANIFEST = "manifest.json"
# An option of the judge that none had before it could judge a study.
NEWEST_OPTION = "--keep"


@dataclass(frozen=True)
class Model:
    """A source's bundle; `text` is its fp32 text tower, or `no_text` says why there are no rows of both towers."""

    name: str
    folder: Path
    subject: Subject
    sha256: str
    text: Path | None
    no_text: str | None

    @property
    def bank(self) -> Bank:
        if self.subject.bank is None:
            raise ValueError("checked when it was read")
        return self.subject.bank


@dataclass(frozen=True)
class Others:
    """An OOD set with its images."""

    ood: Ood
    images: ImageFolder


@dataclass(frozen=True)
class Inputs:
    """Everything that rows are made from; `version` is that of the judge `clipgate`."""

    study: Study
    models: dict[str, Model]
    ranges: ImageFolder
    reporting: ImageFolder
    training: ImageFolder | None
    others: tuple[Others, ...]
    clipgate: Path
    version: str

    @property
    def missing(self) -> list[str]:
        """What the study does without, and what its figures cannot be trusted for, one line each."""
        lines = [
            f"{model.name}: {model.no_text}: no rows with both towers"
            for model in self.models.values()
            if model.no_text
        ]
        for kind in ("near", "far"):
            if not any(entry.ood.kind == kind for entry in self.others):
                lines.append(f"no [[ood]] of kind {kind!r}: {kind} OOD detection is not judged")
        widths = ", ".join(map(str, self.study.bits))
        for method in self.study.methods:
            if not set(self.study.bits) & set(METHODS[method].bits):
                lines.append(f"{method}: not with weights of {widths} bits: no rows")
        if not self.study.corruptions.images:
            lines.append("corruptions.images is 0: robustness is not judged")
        judged = {file.sha256 for file in self.reporting.files}
        for use, folder in (("training", self.training), ("ranges", self.ranges)):
            seen = {file.sha256 for file in folder.files} if folder is not None else set()
            if judged & seen:
                lines.append(
                    f"{len(judged & seen)} of the reporting images are among those of {folder.path} ({use}): "
                    "the figures are too good, take others"
                )
        return lines


def read_inputs(study: Study, clipgate: Path) -> Inputs:
    """UserError for what is missing, unreadable or does not belong together."""
    version = call(clipgate, ["--version"]).strip()
    if NEWEST_OPTION not in call(clipgate, ["evaluate", "--help"]):
        raise UserError(
            f"{clipgate}: too old, it has no `evaluate {NEWEST_OPTION}`: build it with `cargo build --release`"
        )
    models = {source.name: _model(source.name, source.bundle) for source in study.sources}
    reporting = _judged(study.reporting, "reporting")
    training = None if study.training is None else _images(study.training, "training")
    for use, folder in (("reporting", reporting), ("training", training)):
        if folder is None:
            continue
        if not folder.labels:
            raise UserError(f"{folder.path}: {use} images need one folder a label, two at least")
        for model in models.values():
            rows_of(model, folder)
    return Inputs(
        study=study,
        models=models,
        ranges=_images(study.ranges, "quantising"),
        reporting=reporting,
        training=training,
        others=tuple(Others(ood, _judged(ood.images, "judging detection")) for ood in study.ood),
        clipgate=clipgate,
        version=version,
    )


def rows_of(model: Model, folder: ImageFolder) -> dict[str, int]:
    """The row of the bank that each label folder means."""
    bank, rows = model.subject.bank_for(folder.labels)
    if bank is not model.bank:
        raise UserError(
            f"{folder.path}: not all of its folders are labels of {model.folder}: rename them, or make a bank that has "
            "them (clipgate labels build)"
        )
    return dict(zip(folder.labels, rows, strict=True))


def _images(path: Path, use: str) -> ImageFolder:
    folder = ImageFolder.read(path, use=use)
    if warning := folder.warning():
        print(f"{path}: {warning}", file=sys.stderr)
    return folder


def _judged(path: Path, use: str) -> ImageFolder:
    """The judge reads the folder itself, and refuses it for one image."""
    folder = ImageFolder.read(path, use=use)
    if folder.broken:
        more = f"; {len(folder.broken) - 1} more do not decode" if len(folder.broken) > 1 else ""
        raise UserError(f"{folder.broken[0]}{more}: take such files out of {path}, every image there is judged")
    return folder


def _model(name: str, folder: Path) -> Model:
    manifest = folder / MANIFEST
    record = read_json(manifest)
    encoder = (record.get("image_encoder") or {}).get("file")
    if not isinstance(encoder, str):
        raise UserError(f"{manifest}: names no image encoder: make the bundle again")
    subject = from_bundle(folder, folder / encoder)
    read_unweighted(folder / encoder)
    if subject.bank is None:
        raise UserError(f"{folder}: has no label bank: make it with one, every figure is about its labels")
    text, no_text = None, "has no text tower"
    if subject.text is not None:
        try:
            read_unweighted(subject.text.graph)
            text, no_text = subject.text.graph, None
        except UserError as error:
            no_text = f"its text tower cannot be quantised ({error})"
    return Model(name, folder, subject, hashlib.sha256(manifest.read_bytes()).hexdigest(), text, no_text)
