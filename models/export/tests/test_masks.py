"""A causal text tower: its attention is recognised, and its mask does not take the scores' eight bits."""

import math
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnxruntime import InferenceSession
from open_clip.transformer import TextTransformer

from clipgate_export.export import export_tower
from clipgate_export.graph import one_thread
from clipgate_export.quantization import engine
from clipgate_export.quantization.engine import quantize
from clipgate_export.quantization.index import Index
from clipgate_export.quantization.recipe import Recipe
from clipgate_export.quantization.savings import save

CONTEXT, WIDTH, LAYERS, WORDS = 12, 32, 2, 60


def tower() -> TextTransformer:
    torch.manual_seed(8)
    made = TextTransformer(CONTEXT, WORDS, WIDTH, heads=2, layers=LAYERS, output_dim=16).eval()
    with torch.no_grad():
        made.token_embedding.weight.normal_()
        for name, parameter in made.named_parameters():
            # Scores as far apart as training makes them.
            if "in_proj_weight" in name:
                parameter[: 2 * WIDTH].normal_(0, 0.25)
    return made


@pytest.fixture(scope="module")
def ids() -> np.ndarray:
    draw = np.random.default_rng(2)
    ids = np.zeros((40, CONTEXT), np.int64)
    for row, length in zip(ids, draw.integers(3, CONTEXT, 40), strict=True):
        row[:length] = [*draw.integers(1, WORDS - 1, length - 1), WORDS - 1]
    return ids


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.onnx"
    return export_tower(tower(), torch.zeros(1, CONTEXT, dtype=torch.long), "input_ids", "text_embeds", path)


def run(model: onnx.ModelProto | Path, ids: np.ndarray) -> np.ndarray:
    content = model if isinstance(model, Path) else model.SerializeToString()
    session = InferenceSession(content, one_thread(), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"input_ids": row[None]})[0] for row in ids])


def test_causal_attention_is_rewritten_and_computes_the_same(graph: Path, ids: np.ndarray) -> None:
    model = onnx.load(graph)
    wanted = run(graph, ids)
    assert save(model).attentions == LAYERS
    onnx.checker.check_model(model, full_check=True)
    np.testing.assert_allclose(run(model, ids), wanted, atol=2e-5)
    with torch.no_grad():
        np.testing.assert_allclose(wanted, tower()(torch.from_numpy(ids)).numpy(), atol=2e-5)


def test_masked_scores_reach_no_further_than_they_count(
    graph: Path, ids: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def batches() -> object:
        return (row[None] for row in ids)

    better = quantize(graph, batches, Recipe(), tmp_path / "int8.onnx")
    index = Index(onnx.load(tmp_path / "int8.onnx"))
    margin = math.log(2 * 256 * CONTEXT)
    ranges = []
    for node in index.model.graph.node:
        if node.op_type == "Softmax":
            scale, zero = (float(index.constant(name)) for name in index.producer[node.input[0]].input[1:])
            ranges.append((-zero * scale, (255 - zero) * scale))
    assert len(ranges) == LAYERS
    for low, high in ranges:
        assert -60 < low < -margin < high
    monkeypatch.setattr(engine, "bounded", lambda store, found: found)
    worse = quantize(graph, batches, Recipe(), tmp_path / "far.onnx")
    assert 1 - better.mean_cosine < 0.7 * (1 - worse.mean_cosine)
