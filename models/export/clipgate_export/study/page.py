"""A study as one page that needs nothing else: pictures inline, a table that sorts, light and dark."""

import json
from html import escape
from pathlib import Path

from ..files import write_bytes
from .page_parts import SCRIPT, STYLE
from .pictures import INK, QUADRANTS, RELIABILITY, drawn, saved

PAGE = "study.html"
# Figures of the table: name, heading, factor, decimals, and whether more is better (None: neither).
COLUMNS = (
    ("accuracy", "top-1 %", 100, 1, True),
    ("ece", "ECE %", 100, 1, False),
    ("ece_refit", "ECE refitted %", 100, 1, False),
    ("overconfidence_before", "confidence less accuracy", 100, 1, None),
    ("nll", "NLL", 1, 3, False),
    ("brier", "Brier", 1, 3, False),
    ("auroc_near", "AUROC near", 100, 1, True),
    ("auroc_far", "AUROC far", 100, 1, True),
    ("fpr95_near", "FPR95 near", 100, 0, False),
    ("fpr95_far", "FPR95 far", 100, 0, False),
    ("aurc", "AURC %", 100, 1, False),
    ("augrc", "AUGRC %", 100, 1, False),
    ("coverage", "accepted %", 100, 1, True),
    ("selective_risk", "of these wrong %", 100, 1, False),
    ("corrupted_accuracy", "corrupted top-1 %", 100, 1, True),
    ("agreement", "same as fp32 %", 100, 1, None),
)
CAPTIONS = {
    QUADRANTS: "Change from fp32 to each row, in points, with paired 95 % intervals; up and left is better. "
    "The axes are linear up to one point and logarithmic beyond. Filled: the image tower alone; open: both towers. "
    "w32: trained with nothing rounded; a name without a width: 8 bits.",
    RELIABILITY: "Accuracy by confidence in 15 bins (bars and line) and the share of images in each (thin bars), at "
    "the model's own logit scale and after the temperature is refitted. T is the temperature; a model is too sure by "
    "the points that its mean confidence is above its accuracy. Of each width the least and the largest ECE. The lower "
    "diagrams are of all images, their ECE is of those that did not fit the temperature.",
}


def write_page(record: dict, output: Path) -> None:
    write_bytes(output / PAGE, page(record).encode())


def page(record: dict) -> str:
    """HTML; text from the config is escaped."""
    finished = [row for row in record["rows"] if "error" not in row]
    pictures = "".join(
        f"<figure>{_inline(saved(figure, 'svg').decode())}<figcaption>{CAPTIONS[name]}</figcaption></figure>"
        for name, figure in drawn(record).items()
    )
    images = record["images"]
    counted = f"{images['reporting']:,} images are counted; {len(finished)} of {len(record['rows'])} rows are finished."
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>What quantisation does</title>'
        f"<style>{STYLE}</style></head><body><main><h1>What quantisation does to reliability</h1>"
        f"<p>{counted} Judged by {escape(record['clipgate'])}.</p>{_shipped(record)}{_missing(record)}{pictures}"
        "<h2>All rows</h2><p>Below a value its change from fp32 with the paired 95 % interval, bold where the interval "
        f"leaves out zero. {_promise(record, finished)}A click on a heading sorts.</p>"
        f"{_table(finished)}{_corruptions(finished)}{_origin(record)}"
        f"</main><script>{SCRIPT}</script></body></html>\n"
    )


def _inline(svg: str) -> str:
    """The picture without its XML header, in the page's own text colour."""
    return svg[svg.index("<svg") :].replace(INK, "currentColor")


def _shipped(record: dict) -> str:
    parts = []
    for name, verdict in record["shipped"].items():
        why = "".join(f"<li><b>{escape(method)}</b>: {escape(words)}</li>" for method, words in verdict["why"].items())
        parts.append(f"<details><summary>{escape(name)}: {escape(verdict['words'])}</summary><ul>{why}</ul></details>")
    return f"<section><h2>By the rule</h2>{''.join(parts)}</section>"


