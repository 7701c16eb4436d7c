"""`clipgate-export verify` on a tiny tower: its figures, its bars, and one line for each error."""

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from qdq_graphs import fp32_tower, quantise

from clipgate_export import cli, scores, subject, verification, verify, verify_report
from clipgate_export.bank import Bank, Label
from clipgate_export.errors import UserError
from clipgate_export.graph import Graph
from clipgate_export.images import ImageFolder
from clipgate_export.spec import Preprocessing

NAMES = ("red fox", "green frog", "blue jay")
PLAIN = Preprocessing(8, "shortest_edge", "bicubic", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """photos/LABEL/N.png, outside/N.png, fp32.onnx, bundle/ with its bank."""
    home = tmp_path_factory.mktemp("home")
    draw = np.random.default_rng(9)
    for channel, name in enumerate((*NAMES, None)):
        folder = home / "outside" if name is None else home / "photos" / name.replace(" ", "_")
        folder.mkdir(parents=True)
        for number in range(16 if name is None else 8):
            pixels = draw.integers(0, 90, (10, 12, 3), np.uint8)
            if name is not None:
                pixels[..., channel] += 140
            Image.fromarray(pixels).save(folder / f"{number}.png")
    onnx.save(fp32_tower(), home / "fp32.onnx")
    photos = ImageFolder.read(home / "photos", progress=False)
    inputs = np.concatenate(list(photos.batches(PLAIN)))
    (home / "bundle").mkdir()
    quantise(home / "fp32.onnx", home / "bundle" / "int8.onnx", inputs)
    embeds = Graph(home / "fp32.onnx")(inputs)
    middles = np.stack([embeds[[file.label == label for file in photos.files]].mean(0) for label in photos.labels])
    middles -= middles.mean(0)
    middles /= np.linalg.norm(middles, axis=1, keepdims=True)
    labels = [Label(label.replace("_", " "), "", []) for label in photos.labels]
    bank = Bank(labels, middles, [], np.empty((0, 16), np.float32))
    (home / "bundle" / "labels.safetensors").write_bytes(bank.file())
    write_manifest(home / "bundle")
    return home


def write_manifest(bundle: Path, **changes: object) -> None:
    files = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in bundle.iterdir() if path.suffix != ".json"
    }
    manifest = {
        "preprocessing": PLAIN.record(),
        "logit_scale": 20.0,
        "image_encoder": {"file": "int8.onnx"},
        "labels": {"file": "labels.safetensors"},
        "files": {name: {"sha256": digest} for name, digest in files.items()},
    }
    (bundle / "manifest.json").write_text(json.dumps(manifest | changes))


