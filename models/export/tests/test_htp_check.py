"""The NPU's compiler as a command: what is no graph is one line, and both towers' inputs are drawn."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import onnx
import pytest
from tiny_onnx import image_tower

EXPORT = Path(__file__).parents[1]


def run(*words: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "clipgate_export.htp_check", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=EXPORT, check=False)


def test_what_is_no_graph_is_one_line_and_exit_status_two(tmp_path: Path) -> None:
    (tmp_path / "noise.onnx").write_bytes(b"noise" * 9)
    onnx.save(image_tower("batch"), tmp_path / "dynamic.onnx")
    for name, said in (("none.onnx", "no such file"), ("noise.onnx", "not an ONNX graph"), ("dynamic.onnx", "dynamic")):
        done = run(tmp_path / name)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert said in done.stderr and name in done.stderr


@pytest.mark.skipif(find_spec("onnxruntime_qnn") is None, reason="needs onnxruntime-qnn")
@pytest.mark.parametrize("tower", ["image_encoder.onnx", "text_encoder.onnx"])
def test_pockets_towers_compile_whole(pocket: Path, tower: str) -> None:
    done = run(pocket / tower)
    assert done.returncode == 0, done.stderr
    assert '"partitions": 1' in done.stdout and '"nodes_on_cpu": 0' in done.stdout
