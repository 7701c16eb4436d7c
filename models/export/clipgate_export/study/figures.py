"""A row's figures by name, from the judge's reports: values, intervals and differences to fp32.

A figure is `{"value", "low", "high"}` as far as an interval is known, and beside fp32 `"difference"`: `{"value", "low",
"high", "p_value"}`, all in the figure's own unit. ECE, confidences and shares are in 0 to 1.
"""

from collections.abc import Sequence

import numpy as np

from ..judging import Readout
from ..scores import Cosines
from .config import KINDS, Ood
from .judging import Reports

BINS = 15
# From the run without a gate, and from that with one.
RAW = ("accuracy", "ece", "nll", "brier", "aurc", "augrc")
REFIT = ("ece", "nll")
GATE = ("coverage", "selective_risk", "accepted_ood")


def figures(reports: Reports, ood: Sequence[Ood]) -> dict[str, dict]:
    """Where the promise was refused there is no share that is accepted under it."""
    raw, gated = reports.raw, reports.gated
    found = {name: _id(raw, name) for name in RAW}
    found |= {f"{name}_refit": _id(gated, name) for name in REFIT}
    if reports.promised is not None:
        found |= {what: _gate(reports.promised, what) for what in GATE}
    for kind in KINDS:
        sets = [entry.name for entry in ood if entry.kind == kind]
        for metric in ("auroc", "fpr95"):
            each = {name: _separation(gated, name, metric) for name in sets}
            found |= {f"{metric}: {name}": figure for name, figure in each.items()}
            if each:
                found[f"{metric}_{kind}"] = mean(list(each.values()))
    if raw.get("paired"):
        found["agreement"] = raw["paired"]["agreement"]
    return {name: figure for name, figure in found.items() if figure is not None}


def mean(figures: Sequence[dict]) -> dict:
    """The mean of some figures; its ends are the means of theirs.

    No sum of figures spreads wider than their spreads add up to, so the interval is never too narrow: the sets share
    the labels' images, and their figures move together.
    """
    keys = [key for key in ("value", "low", "high") if all(key in figure for figure in figures)]
    found: dict = {key: float(np.mean([figure[key] for figure in figures])) for key in keys}
    differences = [figure["difference"] for figure in figures if "difference" in figure]
    if len(differences) == len(figures):
        found["difference"] = {
            key: float(np.mean([difference[key] for difference in differences])) for key in ("value", "low", "high")
        }
    return found


def reliability(cosines: Cosines, readout: Readout, right: np.ndarray, temperature: float) -> dict:
    """Counts, mean confidences and accuracies of `BINS` equally wide bins, and the signed gap of all.

    `overconfidence` is the mean confidence less the accuracy: above 0 the model is too sure.
    """
    confidences = readout.confidence(cosines, temperature).astype(np.float64)
    # (low, high], as the judge's.
    place = np.clip(np.ceil(confidences * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.bincount(place, minlength=BINS)
    least = np.maximum(counts, 1)
    return {
        "temperature": temperature,
        "overconfidence": float(confidences.mean() - right.mean()),
        "n": counts.tolist(),
        "confidence": (np.bincount(place, confidences, BINS) / least).tolist(),
        "accuracy": (np.bincount(place, right, BINS) / least).tolist(),
    }


def _id(report: dict, name: str) -> dict | None:
    value = report["id"].get(name)
    if value is None:
        return None
    low, high = report["id"]["intervals"][name]
    paired = (report.get("paired") or {}).get("id", {}).get(name)
    return _figure(value, low, high, paired)


def _gate(report: dict, what: str) -> dict | None:
    value = report["gate"].get(what)
    if value is None:
        return None
    low, high = report["gate"]["intervals"][what]
    return _figure(value, low, high, (report.get("paired") or {}).get(what))


def _separation(report: dict, name: str, metric: str) -> dict:
    """By the score that the gate asks."""
    found = next(entry for entry in report["ood"] if entry["name"] == name)
    low, high = found["intervals"][metric]["gate"]
    pairs = (report.get("paired") or {}).get("ood", [])
    paired = next((entry["auroc"] for entry in pairs if entry["name"] == name), None)
    return _figure(found[metric]["gate"], low, high, paired if metric == "auroc" else None)


def _figure(value: float, low: float, high: float, paired: dict | None) -> dict:
    found: dict = {"value": value, "low": low, "high": high}
    if paired is not None:
        found["difference"] = {key: paired[key] for key in ("value", "low", "high", "p_value")}
    return found
