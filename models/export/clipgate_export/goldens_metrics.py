"""Asks other packages for the metrics and bounds of many small cases.

    pip install -r requirements.lock && pip install -r goldens_metrics.in
    python -m clipgate_export.goldens_metrics --fd-shifts CHECKOUT -o ../../tests/data/metrics

`--fd-shifts` is a checkout of IML-DKFZ's fd-shifts at commit c4467aec134e, the authors' own AUGRC. Writes

- `answers.json`: confidences and correctness; calibration errors, top-label Brier score, risk-coverage
- `scores.json`: ID and OOD scores; AUROC, average precision, FPR at TPR
- `probabilities.json`: rows [N, K] that sum to 1 or less, and truths; negative log-likelihood and Brier score
- `counts.json`: events, trials, certainty; exact bounds, tails, Wilson's interval, the DKW band
- `pairs.json`: two models' answers and differences; McNemar, sign flips, percentiles, bootstrap intervals

Inputs are f32 numbers and the packages see them as f64. A key of `expected` is PACKAGE.METRIC; null where the package
gives no number. What a package integrates or normalises in another way is converted here, by the formula at the call.
"""

import argparse
import importlib.metadata
import json
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import mpmath
import numpy as np
import relplot
import scipy.stats
import statsmodels.stats.contingency_tables
import statsmodels.stats.proportion
import torch
from calibration import utils as uncertainty_calibration
from netcal.metrics import ECE
from sklearn import calibration as sklearn_calibration
from sklearn import metrics as sklearn_metrics
from statsmodels.distributions import empirical_distribution
from torch_uncertainty.metrics.classification import AUGRC, AURC, CovAtxRisk, FPRx, RiskAtxCov
from tqdm import tqdm

from .errors import UserError, report_errors
from .files import write_bytes
from .goldens_metrics_inputs import Numbers, answer_inputs, count_inputs, f32, probability_inputs, score_inputs

SEED = 20261124
# Odd, usual, and with edges that short binary fractions hit.
BINS = (15, 10, 4)
# Curves of more images than this are left out, to keep the files small.
FEW = 16
DIAGRAM_BINS = 10
RISKS = (0.05, 0.1, 0.3)
COVERAGES = (0.5, 0.8, 1.0)
TPRS = (0.95, 0.8)
DIGITS = 11
# Trials up to which mpmath's incomplete beta function converges, and the digits that are kept of it.
EXACT_TRIALS = 3000
EXACT_DIGITS = 16
PACKAGES = (
    "mpmath",
    "numpy",
    "scipy",
    "scikit-learn",
    "netcal",
    "relplot",
    "torch-uncertainty",
    "uncertainty-calibration",
    "statsmodels",
)

Expected = dict[str, object]


@dataclass(frozen=True)
class Case:
    """Named inputs and, once a package has been asked, its answers."""

    kind: str
    inputs: dict[str, object]
    expected: Expected = field(default_factory=dict)

    def record(self) -> dict[str, object]:
        return {"kind": self.kind, **self.inputs, "expected": self.expected}


def short(values: Numbers) -> list[float]:
    """The shortest decimals that name the same f32 numbers."""
    return [float(str(np.float32(value))) for value in np.ravel(values)]


def figure(value: float) -> float | None:
    """A number of `DIGITS` digits, or null for what is not finite."""
    return float(f"{float(value):.{DIGITS}g}") if np.isfinite(value) else None


def calibration_errors(confidence: Numbers, correct: Numbers) -> Expected:
    """Binned errors at each number of `BINS`, and the smooth one."""
    labels = correct.astype(int)
    expected: Expected = {"relplot.smooth": figure(relplot.smECE(confidence, correct.astype(np.float64)))}
    widths, masses = uncertainty_calibration.get_equal_prob_bins, uncertainty_calibration.get_equal_bins
    for bins in BINS:
        for name, scheme in (("width", widths), ("mass", masses)):
            common = {"num_bins": bins, "binning_scheme": scheme}
            plain = uncertainty_calibration.lower_bound_scaling_ce(confidence, labels, p=1, debias=False, **common)
            debiased = uncertainty_calibration.lower_bound_scaling_ce(confidence, labels, p=2, debias=True, **common)
            expected[f"uncertainty-calibration.{name}.{bins}"] = figure(plain)
            expected[f"uncertainty-calibration.debiased.{name}.{bins}"] = figure(debiased)
            expected[f"netcal.{name}.{bins}"] = netcal(confidence, labels, bins, name == "width")
    if len(labels) <= FEW:
        diagram = sklearn_calibration.calibration_curve(labels, confidence, pos_label=1, n_bins=DIAGRAM_BINS)
        expected["scikit-learn.diagram"] = [[figure(value) for value in row] for row in zip(*diagram, strict=True)]
    return expected


