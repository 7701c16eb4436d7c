"""Writes streams of scores with the evidence of drift after each frame, for `clipgate::drift` to be held against.

    python -m clipgate_export.goldens_drift -o ../../tests/data/drift

No other package computes this supermartingale: the evidence is our own second implementation, of the definition
instead of the recursion (every start of every bet by itself, in logarithms). What makes it valid is held against
SciPy: tests/test_goldens_drift.py asks `scipy.optimize.linprog` for the distribution in the band under which the bets
win most, `scipy.stats.kstwo` for the exact width of the band, and draws from `scipy.stats` distributions.

A case has a calibration's scores and a stream's (f32), the stated false-alarm probability, and after each frame the
natural logarithm of the wealth; after the alarm the wealth stands still.
"""

import argparse
import importlib.metadata
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.special
from tqdm import tqdm

from .errors import report_errors
from .files import write_bytes

SEED = 20261125
FRAMES = 240
PACKAGES = ("numpy", "scipy")

# As src/drift.rs, src/drift/bets.rs and src/drift/reference.rs have them.
BAND_SHARE = 0.5
ALTERNATIVES = (0.1, 0.3, 0.7)
FIRST_STAKE = 0.5
START_SCALE = 100
MAX_QUANTILES = 32

Numbers = np.ndarray


@dataclass(frozen=True)
class Event:
    """What is betted on: a score at most `threshold`, or above it."""

    threshold: float
    is_lower: bool
    # Of the calibration's scores, the share for which it happened.
    share: float

    def happened(self, scores: Numbers) -> Numbers:
        """Of each score, f32 [T]: NaN is lower than everything."""
        higher = scores > np.float32(self.threshold)
        return ~higher if self.is_lower else higher


@dataclass(frozen=True)
class Bets:
    """Events [E] and their factors [E, A] when they happen and when they do not."""

    events: tuple[Event, ...]
    on_event: Numbers
    otherwise: Numbers

    def log_factors(self, scores: Numbers) -> Numbers:
        """The logarithm of what each score, f32 [T], multiplies each bet by: [T, E * A]."""
        happened = np.stack([event.happened(scores) for event in self.events], axis=1)[:, :, None]
        return np.log(np.where(happened, self.on_event, self.otherwise)).reshape(len(scores), -1)


