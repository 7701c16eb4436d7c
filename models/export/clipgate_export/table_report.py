"""The table of methods: what a row holds, and the whole as Markdown in its place in a file."""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from .errors import UserError
from .judging import Drop

BEGIN = "<!-- table of methods: begin (written by `clipgate-export table`) -->"
END = "<!-- table of methods: end -->"
FP32 = "fp32"
# Mean cosines that differ less make no difference to accuracy that the images could show.
NEGLIGIBLE = 0.0005


@dataclass(frozen=True)
class Figures:
    """One graph on the reporting images; shares and areas in [0, 1], NLL in nats, `speed` as a multiple of fp32's.

    `ece` and `nll` are at the temperature that this graph's own cosines of the temperature images fit,
    `ece_before` at the one that fp32's fit. `candidate`: in 8 bits throughout, and on the choosing images both bars
    hold, the drop's bound of 2 points and the mean cosine of 0.99.
    """

    method: str
    candidate: bool
    accuracy: float
    drop: Drop
    ece_before: float
    ece: float
    nll: float
    auroc: dict[str, float]
    cosine: float
    cosine_p1: float
    speed: float
    size: float
    kept: int
    choosing_drop: Drop
    choosing_cosine: float


@dataclass(frozen=True)
class TowerTable:
    """All methods on one tower, fp32 first, and the recommended one; None where none holds both bars."""

    tower: str
    reporting: int
    bytes_fp32: int
    rows: list[Figures]
    recommended: str | None


def replace_between_markers(text: str, table: str, path: Path) -> str:
    """`text` with everything between the table of methods' markers replaced."""
    return between(text, BEGIN, END, table, path)


def between(text: str, first: str, last: str, table: str, path: Path) -> str:
    """`text` with everything between the lines `first` and `last` replaced; `path` is where it comes from."""
    before, begin, rest = text.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise UserError(f"{path}: the lines {first!r} and {last!r} are not in it: put them where the table belongs")
    return f"{before}{first}\n\n{table.strip()}\n\n{last}{after}"


def render(tables: list[TowerTable]) -> str:
    """Both towers, each with its recommendation."""
    made = ", ".join(f"{name} {version(name)}" for name in ("onnxruntime", "netcal", "scikit-learn"))
    return "\n\n".join([*(_tower(table) for table in tables), f"Made with {made}; one thread."])


def _tower(table: TowerTable) -> str:
    sets = list(table.rows[0].auroc)
    head = ["method", "top-1 %", "drop, points (at most)", "ECE before / refitted", "NLL"]
    head += [f"AUROC {name}" for name in sets]
    head += ["cosine mean / 1 %", "speed", "size %"]
    lines = [f"### {table.tower.capitalize()} tower\n", line(head), line(["---"] * len(head))]
    lines += [line(_cells(row, sets, row.method == table.recommended)) for row in table.rows]
    lines.append(
        f'\n{table.reporting:,} images; fp32 is {table.bytes_fp32 / 1e6:.1f} MB. "At most" is the upper 95 % bound of '
        'the paired drop; "before" is at the temperature that fp32 needs.'
    )
    return "\n".join([*lines, _recommendation(table)])


def _cells(row: Figures, sets: list[str], recommended: bool) -> list[str]:
    first = row.method == FP32
    name = f"**{row.method}**" if recommended else row.method
    if row.kept:
        name += f" ({row.kept} layers kept)"
    return [
        name,
        f"{100 * row.accuracy:.2f}",
        "" if first else f"{100 * row.drop.value:.2f} ({100 * row.drop.upper:.2f})",
        f"{row.ece_before:.3f} / {row.ece:.3f}",
        f"{row.nll:.3f}",
        *(f"{row.auroc[name]:.3f}" for name in sets),
        "" if first else f"{row.cosine:.5f} / {row.cosine_p1:.5f}",
        "1" if first else f"{row.speed:.2f}x",
        f"{100 * row.size:.1f}",
    ]


def _recommendation(table: TowerTable) -> str:
    if table.recommended is None:
        return "\n**No method in 8 bits throughout holds both bars on the images that choose.**"
    found = next(row for row in table.rows if row.method == table.recommended)
    best = max((row for row in table.rows if row.candidate), key=lambda row: row.choosing_cosine)
    words = "it has the highest mean cosine there"
    if best is not found:
        words = (
            f"{best.method} has the highest mean cosine there, {best.choosing_cosine:.5f}, and {found.method} is the "
            f"first of the table within {NEGLIGIBLE} of it"
        )
    return (
        f"\n**Recommended: {found.method}.** Of the methods in 8 bits throughout, which an NPU takes whole, and that "
        f"hold both bars on the images that choose, {words} ({found.choosing_cosine:.5f}; at most "
        f"{100 * found.choosing_drop.upper:.2f} points of accuracy lost, 95 % bound). It is {found.speed:.2f} times as "
        f"fast as fp32 and {100 * found.size:.1f} % of its size."
    )


def line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