def parsed(*words: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    verify.add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


def usual(home: Path, *words: object) -> argparse.Namespace:
    return parsed("--bundle", home / "bundle", "--fp32", home / "fp32.onnx", "--images", home / "photos", *words)


def test_the_report_holds_what_the_graphs_say(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    words = ["--ood", f"noise={home / 'outside'}", "--max-drop", "off", "--min-agreement", "90", "--min-snr", "10"]
    status = verify.run(usual(home, *words, "--json", tmp_path / "r.json", "--markdown", tmp_path / "r.md"))
    report = json.loads((tmp_path / "r.json").read_text())
    assert status == 0 and report["passed"]
    inputs = np.concatenate(list(ImageFolder.read(home / "photos", progress=False).batches(PLAIN)))
    fp32, int8 = Graph(home / "fp32.onnx")(inputs), Graph(home / "bundle" / "int8.onnx")(inputs)
    assert report["cosine"]["mean"] == pytest.approx((fp32 * int8).sum(1).mean(), abs=1e-6)
    centred = [rows - fp32.mean(0) for rows in (fp32, int8)]
    centred = (centred[0] * centred[1]).sum(1) / np.linalg.norm(centred[0], axis=1) / np.linalg.norm(centred[1], axis=1)
    assert report["cosine"]["centred_mean"] == pytest.approx(centred.mean(), abs=1e-5)
    assert report["cosine"]["centred_worst"] == pytest.approx(centred.min(), abs=1e-5)
    assert report["warning"] is None and report["fp32_alike"] < 0.999
    assert report["images"]["n"] == 24
    assert report["labels"]["accuracy"] == {"fp32": 1.0, "int8": 1.0}
    assert report["labels"]["calibration"]["int8"]["ece_after"] < 0.2
    assert [bar["measure"] for bar in report["bars"]] == [
        "mean cosine of int8 to fp32",
        "mean cosine of int8 to fp32 less fp32's mean embedding",
        "images with the same best label",
        "lowest signal-to-noise ratio of a layer",
        "findings of the lint: errors",
    ]
    assert set(report["outside"][0]["auroc"]) == set(scores.WITHOUT_NEGATIVES)
    assert report["snr"]["inputs"] == verification.SNR_IMAGES
    assert report["int8"]["sha256"] == hashlib.sha256((home / "bundle" / "int8.onnx").read_bytes()).hexdigest()
    markdown = (tmp_path / "r.md").read_text()
    assert markdown == capsys.readouterr().out
    for words in (
        "| accuracy | 100.00 % | 100.00 % |",
        "## Images outside the labels",
        "| noise | 16 | msp |",
        "| held |",
    ):
        assert words in markdown


def test_embeddings_that_say_nothing_are_said(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for name, path in (("fp32", home / "fp32.onnx"), ("int8", home / "bundle" / "int8.onnx")):
        graph = onnx.load(path)
        made = graph.graph.output[0].name
        for node in graph.graph.node:
            node.output[:] = [f"{made}.varying" if output == made else output for output in node.output]
            node.input[:] = [f"{made}.varying" if output == made else output for output in node.input]
        graph.graph.initializer.append(onnx.numpy_helper.from_array(np.full(16, 1e4, np.float32), "shift"))
        graph.graph.node.append(onnx.helper.make_node("Add", [f"{made}.varying", "shift"], [made]))
        onnx.save(graph, tmp_path / f"{name}.onnx")
    words = ["--fp32", tmp_path / "fp32.onnx", "--int8", tmp_path / "int8.onnx", "--images", home / "outside"]
    assert verify.run(parsed(*words, "--fail-on-lint", "off", "--json", tmp_path / "r.json")) == 0
    assert "**Warning:** the reference's embeddings of different images agree to 1.00000" in capsys.readouterr().out
    assert "agree" in json.loads((tmp_path / "r.json").read_text())["warning"]


def test_too_few_images_miss_the_default_bar(home: Path, capsys: pytest.CaptureFixture) -> None:
    assert verify.run(usual(home)) == 1
    line = next(line for line in capsys.readouterr().out.splitlines() if "drop in accuracy |" in line)
    assert "11.73 points" in line and "MISSED" in line


@pytest.mark.parametrize(
    "words",
    [
        ["--min-cosine", "0.9999999"],
        ["--min-cosine-p1", "1"],
        ["--min-centred-cosine", "0.99999"],
        ["--max-ece", "0"],
        ["--min-snr", "90"],
    ],
)
def test_every_bar_can_be_missed(home: Path, words: list[str]) -> None:
    assert verify.run(usual(home, "--max-drop", "off")) == 0
    assert verify.run(usual(home, "--max-drop", "off", *words)) == 1


def test_without_labels_no_bar_is_invented(home: Path, capsys: pytest.CaptureFixture) -> None:
    arguments = parsed(
        "--int8", home / "bundle" / "int8.onnx", "--fp32", home / "fp32.onnx", "--images", home / "outside",
        "--manifest", home / "bundle" / "manifest.json",
    )  # fmt: skip
    assert verify.run(arguments) == 0
    out = capsys.readouterr().out
    # Noise is too much alike for the centred cosine.
    assert "2 could not be measured" in out and "not measured: needs varied images" in out


def test_label_folders_without_a_bank_leave_the_accuracy_unmeasured(home: Path, capsys: pytest.CaptureFixture) -> None:
    arguments = parsed(
        "--int8", home / "bundle" / "int8.onnx", "--fp32", home / "fp32.onnx", "--images", home / "photos",
        "--manifest", home / "bundle" / "manifest.json",
    )  # fmt: skip
    assert verify.run(arguments) == 0
    out = capsys.readouterr().out
    assert "1 could not be measured" in out and "| cosine to fp32, mean |" in out
    assert "not measured: needs one folder a label and a label bank (--labels)" in out


def test_the_report_names_data_files(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    apart = tmp_path / "apart.onnx"
    onnx.save(fp32_tower(), apart, save_as_external_data=True, location="apart.data", size_threshold=256)
    arguments = parsed(
        "--bundle", home / "bundle", "--fp32", apart, "--images", home / "photos", "--max-drop", "off",
        "--json", tmp_path / "r.json",
    )  # fmt: skip
    assert verify.run(arguments) == 0
    digest = hashlib.sha256((tmp_path / "apart.data").read_bytes()).hexdigest()
    assert json.loads((tmp_path / "r.json").read_text())["fp32"]["data"][0]["sha256"] == digest
    assert f"sha256 `{digest[:16]}`" in capsys.readouterr().out


def test_a_graph_that_lost_its_weights_fails(home: Path, tmp_path: Path) -> None:
    onnx.save(fp32_tower(seed=6), tmp_path / "other.onnx")
    arguments = parsed("--int8", tmp_path / "other.onnx", "--fp32", home / "fp32.onnx", "--images", home / "outside")
    found = verification.check(subject.from_arguments(arguments), ImageFolder.read(home / "outside"))
    held = {checked.measure: checked.held for checked in found.checked}
    assert held["mean cosine of int8 to fp32"] is False
    assert held["findings of the lint: errors"] is False
    assert not found.passed
    assert "not-quantised" in verify_report.render(found)


def test_nan_misses_every_bar() -> None:
    values = dict.fromkeys([limit.option for limit in verification.LIMITS], float("nan"))
    bars = verification.Bars({limit.option: 1.0 for limit in verification.LIMITS}, None)
    assert {checked.held for checked in verification.hold(values, [], bars)} == {False}


def test_rows_choose_the_images(home: Path) -> None:
    found = subject.from_bundle(home / "bundle", home / "fp32.onnx")
    folder = ImageFolder.read(home / "photos", progress=False)
    report = verification.check(found, folder, rows=range(16, 24), snr_images=0)
    assert (report.n, report.labelled.drop.n, report.snr) == (8, 8, None)


def test_errors_name_the_culprit(home: Path, tmp_path: Path) -> None:
    bundle, fp32 = home / "bundle", home / "fp32.onnx"
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no graph")
    onnx.save(fp32_tower(size=12), tmp_path / "large.onnx")
    onnx.save(fp32_tower(width=8), tmp_path / "narrow.onnx")
    photos = ["--images", home / "photos"]
    cases = [
        (["--bundle", bundle, *photos], "give the fp32 image encoder with --fp32"),
        (["--fp32", fp32, *photos], "either --bundle DIR or --int8 FILE"),
        (["--bundle", tmp_path, "--fp32", fp32, *photos], "manifest.json"),
        (["--bundle", bundle, "--fp32", tmp_path / "none.onnx", *photos], "none.onnx: no such file"),
        (["--bundle", bundle, "--fp32", broken, *photos], "broken.onnx: not an ONNX graph"),
        (["--bundle", bundle, "--fp32", tmp_path / "large.onnx", *photos], r"large.onnx: takes \[1, 3, 12, 12\]"),
        (["--bundle", bundle, "--fp32", tmp_path / "narrow.onnx", *photos], "different models"),
        (["--bundle", bundle, "--fp32", fp32, "--images", tmp_path / "none"], "none: no such folder"),
        (["--bundle", bundle, "--fp32", fp32, *photos, "--ood", "textures"], "not of the form NAME=DIR"),
        (["--bundle", bundle, "--fp32", fp32, *photos, "--labels", fp32], "fp32.onnx: not a label bank"),
        (
            ["--bundle", bundle, "--fp32", fp32, "--images", home / "photos" / NAMES[0].replace(" ", "_")],
            "comparing needs",
        ),
    ]
    for words, message in cases:
        with pytest.raises(UserError, match=message) as caught:
            verify.run(parsed(*words))
        assert "\n" not in str(caught.value)


def test_the_command_says_it_in_one_line(home: Path, capsys: pytest.CaptureFixture) -> None:
    words = ["verify", "--bundle", home / "bundle", "--fp32", home / "fp32.onnx", "--images"]
    assert cli.main([str(word) for word in (*words, home / "photos", "--max-drop", "off")]) == 0
    assert capsys.readouterr().out.startswith("# int8.onnx against fp32.onnx")
    assert cli.main([str(word) for word in (*words, home / "nowhere")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1 and "nowhere: no such folder" in said.err


def test_a_folder_that_is_no_label_is_named_with_the_nearest(home: Path) -> None:
    found = subject.from_bundle(home / "bundle", home / "fp32.onnx")
    with pytest.raises(UserError, match="'green_frogs' is none of the 3 labels .*'green frog'"):
        found.bank_for(["green_frogs"])


def test_a_file_that_is_not_the_manifests_is_refused(home: Path, tmp_path: Path) -> None:
    for name in ("int8.onnx", "labels.safetensors"):
        (tmp_path / name).write_bytes((home / "bundle" / name).read_bytes())
    write_manifest(tmp_path, files={"int8.onnx": {"sha256": "00" * 32}})
    with pytest.raises(UserError, match="int8.onnx: sha256 .* is not the manifest's"):
        subject.from_bundle(tmp_path, home / "fp32.onnx")


def test_pockets_own_text_encoder_stands_in_for_a_missing_label(pocket: Path, home: Path) -> None:
    found = subject.from_bundle(pocket, home / "fp32.onnx")
    bank, rows = found.bank_for(["n01443537", "school_bus"])
    assert [bank.labels[row].name for row in rows] == ["goldfish", "school bus"]
    with pytest.raises(UserError, match="'n99999999' is called by a WordNet id"):
        found.bank_for(["n01443537", "n99999999"])
    bank, rows = found.bank_for(["school_bus", "giraffe"])
    assert [label.name for label in bank.labels] == ["school bus", "giraffe"]
    assert np.linalg.norm(bank.text_embeds, axis=1) == pytest.approx(1, abs=1e-5)
    assert bank.text_embeds[0] @ found.bank.text_embeds[[x.name for x in found.bank.labels].index("school bus")] > 0.5


def test_text_encoders_are_compared_on_the_labels(pocket: Path, home: Path, tmp_path: Path) -> None:
    found = subject.from_bundle(pocket, home / "fp32.onnx", fp32_text=pocket / "text_encoder.onnx")
    names = ["goldfish", "school bus", "teapot"]
    assert verification.judge_texts(found.text, names) == verification.Texts(
        3, pytest.approx(1, abs=1e-5), pytest.approx(1, abs=1e-5), pytest.approx(1, abs=1e-4), 3
    )
    with pytest.raises(UserError, match="no labels whose texts"):
        verification.judge_texts(found.text, [])
    with pytest.raises(UserError, match="has no text encoder"):
        subject.from_bundle(home / "bundle", home / "fp32.onnx", fp32_text=home / "fp32.onnx")