def quantiles(calibration: Numbers) -> list[tuple[float, int]]:
    """At most 32 of the scores at even ranks, each with the number of scores that are no larger."""
    ordered = np.sort(calibration)
    kept = min(MAX_QUANTILES, len(ordered))
    ranks = [place * (len(ordered) - 1) // (kept - 1) for place in range(kept)]
    counts = {float(ordered[rank]): int((ordered <= ordered[rank]).sum()) for rank in ranks}
    return sorted(counts.items())


def events(calibration: Numbers) -> Iterator[Event]:
    """Both sides of every quantile, and what is below all of them."""
    kept = quantiles(calibration)
    yield Event(float(np.nextafter(np.float32(kept[0][0]), np.float32(-np.inf))), True, 0.0)
    for score, at_most in kept:
        yield Event(score, True, at_most / len(calibration))
        yield Event(score, False, 1 - at_most / len(calibration))


def radius(n: int, error: float) -> float:
    """Massart's half-width of the Dvoretzky-Kiefer-Wolfowitz band."""
    return float(np.sqrt(np.log(2 / error) / (2 * n)))


def bets(calibration: Numbers, false_alarm: float) -> Bets:
    """Bets on every event that the band does not call possibly certain."""
    width = radius(len(calibration), BAND_SHARE * false_alarm)
    possible = tuple(event for event in events(calibration) if event.share + width < 1)
    largest = np.array([event.share + width for event in possible])[:, None]
    alternative = largest + np.array(ALTERNATIVES) * (1 - largest)
    return Bets(possible, alternative / largest, (1 - alternative) / (1 - largest))


def stakes(frames: int) -> tuple[Numbers, Numbers]:
    """What is newly betted on each frame [T], and what is left after it [T]."""
    left = (1 - FIRST_STAKE) * np.log(START_SCALE) / np.log(START_SCALE + np.arange(frames + 1))
    new = left[:-1] - left[1:]
    new[0] += FIRST_STAKE
    return new, left[1:]


def evidence(calibration: Numbers, false_alarm: float, scores: Numbers) -> Numbers:
    """The logarithm of the wealth after each score [T]; it stands still from the alarm on.

    With `C` the cumulative sum of a bet's log-factors, the stake of start s has become exp(C_t - C_(s-1)) at t.
    """
    factors = bets(calibration, false_alarm).log_factors(scores)
    total = np.concatenate([np.zeros((1, factors.shape[1])), np.cumsum(factors, axis=0)])
    new, left = stakes(len(scores))
    found = np.empty(len(scores))
    for t in range(len(scores)):
        since = total[t + 1] - total[: t + 1]
        mine = scipy.special.logsumexp(since, axis=1) - np.log(factors.shape[1]) + np.log(new[: t + 1])
        found[t] = np.logaddexp(scipy.special.logsumexp(mine), np.log(left[t]))
    alarms = np.flatnonzero(found >= -np.log((1 - BAND_SHARE) * false_alarm))
    if len(alarms):
        found[alarms[0] :] = found[alarms[0]]
    return found


def drawn(random: np.random.Generator) -> Iterator[tuple[Numbers, Numbers]]:
    """Calibration scores [N] and a stream's [T], f32: unchanged, shifted, spread, late, tied, NaN, infinite."""
    for n in (20, 50, 200, 600):
        for shift, spread in ((0, 1), (-0.4, 1), (-1.5, 1), (0.8, 1), (0, 2.5)):
            stream = random.normal(shift, spread, FRAMES)
            yield random.normal(0, 1, n).round(3), stream.round(3)
        late = np.concatenate([random.normal(0, 1, FRAMES // 2), random.normal(-2, 1, FRAMES - FRAMES // 2)])
        yield random.normal(0, 1, n).round(3), late.round(3)
        yield random.integers(0, 6, n) / 8, random.integers(-1, 7, FRAMES) / 8
        broken = random.normal(0, 1, FRAMES).round(3)
        broken[::3] = np.nan
        broken[1::5] = np.inf
        broken[2::7] = -np.inf
        yield random.normal(0, 1, n).round(3), broken
    yield np.full(30, 0.25), np.repeat([0.25, 0.2, 0.25], FRAMES // 3)


def cases() -> Iterator[dict[str, object]]:
    """All cases; NaN and the infinities are null, "high" and "low" in a stream."""
    names = {"nan": None, "inf": "high", "-inf": "low"}
    random = np.random.default_rng(SEED)
    for row, (calibration, stream) in enumerate(drawn(random)):
        false_alarm = (0.05, 0.01, 0.2)[row % 3]
        scores = np.asarray(stream, np.float32)
        found = evidence(np.asarray(calibration, np.float32), false_alarm, scores)
        yield {
            "false_alarm": false_alarm,
            "calibration": [float(score) for score in calibration],
            "stream": [names.get(str(score), float(score)) for score in stream],
            "evidence": [float(f"{value:.12g}") for value in found],
        }


def write(folder: Path) -> None:
    reference = {name: importlib.metadata.version(name) for name in PACKAGES}
    records = list(tqdm(cases(), desc="drift"))
    text = json.dumps({"reference": reference, "cases": records}, separators=(",", ":"), allow_nan=False)
    write_bytes(folder / "evidence.json", (text.replace('},{"false_alarm', '},\n{"false_alarm') + "\n").encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write into")
    arguments = parser.parse_args()
    report_errors(lambda: write(arguments.output))


if __name__ == "__main__":
    main()
