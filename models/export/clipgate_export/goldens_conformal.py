"""Asks other packages for temperatures, label sets and certified thresholds of many small cases.

    pip install -r requirements.lock && pip install --no-deps -r goldens_conformal.in
    python -m clipgate_export.goldens_conformal -o ../../tests/data/conformal

Writes

- `sets.safetensors`: probabilities f32 [C, N, K] and labels i64 [C, N] of `n` [C] calibration images each, those of
  M new images f32 [C, M, K], and `miscoverage` f64 [C]; for each of lac, aps and raps the `quantile` f64 [C] (infinite
  where all labels are in the set) and the sets u8 [C, M, K] that torchcp finds, and for lac and aps MAPIE's. The
  random number that APS and RAPS break ties with is 1 in both. RAPS is not asked of MAPIE, which chooses the penalty
  itself.
- `temperatures.safetensors`: cosines f32 [C, N, K], labels i64 [C, N], `logit_scale` f32 [C]; `scipy` f64 [C, 2], the
  minimiser of the loss without and with half an imagined mistake; `netcal` f64 [C], of the loss without.
- `thresholds.json`: confidences, correctness, target and delta; SGR's threshold and bound as Geifman's algorithm 2
  gives them with scipy's binomial tail, the last threshold of a sequence whose p-values scipy keeps below delta, and
  conformal risk control's threshold by looking at every candidate.
"""

import argparse
import json
import math
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock

import numpy as np
import torch
from mapie.classification import SplitConformalClassifier
from netcal.scaling import TemperatureScaling
from safetensors.numpy import save
from scipy.optimize import brentq, minimize_scalar
from scipy.special import log_softmax, softmax
from scipy.stats import binom
from sklearn.base import BaseEstimator, ClassifierMixin
from tqdm import tqdm


class StandIns(MetaPathFinder, Loader):
    """Finds empty modules for the packages that torchcp imports for training losses and graphs."""

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        wanted = name.split(".")[0] in ("torchsort", "torch_geometric")
        return ModuleSpec(name, self, is_package=True) if wanted else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = MagicMock(spec=None)
        module.__path__, module.__all__ = [], []
        return module

    def exec_module(self, module: ModuleType) -> None:
        pass


sys.meta_path.append(StandIns())

from torchcp.classification.predictor import SplitPredictor  # noqa: E402
from torchcp.classification.score import APS, LAC, RAPS  # noqa: E402

from .errors import report_errors  # noqa: E402
from .files import write_bytes  # noqa: E402

SEED = 20261124
CASES = 280
IMAGES, NEW, LABELS = 40, 4, 6
TEMPERATURE_IMAGES = 36
PENALTY, FREE_RANK = 0.1, 2
SHARES = (0.05, 0.1, 0.2, 0.3)
ANSWERS = 200
PRIOR_ERRORS = 0.5


class GivenProbabilities(ClassifierMixin, BaseEstimator):
    """A classifier whose inputs are its probabilities."""

    def __init__(self, labels: int = LABELS) -> None:
        self.labels = labels

    def fit(self, x: np.ndarray, y: np.ndarray) -> "GivenProbabilities":
        self.classes_ = np.arange(self.labels)
        self.is_fitted_ = True
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        return x

    def predict(self, x: np.ndarray) -> np.ndarray:
        return x.argmax(1)


