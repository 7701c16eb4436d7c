r"""The tables of out-of-distribution scores: pocket's labels, and CIFAR-10's by CLIP ViT-B/32's own embeddings.

    cargo build --release
    clipgate-export scores --data ../../../shared/data --bundle ../pocket -o scores.md \
        --chapter ../../src/docs/gating.md

The images that are counted here only report: score, negatives, temperature and cut were chosen on others. For pocket
these are held-out training images (`clipgate_export.pocket`). CIFAR-10 has the score that was chosen with pocket, all
names of the vocabulary as negatives, and temperature and cut from one half of its images, the other being counted for
the gate. Areas under the ROC curve take the labels' images as the positive class; they, and FPR95, are those of
`clipgate evaluate`, which must agree with `clipgate_export.scores`. Brackets hold 95 % bootstrap intervals.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import gate_table
from .bank import Bank
from .errors import UserError
from .files import write_bytes
from .gate_table import REFUSED, Rule
from .metrics import BOOTSTRAP_SEED, Figure
from .ood_judged import Judged, judge
from .ood_tasks import Task, tasks
from .scores import available, ood_score
from .table_report import between

BEGIN = "<!-- tables of scores: begin (written by `clipgate-export scores`) -->"
END = "<!-- tables of scores: end -->"
DRAWS = 1000
# Without negatives to take part in them, these are the same in both.
OF_LABELS_ALONE = ("max_cosine", "energy", "entropy")
# The command and `clipgate_export.scores` differ by rounding in f32.
AGREEMENT = 1e-4


@dataclass(frozen=True)
class Findings:
    """A task judged by the command: with the labels alone, and with negatives."""

    task: Task
    alone: Judged
    negatives: Judged

    def rows(self) -> list[tuple[str, str]]:
        """Texts and score of each row."""
        texts = f"{len(self.task.bank.negatives)} negatives"
        rows = [("labels alone", kind) for kind in self.alone.scores]
        return rows + [(texts, kind) for kind in self.negatives.scores if kind not in OF_LABELS_ALONE]

    def judged(self, texts: str) -> Judged:
        return self.alone if texts == "labels alone" else self.negatives

    def shipped(self) -> tuple[str, str]:
        rows = self.rows()
        return next(row for row in reversed(rows) if row[1] == self.task.cut.score)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = __doc__.splitlines()[0]
    parser.add_argument("--data", type=Path, required=True, help="the folder that models/README.md describes")
    parser.add_argument("--bundle", type=Path, required=True, help="models/pocket")
    parser.add_argument(
        "--clipgate", type=Path, default=Path("../../target/release/clipgate"), help="the command, which judges"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="Markdown file to write: everything")
    parser.add_argument("--chapter", type=Path, help="page to write the areas and the gate's table into")


def run(arguments: argparse.Namespace) -> int:
    if not arguments.clipgate.is_file():
        raise UserError(f"{arguments.clipgate}: not found; `cargo build --release` makes it, or give --clipgate")
    page = arguments.chapter.read_text() if arguments.chapter else None
    found = [findings(task, arguments) for task in tasks(arguments.data, arguments.bundle)]
    sections = [(each, gate_section(each.task)) for each in found]
    whole = [f"{areas_section(each)}\n\n{fpr_section(each, each.rows())}\n\n{gate}" for each, gate in sections]
    write_bytes(arguments.output, ("\n\n".join(whole) + "\n").encode())
    if page is not None:
        short = [f"{areas_section(each)}\n\n{fpr_section(each, compared(each))}\n\n{gate}" for each, gate in sections]
        page = between(page, BEGIN, END, "\n\n".join(short), arguments.chapter)
        write_bytes(arguments.chapter, page.encode())
    return 0


def findings(task: Task, arguments: argparse.Namespace) -> Findings:
    """The command's figures, which those of `clipgate_export.scores` must agree with."""
    both = []
    for bank in (task.alone(), task.bank):
        judged = judge(
            arguments.clipgate,
            arguments.bundle,
            bank,
            task.logit_scale,
            (task.inside, task.classes),
            [group.embeddings for group in task.outside],
            task.confidence_threshold is not None,
        )
        for kind, pairs in scored(task, bank).items():
            for group, pair, figures in zip(task.outside, pairs, judged.scores[kind], strict=True):
                agree(f"{task.title}, {group.name}: AUROC of {kind}", areas(*pair)[0], figures.auroc.value)
        both.append(judged)
    if task.confidence_threshold is not None:
        answered = gate_rule(task).inside >= np.float32(task.confidence_threshold)
        agree(f"{task.title}: coverage", float(answered.mean()), both[1].coverage or 0.0)
    return Findings(task, *both)


def agree(what: str, here: float, command: float) -> None:
    if abs(here - command) > AGREEMENT:
        raise UserError(f"{what}: {here:.6f} here and {command:.6f} by `clipgate evaluate`: rebuild it")


