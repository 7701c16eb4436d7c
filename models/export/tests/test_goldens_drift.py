"""What makes the bets of `clipgate::drift` valid, held against SciPy."""

import numpy as np
import pytest
from scipy import optimize, special, stats

from clipgate_export import goldens_drift as drift

FALSE_ALARM = 0.05


def largest_mean_factor(calibration: np.ndarray, wealths: np.ndarray) -> float:
    """The largest mean of what one score multiplies the wealth by, under any distribution in the band.

    A linear program over the probabilities of the cells between quantiles, in which every bet's payoff is constant:
    below the first quantile, up to it, up to the second and so on, above the last.
    """
    made = drift.bets(calibration, FALSE_ALARM)
    kept = np.array([score for score, _ in drift.quantiles(calibration)], np.float32)
    inside = np.concatenate([[kept[0] - 1], kept, [kept[-1] + 1]]).astype(np.float32)
    payoffs = np.exp(made.log_factors(inside)) @ wealths
    below = np.concatenate([[0], [count for _, count in drift.quantiles(calibration)]]) / len(calibration)
    width = drift.radius(len(calibration), drift.BAND_SHARE * FALSE_ALARM)
    cumulative = np.tril(np.ones((len(inside), len(inside))))[:-1]
    found = optimize.linprog(
        -payoffs,
        A_ub=np.concatenate([cumulative, -cumulative]),
        b_ub=np.concatenate([below + width, width - below]),
        A_eq=np.ones((1, len(inside))),
        b_eq=[1],
        bounds=(0, 1),
    )
    assert found.success
    return -found.fun / wealths.sum()


@pytest.mark.parametrize("n", [20, 50, 200, 1000])
@pytest.mark.parametrize("decimals", [0, 6])
def test_no_distribution_in_the_band_makes_the_bets_win(n: int, decimals: int) -> None:
    random = np.random.default_rng(n)
    for _ in range(10):
        calibration = random.normal(0, 2, n).round(decimals).astype(np.float32)
        count = drift.bets(calibration, FALSE_ALARM).on_event.size
        for wealths in (np.ones(count), random.pareto(1, count) + 1e-9, np.eye(count)[random.integers(count)]):
            assert largest_mean_factor(calibration, wealths) <= 1 + 1e-9


def test_a_single_bet_is_fair_at_the_edge_of_the_band() -> None:
    """So the bound above is not met by bets that lose everywhere."""
    calibration = np.random.default_rng(3).normal(0, 1, 200).astype(np.float32)
    count = drift.bets(calibration, FALSE_ALARM).on_event.size
    for bet in range(count):
        assert largest_mean_factor(calibration, np.eye(count)[bet]) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("n", [20, 50, 200, 1000, 100_000])
@pytest.mark.parametrize("error", [0.5, 0.025, 1e-6])
def test_the_band_is_at_least_as_wide_as_scipys_exact_one(n: int, error: float) -> None:
    exact = stats.kstwo.isf(error, n)
    assert exact <= drift.radius(n, error) <= 1.1 * exact
    assert drift.radius(n, error) == pytest.approx(special.kolmogi(error) / np.sqrt(n), rel=0.01)


@pytest.mark.parametrize(
    "law",
    [stats.norm(), stats.beta(0.3, 2), stats.poisson(2), stats.bernoulli(0.4)],
    ids=["norm", "beta", "poisson", "coin"],
)
def test_the_band_holds_every_event_as_often_as_stated(law: stats.rv_continuous) -> None:
    """Of 2,000 calibrations, the share with any event more probable than the band says is at most its error."""
    random, misses, trials = np.random.default_rng(11), 0, 2000
    for _ in range(trials):
        calibration = np.asarray(law.rvs(50, random_state=random), np.float32)
        width = drift.radius(50, drift.BAND_SHARE * FALSE_ALARM)
        events = list(drift.events(calibration))
        at_most = law.cdf([event.threshold for event in events])
        true = np.where([event.is_lower for event in events], at_most, 1 - at_most)
        misses += bool(np.any(true > np.array([event.share for event in events]) + width))
    assert stats.binomtest(misses, trials, drift.BAND_SHARE * FALSE_ALARM, "greater").pvalue > 1e-3


def test_stakes_and_what_is_left_make_one() -> None:
    new, left = drift.stakes(1000)
    assert np.cumsum(new) + left == pytest.approx(np.ones(1000), abs=1e-12)


def test_an_unchanged_stream_loses_and_a_shifted_one_wins() -> None:
    random = np.random.default_rng(5)
    calibration = random.normal(0, 1, 200).astype(np.float32)
    unchanged = drift.evidence(calibration, FALSE_ALARM, random.normal(0, 1, 240).astype(np.float32))
    shifted = drift.evidence(calibration, FALSE_ALARM, random.normal(-1, 1, 240).astype(np.float32))
    assert unchanged[-1] < 0 < shifted[-1]
    assert shifted[-1] >= -np.log(FALSE_ALARM / 2)