def netcal(confidence: Numbers, labels: Numbers, bins: int, equal_width: bool) -> float | None:
    """Its ECE; null where ties make two of its quantiles equal, which it refuses."""
    try:
        return figure(ECE(bins=bins, equal_intervals=equal_width).measure(confidence, labels))
    except ValueError:
        return None


def step_area(curve: dict[str, Numbers]) -> float:
    """The area of Geifman et al. 2018 under fd-shifts' points: each image at the risk of its own threshold."""
    widths = -np.diff(curve["coverages"])
    return float((widths * curve["risks"][:-1]).sum())


def selective(confidence: Numbers, correct: Numbers, rc_stats: ModuleType) -> Expected:
    """fd-shifts' points and areas; torch-uncertainty's, which know no ties, where there are none."""
    wrong = (~correct).astype(np.float64)
    stats = rc_stats.RiskCoverageStats(confidence, wrong)
    best = rc_stats.RiskCoverageStats(np.linspace(1, 0, len(wrong)), np.sort(wrong))
    curve = stats.curve_stats_selective_risk
    scale = stats.AUC_DISPLAY_SCALE
    expected: Expected = {
        "fd-shifts.aurc": figure(step_area(curve)),
        "fd-shifts.aurc.trapezoids": figure(stats.aurc / scale),
        "fd-shifts.e_aurc": figure(step_area(curve) - step_area(best.curve_stats_selective_risk)),
        "fd-shifts.e_aurc.approximate": figure(step_area(curve) - stats.aurc_optimal / scale),
        "fd-shifts.augrc": figure(stats.augrc / scale),
    }
    if len(wrong) <= FEW:
        points = (curve["thresholds"], curve["coverages"], curve["risks"])
        # Their last point is at coverage 0, where no image is.
        expected["fd-shifts.curve"] = [[figure(value) for value in row] for row in zip(*points, strict=False)]
    if 0 < wrong.sum() < len(wrong):
        accuracy = correct.mean()
        separation = sklearn_metrics.roc_auc_score(correct, confidence)
        closed = (1 - separation) * accuracy * (1 - accuracy) + (1 - accuracy) ** 2 / 2
        expected["scikit-learn.augrc"] = figure(closed)
    if len(np.unique(confidence)) == len(confidence) and len(confidence) > 1:
        expected |= without_ties(torch.from_numpy(confidence), torch.from_numpy(wrong))
    return expected


def without_ties(confidence: torch.Tensor, wrong: torch.Tensor) -> Expected:
    """torch-uncertainty's figures.

    Its areas are trapezoids from coverage 1/N to 1, divided by 1 - 1/N. For the mean over images half of the first
    and the last risk is added back; for AUGRC the triangle from coverage 0 on.
    """

    def ask(metric: torch.nn.Module) -> float:
        metric.scores.append(confidence)
        metric.errors.append(wrong)
        return float(metric.compute())

    n = len(wrong)
    first, last = float(wrong[confidence.argmax()]), float(wrong.mean())
    expected: Expected = {
        "torch-uncertainty.aurc": figure(ask(AURC()) * (1 - 1 / n) + (first + last) / (2 * n)),
        "torch-uncertainty.augrc": figure(ask(AUGRC()) * (1 - 1 / n) + first / (2 * n * n)),
    }
    for risk in RISKS:
        expected[f"torch-uncertainty.coverage_at_risk.{risk}"] = figure(ask(CovAtxRisk(risk)))
    for coverage in COVERAGES:
        expected[f"torch-uncertainty.risk_at_coverage.{coverage}"] = figure(ask(RiskAtxCov(coverage)))
    return expected


def answers(random: np.random.Generator, rc_stats: ModuleType) -> Iterator[Case]:
    for kind, confidence, correct in answer_inputs(random):
        inputs = {"confidences": short(confidence), "correct": "".join("01"[int(right)] for right in correct)}
        brier = sklearn_metrics.brier_score_loss(correct, confidence, labels=[False, True])
        expected = {
            "scikit-learn.accuracy": figure(sklearn_metrics.accuracy_score(np.ones(len(correct), bool), correct)),
            "scikit-learn.brier_top_label": figure(brier),
            **calibration_errors(confidence, correct),
            **selective(confidence, correct, rc_stats),
        }
        yield Case(kind, inputs, expected)


