from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from clipgate_export import metrics
from clipgate_export.bank import Bank
from clipgate_export.errors import UserError
from clipgate_export.gate_table import Cut
from clipgate_export.metrics import Figure
from clipgate_export.ood_judged import Judged, Separation
from clipgate_export.ood_table import (
    BEGIN,
    END,
    Findings,
    agree,
    areas,
    areas_section,
    compared,
    fpr_section,
    gain,
    gate_section,
    run,
    scored,
)
from clipgate_export.ood_tasks import Images, Task
from clipgate_export.pocket_bank import Words, distinct, farthest, labels, with_negatives
from clipgate_export.table_report import between


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_areas_are_scikit_learns_and_their_intervals_the_bootstraps() -> None:
    draw = np.random.default_rng(3)
    # Rounded, so that there are ties.
    inside, outside = (draw.normal(mean, 1, size).round(1) for mean, size in ((1, 300), (0, 200)))
    whole, drawn = areas(inside, outside)
    truth = np.concatenate([np.ones(300), np.zeros(200)])
    assert whole == pytest.approx(roc_auc_score(truth, np.concatenate([inside, outside])))
    other = metrics.bootstrap(metrics.auroc, inside, outside)
    assert np.quantile(drawn, (0.025, 0.975)) == pytest.approx([other.low, other.high], abs=0.005)


def test_a_gain_over_itself_is_nothing() -> None:
    draw = np.random.default_rng(4)
    pair = draw.normal(1, 1, 50), draw.normal(0, 1, 60)
    assert (gain(pair, pair).value, gain(pair, pair).low, gain(pair, pair).high) == (0, 0, 0)


def test_words_that_say_the_same_are_left_out_and_the_farthest_come_first() -> None:
    own = unit(np.eye(4)[:2])
    words = Words(
        ["cats", "dog", "Dog", "mug", "kitten", "tree"],
        np.array([[0, 0, 1, 0], [0.5, 0, 1, 0], [0, 0, 0, 1], [0, 0, 1, 1], [1, 0, 0.1, 0], [0.2, 0.2, 1, 0]]),
    )
    found = farthest(own, distinct(words, {"cat"}, own))
    assert found.names == ["mug", "tree", "dog"]
    bank = with_negatives(Bank(labels(["cat", "x"], ["", ""]), own, [], own[:0]), found, 2)
    assert [label.name for label in bank.negatives] == ["mug", "tree"]
    assert bank.negative_embeds.shape == (2, 4)


def made_up() -> Task:
    draw = np.random.default_rng(5)
    own, others = unit(draw.normal(size=(3, 8))), unit(draw.normal(size=(5, 8)))
    bank = Bank(labels(list("abc"), [""] * 3), own, labels(list("defgh"), [""] * 5), others)
    classes = draw.integers(0, 3, 40)
    inside = unit(own[classes] + draw.normal(0, 0.3, (40, 8)))
    groups = [unit(others[draw.integers(0, 5, 30)] + draw.normal(0, 0.3, (30, 8))) for _ in range(2)]
    outside = [Images("kin", "near", groups[0]), Images("others", "far", groups[1])]
    return Task("made up", bank, 20.0, inside, classes, outside, Cut("neg_label", 0.2, 1.0), None, 0)


def stand_in(task: Task, bank: Bank) -> Judged:
    """What the command would say, all intervals being whole."""
    scores = {
        kind: [Separation(Figure(areas(*pair)[0], 0, 1, 70), Figure(0.5, 0, 1, 70)) for pair in pairs]
        for kind, pairs in scored(task, bank).items()
    }
    return Judged(scores, None)


def test_the_tables_name_every_score_and_what_the_shipped_one_gains() -> None:
    task = made_up()
    found = Findings(task, stand_in(task, task.alone()), stand_in(task, task.bank))
    near, far = areas_section(found).split("\n\n")[1:]
    assert near.startswith("| AUROC, near | score | kin (n 30) |")
    assert far.startswith("| AUROC, far | score | others (n 30) |")
    assert sum(line.startswith("| labels alone |") for line in far.splitlines()) == 7
    assert sum(line.startswith("| 5 negatives |") for line in far.splitlines()) == 7
    assert "| 5 negatives | **`neg_label`**, shipped | 0.9" in far
    assert far.splitlines()[-1].startswith("| | *shipped less `msp` of the labels alone* | ")
    assert fpr_section(found, compared(found)).splitlines()[2:] == [
        "| labels alone | `msp` | 50 [0, 100] | 50 [0, 100] |",
        "| 5 negatives | **`neg_label`**, shipped | 50 [0, 100] | 50 [0, 100] |",
    ]
    assert "| all far ones, equal parts | " in gate_section(task)


def test_a_page_without_the_marks_and_a_missing_command_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="put them where the table belongs"):
        between("a page", BEGIN, END, "table", tmp_path / "page.md")
    with pytest.raises(UserError, match="cargo build --release"):
        run(Namespace(clipgate=tmp_path / "clipgate", chapter=None))


def test_figures_that_differ_from_the_commands_are_refused() -> None:
    agree("AUROC", 0.5, 0.50009)
    with pytest.raises(UserError, match="AUROC: 0.500000 here and 0.500200"):
        agree("AUROC", 0.5, 0.5002)


def test_the_chapter_has_the_marks() -> None:
    page = (Path(__file__).parents[3] / "src" / "docs" / "gating.md").read_text()
    assert page.count(BEGIN) == page.count(END) == 1
