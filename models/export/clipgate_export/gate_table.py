"""The gate's two scores against the largest softmax probability alone: what each answers at equal risk.

A stream holds images of the labels and others in a stated mix. An answer to one of the others is wrong whatever it
says. Either rule may choose its confidence threshold on the very images that are counted, so that none is better off;
the out-of-distribution score, its cut, the temperature and the negatives were fixed on other images.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .bank import Bank
from .metrics import BOOTSTRAP_SEED, Figure
from .scores import Cosines, confidence, ood_score

DRAWS = 1000
# Shares of images of the labels in the stream, and of answers that may be wrong.
MIXES = (0.5, 0.8)
RISKS = (0.1, 0.2)
REFUSED = -np.inf


@dataclass(frozen=True)
class Cut:
    """What other images fixed: the out-of-distribution score, the least that passes, and the temperature."""

    score: str
    threshold: float
    temperature: float


@dataclass(frozen=True)
class Rule:
    """Confidences of the labels' images, f64 [N], and of each other set, f64 [M]; `REFUSED` where the cut refuses.

    `right`, bool [N]: whether the best label is the image's.
    """

    inside: np.ndarray
    right: np.ndarray
    outside: list[np.ndarray]


def msp_alone(bank: Bank, logit_scale: float, inside: np.ndarray, classes: np.ndarray, outside: list) -> Rule:
    """The largest softmax probability over the labels, without negatives, at the model's own scale."""

    def sure(embeddings: np.ndarray) -> np.ndarray:
        cosines = Cosines.without_negatives(embeddings @ bank.text_embeds.T)
        return ood_score("msp", cosines, logit_scale).astype(np.float64)

    right = (inside @ bank.text_embeds.T).argmax(1) == classes
    return Rule(sure(inside), right, [sure(embeddings) for embeddings in outside])


def two_scores(
    bank: Bank, logit_scale: float, cut: Cut, inside: np.ndarray, classes: np.ndarray, outside: list
) -> Rule:
    """The gate's: the calibrated confidence, labels against negatives, of what passes the cut."""

    def sure(embeddings: np.ndarray) -> np.ndarray:
        cosines = bank.cosines(embeddings)
        passed = ood_score(cut.score, cosines, logit_scale) >= np.float32(cut.threshold)
        return np.where(passed, confidence(cosines, logit_scale, cut.temperature), REFUSED)

    right = (inside @ bank.text_embeds.T).argmax(1) == classes
    return Rule(sure(inside), right, [sure(embeddings) for embeddings in outside])


class Ranked:
    """A rule's answers by falling confidence, so that a resample is only other weights."""

    def __init__(self, rule: Rule) -> None:
        values = np.concatenate([rule.inside, *rule.outside])
        self.order = np.argsort(-values, kind="stable")
        self.sizes = [len(rule.inside), *map(len, rule.outside)]
        self.wrong = np.concatenate([~rule.right, np.ones(sum(self.sizes[1:]), bool)])[self.order]
        ranked = values[self.order]
        # Equal confidences are answered together, or not at all.
        self.ends = np.append(ranked[:-1] != ranked[1:], True) & (ranked > REFUSED)

    def coverage(self, counts: Sequence[np.ndarray], mix: float, risk: float) -> float:
        """The largest share of the labels' images answered by a threshold whose risk is at most `risk`; 0 if none.

        `counts` says of each set how often each image was drawn; `mix` is the share of the labels' images in the
        stream, the other sets having equal parts of the rest.
        """
        own = np.concatenate([counts[0] / counts[0].sum(), np.zeros(sum(self.sizes[1:]))])
        rest = (1 - mix) / mix / (len(counts) - 1)
        weights = np.concatenate([own[: self.sizes[0]], *(rest * drawn / drawn.sum() for drawn in counts[1:])])
        weights = weights[self.order]
        wrong, answered = np.cumsum(weights * self.wrong), np.cumsum(weights)
        fine = np.flatnonzero(self.ends & (wrong <= risk * answered + 1e-12))
        return float(own[self.order][: fine[-1] + 1].sum()) if len(fine) else 0.0


def compare(ours: Rule, other: Rule, mix: float, risk: float) -> tuple[float, float, Figure]:
    """Both coverages and their difference, with its interval over `DRAWS` resamples that both share."""
    ranked = Ranked(ours), Ranked(other)
    sizes = ranked[0].sizes
    draw = np.random.default_rng(BOOTSTRAP_SEED)

    def both(counts: list[np.ndarray]) -> tuple[float, float]:
        return ranked[0].coverage(counts, mix, risk), ranked[1].coverage(counts, mix, risk)

    found = both([np.ones(size) for size in sizes])
    gains = []
    for _ in range(DRAWS):
        counts = [np.bincount(draw.integers(0, size, size), minlength=size) for size in sizes]
        first, second = both(counts)
        gains.append(first - second)
    low, high = np.quantile(gains, (0.025, 0.975))
    return *found, Figure(found[0] - found[1], float(low), float(high), sum(sizes))


def render(ours: Rule, other: Rule, names: Sequence[str], together: Sequence[tuple[str, Sequence[int]]]) -> str:
    """A row for each other set, and for each of `together` (a name, and the sets that share the rest equally)."""
    rows = [(name, [place]) for place, name in enumerate(names)] + [(name, list(sets)) for name, sets in together]
    columns = [(mix, risk) for mix in MIXES for risk in RISKS]
    heads = " | ".join(f"{mix:.0%} labels, {risk:.0%} wrong".replace("%", " %") for mix, risk in columns)
    lines = [f"| the others | {heads} |", f"|---|{'---|' * len(columns)}"]
    for name, sets in rows:
        pair = [Rule(rule.inside, rule.right, [rule.outside[place] for place in sets]) for rule in (ours, other)]
        cells = (cell(*compare(*pair, mix, risk)) for mix, risk in columns)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(ours: float, other: float, gain: Figure) -> str:
    """Both shares in percent, and the difference in points."""
    interval = f"[{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"
    return f"{100 * ours:.1f} / {100 * other:.1f}, {100 * gain.value:+.1f} {interval}"
