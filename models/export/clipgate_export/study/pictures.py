"""A study's figures: change of ECE against change of AUROC, and reliability diagrams, as SVG and PNG."""

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..files import write_bytes
from .config import KINDS
from .placing import name_dots
from .rows import BOTH, FP32, IMAGE

# Distinct for colour-blind readers and on light and dark paper (Wong 2011).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = {"PTQ": "o", "QAT": "^"}
# Ink that a page replaces by its own text colour; no figure uses it otherwise.
INK = "#010203"
DPI = 160
QUADRANTS, RELIABILITY = "quadrants", "reliability"
STYLE = {
    "svg.hashsalt": "clipgate",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
}


def write_pictures(record: dict, output: Path) -> None:
    """What has nothing to show is left out."""
    for name, figure in drawn(record).items():
        for form in ("svg", "png"):
            write_bytes(output / f"{name}.{form}", saved(figure, form))


def drawn(record: dict) -> dict[str, Figure]:
    """The figures by file name, as far as rows were finished."""
    rows = [row for row in record["rows"] if "error" not in row]
    with matplotlib.rc_context(STYLE):
        found = {QUADRANTS: _quadrants(rows), RELIABILITY: _reliability(rows)}
    return {name: figure for name, figure in found.items() if figure is not None}


def saved(figure: Figure, form: str) -> bytes:
    """SVG without a ground, to lie on any page; PNG on white. The same figure, the same bytes."""
    content = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        if form == "svg":
            figure.savefig(content, format="svg", transparent=True, metadata={"Date": None})
        else:
            figure.savefig(content, format="png", dpi=DPI, facecolor="white")
    return content.getvalue()


def colours(rows: Sequence[dict]) -> dict[str, str]:
    """A colour for each source; more sources than colours share."""
    names = dict.fromkeys(row["source"] for row in rows)
    return {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(names)}


def _quadrants(rows: list[dict]) -> Figure | None:
    """In points; a filled dot is the image tower alone, an open one both towers."""
    colour = colours(rows)
    kinds = [kind for kind in KINDS if any(_change(row, f"auroc_{kind}") for row in rows)]
    if not kinds:
        return None
    figure = Figure((6.2 * len(kinds) + 1.6, 5.8), layout="constrained")
    panels = figure.subplots(1, len(kinds), squeeze=False)[0]
    beside = []
    for kind, axes in zip(kinds, panels, strict=True):
        axes.set_title(f"{kind} OOD")
        axes.set_xlabel("change of ECE, points (left is better)")
        axes.set_ylabel("change of mean AUROC, points (up is better)")
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.grid(alpha=0.15, color=INK)
        named: list[tuple[str, str, float, float]] = []
        for row in rows:
            x, y = _change(row, "ece"), _change(row, f"auroc_{kind}")
            if x is None or y is None:
                continue
            axes.errorbar(
                [x[0]],
                [y[0]],
                xerr=_whisker(x),
                yerr=_whisker(y),
                fmt=MARKERS[row["kind"]],
                color=colour[row["source"]],
                markerfacecolor="none" if row["towers"] == BOTH else colour[row["source"]],
                markersize=6,
                elinewidth=0.6,
                alpha=0.85,
            )
            if row["towers"] == IMAGE:
                words = row["method"] if row["bits"] == 8 else f"{row['method']} w{row['bits']}"
                named.append((words, colour[row["source"]], x[0], y[0]))
        # Linear near zero, where 8 bits lie, and shorter beyond, where 4 bits may.
        axes.set_xscale("symlog", linthresh=1)
        axes.set_yscale("symlog", linthresh=1)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:g}")
        beside.append((axes, named))
    figure.legend(handles=_legend(colour, rows), loc="outside right upper", frameon=False)
    # Where a dot lies is known once all is laid out.
    figure.draw_without_rendering()
    for axes, named in beside:
        name_dots(axes, named)
    return figure


