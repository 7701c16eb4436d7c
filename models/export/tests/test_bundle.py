"""The bundle's manifest names every file with its digest, and the calibration is bound to them."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from clipgate_export.bank import Bank
from clipgate_export.bundle import Description, Origin, Selftest, TextEntry, write_manifest
from clipgate_export.data import read_text_embeddings
from clipgate_export.graph import Graph
from clipgate_export.pocket import PREPROCESSING, PROMPT_TEMPLATE
from clipgate_export.text_tower import CONTEXT_LENGTH


def manifest(pocket: Path) -> dict:
    return json.loads((pocket / "manifest.json").read_text())


def test_every_file_is_the_one_that_the_manifest_means(pocket: Path) -> None:
    files = manifest(pocket)["files"]
    assert sum(entry["bytes"] for entry in files.values()) < 12e6
    for name, entry in files.items():
        content = (pocket / name).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (entry["sha256"], entry["bytes"]), name


def test_the_calibration_is_of_this_bundle(pocket: Path) -> None:
    bound = json.loads((pocket / "calibration.json").read_text())["bound_to"]
    bank = Bank.read((pocket / "labels.safetensors").read_bytes())
    selftest = load_file(pocket / "selftest.safetensors")
    names = [label["name"] for label in json.loads((pocket / "splits.json").read_text())["labels"]]
    assert [label.name for label in bank.labels] == names
    assert bound["graph_sha256"] == manifest(pocket)["files"]["image_encoder.onnx"]["sha256"]
    assert bound["bank_sha256"] == bank.digest()
    assert bound["selftest_sha256"] == hashlib.sha256(selftest["image_embeds"].tobytes()).hexdigest()
    for rows in (bank.text_embeds, bank.negative_embeds):
        assert np.abs(np.linalg.norm(rows, axis=1) - 1).max() < 1e-5


def test_the_selftest_holds_on_this_machine(pocket: Path) -> None:
    """0.98 rather than equality: processors without VNNI saturate in int8 products, Arm rounds otherwise."""
    selftest = load_file(pocket / "selftest.safetensors")
    got = Graph((pocket / "image_encoder.onnx").read_bytes())(selftest["pixel_values"])
    assert (got * selftest["image_embeds"]).sum() > 0.98


def test_the_bank_is_clips_own(pocket: Path, data: Path) -> None:
    wnids = [label["wnid"] for label in json.loads((pocket / "splits.json").read_text())["labels"]]
    assert np.array_equal(load_file(pocket / "labels.safetensors")["text_embeds"], read_text_embeddings(data, wnids))


def test_the_same_files_give_the_same_manifest(pocket: Path, tmp_path: Path) -> None:
    written = manifest(pocket)
    for name in written["files"]:
        shutil.copyfile(pocket / name, tmp_path / name)
    text = TextEntry(CONTEXT_LENGTH, PROMPT_TEMPLATE)
    origin = Origin(written["architecture"], written["source"], written["licence"])
    write_manifest(tmp_path, Description("pocket", origin, PREPROCESSING, 512, written["logit_scale"], text))
    assert (tmp_path / "manifest.json").read_bytes() == (pocket / "manifest.json").read_bytes()
    bank = pocket / "labels.safetensors"
    assert Bank.read(bank.read_bytes()).file() == bank.read_bytes()
    selftest = Selftest.of(Graph(pocket / "image_encoder.onnx"), PREPROCESSING)
    assert np.array_equal(selftest.pixel_values, load_file(pocket / "selftest.safetensors")["pixel_values"])
