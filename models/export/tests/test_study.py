"""`clipgate-export study` on a tiny model from end to end, judged by the real `clipgate`; rows that fail or die."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_models import write_pictures
from tiny_onnx import write_pair

from clipgate_export.cli import main
from clipgate_export.errors import UserError
from clipgate_export.study.process import Failed, Worker
from clipgate_export.study.running import alone

ROOT = Path(__file__).parents[3]
BUILT = [ROOT / "target" / profile / "clipgate" for profile in ("release", "debug")]
LABELS = ("dog", "fox", "teapot")
CONFIG = """
seed = 3
methods = ["minmax", "rotation", "lsq"]
resamples = 20
range_images = 16
[images]
ranges = "ranges"
training = "training"
reporting = "reporting"
[[ood]]
name = "others"
kind = "far"
images = "others"
[[source]]
name = "tiny"
bundle = "tiny"
[qat]
steps = 2
batch = 4
range_images = 4
[promise]
risk = 0.9
[corruptions]
images = 6
severities = [2]
"""


@pytest.fixture(scope="module")
def clipgate() -> Path:
    found = next((path for path in BUILT if path.is_file()), None)
    if found is None:
        pytest.skip(f"needs the judge: `cargo build --release` makes {BUILT[0]}")
    return found


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos, and a bundle around fp32 towers."""
    root = tmp_path_factory.mktemp("study")
    for place, label in enumerate(LABELS):
        write_pictures(root / "reporting" / label, 42, 1000 * place, hue=place)
        for use in ("ranges", "training"):
            write_pictures(root / use / label, 8, 1000 * place + 500, hue=place)
    write_pictures(root / "others", 20, 9000)
    pair = write_pair(root / "pair", ROOT / "models" / "pocket" / "tokenizer.json")
    words = ["bundle", *pair, "--images", str(root / "reporting"), "--range-images", "16"]
    assert main([*words, "-o", str(root / "int8"), "--keep-fp32", str(root / "fp32")]) == 0
    graph = str(root / "fp32" / "image_fp32.onnx")
    assert main(["reference", "--bundle", str(root / "int8"), "--graph", graph, "-o", str(root / "tiny")]) == 0
    (root / "study.toml").write_text(CONFIG)
    return root / "study.toml"


def study(config: Path, output: Path, clipgate: Path) -> int:
    return main(["study", "--config", str(config), "-o", str(output), "--clipgate", str(clipgate)])