class Ones(np.random.RandomState):
    """A source of random numbers that are all 1."""

    def uniform(self, low: float = 0.0, high: float = 1.0, size: object = None) -> np.ndarray:
        return np.ones(size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write to")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(SEED)
    write_bytes(arguments.output / "sets.safetensors", save(sets(draw)))
    write_bytes(arguments.output / "temperatures.safetensors", save(temperatures(draw)))
    cases = [thresholds(draw, case) for case in tqdm(range(CASES), desc="thresholds", disable=None)]
    write_bytes(arguments.output / "thresholds.json", json.dumps(cases, separators=(",", ":")).encode())


def drawn(draw: np.random.Generator, images: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities f32 [images, LABELS] that know the labels i64 [images] more or less."""
    labels = draw.integers(0, LABELS, images)
    logits = draw.normal(0, 1, (images, LABELS)) * draw.uniform(0.5, 3)
    logits[np.arange(images), labels] += draw.uniform(0, 4)
    return softmax(logits, 1).astype(np.float32), labels


def sets(draw: np.random.Generator) -> dict[str, np.ndarray]:
    """Quantiles and label sets; a case's rows beyond its own n are 0."""
    out = {
        "n": draw.integers(4, IMAGES + 1, CASES),
        "miscoverage": draw.choice(SHARES, CASES),
        "probabilities": np.zeros((CASES, IMAGES, LABELS), np.float32),
        "labels": np.zeros((CASES, IMAGES), np.int64),
        "new": np.zeros((CASES, NEW, LABELS), np.float32),
    }
    for kind in ("lac", "aps", "raps"):
        out[f"{kind}.torchcp.quantile"] = np.zeros(CASES)
        out[f"{kind}.torchcp.sets"] = np.zeros((CASES, NEW, LABELS), np.uint8)
    for kind in ("lac", "aps"):
        out[f"{kind}.mapie.quantile"] = np.zeros(CASES)
        out[f"{kind}.mapie.sets"] = np.zeros((CASES, NEW, LABELS), np.uint8)
    for case in tqdm(range(CASES), desc="sets", disable=None):
        n, alpha = int(out["n"][case]), float(out["miscoverage"][case])
        probabilities, labels = drawn(draw, n)
        new, _ = drawn(draw, NEW)
        # MAPIE wants every label among the calibration images' possible ones, and sums of exactly 1.
        out["probabilities"][case, :n], out["labels"][case, :n], out["new"][case] = probabilities, labels, new
        for kind in ("lac", "aps", "raps"):
            quantile, members = ask_torchcp(kind, probabilities, labels, new, alpha)
            out[f"{kind}.torchcp.quantile"][case], out[f"{kind}.torchcp.sets"][case] = quantile, members
        for kind in ("lac", "aps"):
            quantile, members = ask_mapie(kind, probabilities, labels, new, alpha)
            out[f"{kind}.mapie.quantile"][case], out[f"{kind}.mapie.sets"][case] = quantile, members
    return out


def ask_torchcp(
    kind: str, probabilities: np.ndarray, labels: np.ndarray, new: np.ndarray, alpha: float
) -> tuple[float, np.ndarray]:
    """The quantile and the sets u8 [NEW, LABELS]."""
    score = {
        "lac": LAC(score_type="identity"),
        "aps": APS(score_type="identity"),
        "raps": RAPS(score_type="identity", penalty=PENALTY, kreg=FREE_RANK),
    }[kind]
    rand = torch.rand
    torch.rand = lambda *shape, **options: torch.ones(*shape, **options)
    try:
        predictor = SplitPredictor(score, alpha=alpha, device="cpu")
        wide = torch.from_numpy(probabilities.astype(np.float64))
        predictor.calculate_threshold(wide, torch.from_numpy(labels), alpha)
        scores = score(torch.from_numpy(new.astype(np.float64)))
    finally:
        torch.rand = rand
    quantile = float(predictor.q_hat)
    return quantile, (scores <= quantile).numpy().astype(np.uint8)


def ask_mapie(
    kind: str, probabilities: np.ndarray, labels: np.ndarray, new: np.ndarray, alpha: float
) -> tuple[float, np.ndarray]:
    """The same; not a number where MAPIE refuses so few images or labels."""
    wide = [p.astype(np.float64) / p.astype(np.float64).sum(1, keepdims=True) for p in (probabilities, new)]
    model = GivenProbabilities().fit(wide[0], labels)
    mapie = SplitConformalClassifier(model, 1 - alpha, kind, prefit=True, random_state=Ones(0))
    # The label at which the sum of probabilities crosses the quantile belongs to the set.
    options = {"include_last_label": True} if kind == "aps" else None
    try:
        mapie.conformalize(wide[0], labels)
        _, members = mapie.predict_set(wide[1], conformity_score_params=options)
    except ValueError:
        return math.nan, np.zeros(new.shape, np.uint8)
    quantile = mapie._mapie_classifier.conformity_score_function_.quantiles_[0]
    return float(quantile), members[:, :, 0].astype(np.uint8)


def temperatures(draw: np.random.Generator) -> dict[str, np.ndarray]:
    """Cosines of images to labels, and the temperatures of least loss."""
    cosines = np.zeros((CASES, TEMPERATURE_IMAGES, LABELS), np.float32)
    labels = draw.integers(0, LABELS, (CASES, TEMPERATURE_IMAGES))
    scales = draw.uniform(10, 120, CASES).astype(np.float32)
    by_scipy, by_netcal = np.zeros((CASES, 2)), np.zeros(CASES)
    for case in tqdm(range(CASES), desc="temperatures", disable=None):
        noise = draw.normal(0.15, 0.04, (TEMPERATURE_IMAGES, LABELS))
        own = draw.normal(draw.uniform(0.02, 0.12), 0.05, TEMPERATURE_IMAGES)
        noise[np.arange(TEMPERATURE_IMAGES), labels[case]] += own
        cosines[case] = noise
        logits = cosines[case].astype(np.float64) * float(scales[case])
        by_scipy[case] = [least_loss(logits, labels[case], errors) for errors in (0.0, PRIOR_ERRORS)]
        netcal = TemperatureScaling()
        netcal.fit(softmax(logits, 1), labels[case])
        by_netcal[case] = 1 / float(netcal.weights[0])
    return {"cosines": cosines, "labels": labels, "logit_scale": scales, "scipy": by_scipy, "netcal": by_netcal}


def least_loss(logits: np.ndarray, labels: np.ndarray, prior_errors: float) -> float:
    """The temperature in [0.01, 100] of least mean loss; the imagined mistakes take the second-best label for true."""
    rows = np.arange(len(labels))
    second = np.argsort(logits, 1)[:, -2]
    prior = prior_errors / (len(labels) + prior_errors)

    def loss(logarithm: float) -> float:
        logs = log_softmax(logits / np.exp(logarithm), 1)
        return -((1 - prior) * logs[rows, labels] + prior * logs[rows, second]).mean()

    bounds = (math.log(0.01), math.log(100))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-10}).x))


