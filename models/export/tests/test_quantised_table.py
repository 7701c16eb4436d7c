import json
from pathlib import Path

import pytest

from clipgate_export.evaluating import copy
from clipgate_export.quantised_table import BEGIN, END, render


def difference(value: float) -> dict:
    return {"value": value, "low": value - 0.01, "high": value + 0.01, "p_value": 0.5, "test": "bootstrap"}


def report(n: int) -> dict:
    """As `clipgate evaluate --reference --format json` prints it; the reference is larger by 0.02."""

    def side(more: float) -> dict:
        return {
            "id": {"n": n, "accuracy": 0.7 + more, "ece": 0.1 + more, "nll": 1.2 + more},
            "ood": [{"name": "others", "auroc": {"neg_label": 0.8 + more}}],
            "gate": {"coverage": 0.5 + more, "selective_risk": 0.1 + more, "accepted_ood": 0.05 + more},
        }

    paired = {
        "id": {metric: difference(-0.02) for metric in ("accuracy", "ece", "nll")},
        "ood": [{"name": "others", "score": "neg_label", "auroc": difference(-0.02)}],
        **{what: difference(-0.02) for what in ("coverage", "selective_risk", "accepted_ood")},
    }
    return side(0.0) | {"reference": side(0.02), "paired": paired}


def test_every_figure_stands_beside_the_references() -> None:
    lines = render(report(1620), report(810)).splitlines()
    assert lines[2] == "| accuracy | 0.7200 | 0.7000 | -0.0200 [-0.0300, -0.0100] | 0.50 |"
    assert "| AUROC, others | 0.8200 | 0.8000 | -0.0200 [-0.0300, -0.0100] | 0.50 |" in lines
    assert lines[-1] == "1,620 validation images, 810 in the other half; AUROC of `neg_label`."


@pytest.mark.parametrize("calibrated", [True, False])
def test_a_copy_has_the_other_graph_and_says_so(tmp_path: Path, calibrated: bool) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    manifest = {"id": "model", "files": {"image_encoder.onnx": {}}, "calibration": "calibration.json"}
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    (bundle / "image_encoder.onnx").write_bytes(b"int8")
    contents = {"image_encoder.onnx": b"fp32 graph"}
    made = copy(bundle, contents, "model-fp32", tmp_path / "made" / "model", calibrated)
    written = json.loads((made / "manifest.json").read_text())
    assert written["id"] == "model-fp32" and ("calibration" in written) is calibrated
    assert written["files"]["image_encoder.onnx"]["bytes"] == 10
    assert (made / "image_encoder.onnx").read_bytes() == b"fp32 graph"


def test_the_chapter_has_the_marks() -> None:
    page = (Path(__file__).parents[3] / "src" / "docs" / "gating.md").read_text()
    assert page.count(BEGIN) == page.count(END) == 1
