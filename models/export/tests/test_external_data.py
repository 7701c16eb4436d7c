"""Weights in other files: all of them are found, each must fit its file, and the digests cover them."""

import hashlib
import json
from pathlib import Path

import onnx
import pytest
from onnx import ModelProto, TensorProto, helper
from tiny_models import write_pictures
from tiny_onnx import DIM, SIZE, image_tower

from clipgate_export import cli
from clipgate_export.errors import UserError
from clipgate_export.external_data import check_external_data, data_files
from clipgate_export.onnx_files import GraphDigest, bytes_on_disk

NEEDED = 8 * 16 * DIM * 4


def external(**entries: str) -> TensorProto:
    tensor = TensorProto(name="projection", data_type=TensorProto.FLOAT, dims=[8 * 16, DIM])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def with_weights(tensor: TensorProto) -> ModelProto:
    model = image_tower()
    place = next(place for place, found in enumerate(model.graph.initializer) if found.name == tensor.name)
    model.graph.initializer[place].CopyFrom(tensor)
    return model


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"length": "many"}, "the length of 'projection' in 'w.bin' is 'many', no whole number"),
        ({"length": "-4"}, "'-4', no whole number"),
        ({"offset": "-1"}, "the offset of 'projection' in 'w.bin' is '-1'"),
        ({"offset": "0x10"}, "'0x10', no whole number"),
        ({"offset": "1_0"}, "'1_0', no whole number"),
        ({"offset": "٣"}, "no whole number"),
        ({"offset": "9" * 5000}, "no whole number"),
        ({"offset": "64", "length": str(NEEDED)}, f"end at byte {NEEDED + 64} of 'w.bin', which has {NEEDED}"),
        ({"offset": str(10**20)}, f"end at byte {10**20} of 'w.bin'"),
        ({"offset": "64"}, f"have {NEEDED - 64} bytes in 'w.bin', but their shape [128, 16] takes {NEEDED}"),
        ({"length": "12"}, f"have 12 bytes in 'w.bin', but their shape [128, 16] takes {NEEDED}"),
    ],
)
def test_what_does_not_fit_its_file_is_one_line(
    entries: dict[str, str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(NEEDED))
    graph = tmp_path / "image.onnx"
    graph.write_bytes(with_weights(external(location="w.bin", **entries)).SerializeToString())
    photos = tmp_path / "photos"
    write_pictures(photos, 16)
    settings = {"size": SIZE, "resize": "squash", "interpolation": "bicubic", "mean": [0.5] * 3, "std": [0.5] * 3}
    (tmp_path / "p.json").write_text(json.dumps(settings))
    source = ["--onnx-image", str(graph), "--preprocessing", str(tmp_path / "p.json"), "--logit-scale", "100"]
    for words in (
        ["bundle", *source, "--images", str(photos), "-o", str(tmp_path / "out")],
        ["quantize", str(graph), "--images", str(photos), "-o", str(tmp_path / "int8.onnx")],
        ["verify", "--fp32", str(graph), "--int8", str(graph), "--images", str(photos)],
    ):
        assert cli.main(words) == 2, words
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1, error


def test_a_tensor_hidden_in_an_inner_graph_is_checked(tmp_path: Path) -> None:
    secret = external(location="../secret.bin")
    branch = helper.make_graph([], "branch", [], [helper.make_tensor_value_info("projection", 1, None)], [secret])
    constant = helper.make_node("Constant", [], ["c"], value=external(location="../secret.bin"))
    sparse = onnx.SparseTensorProto(dims=[4], values=external(location="../secret.bin"))
    function = helper.make_function("own", "f", [], ["c"], [constant], [helper.make_opsetid("", 17)])
    nodes = {
        "an If": helper.make_node("If", ["condition"], ["y"], then_branch=branch, else_branch=branch),
        "a Constant": constant,
        "a sparse Constant": helper.make_node("Constant", [], ["c"], sparse_value=sparse),
    }
    models = {name: helper.make_model(helper.make_graph([node], "g", [], [])) for name, node in nodes.items()}
    models["a function"] = helper.make_model(helper.make_graph([], "g", [], []), functions=[function])
    models["a sparse weight"] = helper.make_model(helper.make_graph([], "g", [], [], sparse_initializer=[sparse]))
    for name, model in models.items():
        with pytest.raises(UserError, match="outside its folder"):
            check_external_data(tmp_path / "graph.onnx", model)
            pytest.fail(name)


def test_digests_and_sizes_cover_the_data(tmp_path: Path) -> None:
    path = tmp_path / "image.onnx"
    onnx.save(image_tower(), path, save_as_external_data=True, location="image.bin", size_threshold=8)
    assert data_files(onnx.load(path, load_external_data=False)) == ["image.bin"]
    record = GraphDigest.of(path).record()
    for entry, file in ((record, path), (record["data"][0], tmp_path / "image.bin")):
        assert entry["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
        assert entry["bytes"] == file.stat().st_size
    assert bytes_on_disk(path) == record["bytes"] + record["data"][0]["bytes"]
    before = record["data"][0]["sha256"]
    (tmp_path / "image.bin").write_bytes(bytes(record["data"][0]["bytes"]))
    assert GraphDigest.of(path).record()["data"][0]["sha256"] != before
    onnx.save(image_tower(), tmp_path / "whole.onnx")
    assert "data" not in GraphDigest.of(tmp_path / "whole.onnx").record()
