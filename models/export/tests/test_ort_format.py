"""The subcommand `ort-format`: what executes is what everything is bound to, and nothing is bound to another graph."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from safetensors.numpy import load_file
from tiny_models import write_pictures
from tiny_onnx import write_pair

from clipgate_export import ort_format
from clipgate_export.bundle import file_entry
from clipgate_export.cli import main
from clipgate_export.onnx_files import is_ort_format
from clipgate_export.subject import load_graph


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle, its twin in the ORT format, and the words that made the first."""
    root = tmp_path_factory.mktemp("ort")
    for place, label in enumerate(("dog", "fox", "teapot")):
        write_pictures(root / "photos" / label, 42, 1000 * place, hue=place)
    pair = write_pair(root / "pair", Path(__file__).parents[2] / "pocket" / "tokenizer.json")
    words = ["bundle", *pair, "--images", str(root / "photos"), "--range-images", "16", "--id", "mine"]
    assert main([*words, "-o", str(root / "mine"), "--keep-fp32", str(root / "fp32")]) == 0
    assert main([*words, "-o", str(root / "at-once"), "--runtime-format", "ort"]) == 0
    assert convert(root / "mine", root / "mine-ort") == 0
    return root


def convert(bundle: Path, output: Path, *more: str) -> int:
    return main(["ort-format", "--bundle", str(bundle), "-o", str(output), *more])


def manifest(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text())


def test_everything_is_bound_to_the_files_that_are_executed(made: Path) -> None:
    old, new = manifest(made / "mine"), manifest(made / "mine-ort")
    assert (new["image_encoder"]["file"], new["text_encoder"]["file"]) == ("image_encoder.ort", "text_encoder.ort")
    assert set(new["files"]) == {file.name for file in (made / "mine-ort").iterdir()} - {"manifest.json"}
    for name, entry in new["files"].items():
        assert file_entry(made / "mine-ort" / name) == entry
    assert is_ort_format(made / "mine-ort" / "image_encoder.ort")
    graph = load_graph(made / "mine-ort" / "image_encoder.ort")
    selftest = load_file(made / "mine-ort" / "selftest.safetensors")
    assert np.array_equal(graph(selftest["pixel_values"]), selftest["image_embeds"])

    before, after = (json.loads((made / folder / "calibration.json").read_text()) for folder in ("mine", "mine-ort"))
    assert after["bound_to"]["graph_sha256"] == new["files"]["image_encoder.ort"]["sha256"]
    assert after["bound_to"]["bank_sha256"] == before["bound_to"]["bank_sha256"]
    assert {k: v for k, v in after.items() if k != "bound_to"} == {k: v for k, v in before.items() if k != "bound_to"}

    history = new["recipe"]["ort_format"]
    assert (history["level"], history["onnxruntime"]) == ("extended", ort.__version__)
    assert history["image_encoder"]["made_from_sha256"] == old["files"]["image_encoder.onnx"]["sha256"]
    assert history["image_encoder"]["farthest"] <= ort_format.FARTHEST
    unchanged = {"id", "preprocessing", "embedding_dim", "logit_scale", "labels", "source"}
    assert all(new[name] == old[name] for name in unchanged)


def test_a_bundle_made_at_once_is_the_same(made: Path) -> None:
    """But for the order in which ONNX Runtime writes its tables, and so for digests."""
    at_once, converted = (manifest(made / folder) for folder in ("at-once", "mine-ort"))
    assert list(at_once["files"]) == list(converted["files"])
    assert at_once["files"]["selftest.safetensors"] == converted["files"]["selftest.safetensors"]
    assert at_once["recipe"]["ort_format"] == converted["recipe"]["ort_format"]


def test_operators_are_fused_but_not_laid_out_for_this_processor(made: Path, tmp_path: Path) -> None:
    assert b"QLinearConv" in (made / "mine-ort" / "image_encoder.ort").read_bytes()
    ort_format.optimise(made / "fp32" / "image_fp32.onnx", tmp_path / "fp32.ort")
    assert b"Reorder" not in (tmp_path / "fp32.ort").read_bytes()


def test_verify_goes_on_and_says_what_it_cannot_see(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fp32 = str(made / "fp32" / "image_fp32.onnx")
    words = ["verify", "--bundle", str(made / "mine-ort"), "--fp32", fp32, "--images", str(made / "photos")]
    assert main([*words, "--max-drop", "off"]) == 0
    said = capsys.readouterr().out
    assert "ORT format" in said and "lint the ONNX graph that it was made from" in said


def test_the_fp32_twin_of_such_a_bundle_is_onnx_by_name_too(made: Path) -> None:
    words = ["reference", "--bundle", str(made / "mine-ort"), "--graph", str(made / "fp32" / "image_fp32.onnx")]
    assert main([*words, "-o", str(made / "twin")]) == 0
    twin = manifest(made / "twin")
    assert twin["image_encoder"]["file"] == "image_encoder.onnx" and "image_encoder.ort" not in twin["files"]
    assert not is_ort_format(made / "twin" / "image_encoder.onnx")


def test_a_calibration_is_not_bound_to_a_graph_that_answers_otherwise(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ort_format, "distance", lambda old, new: 2e-5)
    assert convert(made / "mine", tmp_path / "out") == 2
    assert "moves by 2.0e-05, more than 1e-05" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_without_its_calibration_the_bundle_is_made_all_the_same(made: Path, tmp_path: Path) -> None:
    assert convert(made / "mine", tmp_path / "out", "--drop-calibration", "--id", "other") == 0
    record = manifest(tmp_path / "out")
    assert record["id"] == "other" and "calibration" not in record
    assert not (tmp_path / "out" / "calibration.json").exists() and "calibration.json" not in record["files"]


def test_what_cannot_be_converted_is_refused(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(made / "mine-ort", tmp_path / "out") == 2
    assert "of the ORT format already" in capsys.readouterr().err
    assert convert(made / "mine", made / "mine-ort") == 2
    assert "is there already" in capsys.readouterr().err
    bad = tmp_path / "bad"
    shutil.copytree(made / "mine", bad)
    (bad / "labels.safetensors").write_bytes(b"damaged")
    assert convert(bad, tmp_path / "out") == 2
    assert "labels.safetensors: sha256" in capsys.readouterr().err and not (tmp_path / "out").exists()
    (bad / "manifest.json").write_text("{}")
    assert convert(bad, tmp_path / "out") == 2
    assert "not a bundle's manifest" in capsys.readouterr().err
