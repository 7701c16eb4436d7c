"""Each rule of the lint on a graph that breaks it alone."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import ModelProto, TensorProto
from qdq_graphs import GraphBuilder, clean

from clipgate_export.errors import UserError
from clipgate_export.lint import ERROR, NOTE, Finding, lint, lint_model


def serious(model: ModelProto) -> dict[str, Finding]:
    return {finding.rule: finding for finding in lint_model(model) if finding.severity != NOTE}


def test_a_clean_graph_has_only_notes_and_runs() -> None:
    model = clean()
    onnx.checker.check_model(model, full_check=True)
    ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert serious(model) == {}


def test_pockets_graphs_are_clean(pocket: Path) -> None:
    for name in ("image_encoder.onnx", "text_encoder.onnx"):
        assert [finding for finding in lint(pocket / name) if finding.severity != NOTE] == []


@pytest.mark.parametrize(
    ("kind", "zero", "found"), [(np.int8, 0, 0), (np.int8, 3, 1), (np.uint8, 128, 0), (np.uint8, 7, 1)]
)
def test_weights_off_the_centre(kind: type, zero: int, found: int) -> None:
    graph = GraphBuilder()
    x = graph.node("MatMul", [graph.quantized("x"), graph.weight("w", kind, zero)], "matmul")
    findings = serious(graph.model(graph.quantized(x)))
    assert list(findings) == ["asymmetric-weights"] * found
    if found:
        assert findings["asymmetric-weights"].node == "matmul"


def test_a_matmul_per_channel() -> None:
    graph = GraphBuilder()
    x = graph.node("MatMul", [graph.quantized("x"), graph.weight("w", channels=True)], "matmul")
    model = graph.model(graph.quantized(x))
    assert serious(model) == {}
    assert "per-channel-matmul" in {finding.rule for finding in lint_model(model)}


def test_erf_is_named_once() -> None:
    graph = GraphBuilder()
    x = graph.quantized(graph.node("Erf", [graph.quantized("x")], "erf"))
    assert list(serious(graph.model(x))) == ["erf"]


def test_an_int8_layer_norm_scale() -> None:
    graph = GraphBuilder()
    inputs = [graph.quantized("x"), graph.weight("norm", np.int8, 0, (8,)), graph.weight("bias", np.int32, 0, (8,))]
    x = graph.node("LayerNormalization", inputs, "norm_out")
    assert list(serious(graph.model(graph.quantized(x)))) == ["layer-norm-scale"]


def test_an_island_is_not_an_end() -> None:
    graph = GraphBuilder()
    x = graph.node("Gelu", [graph.node("MatMul", [graph.quantized("x"), graph.weight("w")], "matmul")], "gelu")
    found = serious(graph.model(graph.quantized(x)))
    assert list(found) == ["unquantised-island"]
    assert found["unquantised-island"].node == "matmul, gelu"
    graph = GraphBuilder()
    x = graph.node("MatMul", [graph.quantized("x"), graph.weight("w")], "matmul")
    graph.node("Gelu", [x], "y")
    assert list(serious(graph.model("y"))) == ["unquantised-end"]


def test_a_float_weight_is_an_island() -> None:
    graph = GraphBuilder()
    weight = graph.constant("w", np.ones((8, 8), np.float32))
    x = graph.quantized(graph.node("MatMul", [graph.quantized("x"), weight], "matmul"))
    assert list(serious(graph.model(x))) == ["unquantised-island"]


def test_a_relu_that_the_runtime_fuses_is_no_island() -> None:
    graph = GraphBuilder()
    x = graph.node("Relu", [graph.node("MatMul", [graph.quantized("x"), graph.weight("w")], "matmul")], "relu")
    assert serious(graph.model(graph.quantized(x))) == {}


def test_operators_that_no_npu_documents() -> None:
    graph = GraphBuilder()
    x = graph.quantized(graph.node("Acosh", [graph.quantized("x")], "acosh"))
    found = serious(graph.model(x))
    assert list(found) == ["outside-htp"]
    assert "ai.onnx:Acosh" in found["outside-htp"].reason


def test_sixteen_bits_are_noted() -> None:
    graph = GraphBuilder(opset=21)
    x = graph.quantized(graph.node("Gelu", [graph.quantized("x", 0, np.uint16)], "gelu"))
    findings = lint_model(graph.model(x))
    assert "sixteen-bit-activations" in {finding.rule for finding in findings}
    assert {finding.severity for finding in findings} == {NOTE}


def test_dynamic_shapes() -> None:
    graph = GraphBuilder(shape=("batch", 8))
    x = graph.node("MatMul", [graph.quantized("x"), graph.weight("w")], "matmul")
    found = lint_model(graph.model(graph.quantized(x)))
    dynamic = [finding.node for finding in found if finding.rule == "dynamic-shape"]
    assert dynamic == ["x [batch, 8]", "y [batch, 8]"]


def test_two_outputs_and_a_half_input() -> None:
    model = clean()
    model.graph.output.add().CopyFrom(model.graph.output[0])
    model.graph.output[1].name = "gelu"
    assert serious(model)["inputs-outputs"].node == "y, gelu"
    model = clean()
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    assert {"inputs-outputs", "half-precision"} <= set(serious(model))


def test_half_precision_weights() -> None:
    graph = GraphBuilder()
    half = graph.node("Cast", [graph.constant("half", np.ones((8, 8), np.float16))], "cast", to=TensorProto.FLOAT)
    graph.node("MatMul", [graph.quantized("x"), half], "y")
    assert "half-precision" in serious(graph.model("y"))


@pytest.mark.parametrize(("opset", "severity"), [(12, ERROR), (13, NOTE), (20, None), (25, None), (26, ERROR)])
def test_opsets(opset: int, severity: str | None) -> None:
    model = clean()
    model.opset_import[0].version = opset
    assert [finding.severity for finding in lint_model(model) if finding.rule == "opset"] == (
        [severity] if severity else []
    )


def test_an_fp32_graph_is_not_quantised() -> None:
    graph = GraphBuilder()
    graph.node("Relu", ["x"], "y")
    assert list(serious(graph.model("y"))) == ["not-quantised"]


def test_external_data_is_refused_unread(tmp_path: Path) -> None:
    model = clean()
    onnx.save(model, tmp_path / "graph.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    (tmp_path / "weights.bin").unlink()
    found = {finding.rule: finding for finding in lint(tmp_path / "graph.onnx")}
    assert found["external-data"].severity == ERROR
    assert found["external-data"].node == "weights.bin"


@pytest.mark.parametrize("content", [b"", b"\x00\x01not a graph", b"{}"])
def test_what_is_no_graph_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "image.onnx"
    path.write_bytes(content)
    with pytest.raises(UserError, match="image.onnx: not an ONNX graph"):
        lint(path)
    with pytest.raises(UserError, match="missing.onnx"):
        lint(tmp_path / "missing.onnx")
