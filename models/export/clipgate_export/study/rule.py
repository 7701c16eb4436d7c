"""Which row of a model ships: written down before any row was seen.

Of the 8-bit rows of one model (the image tower alone is quantised) the candidates are those whose accuracy, ECE after
the temperature is refitted, and mean AUROC, of the near and of the far OOD sets each, are not worse than fp32's: the
difference is an improvement, or its paired 95 % interval includes zero. The winner is the candidate with the largest
share of images accepted at the promised risk. A simpler method, earlier in `METHODS`, is taken in its stead if its
share is smaller by no more than a point. Where the promise was refused, nothing is accepted under it: such a row is no
candidate. Without OOD sets of a kind nothing is asked of that kind.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from .methods import METHODS
from .rows import FP32, IMAGE

BITS = 8
# Share of images by which a simpler method may accept less; the rest is for what f64 rounds.
NEGLIGIBLE = 0.01 + 1e-9
# Figures, and whether more is better.
ASKED = {"accuracy": True, "ece_refit": False, "auroc_near": True, "auroc_far": True}


@dataclass(frozen=True)
class Verdict:
    """`winner` is a method's name, or None where none passes; `why` says of each 8-bit row what decided."""

    winner: str | None
    why: dict[str, str]

    @property
    def words(self) -> str:
        return f"{self.winner} ships" if self.winner else "no method passes: none ships by this rule"


def choose(rows: Sequence[dict]) -> Verdict:
    """From the finished rows of one model, as `results.json` has them."""
    asked = [row for row in rows if row["bits"] == BITS and row["towers"] == IMAGE and row["method"] != FP32]
    order = list(METHODS)
    asked.sort(key=lambda row: order.index(row["method"]))
    why, shares = {}, {}
    for row in asked:
        method = row["method"]
        failed = [words for name, more in ASKED.items() if (words := _worse(row["figures"], name, more))]
        accepted = row["figures"].get("coverage")
        if failed:
            why[method] = f"worse than fp32: {', '.join(failed)}"
        elif accepted is None:
            why[method] = "no threshold keeps the promise"
        else:
            shares[method] = accepted["value"]
            why[method] = f"passes, accepts {100 * accepted['value']:.1f} %"
    if not shares:
        return Verdict(None, why)
    most = max(shares.values())
    winner = next(method for method, share in shares.items() if share >= most - NEGLIGIBLE)
    return Verdict(winner, why)


def _worse(figures: dict, name: str, more: bool) -> str | None:
    """The figure's name and interval if the whole interval is on the wrong side of zero."""
    difference = figures.get(name, {}).get("difference")
    if difference is None:
        return None
    low, high = difference["low"], difference["high"]
    worse = high < 0 if more else low > 0
    return f"{name} {difference['value']:+.4f} [{low:+.4f}, {high:+.4f}]" if worse else None
