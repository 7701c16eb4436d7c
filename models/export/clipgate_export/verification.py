"""fp32 against int8 on a folder of images: what is measured, and which bars it has to hold."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

from . import judging, lint, snr
from .bank import Bank
from .errors import UserError
from .images import ImageFolder
from .likeness import Likeness
from .onnx_files import is_ort_format
from .scores import Cosines
from .subject import Subject, TextEncoder

SNR_IMAGES = 8


@dataclass(frozen=True)
class Limit:
    """A bar as an option: what it measures, in which unit, whether it is a largest value, its default, its needs."""

    option: str
    measure: str
    unit: str
    largest: bool
    default: float | None
    needs: str = "images"

    def holds(self, value: float, bar: float) -> bool:
        """NaN misses every bar."""
        return value <= bar if self.largest else value >= bar


LABELLED = "one folder a label and a label bank (--labels)"
LIMITS = (
    Limit("max-drop", "upper 95 % bound of the drop in accuracy", "points", True, 2.0, LABELLED),
    Limit("min-cosine", "mean cosine of int8 to fp32", "", False, 0.99),
    Limit("min-cosine-p1", "1st percentile of the cosine", "", False, None),
    Limit(
        "min-centred-cosine", "mean cosine of int8 to fp32 less fp32's mean embedding", "", False, 0.9, "varied images"
    ),
    Limit("min-agreement", "images with the same best label", "%", False, None, "a label bank (--labels)"),
    Limit("max-ece", "calibration error after refitting", "", True, None, LABELLED),
    Limit("max-auroc-drop", "largest drop in AUROC over the outside sets", "points", True, None, "--ood NAME=DIR"),
    Limit("min-text-cosine", "mean cosine of the text encoder to the fp32 one", "", False, 0.99, "--fp32-text FILE"),
    Limit("min-snr", "lowest signal-to-noise ratio of a layer", "dB", False, None, "layers of one name in both graphs"),
)


@dataclass(frozen=True)
class Bars:
    """What must hold: a number by option of `LIMITS`, None where nothing is asked; the gravest finding allowed."""

    limits: dict[str, float | None] = field(default_factory=lambda: {limit.option: limit.default for limit in LIMITS})
    lint: str | None = lint.ERROR


@dataclass(frozen=True)
class Checked:
    """A bar with what was measured; `held` is None where what it `needs` was not there to measure it."""

    measure: str
    unit: str
    value: float | None
    largest: bool
    bar: float
    held: bool | None
    needs: str = ""


@dataclass(frozen=True)
class Labelled:
    """What labels add: shares right, the paired drop, and how sure each graph is with how much reason."""

    fp32_accuracy: float
    int8_accuracy: float
    drop: judging.Drop
    fp32: judging.Calibration
    int8: judging.Calibration


@dataclass(frozen=True)
class Outside:
    """Images that no label describes: the area under the ROC curve by score, fp32 and int8."""

    name: str
    n: int
    areas: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Texts:
    """The bundle's text encoder against fp32 on the labels' prompts; `own`: how many find their own fp32 one.

    `centred_mean` is None for a single label.
    """

    n: int
    cosine_mean: float
    cosine_p1: float
    centred_mean: float | None
    own: int


@dataclass(frozen=True)
class Report:
    """Everything that was measured; None where there was nothing to measure it with.

    `likeness` compares int8's with fp32's embeddings of the images.
    """

    subject: Subject
    images: ImageFolder
    n: int
    likeness: Likeness
    choices: int | None
    agreement: float | None
    labelled: Labelled | None
    outside: list[Outside]
    texts: Texts | None
    snr: snr.Layers | None
    findings: list[lint.Finding]
    checked: list[Checked]

    @property
    def cosine_mean(self) -> float:
        return float(self.likeness.plain.mean())

    @property
    def cosine_p1(self) -> float:
        return float(np.quantile(self.likeness.plain, 0.01))

    @property
    def centred_mean(self) -> float:
        return float(self.likeness.centred.mean())

    @property
    def centred_worst(self) -> float:
        return float(self.likeness.centred.min())

    @property
    def passed(self) -> bool:
        return all(checked.held is not False for checked in self.checked)


def check(
    subject: Subject,
    folder: ImageFolder,
    rows: Sequence[int] | None = None,
    outside: Sequence[tuple[str, ImageFolder]] = (),
    bars: Bars | None = None,
    snr_images: int = SNR_IMAGES,
) -> Report:
    """Measures all that the images at `rows` (all by default) allow; one image at a time is in memory."""
    findings = lint.lint(subject.int8)
    rows = list(range(len(folder.files))) if rows is None else list(rows)
    bank, of_label = subject.bank, {}
    if folder.labels and subject.knows_labels:
        bank, places = subject.bank_for(folder.labels)
        of_label = dict(zip(folder.labels, places, strict=True))
    if outside and bank is None:
        raise UserError(f"--ood {outside[0][0]}: there are no labels to be outside of: give a label bank with --labels")
    embeddings = embed(subject, folder, rows, "images")
    likeness = Likeness.of(*embeddings)
    agreement = labelled = None
    areas: list[Outside] = []
    if bank is not None:
        cosines = tuple(bank.cosines(found) for found in embeddings)
        agreement = float((cosines[0].labels.argmax(1) == cosines[1].labels.argmax(1)).mean())
        if of_label:
            labelled = judge_labelled(subject, cosines, np.array([of_label[folder.files[row].label] for row in rows]))
        areas = [judge_outside(subject, name, images, bank, cosines) for name, images in outside]
    texts = None
    if subject.text is not None and subject.text.fp32 is not None:
        names = [label.name for label in bank.labels] if bank is not None else []
        texts = judge_texts(subject.text, names)
    # Layers have no names of their own any more in an ORT-format graph.
    with_layers = snr_images > 0 and not is_ort_format(subject.int8)
    layers = measure_layers(subject, folder, rows, snr_images) if with_layers else None
    values = {
        "max-drop": None if labelled is None else 100 * labelled.drop.upper,
        "min-cosine": float(likeness.plain.mean()),
        "min-cosine-p1": float(np.quantile(likeness.plain, 0.01)),
        "min-centred-cosine": None if likeness.warning() else float(likeness.centred.mean()),
        "min-agreement": None if agreement is None else 100 * agreement,
        "max-ece": None if labelled is None else labelled.int8.ece_after,
        "max-auroc-drop": max((100 * (a - b) for s in areas for a, b in s.areas.values()), default=None),
        "min-text-cosine": None if texts is None else texts.cosine_mean,
        "min-snr": None if layers is None else min((layer.db for layer in layers.layers), default=None),
    }
    return Report(
        subject=subject,
        images=folder,
        n=len(rows),
        likeness=likeness,
        choices=None if bank is None else len(bank.labels),
        agreement=agreement,
        labelled=labelled,
        outside=areas,
        texts=texts,
        snr=layers,
        findings=findings,
        checked=hold(values, findings, bars or Bars()),
    )


def judge_texts(encoder: TextEncoder, names: Sequence[str]) -> Texts:
    if not names:
        raise UserError("--fp32-text: there are no labels whose texts to compare: give a label bank with --labels")
    fp32, own = encoder.reference().embed(names), encoder.embed(names)
    if fp32.shape != own.shape:
        raise UserError(f"{encoder.fp32}: makes {fp32.shape[1]} dimensions, {encoder.graph} {own.shape[1]}")
    likeness = Likeness.of(fp32, own)
    nearest = (own @ fp32.T).argmax(1)
    return Texts(
        n=len(names),
        cosine_mean=float(likeness.plain.mean()),
        cosine_p1=float(np.quantile(likeness.plain, 0.01)),
        centred_mean=float(likeness.centred.mean()) if len(names) > 1 else None,
        own=int((nearest == np.arange(len(names))).sum()),
    )


def measure_layers(subject: Subject, folder: ImageFolder, rows: Sequence[int], images: int) -> snr.Layers:
    """Over at most `images` of `rows`, evenly spaced."""
    chosen = [rows[place] for place in np.linspace(0, len(rows) - 1, min(images, len(rows)), dtype=int)]
    with tqdm(total=len(chosen), desc="layers", unit="image", disable=None) as bar:
        return snr.measure(subject.fp32, subject.int8, folder.batches(subject.preprocessing, chosen), bar.update)


def embed(subject: Subject, folder: ImageFolder, rows: Sequence[int], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Unit embeddings f32 [N, D] of the images at `rows`, by the fp32 and by the int8 graph."""
    graphs = subject.graphs
    embeddings = tuple(np.empty((len(rows), subject.width), np.float32) for _ in graphs)
    images = folder.batches(subject.preprocessing, rows)
    for place, image in enumerate(tqdm(images, total=len(rows), desc=name, unit="image", disable=None)):
        for graph, path, found in zip(graphs, (subject.fp32, subject.int8), embeddings, strict=True):
            try:
                found[place] = graph(image)[0]
            except ValueError as error:
                raise UserError(f"{path}: {error} for {folder.files[rows[place]].path}: export it again") from error
    return embeddings[0], embeddings[1]


