r"""Writes random cosines and what every out-of-distribution score says of them, for the Rust tests.

    python -m clipgate_export.goldens_ood -o ../../tests/data/ood.json

Softmax, log-sum-exp and entropy are SciPy's, in f64. Energy, entropy, MSP, MCM and margin are these functions as they
are. LogitGap (arXiv 2510.20134, equation 8), NegLabel (arXiv 2403.20078), EOE (arXiv 2406.00806, equation 3) and
NegRefine (arXiv 2507.09795) have no implementation in a package: they are derived anew from the papers here, with none
of the Rust code's rearrangements.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.special import logsumexp, softmax
from scipy.stats import entropy

from .files import write_bytes

SEED = 20261123
RANDOM_CASES = 240
SCALES = (1.0, 14.3, 76.9, 100.0, 120.0)
LOGIT_GAP_SHARE = 0.2
GROUPS, GROUP_SIZE = 100, 1000
EOE_BETA = 0.25
NEAREST = 5


def logit_gap(labels: np.ndarray, negatives: np.ndarray, scale: float) -> float | None:
    """Mean of z_1 - z_n, n = 2 .. N, over the logits sorted downwards, the best label put first."""
    best = int(labels.argmax())
    others = np.sort(np.concatenate([np.delete(labels, best), negatives]))[::-1]
    if len(others) == 0:
        return None
    top = max(2, int(np.ceil(LOGIT_GAP_SHARE * (len(others) + 1))))
    return float(np.mean(scale * labels[best] - scale * others[: top - 1]))


def neg_label(labels: np.ndarray, negatives: np.ndarray, scale: float) -> float | None:
    """Mean over groups of the labels' part of the softmax of labels and group."""
    if len(negatives) == 0:
        return None
    groups = min(max(len(negatives) // GROUP_SIZE, 1), GROUPS)
    shares = [
        softmax(scale * np.concatenate([labels, negatives[group::groups]]))[: len(labels)].sum()
        for group in range(groups)
    ]
    return float(np.mean(shares))


def eoe(labels: np.ndarray, negatives: np.ndarray) -> float | None:
    """max p_in - beta max p_out of the softmax of the cosines."""
    if len(negatives) == 0:
        return None
    shares = softmax(np.concatenate([labels, negatives]))
    return float(shares[: len(labels)].max() - EOE_BETA * shares[len(labels) :].max())


def rows(cosines: np.ndarray, dimension: int) -> np.ndarray:
    """Unit vectors of these cosines to the first axis, each in a plane with an axis of its own; as the tests do."""
    vectors = np.zeros((len(cosines), dimension))
    vectors[:, 0] = cosines
    vectors[np.arange(len(cosines)), 1 + np.arange(len(cosines))] = np.sqrt(1 - cosines**2)
    return vectors


def multi_matching(labels: np.ndarray, negatives: np.ndarray, scale: float) -> float:
    """The best match of a near label and a near negative together, half-way between them, against the latter."""
    dimension = max(len(labels), len(negatives)) + 1
    texts, others = rows(labels, dimension), rows(negatives, dimension)
    best = 0.0
    for label in np.argsort(-labels, kind="stable")[:NEAREST]:
        for negative in np.argsort(-negatives, kind="stable")[:NEAREST]:
            both = texts[label] + others[negative]
            cosine = both[0] / np.linalg.norm(both)
            best = max(best, float(softmax(scale * np.array([cosine, negatives[negative]]))[0]))
    return best


def scores(labels: np.ndarray, negatives: np.ndarray, scale: float) -> dict[str, float | None]:
    """Every score of one image; None where it says nothing."""
    both = np.concatenate([labels, negatives])
    several, compared = len(labels) > 1, len(both) > 1
    shares = softmax(scale * both)
    best = int(labels.argmax())
    inside = softmax(scale * labels)
    grouped = neg_label(labels, negatives, scale)
    return {
        "msp": float(shares[best]) if compared else None,
        "mcm": float(softmax(both)[best]) if compared else None,
        "max_cosine": float(labels.max()),
        "energy": float(logsumexp(scale * labels)) if several else None,
        "entropy": -float(entropy(inside)) if several else None,
        "margin": float(shares[best] - np.delete(shares, best).max()) if compared else None,
        "logit_gap": logit_gap(labels, negatives, scale),
        "neg_label": grouped,
        "eoe": eoe(labels, negatives),
        "neg_refine": None if grouped is None else grouped + 2 * multi_matching(labels, negatives, scale),
    }


def case(labels: np.ndarray, negatives: np.ndarray, scale: float) -> dict:
    """One case; the cosines are what f32 makes of five decimals."""
    written = [[round(float(cosine), 5) for cosine in group] for group in (labels, negatives)]
    as_read = [np.array(group, np.float32).astype(np.float64) for group in written]
    as_read_scale = float(np.float32(scale))
    return {
        "labels": written[0],
        "negatives": written[1],
        "logit_scale": scale,
        "scores": scores(*as_read, as_read_scale),
    }


def cases() -> list[dict]:
    """Random ones of all sizes, then the edges: one text, ties, opposites, groups of a thousand negatives."""
    draw = np.random.default_rng(SEED)

    def cosines(count: int) -> np.ndarray:
        centre, spread = draw.uniform(-0.1, 0.3), draw.choice([0.01, 0.05, 0.2])
        return np.clip(draw.normal(centre, spread, count), -0.99, 0.99)

    found = []
    for place in range(RANDOM_CASES):
        negatives = 0 if place % 4 == 0 else int(draw.integers(1, 60))
        found.append(
            case(cosines(int(draw.integers(1, 40))), cosines(negatives), SCALES[int(draw.integers(len(SCALES)))])
        )
    none = np.empty(0)
    found += [
        case(np.array([0.3]), none, 100.0),
        case(np.array([0.3]), np.array([0.3]), 100.0),
        case(np.array([0.2, 0.2, 0.2]), none, 100.0),
        case(np.array([0.2, 0.2]), np.array([0.2, 0.2, 0.1]), 100.0),
        case(np.array([-0.99, -0.98]), np.array([0.99]), 120.0),
        case(np.array([0.99, -0.99]), np.array([-0.99, -0.98]), 120.0),
    ]
    return found + [case(cosines(7), cosines(count), 76.9) for count in (1999, 2000, 2047)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    lines = ",\n".join(json.dumps(found, separators=(",", ":")) for found in cases())
    write_bytes(arguments.output, f"[\n{lines}\n]\n".encode())


if __name__ == "__main__":
    main()
