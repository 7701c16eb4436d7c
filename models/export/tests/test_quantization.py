"""The quantiser on tiny towers: every calibrator, SmoothQuant, the choice of recipe, and what it refuses."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import tiny_clip
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization.calibrate import HistogramCollector
from tiny_clip import IMAGES, batches
from tiny_clip import quantized as made

from clipgate_export.errors import UserError
from clipgate_export.graph import one_thread
from clipgate_export.likeness import Likeness
from clipgate_export.quantization import smooth
from clipgate_export.quantization.calibrators import QUANTIZED_BINS, Histograms
from clipgate_export.quantization.engine import Candidate, quantize, quantize_best
from clipgate_export.quantization.observe import Extremes, observe_extremes, sampling_step
from clipgate_export.quantization.recipe import Recipe
from clipgate_export.quantization.savings import save
from clipgate_export.quantization.source import read
from clipgate_export.quantization.store import Store
from clipgate_export.speed import operators, products


@pytest.fixture(scope="module")
def fp32(clip_fp32: Path) -> Path:
    return clip_fp32


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(),
        Recipe("quantile", 90),
        Recipe("percentile", 99.9),
        Recipe("entropy"),
        Recipe(smooth_alpha=0.5),
        Recipe(per_channel=True),
        Recipe(activation_bits=16),
    ],
    ids=Recipe.words,
)
def test_every_recipe_keeps_the_embedding(fp32: Path, tmp_path: Path, recipe: Recipe) -> None:
    report = made(fp32, tmp_path, recipe)
    assert report.images == report.judged == 24
    assert report.mean_cosine > (0.999 if recipe.activation_bits == 16 else 0.98)
    unseen = tiny_clip.images(8, seed=1)
    session = ort.InferenceSession(tmp_path / "int8.onnx", one_thread(), providers=["CPUExecutionProvider"])
    found = np.concatenate([session.run(None, {"pixel_values": row[None]})[0] for row in unseen])
    wanted = tiny_clip.embed(tiny_clip.tower(), unseen)
    cosines = (found * wanted).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(wanted, axis=1)
    assert cosines.mean() > 0.97


def test_sixteen_bits_are_made_without_a_word(
    fp32: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture
) -> None:
    made(fp32, tmp_path, Recipe(activation_bits=16))
    assert caplog.text == "" and capfd.readouterr().err == ""


def test_bytes_repeat_however_the_images_are_batched(fp32: Path, tmp_path: Path) -> None:
    recipe = Recipe("percentile", 99.9, smooth_alpha=0.5)
    one = made(fp32, tmp_path, recipe)
    other = quantize(fp32, lambda: iter([IMAGES]), recipe, tmp_path / "other.onnx")
    assert one == other
    assert (tmp_path / "int8.onnx").read_bytes() == (tmp_path / "other.onnx").read_bytes()


def test_the_best_recipe_wins_and_all_are_named(fp32: Path, tmp_path: Path) -> None:
    recipes = [Recipe("quantile", 50), Recipe(), Recipe(activation_bits=16)]
    report = quantize_best(fp32, batches, recipes, tmp_path / "int8.onnx")
    assert report.recipe == recipes[2]
    assert list(report.candidates) == [recipe.words() for recipe in recipes]


def test_the_best_recipe_is_told_by_what_the_plain_cosine_hides(tmp_path: Path) -> None:
    class Shifted(torch.nn.Module):
        """The same embeddings about a far point: any two have cosine 0.999 and more."""

        def __init__(self) -> None:
            super().__init__()
            self.tower = tiny_clip.tower()

        def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
            return self.tower(pixel_values) + 60

    shifted = tiny_clip.export(Shifted(), tmp_path / "shifted.onnx")
    report = quantize_best(shifted, batches, [Recipe("quantile", 50), Recipe()], tmp_path / "int8.onnx")
    coarse, fine = report.candidates.values()
    assert report.alike > 0.999 and min(coarse["cosine"], fine["cosine"]) > 0.999
    assert fine["centred"] > coarse["centred"] + 0.01
    assert report.recipe == Recipe() and report.worst_centred <= report.centred_cosine


def test_a_later_recipe_must_be_clearly_better() -> None:
    def candidate(centred: float, recipe: Recipe | None = None) -> Candidate:
        return Candidate(recipe or Recipe(), b"", Likeness(np.array([0.99]), np.array([centred]), 0.5))

    assert not candidate(0.91).beats(candidate(0.905))
    assert candidate(0.92).beats(candidate(0.905))
    asking = Recipe(target_centred=0.95)
    assert candidate(0.905, asking).beats(candidate(0.904, asking))
    assert candidate(0.951, asking).beats(candidate(0.949, asking))
    assert not candidate(0.949, asking).beats(candidate(0.951, asking))
    single = Likeness(np.array([0.99]), np.array([np.nan]), np.nan)
    better = Likeness(np.array([0.995]), np.array([np.nan]), np.nan)
    assert Candidate(Recipe(), b"", better).beats(Candidate(Recipe(), b"", single))


def test_further_recipes_are_tried_only_where_the_first_miss_their_target(fp32: Path, tmp_path: Path) -> None:
    for target, tried in ((0.9, 1), (0.9999, 2)):
        recipes = [Recipe(calibrator, 50, target_cosine=target) for calibrator in ("quantile", "minmax")]
        report = quantize_best(fp32, batches, recipes[:1], tmp_path / "int8.onnx", further=recipes[1:])
        assert len(report.candidates) == tried and report.target_met
        assert report.kept == 0 or target == 0.9999


def test_smoothing_is_exact_and_evens_out_what_the_weights_can_bear(fp32: Path) -> None:
    model = read(fp32)
    save(model)
    sites = smooth.sites(model)
    # Both LayerNorms and the values of each block, and the last LayerNorm.
    assert len(sites) == 3 * tiny_clip.LAYERS + 1
    with Store(model) as store:
        before = observe_extremes(store, batches, False).embeddings
        maxima = smooth.channel_maxima(store, sites, batches, False)
        smoothed = store.loaded()
    smooth.smooth(smoothed, sites, maxima, 0.7)
    with Store(smoothed) as store:
        after = observe_extremes(store, batches, False).embeddings
        again = smooth.channel_maxima(store, sites, batches, False)
    np.testing.assert_allclose(after, before, atol=2e-5)
    for site in sites:
        spread = [found[site.tensor].max() / found[site.tensor].min() for found in (maxima, again)]
        assert spread[1] < spread[0]


def test_the_entropy_search_is_onnx_runtimes_own() -> None:
    draw = np.random.default_rng(4)
    values = {
        "normal": draw.standard_normal(20000),
        "heavy": draw.standard_t(2, 20000),
        "one_sided": np.abs(draw.standard_normal(20000)),
    }
    low, high = (np.array([[f(v) for v in values.values()]], np.float32) for f in (np.min, np.max))
    extremes = Extremes(list(values), low, high, np.zeros((1, 1)), "")
    ours = Histograms(Recipe("entropy"), extremes, list(values))
    ours.num_bins = 512
    for name in values:
        reach = ours.histogram_dict[name][4]
        edges = np.linspace(-reach, reach, 513, dtype=np.float32)
        ours.histogram_dict[name] = (np.zeros(512, np.int64), edges, *ours.histogram_dict[name][2:])
    ours.collect_value({name: value.astype(np.float32) for name, value in values.items()})
    for histogram in ours.histogram_dict.values():
        wanted = HistogramCollector.get_entropy_threshold(ours, histogram, QUANTIZED_BINS)
        assert ours.get_entropy_threshold(histogram, QUANTIZED_BINS) == wanted


def test_the_percentile_is_numpys_to_the_width_of_a_bin() -> None:
    values = np.random.default_rng(5).gamma(2, size=(10, 5000)).astype(np.float32) - 1
    low, high = values.min(1, keepdims=True), values.max(1, keepdims=True)
    extremes = Extremes(["x"], low, high, np.zeros((10, 1)), "")
    histograms = Histograms(Recipe("percentile", 99), extremes, ["x"])
    for row in values:
        histograms.collect_value({"x": row})
    assert histograms.histogram_dict["x"][0].sum() == values.size
    width = 2 * float(np.abs(values).max()) / histograms.num_bins
    found = histograms.compute_percentile()["x"]
    np.testing.assert_allclose(found[:2], np.percentile(values, [0.5, 99.5]), atol=2 * width)


def test_samples_meet_every_channel() -> None:
    for shape in ((1, 257, 4096), (1, 50, 3072), (1, 768, 14, 14), (7,)):
        step = sampling_step(int(np.prod(shape)), shape)
        assert step == 1 or all(np.gcd(step, size) == 1 for size in shape)


def test_bare_products_are_the_graphs_own(fp32: Path, tmp_path: Path) -> None:
    made(fp32, tmp_path, Recipe())
    sizes = products(onnx.load(tmp_path / "int8.onnx"))
    tokens, width = 17, tiny_clip.WIDTH
    assert sizes.count((tokens, width, width)) == 4 * tiny_clip.LAYERS - 2
    assert (16, 3 * tiny_clip.PATCH**2, width) in sizes and (1, width, tiny_clip.DIM) in sizes


def test_the_operators_shares_of_the_time_are_the_int8_graphs(fp32: Path, tmp_path: Path) -> None:
    made(fp32, tmp_path, Recipe())
    shares = operators(tmp_path / "int8.onnx", runs=3)
    assert {"QGemm", "QLinearMatMul", "QLinearMatMul of activations", "QLinearSoftmax"} <= shares.keys()
    assert sum(shares.values()) == pytest.approx(1, abs=len(shares) * 1e-4)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)


def altered(fp32: Path, folder: Path, change: str) -> Path:
    model = onnx.load(fp32)
    path = folder / "altered.onnx"
    if change == "dynamic":
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    elif change == "opset":
        model.opset_import[0].version = 24
    elif change == "outside":
        tensor = max(model.graph.initializer, key=lambda t: len(t.raw_data))
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../weights.bin")
    elif change == "two inputs":
        model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1]))
    elif change == "not finite":
        tensor = max(model.graph.initializer, key=lambda t: len(t.raw_data))
        value = numpy_helper.to_array(tensor).copy()
        value.ravel()[0] = np.nan
        tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    path.write_bytes(b"no graph" if change == "not onnx" else model.SerializeToString())
    return path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("dynamic", r"axis 0 \(batch\) of input pixel_values is dynamic"),
        ("opset", "opset 24 is too new"),
        ("outside", "lie outside its folder"),
        ("two inputs", r"has 2 inputs \(pixel_values, mask\)"),
        ("not onnx", "not an ONNX file"),
        ("not finite", "not finite"),
    ],
)
def test_a_bad_graph_is_one_line(fp32: Path, tmp_path: Path, change: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as refused:
        quantize(altered(fp32, tmp_path, change), batches, Recipe(), tmp_path / "int8.onnx")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "int8.onnx").exists()


def test_bad_images_are_one_line(fp32: Path, tmp_path: Path) -> None:
    for bad, words in (([], "no calibration images"), ([np.zeros((2, 3, 8, 8), np.float32)], "does not fit")):
        with pytest.raises(UserError, match=words):
            quantize(fp32, lambda bad=bad: iter(bad), Recipe(), tmp_path / "int8.onnx")
    with pytest.raises(UserError, match="no such file"):
        quantize(tmp_path / "none.onnx", batches, Recipe(), tmp_path / "int8.onnx")
