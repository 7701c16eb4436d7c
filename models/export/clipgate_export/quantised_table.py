r"""What quantisation did to pocket's accuracy, calibration and out-of-distribution detection: a table of the chapter.

    cargo build --release
    python -m clipgate_export.quantised_table --data ../../../shared/data --bundle ../pocket \
        --fp32 ../../build/pocket/image_fp32.onnx --chapter ../../src/docs/gating.md

`clipgate evaluate --reference` shows both graphs the same validation images, twice: without a gate at the model's own
scale, and with gates that each graph's own embeddings of one half fit, counted on the other.
"""

import argparse
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .bundle import IMAGE_ENCODER
from .data import CIFAR, OOD_ARCHIVES, VALIDATION, Splits, require
from .errors import report_errors
from .evaluating import copy, evaluate
from .files import write_bytes
from .ood_tasks import NEAR_POCKET
from .table_report import between

BEGIN = "<!-- table of quantisation: begin (written by `python -m clipgate_export.quantised_table`) -->"
END = "<!-- table of quantisation: end -->"
FIT = ("--fit-fraction", "0.5", "--method", "accept-rate", "--accept-rate", "0.5")
NEVER_TRAINED = "never-trained classes"


@dataclass(frozen=True)
class Row:
    """A figure of both graphs; `difference` is int8 less fp32, with its interval and p-value."""

    name: str
    fp32: float
    int8: float
    difference: dict


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder that models/README.md describes")
    parser.add_argument("--bundle", type=Path, required=True, help="models/pocket")
    parser.add_argument("--fp32", type=Path, required=True, help="the image encoder before quantisation")
    parser.add_argument("--clipgate", type=Path, default=Path("../../target/release/clipgate"))
    parser.add_argument("--chapter", type=Path, required=True, help="page to write the table into")
    arguments = parser.parse_args()
    page = arguments.chapter.read_text()
    with tempfile.TemporaryDirectory() as folder:
        table = render(*measure(arguments, Path(folder)))
    write_bytes(arguments.chapter, between(page, BEGIN, END, table, arguments.chapter).encode())


def measure(arguments: argparse.Namespace, folder: Path) -> tuple[dict, dict]:
    """`clipgate evaluate`'s reports: without a gate, and with gates that are fitted anew."""
    splits = Splits.read(arguments.bundle / "splits.json")
    labelled, others = unpack(arguments.data, folder / "images", splits)
    reports = []
    for name, options in (("raw", ()), ("gated", FIT)):
        graphs = {"int8": arguments.bundle / IMAGE_ENCODER, "fp32": arguments.fp32}
        made = {
            graph: copy(
                arguments.bundle,
                {IMAGE_ENCODER: file.read_bytes()},
                f"pocket-{graph}",
                folder / name / graph,
                name == "gated",
            )
            for graph, file in graphs.items()
        }
        asked = ["--only-known", *options]
        asked += ["--bundle", str(made["int8"]), "--reference", str(made["fp32"]), "--id", str(labelled)]
        asked += [word for other, images in others.items() for word in ("--ood", f"{other}={images}")]
        reports.append(evaluate(arguments.clipgate, asked))
    return reports[0], reports[1]


def unpack(data: Path, folder: Path, splits: Splits) -> tuple[Path, dict[str, Path]]:
    """The folder of the labels' images, one folder a class in it, and those of the other sets by name."""
    for archive in (VALIDATION, CIFAR, *OOD_ARCHIVES.values()):
        with tarfile.open(require(data, archive)) as tar:
            tar.extractall(folder / archive, filter="data")
    never, near = folder / NEVER_TRAINED, folder / "near"
    moves = [(folder / VALIDATION, never, splits.never_trained_wnids), (folder / CIFAR, near, NEAR_POCKET)]
    for source, target, names in moves:
        target.mkdir()
        for name in names:
            (source / name).rename(target / name)
    others = {NEVER_TRAINED: never, "CIFAR-10's five": near}
    return folder / VALIDATION, others | {name: folder / archive for name, archive in OOD_ARCHIVES.items()}


def rows(raw: dict, gated: dict) -> list[Row]:
    def of_labels(report: dict, metric: str, name: str) -> Row:
        both = (side["id"][metric] for side in (report["reference"], report))
        return Row(name, *both, report["paired"]["id"][metric])

    def of_gate(what: str, name: str) -> Row:
        both = (side["gate"][what] for side in (gated["reference"], gated))
        return Row(name, *both, gated["paired"][what])

    found = [
        of_labels(raw, "accuracy", "accuracy"),
        of_labels(raw, "ece", "ECE before a temperature is fitted"),
        of_labels(gated, "ece", "ECE after, other half"),
        of_labels(gated, "nll", "NLL after, other half"),
    ]
    for place, pair in enumerate(gated["paired"]["ood"]):
        both = (side["ood"][place]["auroc"][pair["score"]] for side in (gated["reference"], gated))
        found.append(Row(f"AUROC, {pair['name']}", *both, pair["auroc"]))
    found.append(of_gate("coverage", "answered, of the labels' images"))
    found.append(of_gate("selective_risk", "wrong, of these"))
    found.append(of_gate("accepted_ood", "answered, of all others"))
    return found


def render(raw: dict, gated: dict) -> str:
    lines = ["| | fp32 | int8 | int8 less fp32 | p |", "|---|---|---|---|---|"]
    for row in rows(raw, gated):
        d = row.difference
        between_both = f"{d['value']:+.4f} [{d['low']:+.4f}, {d['high']:+.4f}]"
        lines.append(f"| {row.name} | {row.fp32:.4f} | {row.int8:.4f} | {between_both} | {d['p_value']:.2f} |")
    counted = f"{raw['id']['n']:,} validation images, {gated['id']['n']:,} in the other half"
    return "\n".join([*lines, "", f"{counted}; AUROC of `{gated['paired']['ood'][0]['score']}`."])


if __name__ == "__main__":
    report_errors(main)