@pytest.fixture(scope="module")
def output(config: Path, clipgate: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a run whose rotations fail, as this tower cannot be rotated."""
    output = tmp_path_factory.mktemp("output") / "study"
    assert study(config, output, clipgate) == 1
    return output


def rows(output: Path) -> dict[str, dict]:
    return {row["name"]: row for row in json.loads((output / "results.json").read_text())["rows"]}


def test_every_row_is_judged_or_says_why_not(output: Path) -> None:
    found = rows(output)
    both = ", vision + text"
    assert set(found) == {
        *("tiny: fp32", f"tiny: fp32{both}"),
        *("tiny: minmax, w8a8", f"tiny: minmax, w8a8{both}", "tiny: rotation, w8a8", f"tiny: rotation, w8a8{both}"),
        "tiny: lsq, w8a8",
    }
    failed = {name for name, row in found.items() if "error" in row}
    assert failed == {"tiny: rotation, w8a8", f"tiny: rotation, w8a8{both}"}
    assert all("cannot be rotated" in found[name]["error"] for name in failed)
    for name in set(found) - failed:
        row = found[name]
        figures = row["figures"]
        asked = {"accuracy", "ece", "ece_refit", "nll", "brier", "aurc", "augrc", "auroc_far", "fpr95_far", "coverage"}
        assert asked <= set(figures) and 0 <= figures["corrupted_accuracy"]["value"] <= 1
        assert len(row["corruptions"]) == 8 and sum(row["reliability"]["before"]["n"]) == 126
        is_fp32 = row["method"] == "fp32"
        assert ("difference" in figures["accuracy"]) is not is_fp32
        assert is_fp32 or (row["cosine"]["mean"] > 0.99 and row["graph"]["share_of_fp32"] < 0.6)
        assert is_fp32 or (output / row["graph"]["file"]).is_file()


def test_another_text_tower_gives_other_labels(output: Path) -> None:
    found = rows(output)
    alone, both = (found[f"tiny: minmax, w8a8{more}"] for more in ("", ", vision + text"))
    assert alone["graph"]["sha256"] == both["graph"]["sha256"]
    assert alone["figures"]["nll"]["value"] != both["figures"]["nll"]["value"]


def test_the_folder_holds_table_pictures_and_page(output: Path) -> None:
    names = {"results.json", "results.csv", "quadrants.svg", "quadrants.png", "reliability.svg", "reliability.png"}
    assert names <= {file.name for file in output.iterdir()}
    page = (output / "study.html").read_text()
    assert "no [[ood]] of kind &#x27;near&#x27;" in page and "cannot be rotated" in page
    with (output / "results.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 7
    record = json.loads((output / "results.json").read_text())
    assert record["shipped"]["tiny"]["why"].keys() == {"minmax", "lsq"}
    assert record["seconds"] == pytest.approx(sum(row.get("seconds", 0) for row in record["rows"]), abs=0.1)
    assert not list(output.glob("work/*/checkpoint.pt"))


def test_finished_rows_are_not_made_again(output: Path, config: Path, clipgate: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (output / "rows").iterdir()}
    assert len(before) == 5
    lost = next(path for path in before if json.loads(path.read_text())["name"] == "tiny: fp32")
    lost.unlink()
    assert study(config, output, clipgate) == 1
    after = {path: path.stat().st_mtime_ns for path in (output / "rows").iterdir()}
    assert {path for path in before if after[path] != before[path]} == {lost}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda root: shutil.rmtree(root / "tiny"), "source 1: bundle: "),
        (lambda root: (root / "tiny" / "labels.safetensors").write_bytes(b"x"), "labels.safetensors: sha256"),
        (lambda root: (root / "reporting" / "dog").rename(root / "reporting" / "wolf"), "rename them"),
        (lambda root: [file.unlink() for file in (root / "others").iterdir()], "no images in this folder"),
        (lambda root: (root / "others" / "ä b.jpg").write_bytes(b"x"), "ä b.jpg: of no format that Pillow knows: take"),
        (lambda root: shutil.copytree(root / "int8", root / "tiny", dirs_exist_ok=True), "is quantised already"),
    ],
)
def test_inputs_that_do_not_fit_are_one_line(
    change, says: str, config: Path, clipgate: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "inputs"
    shutil.copytree(config.parent, root)
    change(root)
    assert study(root / "study.toml", tmp_path / "out", clipgate) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert says in error[-1] and not (tmp_path / "out").exists()


def test_no_judge_is_one_line(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert study(config, tmp_path / "out", tmp_path / "clipgate") == 2
    assert "cargo build --release" in capsys.readouterr().err


def test_a_judge_that_is_too_old_is_one_line(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = tmp_path / "clipgate"
    old.write_text("#!/bin/sh\necho clipgate 0.0.1\n")
    old.chmod(0o755)
    assert study(config, tmp_path / "out", old) == 2
    assert "too old, it has no `evaluate --keep`" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_folder_is_one_studys(tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(UserError, match="another study"), alone(tmp_path):
        pass


def test_work_that_is_killed_or_fails_does_not_end_the_rest() -> None:
    with Worker() as worker:
        with pytest.raises(Failed, match="SIGKILL; perhaps there is too little memory"):
            worker.run(signal.raise_signal, signal.SIGKILL)
        with pytest.raises(Failed, match="ended with status 3"):
            worker.run(os._exit, 3)
        with pytest.raises(Failed, match="too little memory"):
            worker.run(bytearray, 1 << 62)
        with pytest.raises(Failed, match="ValueError: invalid literal"):
            worker.run(int, "seven")
        with pytest.raises(Failed, match="^/nowhere: No such file or directory$"):
            worker.run(os.listdir, "/nowhere")
        assert worker.run(max, 1, 2) == 2


def test_work_ends_with_a_study_that_is_killed(tmp_path: Path) -> None:
    script = """
import subprocess, sys
from clipgate_export.study.process import Worker
if __name__ == "__main__":
    with Worker() as worker:
        worker.run(subprocess.run, ["sh", "-c", "touch begun; sleep 2; touch ended"])
"""
    (tmp_path / "killed.py").write_text(script)
    environment = os.environ | {"PYTHONPATH": str(ROOT / "models" / "export")}
    process = subprocess.Popen([sys.executable, "killed.py"], cwd=tmp_path, env=environment)
    try:
        while not (tmp_path / "begun").exists():
            assert process.poll() is None
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    time.sleep(4)
    assert not (tmp_path / "ended").exists()


def test_what_a_killed_study_had_in_hand_goes(tmp_path: Path) -> None:
    left = [tmp_path / "work" / name for name in ("row-abc", ".corrupted.abc", "corrupted-abc")]
    for folder in left:
        (folder / "inside").mkdir(parents=True)
    with alone(tmp_path):
        assert [folder.exists() for folder in left] == [False, False, True]
        (left[0] / "inside").mkdir(parents=True)
    assert not left[0].exists(), "what this one leaves"
