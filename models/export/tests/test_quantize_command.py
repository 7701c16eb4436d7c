"""`clipgate-export quantize`, as a user runs it."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from clipgate_export import cli


@pytest.fixture(scope="module")
def fp32(clip_fp32: Path) -> Path:
    return clip_fp32


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    draw = np.random.default_rng(3)
    for place in range(20):
        Image.fromarray(draw.integers(0, 256, (40, 48, 3), np.uint8)).save(folder / f"{place}.png")
    return folder


def test_a_folder_of_images_makes_an_int8_graph_and_a_report(
    fp32: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, report = tmp_path / "int8.onnx", tmp_path / "report.json"
    words = ["quantize", str(fp32), "--images", str(images), "-o", str(output), "--report", str(report)]
    assert cli.main([*words, "--smooth-alpha", "0.4,0.6", "--most-images", "16"]) == 0
    record = json.loads(report.read_text())
    assert record["images"] == 16 and len(record["candidates"]) == 3 and record["target_met"]
    assert "cosine to fp32" in capsys.readouterr().out
    assert any(node.op_type == "QuantizeLinear" for node in onnx.load(output).graph.node)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--percentile", "12"], "percentile 12.0: must be in 50 to 100"),
        (["--smooth-alpha", "much"], "--smooth-alpha much: numbers from 0 to 1, or sweep"),
        (["--rotate", "3", "--smooth-alpha", "0.5"], "rotation and smoothing: take one of them"),
        (["--images", "nowhere"], "nowhere: no such folder"),
        (["--most-images", "10"], "--most-images 10: at least 16 are needed"),
        (["--keep-float", "no_such_node"], "no_such_node: no node of the graph that is quantised"),
    ],
)
def test_a_mistake_is_one_line(
    fp32: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], words: str
) -> None:
    assert cli.main(["quantize", str(fp32), "--images", str(images), "-o", str(tmp_path / "int8.onnx"), *more]) == 2
    said = capsys.readouterr().err.strip()
    assert words in said and "\n" not in said
    assert not list(tmp_path.iterdir())


def test_an_unreachable_target_is_exit_status_one(fp32: Path, images: Path, tmp_path: Path) -> None:
    words = ["quantize", str(fp32), "--images", str(images), "-o", str(tmp_path / "int8.onnx")]
    assert cli.main([*words, "--target-cosine", "0.999999", "--fallback-bits", "16"]) == 1
