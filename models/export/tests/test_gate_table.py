import numpy as np
import pytest

from clipgate_export.gate_table import REFUSED, Ranked, Rule, cell, compare


def by_hand(rule: Rule, mix: float, risk: float) -> float:
    """Every threshold in turn."""
    best = 0.0
    for threshold in np.unique(np.concatenate([rule.inside, *rule.outside])):
        if threshold == REFUSED:
            continue
        answered = rule.inside >= threshold
        others = np.mean([(values >= threshold).mean() for values in rule.outside])
        wrong = mix * (answered & ~rule.right).mean() + (1 - mix) * others
        if wrong <= risk * (mix * answered.mean() + (1 - mix) * others) + 1e-12:
            best = max(best, float(answered.mean()))
    return best


def drawn(seed: int) -> Rule:
    draw = np.random.default_rng(seed)
    # Rounded, so that there are ties; some are refused by the cut.
    inside = draw.beta(4, 2, 60).round(1)
    inside[draw.random(60) < 0.1] = REFUSED
    return Rule(inside, draw.random(60) < inside, [draw.beta(2, 4, size).round(1) for size in (30, 20)])


@pytest.mark.parametrize("seed", range(20))
def test_coverage_is_that_of_the_best_threshold(seed: int) -> None:
    rule = drawn(seed)
    counts = [np.ones(60), np.ones(30), np.ones(20)]
    for mix in (0.5, 0.8, 0.95):
        for risk in (0.05, 0.1, 0.3):
            assert Ranked(rule).coverage(counts, mix, risk) == pytest.approx(by_hand(rule, mix, risk))


def test_a_count_of_two_is_the_image_twice() -> None:
    rule = drawn(1)
    twice = Rule(np.tile(rule.inside, 2), np.tile(rule.right, 2), [np.tile(values, 3) for values in rule.outside])
    counts = [np.full(60, 2), np.full(30, 3), np.full(20, 3)]
    wanted = Ranked(twice).coverage([np.ones(len(v)) for v in (twice.inside, *twice.outside)], 0.8, 0.2)
    assert Ranked(rule).coverage(counts, 0.8, 0.2) == pytest.approx(wanted)


def test_a_rule_is_no_better_than_itself_and_refusing_others_is() -> None:
    rule = drawn(2)
    assert compare(rule, rule, 0.5, 0.2)[2].value == 0
    perfect = Rule(rule.inside, rule.right, [np.full_like(values, REFUSED) for values in rule.outside])
    ours, other, gain = compare(perfect, rule, 0.5, 0.3)
    assert gain.low <= gain.value == ours - other and gain.value >= 0
    assert cell(0.5, 0.25, gain).startswith("50.0 / 25.0, +")
