"""The subcommand `bundle` from end to end, on a pair of small graphs: what it writes, and when it writes nothing."""

import hashlib
import json
import resource
from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors.numpy import load_file
from tiny_models import write_pictures
from tiny_onnx import DIM, VOCABULARY, text_tower, write_pair

from clipgate_export import images, make_bundle
from clipgate_export.bank import Bank
from clipgate_export.cli import main
from clipgate_export.graph import Graph

LABELS = ("arctic_fox", "dog", "teapot")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labelled")
    for place, label in enumerate(LABELS):
        write_pictures(folder / label, 42, 1000 * place, hue=place)
    return folder


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return write_pair(tmp_path_factory.mktemp("pair"), Path(__file__).parents[2] / "pocket" / "tokenizer.json")


def bundle(pair: list[str], images: Path, output: Path, *more: str) -> int:
    return main(["bundle", *pair, "--images", str(images), "-o", str(output), "--range-images", "16", *more])


def dropped(words: list[str], *options: str) -> list[str]:
    """The command line without these options and their values."""
    return [word for place, word in enumerate(words) if not set(options) & set(words[max(0, place - 1) : place + 1])]


def digests(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


def test_labelled_images_make_a_whole_bundle_twice_the_same(pair: list[str], labelled: Path, tmp_path: Path) -> None:
    output = tmp_path / "here" / "mine"
    assert bundle(pair, labelled, output, "--keep-fp32", str(tmp_path / "fp32")) == 0
    manifest = json.loads((output / "manifest.json").read_text())
    assert set(manifest["files"]) == {file.name for file in output.iterdir()} - {"manifest.json"}
    for name, entry in manifest["files"].items():
        content = (output / name).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (entry["sha256"], entry["bytes"]), name
    assert (manifest["id"], manifest["embedding_dim"], manifest["logit_scale"]) == ("mine", DIM, 100)
    assert manifest["text_encoder"]["prompt_template"] == "a photo of a {}." and "logit_bias" not in manifest
    assert manifest["recipe"]["images"]["count"] == 126 and "onnxruntime" in manifest["recipe"]["versions"]

    bank = Bank.read((output / "labels.safetensors").read_bytes())
    assert [label.name for label in bank.labels] == ["arctic fox", "dog", "teapot"]
    assert bank.labels[0].prompts == ["a photo of a arctic fox."]
    selftest = load_file(output / "selftest.safetensors")
    assert selftest["pixel_values"].shape == (1, 3, 32, 32)
    got = Graph(output / "image_encoder.onnx")(selftest["pixel_values"])
    assert np.array_equal(got, selftest["image_embeds"])

    calibration = json.loads((output / "calibration.json").read_text())
    assert calibration["bound_to"]["graph_sha256"] == manifest["files"]["image_encoder.onnx"]["sha256"]
    assert calibration["bound_to"]["bank_sha256"] == bank.digest()
    assert calibration["fitted_on"]["temperature"] + calibration["fitted_on"]["thresholds"] == 126 - 15
    assert {file.name for file in (tmp_path / "fp32").iterdir()} == {"image_fp32.onnx", "text_fp32.onnx"}

    again = tmp_path / "again" / "mine"
    assert bundle(pair, labelled, again) == 0
    assert digests(again) == digests(output)


def test_plain_images_make_a_bundle_without_labels(pair: list[str], labelled: Path, tmp_path: Path) -> None:
    assert bundle(pair, labelled / "dog", tmp_path / "out", "--logit-bias", "-10") == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert "labels" not in manifest and "calibration" not in manifest
    assert manifest["logit_bias"] == -10
    assert manifest["text_encoder"]["prompt_template"] == "This is a photo of {}."


def test_an_image_tower_alone_makes_a_bundle_without_texts(pair: list[str], labelled: Path, tmp_path: Path) -> None:
    without_text = dropped(pair, "--onnx-text", "--tokenizer")
    assert bundle(without_text, labelled, tmp_path / "out") == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert set(manifest["files"]) == {"image_encoder.onnx", "selftest.safetensors"}


def test_templates_are_averaged_and_folders_renamed(pair: list[str], labelled: Path, tmp_path: Path) -> None:
    (tmp_path / "templates").write_text("a {}\na small {}.\n")
    (tmp_path / "labels").write_text("arctic_fox\tpolar fox\nteapot\ndog\n")
    more = ["--templates", str(tmp_path / "templates"), "--labels", str(tmp_path / "labels")]
    assert bundle(pair, labelled, tmp_path / "out", *more) == 0
    bank = Bank.read((tmp_path / "out" / "labels.safetensors").read_bytes())
    assert [(label.name, label.wnid) for label in bank.labels] == [
        ("polar fox", "arctic_fox"),
        ("teapot", ""),
        ("dog", ""),
    ]
    assert bank.labels[1].prompts == ["a teapot", "a small teapot."]
    assert np.allclose(np.linalg.norm(bank.text_embeds, axis=1), 1)


def test_the_text_tower_is_quantised_where_asked(pair: list[str], labelled: Path, tmp_path: Path) -> None:
    names = ",".join(f"label {number}" for number in range(20))
    assert bundle(pair, labelled / "dog", tmp_path / "out", "--text-int8", "--labels", names) == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert "text" in manifest["recipe"]
    assert manifest["files"]["text_encoder.onnx"]["bytes"] < 0.3 * 49408 * DIM * 4


def test_a_tokenizer_with_more_ids_than_the_tower_has_rows_is_refused(
    pair: list[str], labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    onnx.save(text_tower(rows=300), tmp_path / "small.onnx")
    small = [str(tmp_path / "small.onnx") if word.endswith("text.onnx") else word for word in pair]
    assert bundle(small, labelled / "dog", tmp_path / "out") == 2
    said = error(capsys)
    assert f"ids up to {VOCABULARY - 1}" in said and "up to 299" in said and "--tokenizer" in said
    assert not (tmp_path / "out").exists()


def test_the_last_line_says_both_cosines(
    pair: list[str], labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert bundle(pair, labelled / "dog", tmp_path / "out", "--min-centred-cosine", "0.9") == 0
    last = capsys.readouterr().err.rstrip("\n").split("\n")[-1]
    assert "mean cosine to fp32 0." in last and "less the mean embedding 0." in last
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert 0.9 <= manifest["recipe"]["image"]["centred_cosine_to_fp32"] <= 1
    with pytest.raises(SystemExit):
        bundle(pair, labelled / "dog", tmp_path / "none", "--min-centred-cosine", "1")
    assert "less fp32's mean embedding" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("--min-cosine", "nan"), ("--min-centred-cosine", "inf"), ("--max-drop", "1e9")])
def test_bars_that_are_no_bars_are_refused_at_once(
    words: tuple[str, str], pair: list[str], labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert bundle(pair, labelled, tmp_path / "out", *words) == 2
    assert f"{words[0]} {float(words[1])}: a number from" in error(capsys)


def error(capsys: pytest.CaptureFixture[str]) -> str:
    last = capsys.readouterr().err.rstrip("\n").split("\n")[-1]
    assert last.startswith("clipgate-export: ")
    return last


def test_nothing_is_overwritten(pair: list[str], labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    assert bundle(pair, labelled, tmp_path / "out") == 2
    assert "is there already" in error(capsys)
    assert [file.name for file in tmp_path.rglob("*")] == ["out", "thesis.txt"]


def test_a_full_disk_leaves_nothing(
    pair: list[str], labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        assert bundle(pair, labelled, tmp_path / "out") == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "the disk is full" in error(capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), SystemExit(143), RuntimeError("a fault of ours")])
def test_an_interruption_leaves_nothing(
    interruption: BaseException, pair: list[str], labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise interruption

    monkeypatch.setattr(make_bundle, "write_manifest", interrupted)
    if isinstance(interruption, KeyboardInterrupt):
        assert bundle(pair, labelled / "dog", tmp_path / "out") == 130
    else:
        with pytest.raises(type(interruption)):
            bundle(pair, labelled / "dog", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_int8_too_far_from_fp32_makes_no_bundle(pair: list[str], labelled: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        bundle(pair, labelled / "dog", tmp_path / "out", "--min-cosine", "1")
    assert caught.value.code == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--labels", "dog,teapot"], "no label for the image folder 'arctic_fox'"),
        (["--labels", "dog,dog"], "'dog' stands there twice"),
        (["--range-images", "3"], "at least 16"),
        (["--labels", "none.txt"], "none.txt: no such file of labels"),
        (["--labels", "red,green,blue", "--images", "DOGS", "--text-int8"], "at least 16 --labels"),
        (["--templates", "x", "--images", "DOGS"], "there are no labels"),
        (["--templates", "/nowhere"], "/nowhere: the templates cannot be read"),
        (["--keep-fp32", "OUT/fp32"], "lies in the bundle"),
        (["--keep-fp32", "/dev/null/fp32"], "no folder that can be written to"),
        (["--pretrained", "openai"], "--pretrained goes with --open-clip only"),
    ],
)
def test_what_the_user_can_mend_is_one_line(
    more: list[str], said: str, pair: list[str], labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    more = [word.replace("DOGS", str(labelled / "dog")).replace("OUT", str(tmp_path / "out")) for word in more]
    assert bundle(pair, labelled, tmp_path / "out", *more) == 2
    assert said in error(capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("without", "more", "said"),
    [
        (["--onnx-text"], [], "--tokenizer is for texts"),
        (["--onnx-text", "--tokenizer"], ["--prompt-template", "a {}"], "--prompt-template is for texts"),
        (["--onnx-text", "--tokenizer"], ["--text-int8"], "no text tower"),
        (["--onnx-text", "--tokenizer"], ["--labels", "a,b"], "needs a text tower"),
        (["--tokenizer"], [], "--onnx-text needs --tokenizer"),
        (["--onnx-image"], [], "exactly one source"),
    ],
)
def test_it_is_said_before_any_photo_is_decoded(
    without: list[str],
    more: list[str],
    said: str,
    pair: list[str],
    labelled: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.setattr(images, "decode", lambda content: pytest.fail("a photo was decoded"))
    assert bundle(dropped(pair, *without), labelled, tmp_path / "out", *more) == 2
    assert said in error(capsys)
    assert list(tmp_path.iterdir()) == []


def test_wordnet_ids_as_labels_are_warned_of(pair: list[str], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for place, name in enumerate(("n01440764", "n02084071")):
        write_pictures(tmp_path / "photos" / name, 10, 100 * place, hue=place)
    assert bundle(pair, tmp_path / "photos", tmp_path / "out") == 0
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1 and "2 labels are WordNet ids (first n01440764)" in warnings[0]
    (tmp_path / "labels.tsv").write_text("n01440764\ttench\nn02084071\tdog\n")
    assert bundle(pair, tmp_path / "photos", tmp_path / "named", "--labels", str(tmp_path / "labels.tsv")) == 0
    assert "warning" not in capsys.readouterr().err


def test_commands_are_parsed_without_loading_them(capsys: pytest.CaptureFixture) -> None:
    for words in (["--help"], ["bundle", "--help"]):
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert caught.value.code == 0
    assert "--pretrained" in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        main(["sing"])
    assert caught.value.code == 2
