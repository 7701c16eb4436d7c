"""Asks other packages for label sets, temperatures and certified thresholds of many small cases.

    pip install -r requirements.lock && pip install --no-deps -r goldens_conformal.in
    python -m clipgate_export.goldens_conformal --sgr CHECKOUT -o ../../tests/data/conformal

`--sgr` is a checkout of geifmany's selective_deep_learning at commit b6073d1dd3c1, the authors' own SGR. Writes

- `sets.safetensors`: probabilities f32 [C, N, K] and labels i64 [C, N] of `n` [C] calibration images each, those of
  M new images f32 [C, M, K], and `miscoverage` f64 [C]; for each of lac, aps and raps the `quantile` f64 [C] (infinite
  where all labels are in the set) and the sets u8 [C, M, K] that torchcp finds, and for lac and aps MAPIE's (not a
  number where it refuses so few images). The random number that APS and RAPS break ties with is 1 in both. RAPS is not
  asked of MAPIE, which chooses the penalty itself.
- `temperatures.safetensors`: cosines f32 [C, N, K] and labels i64 [C, N] of `n` [C] images, `logit_scale` f32 [C];
  `scipy` f64 [C, 2], the minimiser of the loss without and with half an imagined mistake; `netcal` f64 [C], of the loss
  without.
- `thresholds.json`: confidences, correctness, target and delta. `sgr` is the last threshold and bound of the authors'
  code, null with equal confidences, among which it cuts; `sgr_distinct` is the same algorithm over the distinct
  confidences with scipy's binomial tail. `fixed_sequence` is MAPIE's, of scipy's tail at the thresholds of `path`;
  `risk_control` MAPIE's number of accepted answers where `refused` images more were refused before, null where it warns
  that nothing is controlled.

Every fifth case is an edge: all right, all wrong, all alike, or one image.
"""

import argparse
import contextlib
import importlib.metadata
import io
import json
import math
import sys
import warnings
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock

import numpy as np
import torch
from mapie.classification import SplitConformalClassifier
from mapie.risk_control.fwer_control import control_fwer
from mapie.risk_control.methods import find_best_predict_param, get_r_hat_plus
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

from .errors import UserError, report_errors  # noqa: E402
from .files import write_bytes  # noqa: E402

SEED = 20261124
CASES = 300
EDGES = ("all right", "all wrong", "all alike", "one")
IMAGES, NEW, LABELS = 40, 4, 6
TEMPERATURE_IMAGES = 36
PENALTY, FREE_RANK = 0.1, 2
SHARES = (0.05, 0.1, 0.2, 0.3)
ANSWERS = 300
PRIOR_ERRORS = 0.5
PACKAGES = ("mapie", "netcal", "numpy", "scipy", "torchcp")


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


def read_sgr(checkout: Path) -> object:
    """The authors' own implementation."""
    if not (checkout / "risk_control.py").is_file():
        raise UserError(f"{checkout}: no checkout of selective_deep_learning, risk_control.py is missing")
    sys.path.insert(0, str(checkout))
    from risk_control import risk_control

    class WholeErrors(risk_control):
        def calculate_bound(self, delta: float, m: int, erm: float) -> float:
            # It takes int(m * erm) for the number of errors, which loses one wherever the product rounds down.
            return super().calculate_bound(delta, m, np.nextafter(erm, 1))

    return WholeErrors()


