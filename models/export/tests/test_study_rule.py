"""The rule for shipping, on rows that are made up."""

from clipgate_export.study.rule import choose


def row(method: str, coverage: float | None, bits: int = 8, towers: str = "vision", **changes: tuple) -> dict:
    """`changes`: low and high of a figure's difference to fp32; figures not named do not change."""
    named = {"accuracy": (-0.01, 0.01), "ece_refit": (-0.01, 0.01), "auroc_near": (-0.01, 0.01)} | changes
    figures = {
        name: {"value": 0.5, "difference": {"value": (low + high) / 2, "low": low, "high": high}}
        for name, (low, high) in named.items()
    }
    if coverage is not None:
        figures["coverage"] = {"value": coverage}
    return {"method": method, "bits": bits, "towers": towers, "figures": figures}


def test_the_largest_accepted_share_wins() -> None:
    verdict = choose([row("lsq", 0.55), row("minmax", 0.50), row("entropy", 0.52)])
    assert verdict.winner == "lsq" and verdict.words == "lsq ships"
    assert verdict.why["minmax"] == "passes, accepts 50.0 %"


def test_within_a_point_the_simpler_is_taken() -> None:
    assert choose([row("lsq", 0.51), row("minmax", 0.50)]).winner == "minmax"
    assert choose([row("lsq", 0.511), row("minmax", 0.50)]).winner == "lsq"
    # Simpler than the winner, though neither is the simplest of all.
    assert choose([row("minmax", 0.40), row("rotation", 0.505), row("rot-lsq", 0.51)]).winner == "rotation"


def test_whoever_is_worse_in_one_figure_is_out() -> None:
    for worse in (
        {"accuracy": (-0.02, -0.001)},
        {"ece_refit": (0.001, 0.02)},
        {"auroc_near": (-0.02, -0.001)},
        {"auroc_far": (-0.02, -0.001)},
    ):
        verdict = choose([row("minmax", 0.9, **worse), row("lsq", 0.3)])
        assert verdict.winner == "lsq"
        (name,) = worse
        assert verdict.why["minmax"].startswith(f"worse than fp32: {name} ")


def test_improvements_are_not_worse() -> None:
    better = {"accuracy": (0.001, 0.02), "ece_refit": (-0.02, -0.001), "auroc_near": (0.001, 0.02)}
    assert choose([row("minmax", 0.5, **better)]).winner == "minmax"


def test_none_may_pass() -> None:
    verdict = choose([row("minmax", None), row("lsq", 0.5, accuracy=(-0.2, -0.1))])
    assert verdict.winner is None and "none ships" in verdict.words
    assert verdict.why["minmax"] == "no threshold keeps the promise"
    assert choose([]).winner is None


def test_only_8_bits_of_the_image_tower_alone_are_asked() -> None:
    rows = [row("minmax", 0.9, bits=4), row("minmax", 0.8, towers="vision + text"), row("fp32", 0.9, bits=32)]
    assert choose([*rows, row("lsq", 0.1)]).winner == "lsq"
