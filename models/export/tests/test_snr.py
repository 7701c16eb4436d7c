"""The streamed ratio against ONNX Runtime's own, which keeps every activation."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnxruntime.quantization import qdq_loss_debug
from qdq_graphs import Rows, fp32_tower, quantise

from clipgate_export import snr


@pytest.fixture(scope="module")
def inputs() -> np.ndarray:
    return np.random.default_rng(11).standard_normal((4, 3, 8, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def graphs(inputs: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("graphs")
    onnx.save(fp32_tower(), folder / "fp32.onnx")
    quantise(folder / "fp32.onnx", folder / "int8.onnx", inputs)
    return folder / "fp32.onnx", folder / "int8.onnx"


def rows(inputs: np.ndarray) -> list[np.ndarray]:
    return [inputs[i : i + 1] for i in range(len(inputs))]


def test_ratios_are_onnxruntimes(graphs: tuple[Path, Path], inputs: np.ndarray, tmp_path: Path) -> None:
    collected = []
    for path in graphs:
        watched = tmp_path / path.name
        qdq_loss_debug.modify_model_output_intermediate_tensors(path, watched)
        collected.append(qdq_loss_debug.collect_activations(str(watched), Rows("pixel_values", inputs)))
    matched = qdq_loss_debug.create_activation_matching(collected[1], collected[0])
    ratio = qdq_loss_debug.compute_signal_to_quantization_noice_ratio
    wanted = {name: ratio(both["float"], both["post_qdq"]) for name, both in matched.items() if "float" in both}
    found = {layer.tensor: layer.db for layer in snr.measure(*graphs, rows(inputs)).layers}
    # Relu is left to Quantize's range and takes Conv's place; what only moves values is left out.
    assert list(found) == ["relu", "hidden", "gelu", "norm", "pooled", "image_embeds"]
    assert set(found) <= set(wanted)
    # The oracle runs the int8 graph without optimisation, so that its kernels round elsewhere.
    assert [found[name] for name in found] == pytest.approx([wanted[name] for name in found], abs=0.5)


def test_a_graph_against_itself_loses_nothing(graphs: tuple[Path, Path], inputs: np.ndarray) -> None:
    found = snr.measure(graphs[0], graphs[0], rows(inputs[:1]))
    assert found.unmatched == 0
    assert {(layer.bits, layer.db) for layer in found.layers} == {(32, snr.EXACT_DB)}


def test_all_inputs_count_once(graphs: tuple[Path, Path], inputs: np.ndarray) -> None:
    seen = []
    found = snr.measure(*graphs, iter(rows(inputs)), lambda: seen.append(1))
    assert (found.inputs, len(seen), found.unmatched) == (4, 4, 1)
    assert {layer.bits for layer in found.layers} == {8}
    assert all(20 < layer.db < 60 for layer in found.layers)


def test_other_names_match_nothing(graphs: tuple[Path, Path], inputs: np.ndarray, tmp_path: Path) -> None:
    renamed = onnx.compose.add_prefix(onnx.load(graphs[0]), "other_", rename_inputs=False, rename_initializers=False)
    onnx.save(renamed, tmp_path / "other.onnx")
    assert snr.measure(graphs[0], tmp_path / "other.onnx", rows(inputs[:1])) == snr.Layers([], 7, 0)


def test_smoothed_channels_are_no_noise(graphs: tuple[Path, Path], inputs: np.ndarray, tmp_path: Path) -> None:
    """SmoothQuant by hand: LayerNormalization's channels divided, what reads them multiplied."""
    scale = np.geomspace(0.1, 20, 12).astype(np.float32)
    model = onnx.load(graphs[0])
    for tensor in model.graph.initializer:
        if tensor.name in ("norm.w", "norm.b", "head.w"):
            values = onnx.numpy_helper.to_array(tensor)
            values = values * scale[:, None] if tensor.name == "head.w" else values / scale
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    onnx.save(model, tmp_path / "smooth.onnx")
    found = {layer.tensor: layer for layer in snr.measure(graphs[0], tmp_path / "smooth.onnx", rows(inputs)).layers}
    assert [name for name, layer in found.items() if layer.rescaled] == ["norm", "pooled"]
    assert min(layer.db for layer in found.values()) > 100


def test_noise_is_not_taken_for_a_scale() -> None:
    draw = np.random.default_rng(1)
    sums = snr._Sums()
    x = draw.standard_normal((5000, 7))
    sums.add(x, x + 2 * draw.standard_normal((5000, 7)))
    db, rescaled = sums.ratio()
    assert (round(db), rescaled) == (-6, False)
