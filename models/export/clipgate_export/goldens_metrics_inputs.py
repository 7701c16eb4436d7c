"""The inputs of `goldens_metrics`: drawn cases by the hundred, and the edges that are worth a case of their own."""

from collections.abc import Iterator

import numpy as np

Numbers = np.ndarray


def f32(values: Numbers) -> Numbers:
    """Rounded to what f32 holds, as f64."""
    return np.asarray(values, np.float32).astype(np.float64)


def answer_inputs(random: np.random.Generator) -> Iterator[tuple[str, Numbers, Numbers]]:
    """Kind, confidences [N] and correctness [N]: at least 200 drawn ones and the edge cases."""
    for _ in range(90):
        n = int(random.integers(3, 50))
        confidence = f32(random.beta(random.uniform(0.5, 6), random.uniform(0.5, 3), n))
        yield "continuous", confidence, random.random(n) < confidence ** random.uniform(0.4, 2.5)
    for _ in range(60):
        n = int(random.integers(3, 50))
        confidence = f32(random.integers(0, 11, n) / 10)
        yield "tenths", confidence, random.random(n) < confidence
    for _ in range(50):
        n = int(random.integers(3, 50))
        confidence = f32(random.integers(0, 17, n) / 16)
        yield "sixteenths", confidence, random.random(n) < confidence
    for _ in range(8):
        n = int(random.integers(3, 30))
        confidence = f32(random.random(n))
        yield "all right", confidence, np.ones(n, bool)
        yield "all wrong", confidence, np.zeros(n, bool)
        yield "constant", np.full(n, confidence[0]), random.random(n) < 0.6
    for value in (0.0, 0.25, 0.37, 0.5, 1.0):
        for right in (False, True):
            yield "one", f32(np.array([value])), np.array([right])
    for values in ((0.3, 0.8), (0.5, 0.5), (0.0, 1.0), (1.0, 1.0)):
        for right in ((False, False), (False, True), (True, False), (True, True)):
            yield "two", f32(np.array(values)), np.array(right)
    for n in (300, 500, 700):
        confidence = f32(np.round(random.beta(4, 1.5, n), 3))
        yield "many", confidence, random.random(n) < confidence


def score_inputs(random: np.random.Generator) -> Iterator[tuple[str, Numbers, Numbers]]:
    """Kind, ID scores and OOD scores."""
    for _ in range(120):
        shift = random.uniform(-0.5, 2.5)
        yield (
            "continuous",
            f32(random.normal(shift, 1, random.integers(2, 45))),
            f32(random.normal(0, random.uniform(0.5, 2), random.integers(2, 45))),
        )
    for _ in range(80):
        yield (
            "tied",
            f32(random.integers(-3, 6, random.integers(2, 45)) / 4),
            f32(random.integers(-6, 4, random.integers(2, 45)) / 4),
        )
    for _ in range(10):
        n, m = random.integers(1, 12, 2)
        yield "constant", np.full(n, 0.5), np.full(m, 0.5)
        yield "parted", f32(random.random(n) + 1), f32(-random.random(m))
        yield "inverted", f32(-random.random(n)), f32(random.random(m) + 1)
    for inside in (0.25, 0.5, 0.75):
        yield "one", np.array([inside]), np.array([0.5])
    # Where 95 % of the ID images are a whole number of them.
    for n in (20, 40, 60):
        yield "twentieths", f32(random.normal(1, 1, n)), f32(random.normal(0, 1, 30))


def probability_inputs(random: np.random.Generator) -> Iterator[tuple[str, Numbers, Numbers]]:
    """Kind, rows [N, K] and truths [N]."""
    for number in range(210):
        n, k = int(random.integers(1, 12)), int(random.integers(2, 6))
        rows = random.dirichlet(np.full(k + 1, random.uniform(0.3, 3)), n)
        negatives = number % 2 == 1
        rows = rows[:, :k] if negatives else rows[:, :k] / rows[:, :k].sum(1, keepdims=True)
        yield "negatives" if negatives else "labels alone", f32(rows), random.integers(0, k, n)
    for k in (2, 3):
        yield "certain and right", np.eye(k), np.arange(k)
        yield "certain and wrong", np.eye(k), (np.arange(k) + 1) % k
        yield "uniform", f32(np.full((4, k), 1 / k)), np.arange(4) % k
    yield "one label", f32(np.array([[0.9], [0.2]])), np.zeros(2, int)


def count_inputs(random: np.random.Generator) -> Iterator[tuple[int, int, float, float]]:
    """Events, trials, delta and a probability near the share."""
    for _ in range(200):
        trials = int(10 ** random.uniform(0, 6))
        share = 10 ** random.uniform(-4, 0)
        events = int(random.binomial(trials, share))
        p = float(np.clip((events + 1) / (trials + 2) * random.uniform(0.6, 1.5), 1e-6, 1 - 1e-6))
        yield events, trials, float(10 ** random.uniform(-6, -0.3)), p
    for events, trials in ((0, 1), (1, 1), (0, 2), (1, 2), (2, 2), (0, 59), (59, 59), (0, 10**9), (7, 10**9)):
        yield events, trials, 0.05, 0.25
    yield 500_000_000, 10**9, 0.05, 0.5
    for events, trials, delta in ((0, 100, 0.05), (5, 200, 0.05), (10, 500, 0.05), (40, 1000, 0.05), (3, 50, 0.001)):
        yield events, trials, delta, 0.05
