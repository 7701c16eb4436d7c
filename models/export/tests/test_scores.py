"""Every score against the Rust tests' goldens, which SciPy and the papers' formulas made (`goldens_ood`)."""

import json
from pathlib import Path

import numpy as np
import pytest

from clipgate_export.goldens_ood import rows
from clipgate_export.scores import OOD_SCORES, WITH_NEGATIVES, Cosines, available, ood_score

CASES = json.loads((Path(__file__).parents[3] / "tests" / "data" / "ood.json").read_text())


def cosines_of(case: dict) -> Cosines:
    labels, negatives = (np.array([case[group]], np.float32) for group in ("labels", "negatives"))
    dimension = max(labels.size, negatives.size) + 1
    between = rows(labels[0].astype(np.float64), dimension) @ rows(negatives[0].astype(np.float64), dimension).T
    return Cosines(labels, negatives, between)


@pytest.mark.parametrize("kind", OOD_SCORES)
def test_every_score_is_the_papers(kind: str) -> None:
    compared = 0
    for case in CASES:
        wanted = case["scores"][kind]
        if wanted is None:
            continue
        found = float(ood_score(kind, cosines_of(case), case["logit_scale"])[0])
        assert found == pytest.approx(wanted, rel=1e-6, abs=1e-6), case
        compared += 1
    assert compared > 150


def test_scores_that_need_negatives_are_not_offered_without() -> None:
    alone = Cosines.without_negatives(np.array([[0.3, 0.1]], np.float32))
    assert not set(available(alone)) & set(WITH_NEGATIVES)
    shared = Cosines(alone.labels, alone.labels)
    assert available(shared) == OOD_SCORES
    with pytest.raises(ValueError, match="between"):
        ood_score("neg_refine", shared, 10.0)
