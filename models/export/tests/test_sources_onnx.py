"""A pair of ONNX graphs: checked, renamed, its Gelu made whole, and all that without torch."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper
from tiny_onnx import DIM, image_tower, model, text_tower, write_pair

from clipgate_export import sources
from clipgate_export.errors import UserError

# As where none of these is installed.
WITHOUT_TORCH = """
import importlib.util
import sys
ABSENT = ("torch", "open_clip", "transformers", "timm")
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name.split(".")[0] in ABSENT else found(name, *more)
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from clipgate_export.cli import main
sys.exit(main(sys.argv[1:]))
"""


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    sources.add_arguments(parser)
    return parser.parse_args(words)


@pytest.fixture
def pair(tmp_path: Path, pocket: Path) -> list[str]:
    return write_pair(tmp_path / "pair", pocket / "tokenizer.json")


def test_a_pair_is_taken_over(pair: list[str], tmp_path: Path) -> None:
    loaded = sources.load(arguments(pair), tmp_path)
    graph = onnx.load(loaded.image)
    assert [value.name for value in (*graph.graph.input, *graph.graph.output)] == ["pixel_values", "image_embeds"]
    assert [node.op_type for node in graph.graph.node].count("Gelu") == 1
    assert not {"Erf", "Div"} & {node.op_type for node in graph.graph.node}
    assert next(o.version for o in graph.opset_import if o.domain == "") == 20
    pixels = np.random.default_rng(1).normal(0, 1, (1, 3, 32, 32)).astype(np.float32)
    before, after = (
        ort.InferenceSession(content, providers=["CPUExecutionProvider"])
        for content in (image_tower().SerializeToString(), graph.SerializeToString())
    )
    assert np.allclose(before.run(None, {"x": pixels})[0], after.run(None, {"pixel_values": pixels})[0], atol=1e-5)
    assert (loaded.activation, loaded.embedding_dim, loaded.logit_scale) == ("gelu", DIM, 100)
    assert loaded.text_spec is not None and loaded.text_spec.context_length == 12


def refusal(words: list[str], work: Path) -> str:
    with pytest.raises(UserError) as caught:
        sources.load(arguments(words), work)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def replaced(words: list[str], option: str, value: object) -> list[str]:
    place = words.index(option)
    return [*words[: place + 1], str(value), *words[place + 2 :]]


def test_graphs_that_cannot_be_used_are_named(pair: list[str], tmp_path: Path) -> None:
    newest = image_tower()
    newest.opset_import[0].version = 99
    int32 = text_tower()
    int32.graph.input[0].type.tensor_type.elem_type = TensorProto.INT32
    two = image_tower()
    two.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1, 4]))
    quantised = image_tower()
    quantised.graph.node.append(helper.make_node("DequantizeLinear", ["half", "one"], ["d"]))
    graphs = {
        "batch.onnx": (image_tower("batch"), "axis 0 of 'x' is dynamic (batch)"),
        "new.onnx": (newest, "opset 99 is too new"),
        "two.onnx": (two, "2 inputs (x, mask)"),
        "quantised.onnx": (quantised, "quantised already"),
    }
    for name, (graph, said) in graphs.items():
        onnx.save(graph, tmp_path / name)
        message = refusal(replaced(pair, "--onnx-image", tmp_path / name), tmp_path)
        assert said in message and name in message
    for graph, said in ((text_tower("length"), "dynamic (length)"), (int32, "INT32 [1, 12]")):
        onnx.save(graph, tmp_path / "text.onnx")
        assert said in refusal(replaced(pair, "--onnx-text", tmp_path / "text.onnx"), tmp_path)
    (tmp_path / "noise.onnx").write_bytes(b"\x00\x01noise" * 20)
    (tmp_path / "empty.onnx").write_bytes(b"")
    for name in ("noise.onnx", "empty.onnx", "nowhere.onnx"):
        assert name in refusal(replaced(pair, "--onnx-image", tmp_path / name), tmp_path)
    assert "--logit-scale" in refusal(pair[:-2], tmp_path)


@pytest.mark.parametrize("place", ["../weights.bin", "/etc/hostname", "link.bin", "missing.bin", ""])
def test_external_data_stays_in_its_folder(place: str, pair: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "graph"
    folder.mkdir()
    (tmp_path / "weights.bin").write_bytes(bytes(4 * 8 * 16 * DIM))
    (folder / "link.bin").symlink_to(tmp_path / "weights.bin")
    graph = image_tower()
    tensor = next(tensor for tensor in graph.graph.initializer if tensor.name == "projection")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=place)
    (folder / "image.onnx").write_bytes(graph.SerializeToString())
    message = refusal(replaced(pair, "--onnx-image", folder / "image.onnx"), tmp_path)
    assert ("is missing" if place == "missing.bin" else "outside its folder") in message


def test_external_data_beside_the_graph_is_read(pair: list[str], tmp_path: Path) -> None:
    onnx.save(
        image_tower(), tmp_path / "image.onnx", save_as_external_data=True, location="image.bin", size_threshold=8
    )
    loaded = sources.load(arguments(replaced(pair, "--onnx-image", tmp_path / "image.onnx")), tmp_path / "work")
    assert loaded.image.stat().st_size > 4 * 8 * 16 * DIM


def test_a_graph_that_cannot_run_is_named(pair: list[str], tmp_path: Path) -> None:
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["features"])]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 32, 32])]
    outputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, DIM])]
    wrong = model(nodes, inputs, outputs, {"shape": np.array([1, DIM], np.int64)})
    onnx.save(wrong, tmp_path / "wrong.onnx")
    assert "wrong.onnx" in refusal(replaced(pair, "--onnx-image", tmp_path / "wrong.onnx"), tmp_path)


def test_no_torch_is_imported(pair: list[str], tmp_path: Path) -> None:
    from tiny_models import write_pictures

    write_pictures(tmp_path / "images", 16)
    command = [
        "bundle",
        *pair,
        "--images",
        str(tmp_path / "images"),
        "--labels",
        "cat,dog",
        "-o",
        str(tmp_path / "out"),
    ]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *command], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "manifest.json").is_file()
