"""Gate v1: temperature, OOD score and thresholds, each from images that served nothing before."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .metrics import auroc, share
from .scores import Cosines, available, confidence, log_counts, ood_score

TARGET_RISK = 0.10
ID_PASS_SHARE = 0.95
FALSE_ACCEPT_SHARE = 0.05
FEWEST_ACCEPTED = 30
NEVER = 1.0
RULE = (
    "Accept if the OOD score is at least its threshold and the confidence at least its own. OOD threshold: with the "
    "scores of the n threshold images sorted upwards, the one at place floor((1 - id_pass_share) * n), counted from "
    "0. Confidence threshold: go through the confidences of the images that pass the OOD threshold from the largest "
    f"downwards; once {FEWEST_ACCEPTED} or more are at or above one, it is a candidate while their share of wrong "
    "labels is at most target; the first that breaks this ends the search and the last candidate is the "
    "threshold (1.0 if there is none). Another bank, or one label: the cosine must reach the smallest f32 that at most "
    f"{FALSE_ACCEPT_SHARE:.0%} of all pairs of a threshold image and another class's label reach. What passes, "
    "is accepted and is wrong was counted on the threshold images themselves."
)
CONDITIONS = (
    "No promise: the thresholds were chosen and measured on the same images, which are 64-pixel photographs of a "
    "public collection and not exchangeable with a user's frames; a promise needs labelled images of the user's task."
)


@dataclass(frozen=True)
class Gate:
    """A fitted gate; `auroc` is what each OOD score reached, [0, 1].

    Of the `images` that set the thresholds, `passed` pass the OOD threshold, `accepted` the confidence threshold too,
    and `wrong` of these have another label.
    """

    temperature: float
    score: str
    ood_threshold: float
    confidence_threshold: float
    similarity_threshold: float
    true_accept_rate: float
    images: int
    passed: int
    accepted: int
    wrong: int
    auroc: dict[str, float]

    @property
    def coverage(self) -> float:
        """The share of images that is accepted, [0, 1]."""
        return self.accepted / self.images

    @property
    def selective_risk(self) -> float:
        """The share of accepted images that is wrong, [0, 1]; 0 where none is accepted."""
        return self.wrong / self.accepted if self.accepted else 0.0

    def accepts(self, cosines: Cosines, logit_scale: float) -> np.ndarray:
        """bool [N]."""
        in_distribution = ood_score(self.score, cosines, logit_scale) >= np.float32(self.ood_threshold)
        sure = confidence(cosines, logit_scale, self.temperature) >= np.float32(self.confidence_threshold)
        return in_distribution & sure


def fit_temperature(cosines: Cosines, logit_scale: float, classes: np.ndarray) -> float:
    """The temperature of least negative log likelihood, in [0.01, 100]; classes i64 [N] are rows of the labels.

    The likelihood is convex in 1/temperature (Guo et al. 2017), so bisection on its slope finds the one minimum.
    """
    wide = (cosines.all() * np.float32(logit_scale)).astype(np.float64)
    counts = log_counts(cosines)
    own = wide[np.arange(len(wide)), classes]

    def slope(inverse: float) -> float:
        z = wide * inverse + counts
        p = np.exp(z - z.max(1, keepdims=True))
        return float(((p * wide).sum(1) / p.sum(1) - own).mean())

    low, high = 0.01, 100.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return float(np.float32(2 / (low + high)))


def fit_confidence_threshold(confidences: np.ndarray, correct: np.ndarray) -> float:
    """The confidence threshold of `RULE`, over the images that pass the OOD threshold."""
    order = np.argsort(-confidences, kind="stable")
    sorted_confidences, wrong = confidences[order], np.cumsum(~correct[order])
    threshold = NEVER
    for place in range(len(order)):
        if place + 1 < len(order) and sorted_confidences[place + 1] == sorted_confidences[place]:
            continue
        accepted = place + 1
        if accepted < FEWEST_ACCEPTED:
            continue
        if wrong[place] / accepted > TARGET_RISK:
            break
        threshold = float(sorted_confidences[place])
    return threshold


def fit_similarity_threshold(cosines: np.ndarray, classes: np.ndarray) -> tuple[float, float]:
    """The single-label threshold of `RULE` and the share of images that their own label accepts."""
    own = np.zeros(cosines.shape, bool)
    own[np.arange(len(classes)), classes] = True
    others = np.sort(cosines[~own])[::-1]
    threshold = np.nextafter(others[int(FALSE_ACCEPT_SHARE * len(others))], np.float32(2), dtype=np.float32)
    return float(threshold), float((cosines[own] >= threshold).mean())


def areas_under_roc(inside: Cosines, outside: Cosines, logit_scale: float, kinds: Sequence[str]) -> dict[str, float]:
    """How well each score tells images that the labels describe from others, [0, 1]."""
    return {kind: auroc(ood_score(kind, inside, logit_scale), ood_score(kind, outside, logit_scale)) for kind in kinds}


def fit_gate(
    logit_scale: float,
    temperature_images: tuple[Cosines, np.ndarray],
    never_trained: Cosines,
    threshold_images: tuple[Cosines, np.ndarray],
    candidates: Sequence[str] | None = None,
) -> Gate:
    """A gate from the cosines and the classes i64 [N], rows of the labels, of two sets of images.

    `never_trained` holds the cosines of images that none of the labels describe: they choose the score only, among
    `candidates`, or all that the cosines allow.
    """
    cosines, classes = temperature_images
    temperature = fit_temperature(cosines, logit_scale, classes)
    areas = areas_under_roc(cosines, never_trained, logit_scale, candidates or available(never_trained))
    score = max(areas, key=areas.__getitem__)
    cosines, classes = threshold_images
    scores = ood_score(score, cosines, logit_scale)
    ood_threshold = float(np.sort(scores)[int((1 - ID_PASS_SHARE) * len(scores) + 1e-9)])
    passed = scores >= np.float32(ood_threshold)
    confidences = confidence(cosines, logit_scale, temperature)
    correct = cosines.labels.argmax(1) == classes
    confidence_threshold = fit_confidence_threshold(confidences[passed], correct[passed])
    accepted = passed & (confidences >= np.float32(confidence_threshold))
    similarity_threshold, true_accept_rate = fit_similarity_threshold(cosines.labels, classes)
    return Gate(
        temperature=temperature,
        score=score,
        ood_threshold=ood_threshold,
        confidence_threshold=confidence_threshold,
        similarity_threshold=similarity_threshold,
        true_accept_rate=true_accept_rate,
        images=len(classes),
        passed=int(passed.sum()),
        accepted=int(accepted.sum()),
        wrong=int((~correct[accepted]).sum()),
        auroc=areas,
    )


def calibration_record(
    gate: Gate, bound_to: dict[str, str], source: str, counts: tuple[int, int], conditions: str = CONDITIONS
) -> dict:
    """calibration.json, schema 1; `counts` are the temperature and the threshold images."""
    return {
        "schema": 1,
        "bound_to": bound_to,
        "temperature": gate.temperature,
        "ood": {"score": gate.score, "threshold": gate.ood_threshold},
        "confidence": {"threshold": gate.confidence_threshold},
        "absolute": {"similarity_threshold": gate.similarity_threshold},
        "operating_point": {
            "method": "empirical",
            "rule": RULE,
            "target": TARGET_RISK,
            "id_pass_share": ID_PASS_SHARE,
            "passed": share_record(gate.passed, gate.images),
            "accepted": share_record(gate.accepted, gate.images),
            "wrong": share_record(gate.wrong, gate.accepted),
        },
        "promise": {"kind": "none", "conditions": conditions},
        "fitted_on": {"source": source, "temperature": counts[0], "thresholds": counts[1]},
    }


def share_record(count: int, of: int) -> dict:
    """A counted share with its 95 % interval."""
    figure = share(count, of)
    return {"count": count, "of": of, "low": round(figure.low, 6), "high": round(figure.high, 6)}
