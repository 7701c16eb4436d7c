"""The subcommand `reference`: the twin is whole and loads, and what cannot be one is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from safetensors.numpy import load_file
from tiny_models import write_pictures
from tiny_onnx import write_pair

from clipgate_export.cli import main
from clipgate_export.subject import from_bundle


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle, its fp32 graphs and its twin."""
    root = tmp_path_factory.mktemp("reference")
    for place, label in enumerate(("dog", "fox", "teapot")):
        write_pictures(root / "photos" / label, 42, 1000 * place, hue=place)
    pair = write_pair(root / "pair", Path(__file__).parents[2] / "pocket" / "tokenizer.json")
    words = ["bundle", *pair, "--images", str(root / "photos"), "-o", str(root / "mine"), "--range-images", "16"]
    assert main([*words, "--keep-fp32", str(root / "fp32")]) == 0
    assert twin(root, root / "fp32" / "image_fp32.onnx", root / "mine-fp32") == 0
    return root


def twin(root: Path, graph: Path, output: Path) -> int:
    return main(["reference", "--bundle", str(root / "mine"), "--graph", str(graph), "-o", str(output)])


def test_the_twin_is_the_bundle_around_the_fp32_graph(made: Path) -> None:
    bundle, other = made / "mine", made / "mine-fp32"
    own, record = (json.loads((folder / "manifest.json").read_text()) for folder in (bundle, other))
    assert set(record["files"]) == {file.name for file in other.iterdir()} - {"manifest.json"}
    assert set(own["files"]) - set(record["files"]) == {"calibration.json"} and "calibration" not in record
    assert record["id"] == "mine-fp32" and record["source"].startswith("image_fp32.onnx in place of")
    assert (other / "labels.safetensors").read_bytes() == (bundle / "labels.safetensors").read_bytes()
    kept = {"schema", "version", "preprocessing", "embedding_dim", "logit_scale", "text_encoder", "labels", "selftest"}
    assert all(record[name] == own[name] for name in kept)
    # Reading it checks every digest.
    fp32, same = from_bundle(other, made / "fp32" / "image_fp32.onnx").graphs
    selftest = load_file(other / "selftest.safetensors")
    assert np.array_equal(same(selftest["pixel_values"]), selftest["image_embeds"])
    assert np.array_equal(fp32(selftest["pixel_values"]), selftest["image_embeds"])


@pytest.mark.parametrize("key", ["image_encoder", "selftest", "text_encoder", "labels", "calibration", None])
def test_names_that_lead_out_of_the_bundle_are_refused(
    key: str | None, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "a" / "bad"
    shutil.copytree(made / "mine", bad)
    (tmp_path / "evil").write_bytes(b"another's")
    record = json.loads((bad / "manifest.json").read_text())
    if key is None:
        record["files"]["../../evil"] = record["files"]["selftest.safetensors"]
    else:
        record[key]["file"] = "../../evil"
    (bad / "manifest.json").write_text(json.dumps(record))
    graph = made / "fp32" / "image_fp32.onnx"
    assert main(["reference", "--bundle", str(bad), "--graph", str(graph), "-o", str(tmp_path / "b" / "twin")]) == 2
    assert "'../../evil' is no plain file name" in capsys.readouterr().err
    assert (tmp_path / "evil").read_bytes() == b"another's" and not (tmp_path / "b" / "twin").exists()


def test_another_models_graph_is_refused(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = onnx.load(made / "fp32" / "image_fp32.onnx")
    draw = np.random.default_rng(1)
    for weight in graph.graph.initializer:
        value = numpy_helper.to_array(weight)
        if value.dtype == np.float32:
            weight.CopyFrom(numpy_helper.from_array(draw.standard_normal(value.shape).astype("f4"), weight.name))
    onnx.save(graph, tmp_path / "other.onnx")
    (tmp_path / "text.onnx").write_bytes(b"no graph")
    for path, says in (
        (tmp_path / "other.onnx", "another model's"),
        (tmp_path / "text.onnx", "not an ONNX graph"),
        (tmp_path / "none.onnx", "no such file"),
        (made / "fp32" / "text_fp32.onnx", "text_fp32.onnx"),
    ):
        assert twin(made, path, tmp_path / "twin") == 2
        error = capsys.readouterr().err
        assert says in error and error.count("\n") == 1
        assert not (tmp_path / "twin").exists()
    assert twin(made, made / "fp32" / "image_fp32.onnx", made / "mine") == 2
    assert "is there already" in capsys.readouterr().err
