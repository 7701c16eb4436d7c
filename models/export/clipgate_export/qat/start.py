"""Where a training starts: the tower's QDQ graph by the recipe, and the fp32 tower beside it."""

from dataclasses import dataclass
from pathlib import Path

from onnx import numpy_helper

from ..quantization.calibrators import from_extremes
from ..quantization.engine import prepare
from ..quantization.levels import read_levels
from ..quantization.masks import bounded
from ..quantization.observe import Batches, observe_extremes
from ..quantization.qdq import quantise
from ..quantization.recipe import FP32_BITS, Recipe
from ..quantization.store import Store
from .network import Network


@dataclass(frozen=True)
class Start:
    """`student` learns, `teacher` is the same tower in fp32."""

    student: Network
    teacher: Network


def start(
    fp32: Path,
    bits: int,
    batches: Batches,
    rotation: int | None = None,
    per_channel: bool = False,
    percentile: float = 99.0,
    progress: bool = True,
) -> Start:
    """`batches` yields the inputs that set the activations' first ranges, [1, ...] each.

    At 32 `bits` nothing is rounded: the fp32 graph learns what the quantised one would.
    """
    model, _ = prepare(fp32, rotation)
    with Store(model) as store:
        del model
        extremes = observe_extremes(store, batches, progress)
        ranges = bounded(store, from_extremes(Recipe("quantile", percentile), extremes))
        graph = quantise(store, ranges, per_channel)
        whole = store.loaded()
    teacher = Network(whole).requires_grad_(False)
    wanted = {constant.source for constant in read_levels(graph).constants.values()}
    sources = {t.name: numpy_helper.to_array(t) for t in whole.graph.initializer if t.name in wanted}
    if bits == FP32_BITS:
        return Start(Network(whole, learned=Network(graph, sources).learned_sources), teacher)
    return Start(Network(graph, sources, bits), teacher)