def scores(random: np.random.Generator) -> Iterator[Case]:
    for kind, inside, outside in score_inputs(random):
        both = np.concatenate([inside, outside])
        is_inside = np.arange(len(both)) < len(inside)
        precision, recall, _ = sklearn_metrics.precision_recall_curve(is_inside, both)
        fpr, tpr, _ = sklearn_metrics.roc_curve(is_inside, both, drop_intermediate=False)
        expected: Expected = {
            "scikit-learn.auroc": figure(sklearn_metrics.roc_auc_score(is_inside, both)),
            "scikit-learn.aupr": figure(sklearn_metrics.average_precision_score(is_inside, both)),
            "scikit-learn.aupr_out": figure(sklearn_metrics.average_precision_score(~is_inside, -both)),
            "scikit-learn.aupr.trapezoids": figure(sklearn_metrics.auc(recall, precision)),
        }
        for level in TPRS:
            expected[f"scikit-learn.fpr.{level}"] = figure(fpr[np.argmax(tpr >= level)])
            for name, positive, sign in (("fpr", 1, 1), ("fpr_out", 0, -1)):
                metric = FPRx(level, positive)
                metric.update(torch.from_numpy(sign * both), torch.from_numpy(is_inside.astype(int)))
                expected[f"torch-uncertainty.{name}.{level}"] = figure(metric.compute())
        yield Case(kind, {"id": short(inside), "ood": short(outside)}, expected)


def probabilities(random: np.random.Generator) -> Iterator[Case]:
    """What the labels leave of a row becomes a last class that is never true."""
    for kind, rows, truths in probability_inputs(random):
        rest = np.clip(1 - rows.sum(1, keepdims=True), 0, None)
        whole = np.concatenate([rows, rest], 1)
        classes = np.arange(whole.shape[1])
        brier = sklearn_metrics.brier_score_loss(truths, whole, labels=classes, scale_by_half=False)
        expected = {
            "scikit-learn.nll": figure(sklearn_metrics.log_loss(truths, whole, labels=classes)),
            "scikit-learn.brier": figure(brier),
        }
        yield Case(kind, {"probabilities": short(rows), "truths": truths.tolist()}, expected)


def exact_tails(events: int, trials: int, p: float) -> Expected:
    """Both tails to 16 digits, as regularised incomplete beta functions in 40-digit arithmetic."""
    with mpmath.workdps(40):
        q = 1 - mpmath.mpf(p)
        at_most = mpmath.betainc(trials - events, events + 1, 0, q, regularized=True) if events < trials else 1
        at_least = mpmath.betainc(events, trials - events + 1, 0, p, regularized=True) if events else 1
        tails = {"mpmath.at_most": at_most, "mpmath.at_least": at_least}
        return {name: float(mpmath.nstr(tail, EXACT_DIGITS)) for name, tail in tails.items()}


def counts(random: np.random.Generator) -> Iterator[Case]:
    for events, trials, delta, p in count_inputs(random):
        proportion = statsmodels.stats.proportion.proportion_confint
        low, high = proportion(events, trials, alpha=2 * delta, method="beta")
        wilson_low, wilson_high = proportion(events, trials, alpha=delta, method="wilson")
        binomial = scipy.stats.binom(trials, p)
        # The band around a distribution function of one half, where it is not cut off.
        band = empirical_distribution._conf_set(np.full(min(trials, 10**6), 0.5), delta)[1][0] - 0.5
        expected = {
            "statsmodels.lower": figure(low),
            "statsmodels.upper": figure(high),
            "statsmodels.wilson": [figure(wilson_low), figure(wilson_high)],
            "scipy.upper": figure(scipy.stats.beta.isf(delta, events + 1, trials - events)) if events < trials else 1.0,
            "scipy.at_most": figure(binomial.cdf(events)),
            "scipy.at_least": figure(binomial.sf(events - 1)),
            "statsmodels.dkw": figure(band) if band < 0.5 and trials <= 10**6 else None,
        }
        if trials <= EXACT_TRIALS:
            expected |= exact_tails(events, trials, p)
        yield Case("count", {"events": events, "trials": trials, "delta": delta, "p": p}, expected)


