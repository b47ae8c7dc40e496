"""Sizes: what is wanted is what comes out, on the engine's own formulas; loops add up; a chance becomes a distance."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.accounts import Account, Collateral, Debt, Kind, Position, Tier
from engine.assess import assess
from engine.prices import AssetPrice, OraclePrice
from engine.sizing import (
    Loan,
    Wanted,
    debt_ratio,
    loan_size,
    more_debt,
    more_position,
    perp_notional,
    perp_size,
)

D = Decimal
PRICES = {
    "ETH": AssetPrice(OraclePrice(D(2500)), volatility=D("0.62")),
    "USDC": AssetPrice(OraclePrice(D(1)), stable=True),
}
LOAN = Loan(D(2500), D("0.83"), D("0.805"), D("0.015"), D("0.052"))


def borrower(debt: str = "15000") -> Account:
    return Account(
        "main",
        Kind.LOAN,
        collateral=(Collateral("ETH", D(10), D("0.83"), D("0.805")),),
        debt=(Debt("USDC", D(debt)),),
    )


def trader(quantity: str = "0.5") -> Account:
    position = Position("BTC", D(quantity), (Tier(D(0), D("0.01")),), D(60000), D(61000))
    return Account("hl", Kind.PERP, quote="USDC", balance=D(5000), positions=(position,))


def test_a_wanted_health_and_a_wanted_distance_are_what_comes_out() -> None:
    ratio, capped = debt_ratio(LOAN, Wanted(health=D("1.8")), None)
    kept = loan_size(LOAN, D(25_000), ratio, 0)
    assert capped == ""
    assert kept.health_factor is not None
    assert abs(kept.health_factor - D("1.8")) < D("1e-20")
    ratio, _ = debt_ratio(LOAN, Wanted(distance=D("0.3")), None)
    for loops in (0, None):
        found = loan_size(LOAN, D(25_000), ratio, loops)
        assert found.distance is not None
        assert abs(found.distance - D("0.3")) < D("1e-20")
    assert abs((loan_size(LOAN, D(1), ratio, None).leverage) - 1 / (1 - ratio)) < D("1e-20")


def test_the_protocols_own_limit_caps_what_is_lent() -> None:
    assert debt_ratio(LOAN, Wanted(health=D("1.01")), None) == (D("0.805"), "max_ltv")


def test_loops_multiply_gain_loss_and_carry_until_the_line() -> None:
    once, thrice = (loan_size(LOAN, D(1000), D("0.7"), loops) for loops in (1, 3))
    assert (once.leverage, thrice.leverage) == (D("1.7"), D("2.533"))
    fall = {each.move: each for each in thrice.outcomes}
    assert fall[D("-0.2")].equity_change == D("-0.5066")
    assert fall[D("-0.3")].liquidated is True
    assert once.outcomes[0].liquidated is False
    assert thrice.carry == D("2.533") * D("0.015") - D("1.533") * D("0.052")


def test_a_chance_is_the_distance_of_the_closed_form() -> None:
    wanted = Wanted(probability=D("0.05"), years=D(7) / 365)
    distance = wanted.distance_of(D("0.62"), rises=False)
    # 1 - exp(-1.959964 x 0.62 x sqrt(7/365))
    assert distance is not None
    assert abs(distance - D("0.15490")) < D("0.0001")
    rise = wanted.distance_of(D("0.62"), rises=True)
    assert rise is not None
    assert rise > distance
    with pytest.raises(ValueError, match="needs a volatility"):
        wanted.distance_of(None, rises=False)


@given(st.booleans(), st.decimals("0.02", "0.6", places=3), st.decimals("0.004", "0.05", places=4))
def test_a_perp_of_the_size_found_is_liquidated_at_the_wanted_distance(
    is_long: bool, distance: Decimal, rate: Decimal
) -> None:
    notional = perp_notional(D(5000), rate, Wanted(distance=distance), None, is_long=is_long)
    quantity = notional / 60000 * (1 if is_long else -1)
    position = Position("BTC", quantity, (Tier(D(0), rate),), D(60000), D(60000))
    account = Account("x", Kind.PERP, quote="USDC", balance=D(5000), positions=(position,))
    point = assess(account, {}, 0).liquidation["BTC"]
    assert point.distance is not None
    assert abs(point.distance - distance) < D("1e-15")
    found = perp_size(D(60000), D(5000), notional, rate, None, is_long=is_long)
    assert found.liquidation_price is not None
    assert point.price is not None
    assert abs(found.liquidation_price - point.price) < D("1e-9")


def test_room_in_a_loan_ends_where_it_is_wanted_or_where_the_protocol_stops_lending() -> None:
    assert abs(more_debt(borrower(), PRICES, "USDC", Wanted(health=D("1.2"))) - D("2291.666666")) < D("0.001")
    assert more_debt(borrower(), PRICES, "USDC", Wanted(health=D("1.4"))) == 0
    assert more_debt(borrower(), PRICES, "USDC", Wanted(health=D("1.0001"))) == D(25_000) * D("0.805") - 15_000
    ether = more_debt(borrower(), PRICES, "ETH", Wanted(health=D("1.2")))
    assert abs(ether * 2500 - D("2291.666666")) < D("0.01")
    with pytest.raises(ValueError, match="no price of DAI"):
        more_debt(borrower(), PRICES, "DAI", Wanted(health=D("1.2")))


@pytest.mark.parametrize("quantity", ["0.5", "-0.5"])
def test_room_for_a_larger_position_is_what_the_engine_says(quantity: str) -> None:
    account = trader(quantity)
    more = more_position(account, {}, "BTC", Wanted(distance=D("0.05")))
    side = 1 if D(quantity) > 0 else -1
    size = D(quantity) + side * more
    entry = (D(60000) * D(quantity) + D(61000) * side * more) / size
    position = Position("BTC", size, (Tier(D(0), D("0.01")),), entry, D(61000))
    grown = Account("hl", Kind.PERP, quote="USDC", balance=D(5000), positions=(position,))
    point = assess(grown, {}, 0).liquidation["BTC"]
    assert point.distance is not None
    assert D("0.05") <= point.distance < D("0.05001")
    with pytest.raises(ValueError, match="has no position in SOL"):
        more_position(account, {}, "SOL", Wanted(distance=D("0.05")))


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({}, "one of"),
        ({"health": D(2), "distance": D("0.1")}, "one of"),
        ({"health": D(1)}, "not above 1"),
        ({"health": D("NaN")}, "not above 1"),
        ({"distance": D(1)}, "between 0 and 1"),
        ({"probability": D("0.05")}, "no time"),
    ],
)
def test_what_cannot_be_wanted_is_refused(wanted: dict[str, Decimal], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Wanted(**wanted)
