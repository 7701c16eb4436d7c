"""Figures of a row, and the pictures and the page that show them."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from clipgate_export.errors import UserError
from clipgate_export.judging import Readout, expected_calibration_error
from clipgate_export.scores import Cosines
from clipgate_export.study import chapter
from clipgate_export.study.config import Ood
from clipgate_export.study.figures import figures, mean, reliability
from clipgate_export.study.judging import Reports
from clipgate_export.study.page import page
from clipgate_export.study.pictures import drawn, saved
from clipgate_export.study.results import table

CHANGE = {"value": -0.02, "low": -0.03, "high": -0.01, "p_value": 0.01, "test": "bootstrap"}
RAW = ("accuracy", "ece", "nll", "brier", "aurc", "augrc")


def report(auroc: dict[str, float]) -> dict:
    """As `clipgate evaluate --reference` prints it."""
    sets = [
        {
            "name": name,
            "auroc": {"gate": value},
            "fpr95": {"gate": 0.5},
            "intervals": {"auroc": {"gate": [value - 0.1, value + 0.1]}, "fpr95": {"gate": [0.4, 0.6]}},
        }
        for name, value in auroc.items()
    ]
    shares = {"coverage": 0.5, "selective_risk": 0.05, "accepted_ood": None}
    return {
        "id": {"n": 9, **dict.fromkeys(RAW, 0.25), "intervals": {name: [0.2, 0.3] for name in RAW}},
        "ood": sets,
        "gate": {**shares, "intervals": {name: [0.0, 0.9] for name in shares}, "temperature": 1.5},
        "paired": {
            "id": dict.fromkeys(RAW, CHANGE),
            "ood": [{"name": name, "auroc": CHANGE} for name in auroc],
            "coverage": CHANGE,
            "selective_risk": None,
            "agreement": {"value": 0.9, "low": 0.8, "high": 1.0},
        },
    }


@pytest.fixture
def row(tmp_path) -> dict:
    made = report({"a": 0.8, "b": 0.6, "c": 0.9})
    sets = [Ood("a", "near", tmp_path), Ood("b", "near", tmp_path), Ood("c", "far", tmp_path)]
    diagram = {"temperature": 1.0, "overconfidence": 0.1, "n": [1, 3], "confidence": [0.3, 0.9], "accuracy": [0, 1]}
    return {
        "source": "<mine>",
        "method": "minmax",
        "bits": 8,
        "towers": "vision",
        "kind": "PTQ",
        "name": "<mine>: minmax, w8a8",
        "figures": figures(Reports(made, made, made, None), sets),
        "reliability": {"before": diagram, "after": diagram},
        "graph": {"bytes": 1000, "packed_bytes": 1000, "share_of_fp32": 0.3, "kept_in_fp32": 0},
        "cosine": {"mean": 0.999, "p1": 0.99},
        "corruptions": {"jpeg": 0.4},
        "speed": 2.0,
        "seconds": 12.0,
    }


def test_figures_are_the_reports(row: dict) -> None:
    found = row["figures"]
    change = {key: CHANGE[key] for key in ("value", "low", "high", "p_value")}
    assert found["accuracy"] == {"value": 0.25, "low": 0.2, "high": 0.3, "difference": change}
    assert found["auroc_near"]["value"] == pytest.approx(0.7) and found["auroc_far"]["value"] == 0.9
    assert found["auroc_near"]["difference"] == pytest.approx({"value": -0.02, "low": -0.03, "high": -0.01})
    assert "difference" not in found["fpr95_near"] and found["fpr95: a"]["value"] == 0.5
    assert found["coverage"]["value"] == 0.5 and "accepted_ood" not in found
    assert found["selective_risk"] == {"value": 0.05, "low": 0.0, "high": 0.9}


def test_nothing_is_accepted_under_a_refused_promise() -> None:
    made = report({})
    found = figures(Reports(made, made, None, "too few images"), [])
    assert "coverage" not in found and "ece_refit" in found and "auroc_near" not in found


def test_a_mean_without_all_differences_has_none() -> None:
    assert mean([{"value": 1.0}, {"value": 3.0, "low": 0.0}]) == {"value": 2.0}


def test_reliability_adds_up_to_netcals_error() -> None:
    draw = np.random.default_rng(1)
    cosines = Cosines.without_negatives(draw.uniform(-1, 1, (400, 5)).astype(np.float32))
    right = draw.random(400) < 0.5
    readout = Readout(4.0)
    found = reliability(cosines, readout, right, 2.0)
    n, confidence, accuracy = (np.array(found[key]) for key in ("n", "confidence", "accuracy"))
    error = float((n * np.abs(confidence - accuracy)).sum() / n.sum())
    assert n.sum() == 400
    assert error == pytest.approx(expected_calibration_error(readout.confidence(cosines, 2.0), right), abs=1e-6)
    assert found["overconfidence"] == pytest.approx(float((n * (confidence - accuracy)).sum() / n.sum()))


def record(rows: list[dict]) -> dict:
    return {
        "config": "seed = 1 # <b>",
        "clipgate": "clipgate 1",
        "versions": {},
        "machine": {},
        "seconds": 1.0,
        "images": {"reporting": 9},
        "promised_risk": 0.1,
        "missing": ["no [[ood]] of kind 'far'"],
        "shipped": {"<mine>": {"winner": None, "words": "none", "why": {"minmax": "worse"}}},
        "rows": rows,
    }


def test_the_page_stands_alone_and_escapes_names(row: dict) -> None:
    failed = {key: row[key] for key in ("source", "method", "bits", "towers", "kind", "name")} | {"error": "no <room>"}
    made = page(record([row, failed]))
    assert made.count("<svg") == 2 and "&lt;mine&gt;" in made and "<mine>" not in made and "no &lt;room&gt;" in made
    assert "seed = 1 # &lt;b&gt;" in made and "src=" not in made and "@import" not in made
    assert "-2.0 [-3.0, -1.0]" in made and "class='worse'" in made
    assert page(record([failed])).count("<svg") == 0
    assert "at most 10 % of the answers are wrong. A click" in made
    figures = {name: figure for name, figure in row["figures"].items() if name != "coverage"}
    refused = page(record([row, row | {"figures": figures}]))
    assert "In 1 of 2 rows no threshold can promise that" in refused


def test_pictures_are_the_same_each_time(row: dict) -> None:
    once, again = (
        {name: saved(figure, form) for name, figure in drawn(record([row])).items() for form in ("svg",)}
        for _ in range(2)
    )
    assert set(once) == {"quadrants", "reliability"} and once == again
    assert set(drawn(record([]))) == set()


def test_the_table_has_a_line_a_row(row: dict) -> None:
    failed = {"source": "mine", "method": "lsq", "error": "killed"}
    first, second = csv.DictReader(io.StringIO(table([row, failed])))
    assert (first["accuracy"], first["accuracy change low"], first["accuracy: jpeg"]) == ("0.25", "-0.03", "0.4")
    assert (second["error"], second["accuracy"]) == ("killed", "")


def test_the_chapter_marks_what_is_worse(row: dict) -> None:
    made = record([row])
    made["images"]["ood"] = {"a": {"kind": "near", "images": 4}}
    row["figures"]["overconfidence_before"] = {"value": -0.125}
    lines = chapter.table(made).splitlines()
    assert lines[0].startswith("| model | method | bits | top-1 % | ECE % | too sure by |")
    assert lines[2].startswith("| <mine> | minmax | 8 | 25.0 (**-2.0** worse) | 25.0 (**-2.0**) | -12.5 |")
    assert lines[-2:] == ["9 images of the labels, 4 of other things.", "By the rule, <mine>: none."]


def test_diagrams_show_fp32_once_beside_rows_of_its_width(row: dict) -> None:
    alone = {name: {"value": figure["value"]} for name, figure in row["figures"].items()}
    fp32 = row | {"figures": alone, "method": "fp32", "kind": "fp32", "bits": 32, "name": "fp32's own"}
    trained = row | {"method": "lsq", "kind": "QAT", "bits": 32, "name": "lsq, w32"}
    svg = saved(drawn({"rows": [fp32, trained, row]})["reliability"], "svg").decode()
    assert svg.count(">fp32's own<") == svg.count(">lsq, w32<") == 2, "before and after"


def test_a_chapter_takes_one_study_and_keeps_the_other(
    row: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks = [mark.format(name) for name in ("others", "<mine>") for mark in (chapter.BEGIN, chapter.END)]
    page = tmp_path / "page.md"
    page.write_text("{}\n\nas it was\n\n{}\n\nwords\n\n{}\n\nold\n\n{}\n".format(*marks))
    made = record([row])
    made["images"]["ood"] = {}
    (tmp_path / "results.json").write_text(json.dumps(made))
    monkeypatch.setattr("sys.argv", ["chapter", str(tmp_path / "results.json"), "--chapter", str(page)])
    chapter.main()
    written = page.read_text()
    assert "as it was" in written and "old" not in written and "| <mine> |" in written
    page.write_text("no marks")
    with pytest.raises(UserError, match="study of <mine>: begin"):
        chapter.main()
