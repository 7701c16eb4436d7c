"""Mixed precision on a tiny tower: what each layer does alone, what keeping it out costs, and how few are enough."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import tiny_clip
from onnx import TensorProto
from tiny_clip import IMAGES, batches
from tiny_clip import quantized as made

from clipgate_export.likeness import Likeness, directions
from clipgate_export.quantization import mixed
from clipgate_export.quantization.calibrators import from_extremes
from clipgate_export.quantization.observe import WORKERS, concurrently, observe_extremes
from clipgate_export.quantization.recipe import Recipe
from clipgate_export.quantization.savings import save
from clipgate_export.quantization.source import read
from clipgate_export.quantization.store import Store
from clipgate_export.quantization.waist import behind, waists


@pytest.fixture(scope="module")
def fp32(clip_fp32: Path) -> Path:
    return clip_fp32


def test_layers_are_kept_out_until_the_target_is_met(fp32: Path, tmp_path: Path) -> None:
    plain = made(fp32, tmp_path, Recipe())
    target = (1 + plain.mean_cosine) / 2
    report = made(fp32, tmp_path, Recipe(target_cosine=target))
    assert report.target_met and 0 < report.kept < len(report.layers)
    assert all(layer.name in "\n".join(report.lines()) for layer in report.layers[: report.kept])
    centred = made(fp32, tmp_path, Recipe(target_centred=(1 + plain.centred_cosine) / 2))
    assert centred.target_met and centred.kept > 0
    assert made(fp32, tmp_path, Recipe(target_cosine=target)) == report
    quantized = onnx.load(tmp_path / "int8.onnx")
    weights = {tensor.name for tensor in quantized.graph.initializer if tensor.data_type == TensorProto.FLOAT}
    kept = {name for layer in report.layers[: report.kept] for name in layer.nodes}
    float_layers = [
        node for node in quantized.graph.node if node.op_type in ("MatMul", "Gemm", "Conv") and node.input[1] in weights
    ]
    assert all(node.name in kept for node in float_layers)
    wide = made(fp32, tmp_path, Recipe(target_cosine=target, fallback_bits=16))
    assert wide.target_met and wide.kept > 0


def test_every_node_is_in_one_layer(fp32: Path) -> None:
    model = read(fp32)
    save(model)
    nodes = [name for layer in mixed.layers(model) for name in layer.nodes]
    assert sorted(nodes) == sorted(node.name for node in model.graph.node)
    assert len(nodes) == len(set(nodes))


@pytest.fixture(scope="module")
def ranking(fp32: Path) -> Iterator[tuple[Store, mixed.Ranking]]:
    model = read(fp32)
    save(model)
    with Store(model) as store:
        extremes = observe_extremes(store, batches, False)
        found = mixed.layers(store.light)
        middle = directions(extremes.embeddings).mean(0)
        ranges = from_extremes(Recipe(), extremes)
        yield store, mixed.rank(store, found, ranges, Recipe(), list(IMAGES[:4, None]), middle, False)


def test_a_graph_behind_a_waist_computes_the_same(ranking: tuple[Store, mixed.Ranking]) -> None:
    store, _ = ranking
    found = waists(store.light)
    # At least before and between the blocks' two halves.
    assert len(found) > 2 * tiny_clip.LAYERS and found[0].position == 0
    watched = store.loaded()
    shapes = {value.name: value for value in watched.graph.value_info}
    watched.graph.output.extend(shapes[waist.tensor] for waist in found[1:])
    whole = ort.InferenceSession(watched.SerializeToString(), providers=["CPUExecutionProvider"])
    embedding, *values = whole.run(None, {"pixel_values": IMAGES[:1]})
    for waist, value in zip(found[1:], values, strict=True):
        part = store.session(behind(store.light, store.light, waist), short_lived=True)
        np.testing.assert_allclose(part.run(None, {waist.tensor: value})[0], embedding, atol=1e-5)


def test_effects_of_layers_add_up_about_to_the_whole(ranking: tuple[Store, mixed.Ranking], fp32: Path) -> None:
    _, found = ranking
    none, all_but_none = found.foretold(0), found.foretold(len(found.layers))
    np.testing.assert_allclose(all_but_none.plain, 1)
    assert none.plain.mean() > 0.97
    # Layer by layer the foretold loss falls, but for what cancels.
    losses = [1 - found.foretold(kept).plain.mean() for kept in range(len(found.layers) + 1)]
    assert losses[len(losses) // 2] < losses[0] / 2
    asked = Recipe(target_cosine=1 - losses[0] / 2)
    expected = found.expected(asked, none)
    assert losses[expected] <= losses[0] / 2 < losses[expected - 1]
    assert found.expected(asked, Likeness.of(found.reference, found.reference + 2 * found.effects.sum(0))) > expected
    assert all(layer.damage is not None for layer in found.layers)


def test_a_layer_costs_what_it_weighs(ranking: tuple[Store, mixed.Ranking]) -> None:
    store, _ = ranking
    found = mixed.layers(store.light)
    costs = mixed.costs(store.light, found)
    # Shares of the weights, of the multiplications and of the layers: three times one.
    assert costs.sum() == pytest.approx(3) and costs.min() > 0
    heaviest = found[int(costs.argmax())]
    sizes = {tensor.name: np.prod(tensor.dims) for tensor in store.light.graph.initializer}
    readers = {node.name: node for node in store.light.graph.node}
    weights = sum(sizes.get(name, 0) for node in heaviest.nodes for name in readers[node].input)
    assert weights >= 4 * tiny_clip.WIDTH**2


def test_the_fewest_are_found_from_any_guess_in_a_few_tries() -> None:
    for count in (1, 2, 7, 194):
        for least in range(count + 1):
            for guess in {0, least // 2, least, min(count, least + 3), count}:
                tried: list[int] = []

                def enough(number: int, tried: list[int] = tried, least: int = least) -> bool:
                    tried.append(number)
                    return number >= least

                assert mixed.fewest(count, enough, guess) == least
                assert len(tried) == len(set(tried)) <= 2 + 2 * max(1, count).bit_length()
                assert abs(guess - least) > 1 or len(tried) <= 3


def test_work_at_once_keeps_the_order_and_takes_no_more_than_it_can_do() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(20):
            taken.append(number)
            yield number

    def slow_at_first(number: int) -> int:
        time.sleep(0.02 if number < 2 else 0)
        return number * number

    results = concurrently(slow_at_first, items())
    assert next(results) == 0
    assert len(taken) <= WORKERS + 1
    assert list(results) == [number * number for number in range(1, 20)]
