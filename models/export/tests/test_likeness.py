"""Cosines with and without the mean embedding, against scikit-learn's over all pairs."""

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from clipgate_export.likeness import SAME, Likeness

DRAW = np.random.default_rng(6)
REFERENCE = DRAW.normal(size=(12, 24)) + 2
OTHER = REFERENCE + DRAW.normal(0, 0.3, REFERENCE.shape)


def test_cosines_are_scikit_learns() -> None:
    found = Likeness.of(REFERENCE, OTHER)
    units = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (REFERENCE, OTHER)]
    mean = units[0].mean(0)
    np.testing.assert_allclose(found.plain, np.diag(cosine_similarity(*units)))
    np.testing.assert_allclose(found.centred, np.diag(cosine_similarity(units[0] - mean, units[1] - mean)))
    between = cosine_similarity(REFERENCE)[~np.eye(12, dtype=bool)]
    assert found.alike == pytest.approx(between.mean())
    assert found.warning() is None


def test_lengths_mean_nothing() -> None:
    found, scaled = Likeness.of(REFERENCE, OTHER), Likeness.of(3 * REFERENCE, OTHER * np.arange(1, 13)[:, None])
    np.testing.assert_allclose(scaled.centred, found.centred)


def test_what_the_plain_cosine_hides_is_seen_and_said() -> None:
    shifted = REFERENCE + 300
    other = shifted[::-1]
    found = Likeness.of(shifted, other)
    assert found.plain.min() > SAME and found.centred.mean() < 0.5
    assert found.alike > SAME
    assert "different photos agree to 0.9999" in str(found.warning("photos"))


def test_a_single_row_has_nothing_to_be_told_from() -> None:
    found = Likeness.of(REFERENCE[:1], OTHER[:1])
    assert np.isnan(found.centred).all() and np.isnan(found.alike) and found.warning() is None
    middle = REFERENCE.mean(0) / 10
    known = Likeness.of(REFERENCE[:1], OTHER[:1], middle)
    unit = [rows[0] / np.linalg.norm(rows[0]) - middle for rows in (REFERENCE, OTHER)]
    assert known.centred[0] == pytest.approx(cosine_similarity(unit[:1], unit[1:])[0, 0])


def test_a_row_without_direction_is_like_nothing() -> None:
    broken = OTHER.copy()
    broken[3], broken[4, 0] = 0, np.nan
    found = Likeness.of(REFERENCE, broken)
    assert found.plain[[3, 4]].tolist() == [0, 0] == found.centred[[3, 4]].tolist()
    assert found.plain[5] > 0.9
