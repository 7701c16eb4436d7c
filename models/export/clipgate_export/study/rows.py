"""The rows of a study: every model by every method and width, and what each depends on."""

import hashlib
import json
from dataclasses import asdict, dataclass
from importlib.metadata import version

from ..quantization.recipe import FP32_BITS
from .inputs import Inputs, Model
from .methods import METHODS

FP32 = "fp32"
IMAGE, BOTH = "vision", "vision + text"
# Where graphs and corrupted images stay in a study's folder, and how folders for one row begin there.
WORK, TEMPORARY = "work", "row-"
# Raised whenever the same inputs would give other figures.
FORMAT = 1
PACKAGES = ("onnx", "onnxruntime", "numpy", "torch", "pillow", "scipy")


@dataclass(frozen=True)
class Row:
    """One graph to be made and judged; `towers` says which are quantised. `key` is a digest of all it depends on."""

    source: str
    method: str
    bits: int
    towers: str
    key: str

    @property
    def kind(self) -> str:
        return FP32 if self.method == FP32 else METHODS[self.method].kind

    @property
    def name(self) -> str:
        both = ", vision + text" if self.towers == BOTH else ""
        width = "" if self.method == FP32 else f", w{self.bits}" + ("" if self.bits == FP32_BITS else "a8")
        return f"{self.source}: {self.method}{width}{both}"


def planned(inputs: Inputs) -> list[Row]:
    """fp32 first, then the simpler methods before the others; trained rows last, as they take longest.

    Both towers at once: without training and at 8 bits, where the model has an fp32 text tower.
    """
    study = inputs.study
    rows = []
    for kind in (FP32, "PTQ", "QAT"):
        for model in inputs.models.values():
            methods = [(FP32, FP32_BITS)]
            if kind != FP32:
                named = [name for name in study.methods if METHODS[name].kind == kind]
                methods = [(name, bits) for bits in study.bits for name in named if bits in METHODS[name].bits]
            for method, bits in methods:
                towers = [IMAGE]
                if model.text is not None and kind != "QAT" and bits >= 8:
                    towers.append(BOTH)
                rows += [
                    Row(model.name, method, bits, which, _key(inputs, model, method, bits, which)) for which in towers
                ]
    return rows


def graph_key(inputs: Inputs, model: Model, method: str, bits: int) -> str:
    """A digest of all that a quantised or trained graph depends on."""
    study = inputs.study
    depends: dict = {"format": FORMAT, "model": model.sha256, "method": method, "bits": bits, "versions": versions()}
    if method != FP32:
        depends["seed"] = study.seed
        if METHODS[method].kind == "QAT":
            depends["training"] = inputs.training.digest() if inputs.training else None
            depends["qat"] = {k: v for k, v in asdict(study.qat).items() if k != "checkpoint_steps"}
        else:
            depends["ranges"] = [inputs.ranges.digest(), study.range_images]
    return digest(depends)


def _key(inputs: Inputs, model: Model, method: str, bits: int, towers: str) -> str:
    study = inputs.study
    return digest(
        {
            "graph": graph_key(inputs, model, method, bits),
            "source": model.name,
            "towers": towers,
            "judge": inputs.version,
            "reporting": inputs.reporting.digest(),
            "ood": [[entry.ood.name, entry.ood.kind, entry.images.digest()] for entry in inputs.others],
            "promise": asdict(study.promise),
            "corruptions": asdict(study.corruptions),
            "seed": study.seed,
            "resamples": study.resamples,
        }
    )


def versions() -> dict[str, str]:
    return {package: version(package) for package in PACKAGES}


def digest(record: dict | list) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