def judge_labelled(subject: Subject, cosines: tuple[Cosines, Cosines], classes: np.ndarray) -> Labelled:
    """`classes` i64 [N] are rows of the bank."""
    right = [graph.labels.argmax(1) == classes for graph in cosines]
    calibrations = [judging.calibration(subject.readout, graph, classes, subject.temperature) for graph in cosines]
    return Labelled(
        float(right[0].mean()), float(right[1].mean()), judging.accuracy_drop(right[0], right[1]), *calibrations
    )


def judge_outside(
    subject: Subject, name: str, folder: ImageFolder, bank: Bank, inside: tuple[Cosines, Cosines]
) -> Outside:
    """`inside` holds the cosines of the images that the labels describe, fp32 and int8."""
    embeddings = embed(subject, folder, range(len(folder.files)), name)
    scores = [
        (subject.readout.ood_scores(within), subject.readout.ood_scores(bank.cosines(found)))
        for within, found in zip(inside, embeddings, strict=True)
    ]
    areas = {
        kind: tuple(judging.area_under_roc(within[kind], without[kind]) for within, without in scores)
        for kind in scores[0][0]
    }
    return Outside(name, len(folder.files), areas)


def hold(values: dict[str, float | None], findings: list[lint.Finding], bars: Bars) -> list[Checked]:
    """Every bar that is asked for, in the order of `LIMITS`, then the lint."""
    checked = []
    for limit in LIMITS:
        bar, value = bars.limits.get(limit.option), values[limit.option]
        # A text encoder is compared only where its fp32 graph is given: nobody asked otherwise.
        if bar is not None and not (limit.option == "min-text-cosine" and value is None):
            held = None if value is None else limit.holds(value, bar)
            checked.append(Checked(limit.measure, limit.unit, value, limit.largest, bar, held, limit.needs))
    if bars.lint is not None:
        grave = lint.SEVERITIES[: lint.SEVERITIES.index(bars.lint) + 1]
        count = sum(finding.severity in grave for finding in findings)
        checked.append(Checked(f"findings of the lint: {' and '.join(grave)}s", "", count, True, 0, count == 0))
    return checked