def areas_section(found: Findings) -> str:
    """For near and for far sets a table of areas: a row a score, then what the shipped one gains."""
    task, parts = found.task, [f"## {found.task.title} (n {len(found.task.inside):,})"]
    for distance in dict.fromkeys(group.distance for group in task.outside):
        places = [place for place, group in enumerate(task.outside) if group.distance == distance]
        lines = heads(found, places, f"AUROC, {distance}")
        for row in found.rows():
            figures = found.judged(row[0]).scores[row[1]]
            lines.append(line(found, row, [figure(figures[place].auroc) for place in places]))
        gained = gains(found)
        lines.append(f"| | *shipped less `msp` of the labels alone* | {' | '.join(gained[p] for p in places)} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def fpr_section(found: Findings, rows: list[tuple[str, str]]) -> str:
    """The share of other images that passes a cut which lets 95 % of the labels' images pass, in percent."""
    places = range(len(found.task.outside))
    lines = heads(found, places, "FPR95, %")
    for row in rows:
        figures = [separation.fpr95 for separation in found.judged(row[0]).scores[row[1]]]
        cells = [f"{100 * f.value:.0f} [{100 * f.low:.0f}, {100 * f.high:.0f}]" for f in figures]
        lines.append(line(found, row, cells))
    return "\n".join(lines)


def compared(found: Findings) -> list[tuple[str, str]]:
    """The baseline and the shipped score."""
    return [("labels alone", "msp"), found.shipped()]


def heads(found: Findings, places: range | list[int], what: str) -> list[str]:
    groups = [found.task.outside[place] for place in places]
    names = " | ".join(f"{group.name} (n {len(group.embeddings):,})" for group in groups)
    return [f"| {what} | score | {names} |", f"|---|---|{'---|' * len(groups)}"]


def line(found: Findings, row: tuple[str, str], cells: list[str]) -> str:
    name = f"**`{row[1]}`**, shipped" if row == found.shipped() else f"`{row[1]}`"
    return f"| {row[0]} | {name} | {' | '.join(cells)} |"


def gains(found: Findings) -> list[str]:
    """Of each set, what the shipped score has over `msp` of the labels alone."""
    texts, kind = found.shipped()
    bank = found.task.alone() if texts == "labels alone" else found.task.bank
    ours, baseline = scored(found.task, bank)[kind], scored(found.task, found.task.alone())["msp"]
    return [signed(gain(*pair)) for pair in zip(ours, baseline, strict=True)]


def gate_rule(task: Task) -> Rule:
    rows = slice(task.counted_from, None)
    outside = [group.embeddings for group in task.outside]
    return gate_table.two_scores(task.bank, task.logit_scale, task.cut, task.inside[rows], task.classes[rows], outside)


def gate_section(task: Task) -> str:
    """The gate against `msp` alone, at equal risk."""
    rows = slice(task.counted_from, None)
    outside = [group.embeddings for group in task.outside]
    ours = gate_rule(task)
    other = gate_table.msp_alone(task.bank, task.logit_scale, task.inside[rows], task.classes[rows], outside)
    far = [place for place, group in enumerate(task.outside) if group.distance == "far"]
    names = [f"{group.name} ({group.distance})" for group in task.outside]
    table = gate_table.render(ours, other, names, [("all far ones, equal parts", far)])
    passed = ", ".join(
        f"{group.name} {(values > REFUSED).mean():.0%}".replace("%", " %")
        for group, values in zip(task.outside, ours.outside, strict=True)
    )
    own = f"{(ours.inside > REFUSED).mean():.0%}".replace("%", " %")
    return (
        f"Labels' images answered at equal risk, in percent: gate / `msp` alone, and the difference in points "
        f"(n {len(ours.inside):,}):\n\n{table}\n\nThe cut alone lets pass: the labels' images {own}; {passed}."
    )


def scored(task: Task, bank: Bank) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """Of each score, the values of the images inside and of each set outside."""
    inside = bank.cosines(task.inside)
    outside = [bank.cosines(group.embeddings) for group in task.outside]

    def pairs(kind: str) -> list[tuple[np.ndarray, np.ndarray]]:
        own = ood_score(kind, inside, task.logit_scale)
        return [(own, ood_score(kind, other, task.logit_scale)) for other in outside]

    return {kind: pairs(kind) for kind in available(inside)}


def gain(ours: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> Figure:
    """The difference of two scores' areas, the same images drawn for both."""
    (whole, drawn), (other_whole, other_drawn) = areas(*ours), areas(*other)
    low, high = np.quantile(drawn - other_drawn, (0.025, 0.975))
    return Figure(whole - other_whole, float(low), float(high), len(ours[0]) + len(ours[1]))


def areas(inside: np.ndarray, outside: np.ndarray) -> tuple[float, np.ndarray]:
    """The area and those of `DRAWS` bootstrap samples, f64 [`DRAWS`], ties counting one half.

    The values are sorted once; a sample is how often each image was drawn.
    """
    draw = np.random.default_rng(BOOTSTRAP_SEED)
    n, m = len(inside), len(outside)
    _, place = np.unique(np.concatenate([inside, outside]), return_inverse=True)
    size = int(place.max()) + 1

    def of(drawn_inside: np.ndarray, drawn_outside: np.ndarray) -> float:
        ins = np.bincount(place[:n][drawn_inside], minlength=size)
        outs = np.bincount(place[n:][drawn_outside], minlength=size)
        below = np.cumsum(outs) - outs
        return float((ins * (below + outs / 2)).sum() / (n * m))

    samples = [of(draw.integers(0, n, n), draw.integers(0, m, m)) for _ in range(DRAWS)]
    return of(np.arange(n), np.arange(m)), np.array(samples)


def figure(found: Figure) -> str:
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def signed(found: Figure) -> str:
    return f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