def pairs(random: np.random.Generator) -> Iterator[Case]:
    for number in range(210):
        n = int(random.integers(1, 60))
        first, second = random.random(n) < random.uniform(0.2, 1), random.random(n) < random.uniform(0.2, 1)
        if number % 20 == 0:
            second = first
        table = [[int((first & second).sum()), int((first & ~second).sum())]]
        table += [[int((~first & second).sum()), int((~first & ~second).sum())]]
        few = int(random.integers(2, 11))
        # Half of them are multiples of one eighth, so that many sign patterns tie.
        differences = random.integers(-6, 9, few) / 8 if number % 2 else f32(random.normal(0.3, 1, few))
        flips = scipy.stats.permutation_test(
            (differences,), np.mean, permutation_type="samples", n_resamples=2**few, vectorized=False
        )
        values = np.round(random.normal(0, 1, int(random.integers(1, 25))), 3)
        level = float(np.round(random.uniform(0.5, 0.99), 3))
        tail = (1 - level) / 2
        expected = {
            "statsmodels.mcnemar": figure(statsmodels.stats.contingency_tables.mcnemar(table, exact=True).pvalue),
            "scipy.sign_flip": figure(flips.pvalue),
            "numpy.percentiles": [figure(value) for value in np.quantile(values, (tail, 1 - tail))],
        }
        inputs = {
            "first": "".join("01"[int(right)] for right in first),
            "second": "".join("01"[int(right)] for right in second),
            "differences": differences.tolist(),
            "values": values.tolist(),
            "confidence": level,
        }
        yield Case("pair", inputs, expected)


def intervals(random: np.random.Generator) -> Iterator[Case]:
    """scipy's percentile bootstrap of a mean, of an AUROC and of a paired difference of means."""
    for _ in range(4):
        first = f32(np.round(random.normal(0.6, 0.2, 150), 3))
        second = f32(np.round(first + random.normal(-0.3, 0.2, 150), 3))

        def difference(a: Numbers, b: Numbers) -> float:
            return a.mean() - b.mean()

        def area(inside: Numbers, outside: Numbers) -> float:
            return scipy.stats.mannwhitneyu(inside, outside).statistic / (len(inside) * len(outside))

        expected = {}
        for name, statistic, samples, paired in (
            ("mean", np.mean, (first,), False),
            ("difference", difference, (first, second), True),
            ("auroc", area, (first, second), False),
        ):
            found = scipy.stats.bootstrap(
                samples, statistic, n_resamples=9999, paired=paired, method="percentile", vectorized=False, rng=random
            )
            expected[f"scipy.{name}"] = [figure(end) for end in found.confidence_interval]
        yield Case("interval", {"first": short(first), "second": short(second)}, expected)


def read_rc_stats(checkout: Path) -> ModuleType:
    """fd-shifts' module of risk-coverage curves, alone: the rest of the package needs a training framework."""
    if not (checkout / "fd_shifts/analysis/rc_stats.py").is_file():
        raise UserError(f"{checkout}: no checkout of fd-shifts, fd_shifts/analysis/rc_stats.py is missing")
    sys.path.insert(0, str(checkout))
    # numpy 2 renamed it.
    np.trapz = np.trapezoid
    from fd_shifts.analysis import rc_stats

    return rc_stats


def write(folder: Path, rc_stats: ModuleType) -> None:
    """All files; the seed alone decides what is in them."""
    torch.set_default_dtype(torch.float64)
    reference = {name: importlib.metadata.version(name) for name in PACKAGES} | {"fd-shifts": "c4467aec134e"}
    families = {
        "answers": answers(np.random.default_rng(SEED), rc_stats),
        "scores": scores(np.random.default_rng(SEED + 1)),
        "probabilities": probabilities(np.random.default_rng(SEED + 2)),
        "counts": counts(np.random.default_rng(SEED + 3)),
        "pairs": pairs(np.random.default_rng(SEED + 4)),
        "intervals": intervals(np.random.default_rng(SEED + 5)),
    }
    for name, cases in families.items():
        records = [case.record() for case in tqdm(cases, desc=name)]
        text = json.dumps({"reference": reference, "cases": records}, separators=(",", ":"), allow_nan=False)
        write_bytes(folder / f"{name}.json", (text.replace('},{"kind', '},\n{"kind') + "\n").encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fd-shifts", type=Path, required=True, help="a checkout of fd-shifts")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write into")
    arguments = parser.parse_args()
    with warnings.catch_warnings():
        # Of one class, of one row, of buffers: the cases are made so.
        warnings.simplefilter("ignore")
        report_errors(lambda: write(arguments.output, read_rc_stats(arguments.fd_shifts)))


if __name__ == "__main__":
    main()
