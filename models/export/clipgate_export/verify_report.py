"""The report of `clipgate-export verify` as Markdown for a reader and as a record for JSON."""

from dataclasses import asdict
from importlib.metadata import version

from .onnx_files import GraphDigest
from .snr import LayerSnr
from .verification import Checked, Labelled, Report

WORST_LAYERS = 12
LIBRARIES = ("onnxruntime", "onnx", "numpy", "scikit-learn", "netcal")


def record(report: Report) -> dict:
    """The whole report in JSON's types; shares and areas are in [0, 1], drops in points, ratios in dB."""
    return {
        "passed": report.passed,
        "bars": [asdict(checked) for checked in report.checked],
        "fp32": GraphDigest.of(report.subject.fp32).record(),
        "int8": GraphDigest.of(report.subject.int8).record(),
        "images": {
            "folder": str(report.images.path),
            "n": report.n,
            "sha256": report.images.digest(),
            "broken": report.images.broken,
        },
        "cosine": {
            "mean": report.cosine_mean,
            "p1": report.cosine_p1,
            "centred_mean": report.centred_mean,
            "centred_worst": report.centred_worst,
        },
        "fp32_alike": report.likeness.alike,
        "warning": report.likeness.warning(),
        "top1_agreement": report.agreement,
        "labels": None if report.labelled is None else {"choices": report.choices, **_labels(report.labelled)},
        "outside": [
            {"name": s.name, "n": s.n, "auroc": {kind: {"fp32": a, "int8": b} for kind, (a, b) in s.areas.items()}}
            for s in report.outside
        ],
        "texts": None if report.texts is None else asdict(report.texts),
        "snr": None if report.snr is None else asdict(report.snr),
        "lint": [finding.record() for finding in report.findings],
        "temperature_in_force": report.subject.temperature,
        "preprocessing": report.subject.preprocessing.record(),
        "versions": _versions(),
    }


def render(report: Report) -> str:
    """Markdown."""
    parts = (_head, _bars, _agreement, _outside, _texts, _layers, _lint, _provenance)
    return "\n\n".join(section for section in (part(report) for part in parts) if section) + "\n"


def _head(report: Report) -> str:
    missed = sum(checked.held is False for checked in report.checked)
    unknown = sum(checked.held is None for checked in report.checked)
    verdict = f"**{missed} of {len(report.checked)} bars missed.**" if missed else "All bars that were measured hold."
    if unknown:
        verdict += f" {unknown} could not be measured: the table says what for."
    if (warning := report.likeness.warning()) is not None:
        verdict += f"\n\n**Warning:** {warning}."
    return f"# {report.subject.int8.name} against {report.subject.fp32.name}\n\n{verdict}"


def _bars(report: Report) -> str:
    lines = ["| bar | measured | asked | |", "|---|---|---|---|"]
    return "\n".join(lines + [_bar(checked) for checked in report.checked])


def _bar(checked: Checked) -> str:
    unit = f" {checked.unit}" if checked.unit else ""
    measured = "-" if checked.value is None else f"{checked.value:.4g}{unit}"
    relation = "at most" if checked.largest else "at least"
    outcome = {True: "held", False: "**MISSED**", None: f"not measured: needs {checked.needs}"}[checked.held]
    return f"| {checked.measure} | {measured} | {relation} {checked.bar:g}{unit} | {outcome} |"


def _agreement(report: Report) -> str:
    broken = f" ({len(report.images.broken)} more do not decode)" if report.images.broken else ""
    lines = [
        f"## {report.n} images{broken}\n",
        "| figure | fp32 | int8 |",
        "|---|---|---|",
        f"| cosine to fp32, mean | | {report.cosine_mean:.5f} |",
        f"| cosine to fp32, 1st percentile | | {report.cosine_p1:.5f} |",
        f"| the same less fp32's mean embedding, mean | | {report.centred_mean:.5f} |",
        f"| the same less fp32's mean embedding, worst | | {report.centred_worst:.5f} |",
        f"| cosine between different images, mean | {report.likeness.alike:.5f} | |",
    ]
    if report.agreement is not None:
        lines.append(f"| same best of {report.choices} labels | | {100 * report.agreement:.2f} % |")
    if report.labelled is None:
        return "\n".join(lines)
    found, given = report.labelled, report.subject.temperature
    lines += [
        f"| accuracy | {100 * found.fp32_accuracy:.2f} % | {100 * found.int8_accuracy:.2f} % |",
        f"| ECE at temperature {given:.4g} | {found.fp32.ece_before:.4f} | {found.int8.ece_before:.4f} |",
        f"| ECE, temperature refitted | {found.fp32.ece_after:.4f} | {found.int8.ece_after:.4f} |",
        f"| NLL at temperature {given:.4g} | {found.fp32.nll_before:.4f} | {found.int8.nll_before:.4f} |",
        f"| NLL, temperature refitted | {found.fp32.nll_after:.4f} | {found.int8.nll_after:.4f} |",
        f"| temperature of least NLL | {found.fp32.temperature:.4f} | {found.int8.temperature:.4f} |",
    ]
    drop = found.drop
    lines.append(
        f"\nAccuracy drops by {100 * drop.value:.2f} points, at most {100 * drop.upper:.2f} with 95 % confidence "
        f"(paired bootstrap, not below the exact binomial bound): int8 loses {drop.lost} of {drop.n} images and gains "
        f"{drop.gained}. Refitted means: each half of the images at the temperature that the other half fits."
    )
    return "\n".join(lines)


