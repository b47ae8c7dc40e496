from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.accounts import Account, Kind, Position, Tier
from engine.prices import OraclePrice
from engine.solvency import Curve, gap, solvency_of, trigger_prices
from tests.engine.portfolios import amounts, cross_accounts, d, flat, ladder_of_tiers, loan, perp, price, tiers

TIERS = ladder_of_tiers([(0, 100), (1000, 200), (5000, 500)])


@pytest.mark.parametrize(
    ("notional", "index", "requirement"), [(999, 0, "9.99"), (1000, 1, "10"), (4999, 1, "89.98"), (6000, 2, "140")]
)
def test_maintenance_is_that_of_the_tier_at_the_notional(notional: int, index: int, requirement: str) -> None:
    curve = Curve(d(2), TIERS)
    assert curve.tier_index(d(notional)) == index
    assert curve.requirement(d(notional) / 2) == d(requirement)


def test_a_fee_rate_adds_to_the_maintenance() -> None:
    assert Curve(d(1), TIERS, d("0.001")).requirement(d(6000)) == 146


@given(tiers(), amounts("0.01", "100"), amounts("1", "40000"), amounts("1", "40000"))
def test_maintenance_rises_with_price_and_is_never_negative(
    steps: tuple[Tier, ...], size: Decimal, one: Decimal, other: Decimal
) -> None:
    curve = Curve(size, steps)
    low, high = sorted((one, other))
    assert 0 <= curve.requirement(low) <= curve.requirement(high)


@settings(deadline=None, max_examples=50)
@given(cross_accounts(most=6), st.integers(2, 5))
def test_solvency_scales_with_the_account(account: Account, times: int) -> None:
    flattened = tuple(replace(position, tiers=flat("0.02")) for position in account.positions)
    one = replace(account, positions=flattened)
    larger = replace(
        one,
        balance=one.balance * times,
        positions=tuple(replace(position, quantity=position.quantity * times) for position in flattened),
    )
    known, _ = trigger_prices(one, {})
    before, after = solvency_of(one).health_factor(known), solvency_of(larger).health_factor(known)
    assert before is not None
    assert after == pytest.approx(before, rel=d("1e-20"), abs=d("1e-20"))


def test_the_same_function_serves_all_three_kinds() -> None:
    prices = {"ETH": d(2000), "USDC": d(1)}
    lent = solvency_of(loan({"ETH": ("1", "0.8")}, {"USDC": "1000"}))
    margined = solvency_of(perp("500", Position("ETH", d(1), flat("0.05"), d(1900))))
    held = solvency_of(Account("ib", Kind.BROKER, balance=d(-1000), positions=(Position("ETH", d(1), flat("0.25")),)))
    assert lent.health_factor(prices) == d("1.6")
    assert margined.health_factor(prices) == d(600) / d(100)
    assert held.health_factor(prices) == d(1000) / d(500)


@pytest.mark.parametrize(
    ("position", "reason"),
    [
        (Position("BTC", d(1), (), d(1), d(1)), "no maintenance rate of BTC"),
        (Position("BTC", d(1), flat("0.01"), None, d(1)), "no entry price of BTC"),
    ],
)
def test_what_solvency_lacks_is_named_beforehand_and_refused(position: Position, reason: str) -> None:
    assert gap(perp("1", position)) == reason
    with pytest.raises(ValueError, match=reason):
        solvency_of(perp("1", position))


def test_the_mark_wins_over_the_accounts_oracle_and_that_over_the_shared_one() -> None:
    shared = {"BTC": price("3"), "ETH": price("3"), "SOL": price("3")}
    account = perp(
        "1",
        Position("BTC", d(1), flat("0.01"), d(1), d(1)),
        Position("ETH", d(1), flat("0.01"), d(1)),
        Position("SOL", d(1), flat("0.01"), d(1)),
        oracles={"BTC": OraclePrice(d(2)), "ETH": OraclePrice(d(2))},
    )
    assert trigger_prices(account, shared) == ({"BTC": 1, "ETH": 2, "SOL": 3}, {})
