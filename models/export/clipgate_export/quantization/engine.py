"""An fp32 graph and some images to the static int8 graph: savings, rotation or smoothing, ranges, QDQ, mixed precision.

Only a light form of the graph stays in memory; its weights lie in a file that sessions map, and images are
read anew for each pass. The same inputs, versions, processor class and thread count give the same bytes.
"""

import hashlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto
from tqdm import tqdm

from ..errors import UserError
from ..files import write_bytes
from ..graph import FATAL_ONLY, one_thread
from ..likeness import Likeness, directions
from ..onnx_files import bytes_on_disk
from ..onnx_model import graph_bytes
from . import mixed, smooth
from .calibrators import from_extremes, from_samples
from .index import Index
from .levels import packed_bytes
from .masks import bounded
from .movement import MOVING
from .observe import Batches, Extremes, embed, observe_extremes, observe_samples, rows
from .qdq import Ranges, quantise
from .recipe import Layer, Recipe, Report
from .rotation import NotRotatable, rotate
from .savings import Savings, save
from .source import read
from .store import Store

# Calibration images over which an int8 graph's cosine to fp32 is taken: every k-th of them, this many, and while it
# is being found out how many layers to keep in float, fewer.
JUDGED, JUDGED_IN_SEARCH = 180, 60
# The share of an earlier recipe's loss that a later one may have at most to be taken instead; what is between is noise.
CLEARLY_LESS = 0.9


@dataclass(frozen=True)
class Candidate:
    """An int8 graph and how like fp32's its embeddings of the judged images are."""

    recipe: Recipe
    graph: bytes
    likeness: Likeness
    layers: tuple[Layer, ...] = ()
    kept: int = 0

    @property
    def cosine(self) -> float:
        return float(self.likeness.plain.mean())

    @property
    def centred(self) -> float:
        return float(self.likeness.centred.mean())

    @property
    def reached(self) -> bool:
        return self.recipe.reached(self.cosine, self.centred)

    def beats(self, other: "Candidate") -> bool:
        """Whether to take it instead of one that was tried before, and is the simpler."""
        if self.reached != other.reached:
            return self.reached
        # The centred cosine sees what the plain one hides; of a single image there is none.
        losses = [1 - (it.cosine if np.isnan(it.centred) else it.centred) for it in (self, other)]
        return losses[0] < losses[1] * (CLEARLY_LESS if self.reached else 1)


def quantize(fp32: Path, batches: Batches, recipe: Recipe, output: Path, progress: bool = False) -> Report:
    """Writes the int8 graph of `fp32` by one recipe to `output`.

    `batches` gives, each time it is called, the calibration images f32 [B, ...] as the graph wants them.
    Raises UserError for what the user can mend: a graph that cannot be quantised, no images.
    """
    return quantize_best(fp32, batches, [recipe], output, progress)


