"""An fp32 graph and some images to the static int8 graph: savings, smoothing, ranges, QDQ, mixed precision.

Only a light form of the graph stays in memory; its weights lie in a file that sessions map, and images are
read anew for each pass. The same inputs, versions, processor class and thread count give the same bytes.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto

from ..errors import UserError
from ..files import write_bytes
from ..graph import FATAL_ONLY, one_thread
from ..onnx_files import bytes_on_disk
from ..onnx_model import graph_bytes
from . import mixed, smooth
from .calibrators import from_extremes, from_samples
from .index import Index
from .masks import bounded
from .movement import MOVING
from .observe import Batches, Extremes, cosines, embed, observe_extremes, observe_samples, rows
from .qdq import Ranges, quantise
from .recipe import Layer, Recipe, Report
from .savings import Savings, save
from .source import read
from .store import Store

# Calibration images over which an int8 graph's cosine to fp32 is taken: every k-th of them, this many.
JUDGED = 180


@dataclass(frozen=True)
class Candidate:
    """An int8 graph with its cosines to fp32, f64 [judged]."""

    recipe: Recipe
    graph: bytes
    cosines: np.ndarray
    layers: tuple[Layer, ...] = ()
    kept: int = 0

    @property
    def mean(self) -> float:
        """Rounded, so that recipes that differ by noise count as equal."""
        return round(float(self.cosines.mean()), 4)


def quantize(fp32: Path, batches: Batches, recipe: Recipe, output: Path, progress: bool = False) -> Report:
    """Writes the int8 graph of `fp32` by one recipe to `output`.

    `batches` gives, each time it is called, the calibration images f32 [B, ...] as the graph wants them.
    Raises UserError for what the user can mend: a graph that cannot be quantised, no images.
    """
    return quantize_best(fp32, batches, [recipe], output, progress)


def quantize_best(
    fp32: Path, batches: Batches, recipes: Sequence[Recipe], output: Path, progress: bool = False
) -> Report:
    """The same by the recipe of the highest mean cosine; of equals, the first."""
    model = read(fp32)
    savings = save(model)
    _check_kept(model, recipes)
    sites = smooth.sites(model)
    with Store(model) as store:
        del model
        work = _Work(store, batches, progress)
        maxima = None
        best: Candidate | None = None
        tried: dict[str, float] = {}
        for alpha in dict.fromkeys(recipe.smooth_alpha for recipe in recipes):
            chosen = [recipe for recipe in recipes if recipe.smooth_alpha == alpha]
            if alpha is None:
                candidates = _candidates(work, chosen)
            else:
                maxima = maxima or smooth.channel_maxima(store, sites, batches, progress)
                candidates = _smoothed_candidates(work, chosen, sites, maxima, alpha)
            for candidate in candidates:
                tried[candidate.recipe.words()] = candidate.mean
                if best is None or candidate.mean > best.mean:
                    best = candidate
        if best is None:
            raise ValueError("no recipe to try")
        extremes = work.extremes
    write_bytes(output, best.graph)
    return Report(
        recipe=best.recipe,
        images=len(extremes.embeddings),
        judged=len(best.cosines),
        calibration_sha256=extremes.sha256,
        mean_cosine=float(best.cosines.mean()),
        p1_cosine=float(np.quantile(best.cosines, 0.01)),
        candidates=tried,
        savings=_figures(savings),
        kept=best.kept,
        layers=best.layers,
        sha256=hashlib.sha256(best.graph).hexdigest(),
        share_of_fp32=len(best.graph) / bytes_on_disk(fp32),
        versions={"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__, "numpy": np.__version__},
    )


class _Work:
    """One fp32 graph and what has been observed of it, each pass over the images made when first asked for."""

    def __init__(self, store: Store, batches: Batches, progress: bool) -> None:
        self.store = store
        self.batches = batches
        self.progress = progress
        self._extremes: Extremes | None = None

    @property
    def extremes(self) -> Extremes:
        if self._extremes is None:
            self._extremes = observe_extremes(self.store, self.batches, self.progress)
        return self._extremes

    def ranges(self, recipe: Recipe) -> Ranges:
        return bounded(self.store, self._observed(recipe))

    def _observed(self, recipe: Recipe) -> Ranges:
        if recipe.calibrator in ("minmax", "quantile"):
            return from_extremes(recipe, self.extremes)
        tensors = _with_values_of_their_own(Index(self.store.light), self.extremes.tensors)
        count = len(self.extremes.embeddings)
        samples = observe_samples(self.store, tensors, self.batches, self.progress, count)
        return from_samples(recipe, self.extremes, tensors, samples, self.progress)

    def judged(self, most: int = JUDGED) -> tuple[np.ndarray, Iterator[np.ndarray]]:
        """Which of the images are judged, and these images."""
        count = len(self.extremes.embeddings)
        chosen = np.arange(count)[:: max(1, count // most)]
        wanted = set(chosen.tolist())
        shape = [1, *(d.dim_value for d in self.store.light.graph.input[0].type.tensor_type.shape.dim[1:])]
        return chosen, (row for place, row in enumerate(rows(self.batches, shape)) if place in wanted)

    def judge(self, graph: bytes) -> np.ndarray:
        chosen, images = self.judged()
        session = onnxruntime.InferenceSession(graph, one_thread(FATAL_ONLY), providers=["CPUExecutionProvider"])
        return cosines(embed(session, images), self.extremes.embeddings[chosen])


def _check_kept(model: ModelProto, recipes: Sequence[Recipe]) -> None:
    known = {node.name for node in model.graph.node}
    for name in (name for recipe in recipes for name in recipe.keep_float if name not in known):
        alike = get_close_matches(name, sorted(known), 3)
        near = f"; near it are {', '.join(alike)}" if alike else ""
        raise UserError(f"{name}: no node of the graph that is quantised{near}")


def _candidates(work: _Work, recipes: Sequence[Recipe]) -> Iterator[Candidate]:
    known: dict[tuple[str, float], Ranges] = {}
    for recipe in recipes:
        key = (recipe.calibrator, recipe.percentile)
        if key not in known:
            known[key] = work.ranges(recipe)
        yield _candidate(work, recipe, known[key])


def _smoothed_candidates(
    work: _Work, recipes: Sequence[Recipe], sites: list[smooth.Site], maxima: dict[str, np.ndarray], alpha: float
) -> Iterator[Candidate]:
    model = work.store.loaded()
    smooth.smooth(model, sites, maxima, alpha)
    with Store(model) as store:
        del model
        # In fp32 the smoothed graph is the same function: its own embeddings serve as the reference.
        yield from _candidates(_Work(store, work.batches, work.progress), recipes)


def _candidate(work: _Work, recipe: Recipe, ranges: Ranges) -> Candidate:
    def made(keep: Sequence[str], wide: Sequence[str]) -> bytes:
        model = quantise(
            work.store,
            ranges,
            recipe.per_channel,
            recipe.activation_bits,
            keep_float=(*recipe.keep_float, *keep),
            wide=wide,
        )
        return graph_bytes(model)

    graph = made((), ())
    best = Candidate(recipe, graph, work.judge(graph))
    if recipe.target_cosine is None or best.cosines.mean() >= recipe.target_cosine:
        return best
    _, images = work.judged(mixed.IMAGES)
    found = [layer for layer in mixed.layers(work.store.light) if not set(layer.nodes) & set(recipe.keep_float)]
    ranked = tuple(mixed.rank(work.store, found, ranges, recipe, list(images), work.progress))
    known: dict[int, Candidate] = {0: best}

    def enough(count: int) -> bool:
        if count not in known:
            nodes = [node for layer in ranked[:count] for node in layer.nodes]
            graph = made((), nodes) if recipe.fallback_bits == 16 else made(nodes, ())
            known[count] = Candidate(recipe, graph, work.judge(graph))
        return known[count].cosines.mean() >= recipe.target_cosine

    count = mixed.fewest(len(ranked), enough)
    enough(count)
    return replace(known[count], layers=ranked, kept=count)


def _with_values_of_their_own(index: Index, tensors: list[str]) -> list[str]:
    """Without what layout operators only pass on, and softmax's results, whose range is known."""
    others = (*MOVING, "Softmax")
    return [name for name in tensors if name not in index.producer or index.producer[name].op_type not in others]


def _figures(savings: Savings) -> dict[str, float]:
    return {
        "attentions rewritten": savings.attentions,
        "activations rewritten": savings.swish_activations,
        "biases joined": savings.biases,
        "multiplications saved": round(savings.class_token.share, 4),
    }