def _outside(report: Report) -> str:
    if not report.outside:
        return ""
    lines = ["## Images outside the labels (AUROC)\n", "| set | n | score | fp32 | int8 |", "|---|---|---|---|---|"]
    lines += [
        f"| {s.name} | {s.n} | {kind} | {fp32:.4f} | {int8:.4f} |"
        for s in report.outside
        for kind, (fp32, int8) in s.areas.items()
    ]
    return "\n".join(lines)


def _texts(report: Report) -> str:
    if report.texts is None:
        return ""
    found = report.texts
    centred = "" if found.centred_mean is None else f", {found.centred_mean:.5f} in the mean less fp32's mean embedding"
    return (
        f"## Text encoder\n\nOn the prompts of {found.n} labels: cosine to fp32 {found.cosine_mean:.5f} in the mean, "
        f"{found.cosine_p1:.5f} at the 1st percentile{centred}; {found.own} lie nearest to their own fp32 embedding."
    )


def _layers(report: Report) -> str:
    if report.snr is None:
        return ""
    found = report.snr
    worst = sorted(found.layers, key=lambda layer: layer.db)[:WORST_LAYERS]
    lines = [
        f"## Layers: signal to noise over {found.inputs} images\n",
        f"The {len(worst)} worst of {len(found.layers)} tensors that both graphs have under one name; "
        f"{found.unmatched} of the fp32 graph have no counterpart (fused or rewritten).\n",
        "| tensor | operator | bits | dB |",
        "|---|---|---|---|",
    ]
    return "\n".join(lines + [f"| {x.tensor} | {x.operator} | {x.bits} | {_db(x)} |" for x in worst])


def _db(layer: LayerSnr) -> str:
    return f"{layer.db:.1f}{' (rescaled by channel)' if layer.rescaled else ''}"


def _lint(report: Report) -> str:
    if not report.findings:
        return "## Lint of the int8 graph\n\nNothing found."
    lines = ["## Lint of the int8 graph\n", "| | rule | where | why | remedy |", "|---|---|---|---|---|"]
    lines += [f"| {f.severity} | {f.rule} | {f.node} | {f.reason} | {f.remedy} |" for f in report.findings]
    return "\n".join(lines)


def _provenance(report: Report) -> str:
    lines = ["## Made with\n"]
    for path in (report.subject.fp32, report.subject.int8):
        digest = GraphDigest.of(path)
        lines += [
            f"- {file.file}: {file.bytes:,} bytes, sha256 `{file.sha256[:16]}`" for file in (digest.graph, *digest.data)
        ]
    p = report.subject.preprocessing
    lines.append(f"- {p.size} pixels, {p.resize}, {p.interpolation}, mean {list(p.mean)}, std {list(p.std)}")
    lines.append("- " + ", ".join(f"{name} {number}" for name, number in _versions().items()))
    return "\n".join(lines)


def _labels(labelled: Labelled) -> dict:
    drop = labelled.drop
    return {
        "accuracy": {"fp32": labelled.fp32_accuracy, "int8": labelled.int8_accuracy},
        "drop_points": {
            "value": 100 * drop.value,
            "upper_95": 100 * drop.upper,
            "lost": drop.lost,
            "gained": drop.gained,
        },
        "calibration": {"fp32": asdict(labelled.fp32), "int8": asdict(labelled.int8)},
    }


def _versions() -> dict[str, str]:
    return {name: version(name) for name in LIBRARIES}