def thresholds(draw: np.random.Generator, case: int) -> dict:
    """Answers, and what the rules make of them; every third case has ties."""
    n = int(draw.integers(1, ANSWERS + 1))
    digits = 1 if case % 3 == 0 else 6
    confidences = np.round(draw.uniform(0, 1, n) ** draw.uniform(0.3, 1), digits).astype(np.float32)
    correct = draw.uniform(size=n) < confidences ** draw.uniform(0.02, 0.8)
    target, delta = float(draw.choice((0.05, 0.1, 0.2, 0.5))), float(draw.choice((0.01, 0.05, 0.1, 0.3)))
    path = np.sort(np.round(draw.uniform(0, 1, 8), digits).astype(np.float32))[::-1]
    return {
        "confidences": [float(str(value)) for value in confidences],
        "correct": [int(value) for value in correct],
        "target": target,
        "delta": delta,
        "sgr": selection_with_guaranteed_risk(confidences, correct, target, delta),
        "path": [float(str(value)) for value in path],
        "fixed_sequence": last_rejected(confidences, correct, path, target, delta),
        "risk_control": most_accepted_under_control(confidences, correct, target),
    }


def counts(confidences: np.ndarray, correct: np.ndarray, threshold: np.float32) -> tuple[int, int]:
    """How many are accepted, and how many of these are wrong."""
    accepted = confidences >= threshold
    return int(accepted.sum()), int((~correct[accepted]).sum())


def selection_with_guaranteed_risk(
    confidences: np.ndarray, correct: np.ndarray, target: float, delta: float
) -> dict | None:
    """Algorithm 2 of arXiv 1705.08500 over the distinct confidences: the last threshold within the target."""
    distinct = np.unique(confidences)
    steps = max(1, math.ceil(math.log2(len(confidences))))
    low, high, found = 0, len(distinct) - 1, None
    for _ in range(steps):
        middle = math.ceil((low + high) / 2)
        accepted, wrong = counts(confidences, correct, distinct[middle])
        bound = binomial_bound(wrong, accepted, delta / steps)
        if bound <= target:
            found, high = {"threshold": float(str(distinct[middle])), "bound": bound}, middle
        else:
            low = middle
    return found


def binomial_bound(wrong: int, accepted: int, delta: float) -> float:
    """Lemma 3.1's B*: the risk at which so few errors have probability delta."""
    if wrong == accepted:
        return 1.0
    return float(brentq(lambda risk: binom.cdf(wrong, accepted, risk) - delta, 0, 1, xtol=1e-15, rtol=1e-14))


def last_rejected(
    confidences: np.ndarray, correct: np.ndarray, path: np.ndarray, target: float, delta: float
) -> float | None:
    """The last threshold of the path before the first p-value above delta."""
    found = None
    for threshold in path:
        accepted, wrong = counts(confidences, correct, threshold)
        if accepted == 0 or binom.cdf(wrong, accepted, target) > delta:
            break
        found = float(str(threshold))
    return found


def most_accepted_under_control(confidences: np.ndarray, correct: np.ndarray, target: float) -> int | None:
    """The most that a threshold accepts with n / (n + 1) risk + 1 / (n + 1) within the target (arXiv 2208.02814)."""
    n = len(confidences)
    candidates = [np.float32(2), *np.unique(confidences)]
    controlled = []
    for threshold in candidates:
        accepted, wrong = counts(confidences, correct, threshold)
        if n / (n + 1) * (wrong / n) + 1 / (n + 1) <= target + 1e-12:
            controlled.append(accepted)
    return max(controlled, default=None)


if __name__ == "__main__":
    report_errors(main)
