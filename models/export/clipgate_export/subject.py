"""What `clipgate-export verify` compares: two graphs, and what stands before and behind them."""

import argparse
import difflib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import onnxruntime as ort

from .bank import Bank, Label
from .errors import UserError
from .external_data import check_external_data
from .files import read_json
from .graph import Graph
from .judging import Readout
from .labels import wordnet_ids
from .onnx_files import is_ort_format, one_line, read_without_weights
from .preprocess import MEAN, STD
from .spec import Preprocessing
from .text_tokenizer import TextTokenizer

# CLIP's logit scale is clamped to it in training, and every released CLIP ends there (arXiv 2103.00020, 2.5).
USUAL_LOGIT_SCALE = 100.0


@dataclass(frozen=True)
class TextEncoder:
    """A bundle's own, which embeds the names of the folders where no bank holds them; `fp32` to compare it with."""

    graph: Path
    tokenizer: Path
    prompt_template: str
    fp32: Path | None = None

    def reference(self) -> "TextEncoder":
        """The same with the fp32 graph."""
        return self if self.fp32 is None else replace(self, graph=self.fp32)

    def embed(self, names: Sequence[str]) -> np.ndarray:
        """Unit embeddings f32 [N, D]."""
        texts = [self.prompt_template.replace("{}", name.replace("_", " ")) for name in names]
        return load_graph(self.graph)(TextTokenizer(self.tokenizer.read_bytes())(texts))


@dataclass(frozen=True)
class Subject:
    """fp32 and int8 image encoders of the same model; `temperature` is the one in force, `bank` may be missing."""

    fp32: Path
    int8: Path
    preprocessing: Preprocessing
    readout: Readout
    temperature: float
    bank: Bank | None
    text: TextEncoder | None

    @cached_property
    def graphs(self) -> tuple[Graph, Graph]:
        """fp32 and int8, loaded; they take the same images and make embeddings of the same width."""
        size = self.preprocessing.size
        loaded = [load_graph(path) for path in (self.fp32, self.int8)]
        for path, graph in zip((self.fp32, self.int8), loaded, strict=True):
            shape = graph.session.get_inputs()[0].shape
            if shape != [1, 3, size, size]:
                raise UserError(f"{path}: takes {shape}, not [1, 3, {size}, {size}]: its preprocessing is another's")
        widths = [graph.session.get_outputs()[0].shape for graph in loaded]
        if widths[0] != widths[1]:
            raise UserError(f"{self.int8}: makes {widths[1]}, {self.fp32} {widths[0]}: they are different models")
        if self.bank is not None and widths[0][-1] != self.bank.text_embeds.shape[1]:
            raise UserError(
                f"the label bank's embeddings have {self.bank.text_embeds.shape[1]} dimensions, "
                f"those of {self.fp32} {widths[0][-1]}: give the bank of this model with --labels"
            )
        return loaded[0], loaded[1]

    @property
    def width(self) -> int:
        """How many dimensions an embedding has."""
        return self.graphs[0].session.get_outputs()[0].shape[-1]

    @property
    def knows_labels(self) -> bool:
        """Whether there is anything to tell what a folder's name means."""
        return self.bank is not None or self.text is not None

    def bank_for(self, folders: Sequence[str]) -> tuple[Bank, list[int]]:
        """The labels to choose among, and the row of each folder's; raises UserError where a folder has none.

        The bank's own where it has them all; otherwise the folders, embedded by the bundle's text encoder.
        """
        known: dict[str, int] = {}
        if self.bank is not None:
            known = {n: row for row, label in reversed(list(enumerate(self.bank.labels))) for n in _names(label)}
            missing = [name for name in folders if _folded(name) not in known]
            if not missing:
                return self.bank, [known[_folded(name)] for name in folders]
            if self.text is None:
                near = difflib.get_close_matches(_folded(missing[0]), known, 1, 0.0)
                raise UserError(
                    f"folder {missing[0]!r} is none of the {len(self.bank.labels)} labels (the nearest is "
                    f"{near[0]!r}): rename it, or give a bank that has it with --labels"
                )
        if self.text is None:
            raise ValueError("neither a bank nor a text encoder knows any label")
        names = [self.bank.labels[known[_folded(n)]].name if _folded(n) in known else n for n in folders]
        if ids := wordnet_ids(names):
            raise UserError(
                f"folder {ids[0]!r} is called by a WordNet id that no label has, and a text encoder knows no ids: "
                "rename it, or give a bank that has it with --labels"
            )
        embeds = self.text.embed(names)
        labels = [Label(name, "", []) for name in names]
        return Bank(labels, embeds, [], np.empty((0, embeds.shape[1]), np.float32)), list(range(len(names)))


