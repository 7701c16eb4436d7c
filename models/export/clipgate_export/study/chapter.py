"""Writes what studies found into a chapter: a table each, and the quadrants of models compared as a picture beside it.

A table stands between marks that name its models; what other studies found stays as it is.

    python -m clipgate_export.study.chapter ../../build/study/out/results.json ../../build/study/shipping/results.json \
        --chapter ../../src/docs/quantization.md
"""

import argparse
import json
from pathlib import Path

from ..errors import UserError, report_errors
from ..files import write_bytes
from ..table_report import between, line
from .pictures import QUADRANTS, drawn, saved
from .rows import BOTH, FP32

BEGIN = "<!-- study of {}: begin (written by `python -m clipgate_export.study.chapter`) -->"
END = "<!-- study of {}: end -->"
# Figures, headings, and whether more is better (None: neither); all as percentages.
COLUMNS = (
    ("accuracy", "top-1 %", True),
    ("ece", "ECE %", False),
    ("overconfidence_before", "too sure by", None),
    ("ece_refit", "ECE refitted %", False),
    ("auroc_near", "AUROC near %", True),
    ("auroc_far", "AUROC far %", True),
    ("aurc", "AURC %", False),
    ("coverage", "answered %", True),
    ("corrupted_accuracy", "corrupted top-1 %", True),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, nargs="+", help="results.json of `clipgate-export study`")
    parser.add_argument("--chapter", type=Path, required=True, help="page with the tables' markers")
    arguments = parser.parse_args()
    page = arguments.chapter.read_text()
    for path in arguments.results:
        record = _read(path)
        models = ", ".join(record["shipped"])
        page = between(page, BEGIN.format(models), END.format(models), table(record), arguments.chapter)
        if len(record["shipped"]) > 1 and (quadrants := drawn(record).get(QUADRANTS)):
            write_bytes(arguments.chapter.with_suffix(".png"), saved(quadrants, "png"))
    write_bytes(arguments.chapter, page.encode())


def table(record: dict) -> str:
    """Values with their changes from fp32; bold where the paired 95 % interval leaves out zero."""
    rows = [row for row in record["rows"] if "error" not in row]
    columns = [column for column in COLUMNS if any(column[0] in row["figures"] for row in rows)]
    head = ["model", "method", "bits", *(words for _, words, _ in columns), "cosine", "speed", "packed MB"]
    lines = [line(head), line(["---"] * len(head))]
    for row in rows:
        method = row["method"] + (", text too" if row["towers"] == BOTH else "")
        cells = [row["source"], method, str(row["bits"])]
        cells += [_figure(row["figures"].get(name), more) for name, _, more in columns]
        cosine, speed = row.get("cosine"), row["speed"]
        cells.append("" if cosine is None else f"{cosine['mean']:.4f}")
        cells.append("" if speed is None or row["method"] == FP32 else f"{speed:.2f}x")
        cells.append(f"{row['graph']['packed_bytes'] / 1e6:.2f}")
        lines.append(line(cells))
    images = record["images"]
    outside = sum(other["images"] for other in images["ood"].values())
    lines += ["", f"{images['reporting']:,} images of the labels, {outside:,} of other things."]
    lines += [f"By the rule, {name}: {verdict['words']}." for name, verdict in record["shipped"].items()]
    return "\n".join(lines)


def _figure(figure: dict | None, more: bool | None) -> str:
    if figure is None:
        return ""
    words = f"{100 * figure['value']:{'+.1f' if more is None else '.1f'}}"
    difference = figure.get("difference")
    if difference is None:
        return words
    change = f"{100 * difference['value']:+.1f}"
    if difference["low"] > 0 or difference["high"] < 0:
        better = (difference["value"] > 0) is more
        change = f"**{change}**{'' if better else ' worse'}"
    return f"{words} ({change})"


def _read(path: Path) -> dict:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: no results.json of a study ({error})") from error


if __name__ == "__main__":
    report_errors(main)
