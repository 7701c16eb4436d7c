"""Trains one tower, or both, and leaves the static QDQ graphs: the entry that commands and studies call.

    train(Plan(fp32, "lsq", 4, examples, texts, Options(steps=2000)), Path("out"))

leaves in the folder the graph, a checkpoint, the log of the losses and their curve, and a report.
"""

import hashlib
import json
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from ..building import refuse_unwritable
from ..files import write_bytes
from ..graph import Graph
from ..onnx_model import graph_bytes
from ..quantization.levels import packed_bytes
from .curve import draw
from .network import Network
from .plan import Plan
from .start import start
from .trainer import Trainer

IMAGE, TEXT = "image_encoder.onnx", "text_encoder.onnx"
CHECKPOINT, LOG, CURVE, REPORT = "checkpoint.pt", "losses.jsonl", "losses.svg", "report.json"
# Inputs on which the graph that ONNX Runtime executes is compared with the trained one, and both with fp32.
COMPARED = 32


@dataclass(frozen=True)
class Made:
    """A written graph. `to_trained`: mean cosine of ONNX Runtime's embeddings to the trained network's, on training
    images or texts; `to_fp32`: to the fp32 tower's. `packed_bytes`: its size with weights of `bits` bits packed."""

    file: str
    sha256: str
    bytes: int
    packed_bytes: int
    to_trained: float
    to_fp32: float


@dataclass(frozen=True)
class Report:
    method: str
    weight_bits: int
    activation_bits: int
    steps: int
    seconds: float
    device: str
    identity: str
    graphs: dict[str, Made]
    last_loss: float
    versions: dict[str, str] = field(default_factory=dict)


def train(plan: Plan, output: Path, progress: bool = True) -> Report:
    """Goes on from a checkpoint in `output`; of a finished run it makes the graphs anew.

    Raises UserError for what the user can mend, among it NotRotatable and an operator that cannot be trained.
    """
    refuse_unwritable(output)
    options = plan.options
    torch.manual_seed(options.seed)
    chosen = plan.examples.spaced(options.range_images)

    def images() -> Iterator[np.ndarray]:
        return (plan.examples.batch([row], None).numpy() for row in chosen)

    def texts() -> Iterator[np.ndarray]:
        return (plan.texts.ids[row : row + 1] for row in range(len(plan.texts.ids)))

    settings = (plan.rotation, options.per_channel, options.percentile, progress)
    image = start(plan.fp32, plan.bits, images, *settings)
    text = None if plan.texts.fp32 is None else start(plan.texts.fp32, plan.bits, texts, *settings)
    trainer = Trainer(plan, image, text, plan.identity())
    checkpoint = output / CHECKPOINT
    if checkpoint.exists():
        trainer.load(checkpoint)
    trainer.run(checkpoint, progress)

    compared = [plan.examples.batch([row], None) for row in plan.examples.spaced(COMPARED)]
    graphs = {"image": _write(trainer, image.student, image.teacher, compared, output / IMAGE)}
    if text is not None:
        compared = [torch.from_numpy(row) for row in list(texts())[:COMPARED]]
        graphs["text"] = _write(trainer, text.student, text.teacher, compared, output / TEXT)
    report = Report(
        method=plan.method,
        weight_bits=plan.bits,
        activation_bits=plan.activation_bits,
        steps=trainer.step,
        seconds=round(trainer.seconds, 1),
        device=trainer.device.type,
        identity=trainer.identity,
        graphs=graphs,
        last_loss=trainer.history[-1]["loss"],
        versions={
            "python": platform.python_version(),
            "torch": torch.__version__,
            "onnx": onnx.__version__,
            "onnxruntime": onnxruntime.__version__,
        },
    )
    log = "".join(json.dumps(record) + "\n" for record in trainer.history)
    write_bytes(output / LOG, log.encode())
    write_bytes(output / CURVE, draw(trainer.history, plan.words))
    write_bytes(output / REPORT, (json.dumps(asdict(report), indent=1) + "\n").encode())
    return report


def _write(trainer: Trainer, student: Network, teacher: Network, inputs: list[torch.Tensor], path: Path) -> Made:
    model = student.exported()
    content = graph_bytes(model)
    write_bytes(path, content)
    graph = Graph(model)
    found = torch.cat([torch.from_numpy(graph(x.numpy())) for x in inputs])
    trained, fp32 = (trainer.embed(network, inputs) for network in (student, teacher))
    return Made(
        file=path.name,
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        packed_bytes=packed_bytes(model, trainer.plan.bits),
        to_trained=round(float((found * trained).sum(1).mean()), 6),
        to_fp32=round(float((found * fp32).sum(1).mean()), 6),
    )
