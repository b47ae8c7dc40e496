from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.accounts import Kind
from engine.assessment import Severity
from engine.severity import DEFAULT_LADDERS, Ladder, judge, rank
from tests.engine.portfolios import amounts, d

LOAN, PERP = DEFAULT_LADDERS[Kind.LOAN], DEFAULT_LADDERS[Kind.PERP]


@pytest.mark.parametrize(
    ("health", "severity", "because"),
    [
        ("4.10537", Severity.SAFE, "health_factor 4.1053 >= 2"),
        ("2", Severity.SAFE, "health_factor 2.0000 >= 2"),
        ("1.99999", Severity.WATCH, "health_factor 1.9999 < 2"),
        ("1.383333", Severity.WARN, "health_factor 1.3833 < 1.5"),
        ("1.1499", Severity.DANGER, "health_factor 1.1499 < 1.15"),
        ("1", Severity.DANGER, "health_factor 1.0000 < 1.15"),
        ("0.99999999", Severity.LIQUIDATABLE, "health_factor 0.9999 < 1"),
        ("-0.5", Severity.LIQUIDATABLE, "health_factor -0.5000 < 1"),
    ],
)
def test_the_health_ladder_of_loans(health: str, severity: Severity, because: str) -> None:
    assert judge(LOAN, d(health)) == (severity, because)


@pytest.mark.parametrize(
    ("distance", "severity", "because"),
    [
        ("0.35", Severity.SAFE, "distance 0.3500 >= 0.2 (BTC down)"),
        ("0.15", Severity.WATCH, "distance 0.1500 < 0.2 (BTC down)"),
        ("0.0999", Severity.WARN, "distance 0.0999 < 0.1 (BTC down)"),
        ("0.04512", Severity.DANGER, "distance 0.0451 < 0.05 (BTC down)"),
    ],
)
def test_the_distance_ladder_of_perps(distance: str, severity: Severity, because: str) -> None:
    assert judge(PERP, d(14), d(distance), "BTC down") == (severity, because)


def test_a_perp_below_health_one_is_liquidatable_whatever_its_distance() -> None:
    assert judge(PERP, d("0.9"), d("0.5"))[0] is Severity.LIQUIDATABLE


def test_a_perp_that_no_move_liquidates_is_safe() -> None:
    assert judge(PERP, d(3)) == (Severity.SAFE, "no single price move liquidates")


def test_unknown_health_is_unknown_severity() -> None:
    assert judge(LOAN, None) == (Severity.UNKNOWN, "health_factor unknown")
    assert judge(PERP, None)[0] is Severity.UNKNOWN


def test_of_two_ladders_the_worse_decides_and_is_named() -> None:
    both = Ladder(health=(d(2), d("1.5"), d("1.15")), distance=(d("0.2"), d("0.1"), d("0.05")))
    assert judge(both, d("1.9"), d("0.04"), "ETH down") == (
        Severity.DANGER,
        "distance 0.0400 < 0.05 (ETH down)",
    )
    assert judge(both, d("1.1"), d("0.5"), "ETH down")[1] == "health_factor 1.1000 < 1.15"


@pytest.mark.parametrize(
    ("previous", "health", "severity"),
    [
        (Severity.WARN, "1.52", Severity.WARN),
        (Severity.WARN, "1.53", Severity.WATCH),
        (Severity.DANGER, "1.16", Severity.DANGER),
        (Severity.DANGER, "1.173", Severity.WARN),
        (Severity.WATCH, "2.03", Severity.WATCH),
        (Severity.WATCH, "2.04", Severity.SAFE),
        (Severity.SAFE, "2.01", Severity.SAFE),
        (Severity.LIQUIDATABLE, "1.01", Severity.DANGER),
        (Severity.LIQUIDATABLE, "1.2", Severity.WARN),
        (Severity.UNKNOWN, "2.01", Severity.SAFE),
        (None, "2.01", Severity.SAFE),
    ],
)
def test_a_level_is_left_two_percent_above_the_threshold_that_entered_it(
    previous: Severity | None, health: str, severity: Severity
) -> None:
    assert judge(LOAN, d(health), previous=previous)[0] is severity


def test_a_held_level_says_what_would_leave_it() -> None:
    assert judge(LOAN, d("1.16"), previous=Severity.DANGER)[1] == "health_factor 1.1600 < 1.173 (leaving danger)"


def test_a_distance_level_is_left_ten_percent_above_its_threshold() -> None:
    assert judge(PERP, d(9), d("0.0549"), previous=Severity.DANGER)[0] is Severity.DANGER
    assert judge(PERP, d(9), d("0.055"), previous=Severity.DANGER)[0] is Severity.WARN


@given(amounts("0.5", "3"), st.sampled_from(list(Severity)), st.sampled_from(list(Severity)))
def test_a_worse_past_never_makes_the_present_better(health: Decimal, one: Severity, other: Severity) -> None:
    milder, worse = sorted((one, other), key=lambda each: -1 if each is Severity.UNKNOWN else rank(each))
    assert rank(judge(LOAN, health, previous=worse)[0]) >= rank(judge(LOAN, health, previous=milder)[0])


@given(amounts("0.5", "3"), amounts("0.5", "3"))
def test_a_higher_health_is_never_judged_worse(one: Decimal, other: Decimal) -> None:
    low, high = sorted((one, other))
    assert rank(judge(LOAN, low)[0]) >= rank(judge(LOAN, high)[0])


def test_unknown_ranks_as_the_worse_of_warn_and_the_last_known() -> None:
    assert rank(Severity.UNKNOWN) == rank(Severity.WARN)
    assert rank(Severity.UNKNOWN, Severity.SAFE) == rank(Severity.WARN)
    assert rank(Severity.UNKNOWN, Severity.LIQUIDATABLE) == rank(Severity.LIQUIDATABLE)
    assert rank(Severity.UNKNOWN, Severity.UNKNOWN) == rank(Severity.WARN)
    assert [rank(each) for each in list(Severity)[:5]] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "steps",
    [(d(2), d("1.5")), (d("1.5"), d(2), d("1.15")), (d(2), d(2), d(1)), (d(2), d(1), d(0)), (d(2), d(1), d(-1))],
)
def test_a_ladder_that_does_not_fall_is_refused(steps: tuple[Decimal, ...]) -> None:
    with pytest.raises(ValueError, match="three falling positive thresholds"):
        Ladder(health=steps)


def test_without_any_ladder_health_above_one_is_safe() -> None:
    assert judge(Ladder(), d("1.01"))[0] is Severity.SAFE
    assert judge(Ladder(), d("0.99"))[0] is Severity.LIQUIDATABLE


def test_the_venues_distance_alone_can_judge_a_distance_ladder() -> None:
    assert judge(PERP, None, d("0.04"), "BTC up") == (Severity.DANGER, "distance 0.0400 < 0.05 (BTC up)")
    assert judge(PERP, None, d(0))[0] is Severity.LIQUIDATABLE
