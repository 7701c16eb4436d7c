"""What a study found, for machines: results.json and results.csv."""

import csv
import io
import os
import platform
from pathlib import Path

from .. import cpu, threads
from ..bundle import to_json
from ..files import write_bytes
from .inputs import Inputs
from .rows import versions
from .rule import Verdict, choose

JSON, CSV = "results.json", "results.csv"
PARTS = ("value", "low", "high")


def results(inputs: Inputs, rows: list[dict]) -> dict:
    """The whole as `results.json` holds it; rows are those of `running.run`, failed ones with their error.

    `seconds` is what all finished rows took, however often the study was interrupted.
    """
    finished = [row for row in rows if "error" not in row]
    verdicts = {name: choose([row for row in finished if row["source"] == name]) for name in inputs.models}
    return {
        "config": inputs.study.path.read_text(encoding="utf-8"),
        "clipgate": inputs.version,
        "versions": {"python": platform.python_version(), **versions()},
        "machine": _machine(),
        "seconds": round(sum(row["seconds"] for row in finished), 1),
        "images": {
            "ranges": len(inputs.ranges.files),
            "training": len(inputs.training.files) if inputs.training else 0,
            "reporting": len(inputs.reporting.files),
            "ood": {
                entry.ood.name: {"kind": entry.ood.kind, "images": len(entry.images.files)} for entry in inputs.others
            },
        },
        "promised_risk": inputs.study.promise.risk,
        "missing": inputs.missing,
        "shipped": {name: _verdict(verdict) for name, verdict in verdicts.items()},
        "rows": [{key: value for key, value in row.items() if key != "reports"} for row in rows],
    }


def write(record: dict, output: Path) -> None:
    write_bytes(output / JSON, to_json(record))
    write_bytes(output / CSV, table(record["rows"]).encode())


def table(rows: list[dict]) -> str:
    """A line a row; of each figure its value and interval, and the same of the difference to fp32."""
    plain = ("source", "method", "kind", "bits", "towers", "error", "refused", "speed", "seconds")
    names = list(dict.fromkeys(name for row in rows for name in row.get("figures", {})))
    kinds = list(dict.fromkeys(kind for row in rows for kind in row.get("corruptions", {})))
    head = [*plain, "bytes", "packed_bytes", "share_of_fp32", "cosine_mean", "cosine_p1"]
    for name in names:
        head += [f"{name}{end}" for end in ("", " low", " high", " change", " change low", " change high", " p")]
    head += [f"accuracy: {kind}" for kind in kinds]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(head)
    for row in rows:
        graph, cosine = row.get("graph", {}), row.get("cosine", {})
        cells = [row.get(name) for name in plain]
        cells += [graph.get(name) for name in ("bytes", "packed_bytes", "share_of_fp32")]
        cells += [cosine.get(name) for name in ("mean", "p1")]
        for name in names:
            figure = row.get("figures", {}).get(name, {})
            difference = figure.get("difference", {})
            cells += [figure.get(part) for part in PARTS]
            cells += [difference.get(part) for part in (*PARTS, "p_value")]
        cells += [row.get("corruptions", {}).get(kind) for kind in kinds]
        writer.writerow(["" if cell is None else cell for cell in cells])
    return file.getvalue()


def _verdict(verdict: Verdict) -> dict:
    return {"winner": verdict.winner, "words": verdict.words, "why": verdict.why}


def _machine() -> dict:
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "cpu": cpu.flags(),
        "cores": os.cpu_count(),
        "threads": threads.available(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
    }