def quantize_best(
    fp32: Path,
    batches: Batches,
    recipes: Sequence[Recipe],
    output: Path,
    progress: bool = False,
    further: Sequence[Recipe] = (),
) -> Report:
    """The same by the recipe of the highest mean centred cosine; of those that are about as good, the first.

    `further` recipes are tried only where that one misses its target. Where the best of all does, the layers that
    quantisation hurts most are kept out of it.
    """
    model, savings = prepare(fp32)
    _check_kept(model, (*recipes, *further))
    sites = smooth.sites(model)
    with Store(model) as store:
        del model
        trials = _Trials(fp32, store, batches, sites, progress)
        best = trials.best(recipes)
        if further and not best.reached:
            trials.say(f"{_words(best)}: trying {len(further)} more recipes")
            best = trials.best(further, best)
        if not best.reached:
            trials.say(f"{_words(best)}: measuring layer by layer what to keep in {best.recipe.fallback_bits} bits")
            best = trials.mixed(best)
        extremes = trials.work.extremes
    write_bytes(output, best.graph)
    return Report(
        recipe=best.recipe,
        images=len(extremes.embeddings),
        judged=len(best.likeness.plain),
        calibration_sha256=extremes.sha256,
        mean_cosine=best.cosine,
        p1_cosine=float(np.quantile(best.likeness.plain, 0.01)),
        centred_cosine=best.centred,
        worst_centred=float(best.likeness.centred.min()),
        alike=best.likeness.alike,
        candidates=trials.tried,
        savings=_figures(savings),
        kept=best.kept,
        layers=best.layers,
        sha256=hashlib.sha256(best.graph).hexdigest(),
        share_of_fp32=len(best.graph) / bytes_on_disk(fp32),
        packed_bytes=packed_bytes(onnx.load_from_string(best.graph), best.recipe.weight_bits),
        versions={"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__, "numpy": np.__version__},
    )


def prepare(fp32: Path, rotation: int | None = None) -> tuple[ModelProto, Savings]:
    """The fp32 graph as it is quantised, rotated by this seed if there is one, its constants inside."""
    model = read(fp32)
    if rotation is not None:
        try:
            rotate(model, rotation)
        except NotRotatable as error:
            raise UserError(f"{fp32}: {error}") from None
    return model, save(model)


def _words(candidate: Candidate) -> str:
    recipe = candidate.recipe
    asked = f"mean cosine {candidate.cosine:.4f}, asked {recipe.target_cosine}"
    if recipe.target_centred is not None:
        asked += f"; centred {candidate.centred:.4f}, asked {recipe.target_centred}"
    return f"{recipe.words()}: {asked}"


class _Work:
    """One fp32 graph and what has been observed of it, each pass over the images made when first asked for."""

    def __init__(self, store: Store, batches: Batches, progress: bool) -> None:
        self.store = store
        self.batches = batches
        self.progress = progress
        self._extremes: Extremes | None = None
        self._ranges: dict[tuple[str, float], Ranges] = {}

    @property
    def extremes(self) -> Extremes:
        if self._extremes is None:
            self._extremes = observe_extremes(self.store, self.batches, self.progress)
        return self._extremes

    def ranges(self, recipe: Recipe) -> Ranges:
        key = (recipe.calibrator, recipe.percentile)
        if key not in self._ranges:
            self._ranges[key] = bounded(self.store, self._observed(recipe))
        return self._ranges[key]

    def _observed(self, recipe: Recipe) -> Ranges:
        if recipe.calibrator in ("minmax", "quantile"):
            return from_extremes(recipe, self.extremes)
        tensors = _with_values_of_their_own(Index(self.store.light), self.extremes.tensors)
        count = len(self.extremes.embeddings)
        samples = observe_samples(self.store, tensors, self.batches, self.progress, count)
        return from_samples(recipe, self.extremes, tensors, samples, self.progress)

    def judged(self, most: int) -> tuple[np.ndarray, Iterator[np.ndarray]]:
        """Which of the images are judged, and these images."""
        count = len(self.extremes.embeddings)
        chosen = np.arange(count)[:: max(1, count // most)]
        wanted = set(chosen.tolist())
        shape = [1, *(d.dim_value for d in self.store.light.graph.input[0].type.tensor_type.shape.dim[1:])]
        return chosen, (row for place, row in enumerate(rows(self.batches, shape)) if place in wanted)

    def judge(self, graph: bytes, most: int = JUDGED) -> Likeness:
        chosen, images = self.judged(most)
        session = onnxruntime.InferenceSession(graph, one_thread(FATAL_ONLY), providers=["CPUExecutionProvider"])
        return Likeness.of(self.extremes.embeddings[chosen], embed(session, images))

    def graph(self, recipe: Recipe, layers: Sequence[Layer] = ()) -> bytes:
        """The int8 graph with `layers` in the recipe's fallback bits."""
        nodes = [node for layer in layers for node in layer.nodes]
        narrow = recipe.fallback_bits == 32
        model = quantise(
            self.store,
            self.ranges(recipe),
            recipe.per_channel,
            recipe.activation_bits,
            keep_float=(*recipe.keep_float, *(nodes if narrow else ())),
            wide=() if narrow else nodes,
            weight_bits=recipe.weight_bits,
        )
        return graph_bytes(model)


class _Trials:
    """Recipes tried on one fp32 graph: `tried` holds what came out, `work` what is known of the graph as it is."""

    def __init__(self, fp32: Path, store: Store, batches: Batches, sites: list[smooth.Site], progress: bool) -> None:
        self.work = _Work(store, batches, progress)
        self._fp32 = fp32
        self.tried: dict[str, dict[str, float]] = {}
        self._sites = sites
        self._maxima: dict[str, np.ndarray] | None = None

    def best(self, recipes: Sequence[Recipe], best: Candidate | None = None) -> Candidate:
        """In 8 bits throughout; `best` is that of the recipes tried before."""
        for form in dict.fromkeys(_form(recipe) for recipe in recipes):
            with self._formed(*form) as work:
                for recipe in (recipe for recipe in recipes if _form(recipe) == form):
                    graph = work.graph(recipe)
                    candidate = Candidate(recipe, graph, work.judge(graph))
                    self.tried[recipe.words()] = {
                        "cosine": round(candidate.cosine, 4),
                        "centred": round(candidate.centred, 4),
                    }
                    if best is None or candidate.beats(best):
                        best = candidate
        if best is None:
            raise ValueError("no recipe to try")
        return best

    def mixed(self, best: Candidate) -> Candidate:
        """The same with as few layers kept out as reach its target."""
        recipe = best.recipe
        with self._formed(*_form(recipe)) as work:
            found = [layer for layer in mixed.layers(work.store.light) if not set(layer.nodes) & set(recipe.keep_float)]
            _, images = work.judged(mixed.IMAGES)
            middle = directions(work.extremes.embeddings).mean(0)
            ranking = mixed.rank(work.store, found, work.ranges(recipe), recipe, list(images), middle, work.progress)
            known: dict[int, Candidate] = {0: best}

            def enough(count: int) -> bool:
                if count not in known:
                    graph = work.graph(recipe, ranking.layers[:count])
                    likeness = work.judge(graph, JUDGED_IN_SEARCH)
                    known[count] = Candidate(recipe, graph, likeness, ranking.layers, count)
                    self.say(f"{count} of {len(found)} layers kept out: {_words(known[count])}")
                return known[count].reached

            count = mixed.fewest(len(found), enough, ranking.expected(recipe, best.likeness))
            while True:
                enough(count)
                final = replace(known[count], likeness=work.judge(known[count].graph))
                if final.reached or count == len(found):
                    return final
                count = min(len(found), count + max(1, count // 8))

    def say(self, words: str) -> None:
        if self.work.progress:
            tqdm.write(words, file=sys.stderr)

    @contextmanager
    def _formed(self, rotation: int | None, alpha: float | None) -> Iterator[_Work]:
        """The fp32 graph as it is, rotated, or smoothed."""
        work = self.work
        if rotation is not None:
            with Store(prepare(self._fp32, rotation)[0]) as store:
                yield _Work(store, work.batches, work.progress)
            return
        if alpha is None:
            yield work
            return
        if self._maxima is None:
            self._maxima = smooth.channel_maxima(work.store, self._sites, work.batches, work.progress)
        model = work.store.loaded()
        smooth.smooth(model, self._sites, self._maxima, alpha)
        with Store(model) as store:
            del model
            yield _Work(store, work.batches, work.progress)


def _form(recipe: Recipe) -> tuple[int | None, float | None]:
    return recipe.rotation, recipe.smooth_alpha


def _check_kept(model: ModelProto, recipes: Sequence[Recipe]) -> None:
    known = {node.name for node in model.graph.node}
    for name in (name for recipe in recipes for name in recipe.keep_float if name not in known):
        alike = get_close_matches(name, sorted(known), 3)
        near = f"; near it are {', '.join(alike)}" if alike else ""
        raise UserError(f"{name}: no node of the graph that is quantised{near}")


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