def _legend(colour: dict[str, str], rows: list[dict]) -> list[Line2D]:
    blank = {"linestyle": "none", "marker": "o"}
    handles = [Line2D([], [], color=value, label=name, **blank) for name, value in colour.items()]
    kinds = {row["kind"] for row in rows} & set(MARKERS)
    handles += [
        Line2D([], [], color=INK, label=kind, linestyle="none", marker=marker)
        for kind, marker in MARKERS.items()
        if kind in kinds
    ]
    if any(row["towers"] == BOTH for row in rows):
        handles.append(Line2D([], [], color=INK, label=BOTH, markerfacecolor="none", **blank))
    return handles


def _change(row: dict, name: str) -> tuple[float, float, float] | None:
    """Value, low and high of the difference to fp32, in points."""
    difference = row["figures"].get(name, {}).get("difference")
    return difference and tuple(100 * difference[part] for part in ("value", "low", "high"))


def _whisker(change: tuple[float, float, float]) -> list[list[float]]:
    value, low, high = change
    return [[max(0.0, value - low)], [max(0.0, high - value)]]


def _reliability(rows: list[dict]) -> Figure | None:
    """Of each source two lines, before and after refitting; fp32, and of each width the least and the largest ECE."""
    chosen = {source: _telling([row for row in rows if row["source"] == source]) for source in colours(rows)}
    chosen = {source: found for source, found in chosen.items() if found}
    if not chosen:
        return None
    width = max(map(len, chosen.values()))
    figure = Figure((2.4 * width + 0.3, 4.9 * len(chosen)), layout="constrained")
    panels = figure.subplots(2 * len(chosen), width, squeeze=False, sharex=True, sharey=True)
    for place, (source, found) in enumerate(chosen.items()):
        for when, line in zip(("before", "after"), panels[2 * place : 2 * place + 2], strict=True):
            for axes in line[len(found) :]:
                axes.set_axis_off()
            for axes, row in zip(line, found, strict=False):
                _diagram(axes, row, when, colours(rows)[source])
            line[0].set_ylabel(f"accuracy, {when}")
    for axes in panels[-1]:
        axes.set_xlabel("confidence")
    return figure


def _telling(rows: list[dict]) -> list[dict]:
    rows = [row for row in rows if row["towers"] == IMAGE]
    found = [row for row in rows if row["method"] == FP32]
    others = sorted((row for row in rows if row["method"] != FP32), key=lambda row: row["figures"]["ece"]["value"])
    for bits in sorted({row["bits"] for row in others}, reverse=True):
        of_width = [row for row in others if row["bits"] == bits]
        found += [of_width[0], of_width[-1]] if len(of_width) > 1 else of_width
    return found


def _diagram(axes: Axes, row: dict, when: str, colour: str) -> None:
    diagram = row["reliability"][when]
    bins = len(diagram["n"])
    total = max(1, sum(diagram["n"]))
    places = [place for place in range(bins) if diagram["n"][place]]
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
    axes.bar(
        [(place + 0.5) / bins for place in places],
        [diagram["accuracy"][place] for place in places],
        0.9 / bins,
        color=colour,
        alpha=0.75,
    )
    axes.bar(
        [(place + 0.5) / bins for place in places],
        [diagram["n"][place] / total for place in places],
        0.35 / bins,
        color=INK,
        alpha=0.55,
    )
    axes.plot(
        [diagram["confidence"][place] for place in places],
        [diagram["accuracy"][place] for place in places],
        color=INK,
        marker=".",
        markersize=4,
        linewidth=0.8,
    )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    figures = row["figures"]
    ece = figures["ece" if when == "before" else "ece_refit"]["value"]
    axes.set_title(
        f"{row['name']}\nT {diagram['temperature']:.2f}, ECE {100 * ece:.1f}, too sure by "
        f"{100 * diagram['overconfidence']:+.1f}",
        fontsize=7,
    )