def from_arguments(arguments: argparse.Namespace) -> Subject:
    """From --bundle DIR --fp32 F, or from --fp32 F --int8 F with an optional --manifest."""
    if arguments.fp32 is None:
        raise UserError("there is nothing to compare with: give the fp32 image encoder with --fp32")
    if (arguments.bundle is None) == (arguments.int8 is None):
        raise UserError("give either --bundle DIR or --int8 FILE")
    bank = None if arguments.labels is None else read_bank(arguments.labels)
    if arguments.bundle is not None:
        return from_bundle(arguments.bundle, arguments.fp32, bank, arguments.fp32_text)
    if arguments.fp32_text is not None:
        raise UserError("--fp32-text: compares a bundle's text encoder: give it with --bundle DIR")
    if arguments.manifest is not None:
        record = read_json(arguments.manifest)
        return Subject(
            arguments.fp32,
            arguments.int8,
            preprocessing_of(record, arguments.manifest),
            readout_of(record),
            1.0,
            bank,
            None,
        )
    shape = load_graph(arguments.fp32).session.get_inputs()[0].shape
    if len(shape) != 4 or not isinstance(shape[-1], int):
        raise UserError(f"{arguments.fp32}: takes {shape}, not images [1, 3, S, S]: export it with a fixed size")
    usual = Preprocessing(shape[-1], "shortest_edge", "bicubic", MEAN, STD)
    return Subject(arguments.fp32, arguments.int8, usual, Readout(USUAL_LOGIT_SCALE), 1.0, bank, None)


def from_bundle(folder: Path, fp32: Path, bank: Bank | None = None, fp32_text: Path | None = None) -> Subject:
    """The bundle's image encoder against `fp32`, its text encoder against `fp32_text`; `bank` goes before its own."""
    path = folder / "manifest.json"
    record = read_json(path)
    try:
        int8 = folder / record["image_encoder"]["file"]
        files = record["files"]
        text = record.get("text_encoder")
        encoder = text and TextEncoder(
            folder / text["file"], folder / text["tokenizer"], text.get("prompt_template", "{}"), fp32_text
        )
        own = record.get("labels", {}).get("file")
        calibration = record.get("calibration", {}).get("file")
        others = (record["image_encoder"]["file"], own, calibration, record.get("selftest", {}).get("file"))
        for name in (*files, *others, *((text["file"], text["tokenizer"]) if text else ())):
            check_plain(name, path)
        for name, entry in files.items():
            check_digest(folder / name, entry["sha256"])
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not a bundle's manifest ({error}): make the bundle again") from error
    if fp32_text is not None and encoder is None:
        raise UserError(f"--fp32-text: {folder} has no text encoder to compare with it")
    if bank is None and own is not None:
        bank = read_bank(folder / own)
    temperature = 1.0 if calibration is None else float(read_json(folder / calibration).get("temperature", 1.0))
    return Subject(fp32, int8, preprocessing_of(record, path), readout_of(record), temperature, bank, encoder)


def check_plain(name: str | None, manifest: Path) -> None:
    """Refuses what is not the name of a file in the bundle's folder: it would be read, or written, elsewhere."""
    if name is not None and (name != Path(name).name or name in ("", ".", "..") or "\\" in name):
        raise UserError(f"{manifest}: {name!r} is no plain file name: make the bundle again")


def load_graph(path: Path) -> Graph:
    """On one thread; weights outside the file's folder are refused, and every error names the file."""
    is_ort = is_ort_format(path)
    if not is_ort:
        check_external_data(path, read_without_weights(path))
    try:
        # As bytes it has no folder to look for other files in.
        return Graph(path.read_bytes() if is_ort else path)
    except Exception as error:
        raise UserError(f"{path}: ONNX Runtime {ort.__version__} refuses it ({one_line(error)})") from error


def read_bank(path: Path) -> Bank:
    try:
        return Bank.read(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}: name a label bank (clipgate labels build)") from error
    except Exception as error:
        raise UserError(f"{path}: not a label bank: build one with `clipgate labels build`") from error


def preprocessing_of(record: dict, path: Path) -> Preprocessing:
    try:
        given = record["preprocessing"]
        return Preprocessing(
            given["size"],
            given.get("resize", "shortest_edge"),
            given.get("interpolation", "bicubic"),
            tuple(given["mean"]),
            tuple(given["std"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: preprocessing is missing or incomplete ({error}): make the bundle again") from error


def readout_of(record: dict) -> Readout:
    return Readout(float(record.get("logit_scale", USUAL_LOGIT_SCALE)), record.get("logit_bias"))


def check_digest(path: Path, wanted: str) -> None:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}: copy or make the bundle again") from error
    if found != wanted:
        raise UserError(f"{path}: sha256 {found[:16]}... is not the manifest's: copy or make the bundle again")


def _folded(name: str) -> str:
    return name.replace("_", " ").casefold()


def _names(label: Label) -> list[str]:
    return [_folded(name) for name in (label.name, label.wnid) if name]