def edge(case: int) -> str | None:
    """What is special about a case."""
    return EDGES[case // 5 % len(EDGES)] if case % 5 == 0 else None


def write(folder: Path, sgr: object) -> None:
    """All files; the seed alone decides what is in them."""
    folder.mkdir(parents=True, exist_ok=True)
    reference = {name: importlib.metadata.version(name) for name in PACKAGES} | {"sgr": "b6073d1dd3c1"}
    metadata = {"reference": json.dumps(reference, sort_keys=True)}
    write_bytes(folder / "sets.safetensors", save(sets(np.random.default_rng(SEED)), metadata))
    draw = np.random.default_rng(SEED + 1)
    write_bytes(folder / "temperatures.safetensors", save(temperatures(draw), metadata))
    draw = np.random.default_rng(SEED + 2)
    cases = [thresholds(draw, case, sgr) for case in tqdm(range(CASES), desc="thresholds", disable=None)]
    text = json.dumps({"reference": reference, "cases": cases}, separators=(",", ":"), allow_nan=False)
    write_bytes(folder / "thresholds.json", (text.replace('},{"confidences', '},\n{"confidences') + "\n").encode())


def drawn(draw: np.random.Generator, images: int, kind: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities f32 [images, LABELS] that know the labels i64 [images] more or less."""
    labels = draw.integers(0, LABELS, images)
    logits = draw.normal(0, 1, (images, LABELS)) * draw.uniform(0.5, 3)
    logits[np.arange(images), labels] += draw.uniform(0, 4)
    if kind == "all right":
        logits[np.arange(images), labels] = logits.max(1) + 1
    if kind == "all wrong":
        logits[np.arange(images), labels] = logits.min(1) - 1
    if kind == "all alike":
        logits[:] = logits[0]
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
    asked = {"torchcp": (ask_torchcp, ("lac", "aps", "raps")), "mapie": (ask_mapie, ("lac", "aps"))}
    for package, (_, scores) in asked.items():
        for score in scores:
            out[f"{score}.{package}.quantile"] = np.zeros(CASES)
            out[f"{score}.{package}.sets"] = np.zeros((CASES, NEW, LABELS), np.uint8)
    for case in tqdm(range(CASES), desc="sets", disable=None):
        if edge(case) == "one":
            out["n"][case] = 1
        n, alpha = int(out["n"][case]), float(out["miscoverage"][case])
        probabilities, labels = drawn(draw, n, edge(case))
        new, _ = drawn(draw, NEW)
        out["probabilities"][case, :n], out["labels"][case, :n], out["new"][case] = probabilities, labels, new
        for package, (ask, scores) in asked.items():
            for score in scores:
                quantile, members = ask(score, probabilities, labels, new, alpha)
                out[f"{score}.{package}.quantile"][case] = quantile
                out[f"{score}.{package}.sets"][case] = members
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
    """Cosines of images to labels, and the temperatures of least loss; a case's rows beyond its own n are 0."""
    counts = draw.integers(2, TEMPERATURE_IMAGES + 1, CASES)
    cosines = np.zeros((CASES, TEMPERATURE_IMAGES, LABELS), np.float32)
    labels = np.zeros((CASES, TEMPERATURE_IMAGES), np.int64)
    scales = draw.uniform(10, 120, CASES).astype(np.float32)
    by_scipy, by_netcal = np.zeros((CASES, 2)), np.zeros(CASES)
    for case in tqdm(range(CASES), desc="temperatures", disable=None):
        if edge(case) == "one":
            counts[case] = 1
        n = counts[case]
        rows, own = np.arange(n), draw.integers(0, LABELS, n)
        seen = draw.normal(0.15, 0.04, (n, LABELS))
        seen[rows, own] += draw.normal(draw.uniform(0.02, 0.12), 0.05, n)
        if edge(case) == "all right":
            seen[rows, own] = seen.max(1) + 0.01
        if edge(case) == "all wrong":
            seen[rows, own] = seen.min(1) - 0.01
        if edge(case) == "all alike":
            seen[:], own[:] = seen[0], own[0]
        cosines[case, :n], labels[case, :n] = seen, own
        logits = cosines[case, :n].astype(np.float64) * float(scales[case])
        by_scipy[case] = [least_loss(logits, own, errors) for errors in (0.0, PRIOR_ERRORS)]
        by_netcal[case] = ask_netcal(logits, own)
    return {
        "n": counts,
        "cosines": cosines,
        "labels": labels,
        "logit_scale": scales,
        "scipy": by_scipy,
        "netcal": by_netcal,
    }


def ask_netcal(logits: np.ndarray, labels: np.ndarray) -> float:
    """The same without imagined mistakes; not a number where netcal cannot."""
    netcal = TemperatureScaling()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            netcal.fit(softmax(logits, 1), labels)
    except (ValueError, IndexError, RuntimeError):
        return math.nan
    return 1 / float(netcal.weights[0])


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


def thresholds(draw: np.random.Generator, case: int, sgr: object) -> dict:
    """Answers, and what the rules make of them; every sixth case has equal confidences."""
    n = 1 if edge(case) == "one" else int(draw.integers(2, ANSWERS + 1))
    digits = 1 if case % 6 == 0 else 7
    confidences = np.round(draw.uniform(0, 1, n) ** draw.uniform(0.3, 1), digits).astype(np.float32)
    correct = draw.uniform(size=n) < confidences ** draw.uniform(0, 0.5)
    if edge(case) == "all alike":
        confidences[:] = confidences[0]
    if edge(case) in ("all right", "all wrong"):
        correct[:] = edge(case) == "all right"
    target, delta = float(draw.choice((0.05, 0.1, 0.2, 0.4))), float(draw.choice((0.01, 0.05, 0.1, 0.3)))
    path = np.sort(np.round(draw.uniform(0, 1, 8), digits).astype(np.float32))[::-1]
    refused = int(draw.integers(0, 20)) if case % 2 else 0
    return {
        "confidences": [float(str(value)) for value in confidences],
        "correct": "".join(str(int(value)) for value in correct),
        "target": target,
        "delta": delta,
        "sgr": ask_sgr(sgr, confidences, correct, target, delta),
        "sgr_distinct": selection_with_guaranteed_risk(confidences, correct, target, delta),
        "path": [float(str(value)) for value in path],
        "fixed_sequence": last_rejected(confidences, correct, path, target, delta),
        "refused": refused,
        "risk_control": accepted_under_control(confidences, correct, target, refused),
    }


def ask_sgr(sgr: object, confidences: np.ndarray, correct: np.ndarray, target: float, delta: float) -> dict | None:
    """Threshold and bound of the authors; none for one answer, of which the number of steps would be 0."""
    n = len(confidences)
    if n == 1 or len(np.unique(confidences)) < n:
        return None
    with contextlib.redirect_stdout(io.StringIO()):
        threshold, bound = sgr.bound(target, delta, confidences, (~correct).astype(int), split=False)
    return {"threshold": float(str(threshold)), "bound": float(bound)}


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
    """The last threshold of the path that MAPIE's fixed sequence rejects."""
    counted = [counts(confidences, correct, threshold) for threshold in path]
    p_values = np.array([binom.cdf(wrong, accepted, target) for accepted, wrong in counted])
    rejected = control_fwer(p_values, delta, "fixed_sequence")
    return float(str(path[max(rejected)])) if len(rejected) else None


def accepted_under_control(confidences: np.ndarray, correct: np.ndarray, target: float, refused: int) -> int | None:
    """How many answers MAPIE's threshold accepts; one above all confidences is a candidate."""
    candidates = np.append(np.unique(confidences), np.float32(2))
    losses = (confidences[:, None] >= candidates) & ~correct[:, None]
    losses = np.vstack([losses, np.zeros((refused, len(candidates)))])
    _, bounds = get_r_hat_plus(losses, candidates, "crc", None, None, None)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = find_best_predict_param(candidates, bounds, np.array([target]))
    return None if said else counts(confidences, correct, found[0])[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sgr", type=Path, required=True, help="a checkout of selective_deep_learning")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write into")
    arguments = parser.parse_args()
    with warnings.catch_warnings():
        # Of one class, of one image: the cases are made so.
        warnings.simplefilter("ignore")
        report_errors(lambda: write(arguments.output, read_sgr(arguments.sgr)))


if __name__ == "__main__":
    main()
