"""The table of methods on a tiny tower: its figures, what it recommends, where it is written."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from qdq_graphs import fp32_tower, quantise

from clipgate_export import methods_table, table_report
from clipgate_export.errors import UserError
from clipgate_export.graph import Graph
from clipgate_export.judging import Drop, Readout
from clipgate_export.pocket_tasks import Seen, Task, rows
from clipgate_export.quantization.recipe import Recipe
from clipgate_export.scores import Cosines
from clipgate_export.table_report import BEGIN, END, FP32, Figures, TowerTable

RECIPES = {"MinMax": Recipe(), "w8a16": Recipe(activation_bits=16), "mixed": Recipe(target_cosine=0.9999)}
GOOD = Drop(0.0, 0.01, 3, 3, 500)
FIGURES = Figures("A", True, 0.5, GOOD, 0.1, 0.05, 2.0, {"noise": 0.8}, 0.999, 0.99, 2.5, 0.26, 0, GOOD, 0.99912)


@dataclass
class Made:
    kept: int


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    """Random images of four classes, whose label embeddings are the fp32 tower's own of a few of them."""
    path = tmp_path_factory.mktemp("task") / "fp32.onnx"
    onnx.save(fp32_tower(), path)
    draw = np.random.default_rng(2)
    middles = draw.standard_normal((4, 3, 8, 8))
    classes = {role: draw.integers(0, 4, 40) for role in ("temperature", "choosing", "reporting")}
    inputs = {
        role: (middles[own] + draw.normal(0, 1.2, (40, 3, 8, 8))).astype(np.float32) for role, own in classes.items()
    }
    inputs["noise"] = draw.standard_normal((30, 3, 8, 8)).astype(np.float32)
    labels = Graph(path)(middles.astype(np.float32))
    labels -= labels.mean(0)

    def see(graph: Graph) -> Seen:
        embeds = {name: graph(found) for name, found in inputs.items()}
        cosines = {name: Cosines.without_negatives(found @ labels.T) for name, found in embeds.items()}
        return Seen(cosines, embeds["choosing"], embeds["reporting"])

    example = inputs["choosing"][:1]
    return Task("image", path, lambda: rows(inputs["temperature"]), example, classes, ("noise",), 30.0, "msp", see)


@pytest.fixture(scope="module")
def table(task: Task, tmp_path_factory: pytest.TempPathFactory) -> TowerTable:
    def by_onnxruntime(
        fp32: Path, batches: Callable[[], Iterator[np.ndarray]], recipe: Recipe, output: Path, progress: bool
    ) -> Made:
        quantise(fp32, output, np.concatenate(list(batches())))
        return Made(0 if recipe.target_cosine is None else 2)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(methods_table, "quantize", by_onnxruntime)
        patch.setattr(methods_table, "REPEATS", 3)
        return methods_table.measure(task, RECIPES, tmp_path_factory.mktemp("graphs"), rounds=2)


def test_every_figure_is_the_graphs(table: TowerTable, task: Task) -> None:
    assert [row.method for row in table.rows] == [FP32, *RECIPES]
    fp32, minmax = table.rows[:2]
    cosines, classes = task.see(Graph(task.fp32)).cosines, task.classes["reporting"]
    right = cosines["reporting"].labels.argmax(1) == classes
    assert fp32.accuracy == pytest.approx(right.mean())
    assert 0.5 < fp32.accuracy <= 1
    assert (fp32.cosine, fp32.speed, fp32.size) == (pytest.approx(1, abs=1e-6), 1.0, 1.0)
    assert (fp32.drop.lost, fp32.drop.gained, fp32.drop.n) == (0, 0, 40)
    readout = Readout(30.0)
    temperature = readout.fit_temperature(cosines["temperature"], task.classes["temperature"])
    assert fp32.nll == pytest.approx(readout.nll(cosines["reporting"], classes, temperature))
    assert fp32.ece == fp32.ece_before
    assert 0.9 < minmax.cosine < 1 and minmax.size > 0 and minmax.speed > 0
    assert set(minmax.auroc) == {"noise"}


def test_sixteen_bits_and_kept_layers_are_no_candidates(table: TowerTable) -> None:
    # 40 images without a change still allow 7 points, so that here nothing is a candidate.
    assert [row.candidate for row in table.rows] == [False] * 4
    assert table.recommended is None


def test_the_first_that_makes_no_difference_is_recommended() -> None:
    rows = [FIGURES, replace(FIGURES, method="B", choosing_cosine=0.9996), replace(FIGURES, method="C", cosine=1.0)]
    assert methods_table.recommend(rows) == "A"
    rows[1] = replace(rows[1], choosing_cosine=0.9997)
    assert methods_table.recommend(rows) == "B"
    rows[1] = replace(rows[1], candidate=False)
    assert methods_table.recommend(rows) == "A"
    assert methods_table.recommend([replace(FIGURES, candidate=False)]) is None


def test_a_candidate_holds_both_bars(task: Task) -> None:
    seen = task.see(Graph(task.fp32))
    many = replace(task, classes={role: np.tile(own, 5) for role, own in task.classes.items()})
    cosines = {name: Cosines.without_negatives(np.tile(own.labels, (5, 1))) for name, own in seen.cosines.items()}
    same = replace(seen, cosines=cosines)

    def candidate(recipe: Recipe, kept: int = 0, embeds: np.ndarray = seen.choosing) -> bool:
        pair = (same, replace(same, choosing=embeds))
        return methods_table.figures(many, "A", recipe, pair, 1.0, 2.0, 0.3, kept).candidate

    assert candidate(Recipe())
    assert not candidate(Recipe(activation_bits=16))
    assert not candidate(Recipe(weight_bits=4))
    assert not candidate(Recipe(), kept=1)
    assert not candidate(Recipe(), embeds=seen.choosing[::-1])


def test_the_markdown_has_every_method_and_the_reason(table: TowerTable) -> None:
    rows = [replace(row, candidate=row.method == "MinMax") for row in table.rows]
    words = table_report.render([replace(table, rows=rows, recommended="MinMax")])
    for name in RECIPES:
        assert re.search(rf"^\| \*{{0,2}}{name}", words, re.MULTILINE)
    assert "| mixed (2 layers kept) |" in words
    assert "**Recommended: MinMax.**" in words
    widths = {line.count("|") for line in words.splitlines() if line.startswith("|")}
    assert len(widths) == 1
    assert "**No method in 8 bits" in table_report.render([replace(table, recommended=None)])


def test_the_table_goes_between_its_markers(tmp_path: Path) -> None:
    text = f"before\n\n{BEGIN}\nold\n{END}\nafter\n"
    once = table_report.replace_between_markers(text, "new", tmp_path)
    assert once == f"before\n\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert table_report.replace_between_markers(once, "new", tmp_path) == once
    for broken in ("nothing", BEGIN, f"{END} {BEGIN}"):
        with pytest.raises(UserError, match="put them where the table belongs"):
            table_report.replace_between_markers(broken, "new", tmp_path)


def test_the_readme_has_the_markers() -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text()
    assert table_report.replace_between_markers(text, "new", Path("README.md")).count("new") >= 1
