"""Makes the graphs of a row: quantised, trained, or fp32 as it is."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import onnx

from ..bank import Bank
from ..bundle import to_json
from ..errors import UserError
from ..files import write_bytes
from ..images import spaced
from ..onnx_files import bytes_on_disk
from ..qat.command import folder_examples
from ..qat.plan import Plan, Texts
from ..qat.training import CHECKPOINT, IMAGE, train
from ..quantization.engine import quantize
from ..quantization.levels import packed_bytes
from ..subject import load_graph
from ..text_tokenizer import TextTokenizer
from .inputs import Inputs, Model, rows_of
from .methods import METHODS
from .rows import BOTH, FP32, Row, graph_key

TEXT = "text_encoder.onnx"
# Mean cosine of a written graph to the network that was trained: less is an error of ours, and no row of a study.
TRAINED = 0.999


@dataclass(frozen=True)
class Made:
    """`image` is the row's image tower, `bank` its labels: embedded by the row's text tower where that is judged.

    `packed_bytes`: of the image tower with its weights in the row's bits. `kept`: layers left in fp32.
    """

    image: Path
    bank: Bank
    bytes: int
    packed_bytes: int
    share_of_fp32: float
    kept: int


def make(inputs: Inputs, row: Row, folder: Path) -> Made:
    """Graphs that are in `folder` already, made from the same, are taken again; a training goes on."""
    model = inputs.models[row.source]
    fp32 = model.subject.fp32
    text = model.text
    if row.method == FP32:
        image, report = fp32, {"packed_bytes": bytes_on_disk(fp32), "kept": 0}
    else:
        place = folder / graph_key(inputs, model, row.method, row.bits)[:20]
        image, report = place / IMAGE, _once(place, lambda: _image(inputs, model, row, place))
        # Several times the graph's size, and of no use once it is known to be made.
        (place / CHECKPOINT).unlink(missing_ok=True)
        if row.towers == BOTH:
            text = place / TEXT
            if not text.exists():
                recipe = METHODS[row.method].recipe
                quantize(model.text, lambda: _prompts(model), recipe(row.bits, inputs.study.seed), text)
    bank = _embedded(model, text) if row.towers == BOTH else model.bank
    size = bytes_on_disk(image)
    return Made(image, bank, size, report["packed_bytes"], size / bytes_on_disk(fp32), report["kept"])


def _once(place: Path, make: Callable[[], dict]) -> dict:
    """What `make` reports, remembered beside the graph."""
    remembered = place / "made.json"
    if not remembered.exists():
        write_bytes(remembered, to_json(make()))
    return json.loads(remembered.read_text())


def _image(inputs: Inputs, model: Model, row: Row, place: Path) -> dict:
    study, subject = inputs.study, model.subject
    recipe = METHODS[row.method].recipe
    if recipe is not None:
        chosen = spaced(len(inputs.ranges.files), study.range_images)
        report = quantize(
            subject.fp32,
            lambda: inputs.ranges.batches(subject.preprocessing, chosen),
            recipe(row.bits, study.seed),
            place / IMAGE,
        )
        return {"packed_bytes": report.packed_bytes, "kept": report.kept, "report": report.record()}
    if inputs.training is None:
        raise UserError(f"{study.path}: images.training: is missing")
    examples = folder_examples(inputs.training, subject.preprocessing, rows_of(model, inputs.training))
    texts = Texts(np.concatenate([model.bank.text_embeds, model.bank.negative_embeds]).astype(np.float32))
    options = replace(study.qat, logit_scale=subject.readout.logit_scale)
    trained = train(Plan(subject.fp32, row.method, row.bits, examples, texts, options), place, progress=False)
    alike = trained.graphs["image"].to_trained
    if alike < TRAINED:
        raise UserError(f"{row.name}: its graph is not what was trained (mean cosine {alike:.4f}): please report it")
    packed = packed_bytes(onnx.load(place / IMAGE), row.bits)
    return {"packed_bytes": packed, "kept": 0, "report": asdict(trained)}


def _prompts(model: Model) -> Iterator[np.ndarray]:
    ids = TextTokenizer(model.subject.text.tokenizer.read_bytes())(_texts(model))
    return (ids[place : place + 1] for place in range(len(ids)))


def _texts(model: Model) -> list[str]:
    """Every label and negative in the bundle's own prompt."""
    template = model.subject.text.prompt_template
    labels = (*model.bank.labels, *model.bank.negatives)
    return [template.replace("{}", label.name.replace("_", " ")) for label in labels]


def _embedded(model: Model, text: Path) -> Bank:
    """The bank's labels and negatives as the graph `text` embeds them."""
    graph = load_graph(text)
    embeds = np.concatenate([graph(ids) for ids in _prompts(model)])
    count = len(model.bank.labels)
    return replace(model.bank, text_embeds=embeds[:count], negative_embeds=embeds[count:])
