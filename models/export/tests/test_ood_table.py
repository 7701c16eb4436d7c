import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from clipgate_export import metrics
from clipgate_export.bank import Bank
from clipgate_export.ood_table import Images, Task, area, gain, render
from clipgate_export.pocket_bank import Words, distinct, farthest, labels, with_negatives


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_areas_are_scikit_learns_and_their_intervals_the_bootstraps() -> None:
    draw = np.random.default_rng(3)
    # Rounded, so that there are ties.
    inside, outside = (draw.normal(mean, 1, size).round(1) for mean, size in ((1, 300), (0, 200)))
    found = area(inside, outside)
    truth = np.concatenate([np.ones(300), np.zeros(200)])
    assert found.value == pytest.approx(roc_auc_score(truth, np.concatenate([inside, outside])))
    other = metrics.bootstrap(metrics.auroc, inside, outside)
    assert found.low == pytest.approx(other.low, abs=0.005) and found.high == pytest.approx(other.high, abs=0.005)


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


def test_the_table_names_every_score_and_what_the_shipped_one_gains() -> None:
    draw = np.random.default_rng(5)
    own, others = unit(draw.normal(size=(3, 8))), unit(draw.normal(size=(5, 8)))
    bank = Bank(labels(list("abc"), [""] * 3), own, labels(list("defgh"), [""] * 5), others)
    inside = unit(own[draw.integers(0, 3, 40)] + draw.normal(0, 0.3, (40, 8)))
    outside = Images("others", "far", unit(others[draw.integers(0, 5, 30)] + draw.normal(0, 0.3, (30, 8))))
    lines = render(Task("made up", bank, 20.0, inside, [outside], "neg_label")).splitlines()
    assert lines[2] == "| texts | score | others (far, n 30) |"
    assert sum(line.startswith("| labels alone |") for line in lines) == 7
    assert sum(line.startswith("| 5 negatives |") for line in lines) == 7
    assert any(line.startswith("| 5 negatives | **`neg_label`** | 0.9") for line in lines)
    assert lines[-1].startswith("| | `neg_label` less `msp`, 5 negatives | ")