def _missing(record: dict) -> str:
    lines = [*record["missing"], *(f"{row['name']}: {row['error']}" for row in record["rows"] if "error" in row)]
    if not lines:
        return ""
    return (
        f"<section><h2>What is missing</h2><ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul></section>"
    )


def _promise(record: dict, rows: list[dict]) -> str:
    """What the share accepted is, and how many rows have none."""
    refused = sum("coverage" not in row["figures"] for row in rows)
    none = f" In {refused} of {len(rows)} rows no threshold can promise that, and it is empty." if refused else ""
    return (
        "Accepted: the share that the gate answers while it promises that at most "
        f"{100 * record['promised_risk']:g} % of the answers are wrong.{none} "
    )


def _table(rows: list[dict]) -> str:
    columns = [column for column in COLUMNS if any(column[0] in row["figures"] for row in rows)]
    head = ["model", "method", "bits", *(column[1] for column in columns), "cosine", "speed", "MB", "packed MB", "s"]
    lines = []
    for row in rows:
        graph, cosine, speed = row["graph"], row.get("cosine"), row["speed"]
        towers = "" if row["towers"] == "vision" else " <small>+ text</small>"
        kept = f" <small>{graph['kept_in_fp32']} layers kept</small>" if graph["kept_in_fp32"] else ""
        cells = [
            _cell(row["source"], row["source"]),
            f"<td>{escape(row['method'])}{towers}{kept}<br><small>{row['kind']}</small></td>",
            _cell(str(row["bits"]), row["bits"]),
        ]
        cells += [_figure(row["figures"].get(name), factor, digits, more) for name, _, factor, digits, more in columns]
        cells += [
            _cell(f"{cosine['mean']:.4f}", cosine["mean"]) if cosine else _cell("", 1),
            _cell("" if speed is None else f"{speed:.2f}x", speed or 0),
            _cell(f"{graph['bytes'] / 1e6:.2f}", graph["bytes"]),
            _cell(f"{graph['packed_bytes'] / 1e6:.2f}", graph["packed_bytes"]),
            _cell(f"{row['seconds']:.0f}", row["seconds"]),
        ]
        lines.append(f'<tr class="{row["kind"].lower()}">{"".join(cells)}</tr>')
    headings = "".join(f'<th><button type="button">{escape(words)}</button></th>' for words in head)
    body = "".join(lines)
    return (
        f'<div class="wide"><table class="sorts"><thead><tr>{headings}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _figure(figure: dict | None, factor: int, digits: int, more: bool | None) -> str:
    if figure is None:
        return _cell("", -1e9)
    words = f"{factor * figure['value']:.{digits}f}"
    difference = figure.get("difference")
    if difference is None:
        return _cell(words, figure["value"])
    value, low, high = (f"{factor * difference[part]:+.{digits}f}" for part in ("value", "low", "high"))
    kind = ""
    if more is not None and (difference["low"] > 0 or difference["high"] < 0):
        kind = "better" if (difference["value"] > 0) is more else "worse"
    return _cell(f"{words}<small class='{kind}'>{value} [{low}, {high}]</small>", figure["value"])


def _cell(words: str, order: float | str) -> str:
    return f'<td data-order="{escape(str(order))}">{words if "<small" in words else escape(words)}</td>'


def _corruptions(rows: list[dict]) -> str:
    kinds = list(dict.fromkeys(kind for row in rows for kind in row.get("corruptions", {})))
    if not kinds:
        return ""
    head = "".join(f'<th><button type="button">{escape(words)}</button></th>' for words in ("row", *kinds))
    lines = []
    for row in rows:
        cells = [_cell(row["name"], row["name"])]
        cells += [_cell(f"{100 * row['corruptions'][kind]:.1f}", row["corruptions"][kind]) for kind in kinds]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    body = "".join(lines)
    table = f'<table class="sorts corrupted"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<h2>Corrupted images, top-1 %</h2><div class="wide">{table}</div>'


def _origin(record: dict) -> str:
    kept = {key: record[key] for key in ("clipgate", "versions", "machine", "images", "seconds")}
    return (
        f"<details><summary>Config, versions and machine</summary><pre>{escape(record['config'])}</pre>"
        f"<pre>{escape(json.dumps(kept, indent=1))}</pre></details>"
    )
