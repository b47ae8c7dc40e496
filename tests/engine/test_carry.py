import math
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.accounts import Account, Collateral, Debt, Kind, Position
from engine.assess import trigger_side
from engine.assessment import Assessment
from engine.carry import Growth, interest_only_days
from engine.prices import AssetPrice
from tests.engine.portfolios import NOW, amounts, d, flat, loan, perp, price

PRICES = {"ETH": price("2500"), "BTC": price("50000"), "USDC": price("1", stable=True), "SPY": price("500")}


def told(account: Account, prices: dict[str, AssetPrice] = PRICES) -> Assessment:
    return trigger_side(account, prices, NOW)


def with_rates(supply: str | None, borrow: str | None) -> Account:
    account = loan({"ETH": ("10", "0.83")}, {"USDC": "15000"})
    held = replace(account.collateral[0], supply_rate=None if supply is None else d(supply))
    owed = replace(account.debt[0], borrow_rate=None if borrow is None else d(borrow))
    return replace(account, collateral=(held,), debt=(owed,))


def test_a_single_pair_lasts_ln_health_over_the_rate_gap() -> None:
    days = told(with_rates("0.015", "0.052")).interest_only_days
    assert days == int(math.log(1.3833333333333333) / 0.037 * 365) == 3201


def test_carry_that_earns_never_liquidates() -> None:
    assert told(with_rates("0.06", "0.05")).interest_only_days is None
    assert told(with_rates("0.05", "0.05")).interest_only_days is None
    assert "interest_only_days" not in told(with_rates("0.05", "0.05")).missing


def test_an_unknown_rate_is_named_and_what_rests_on_it_is_none() -> None:
    no_supply = told(with_rates(None, "0.05"))
    assert no_supply.cost_of_debt is not None
    assert (no_supply.cost_of_debt.annual_rate, no_supply.cost_of_debt.net_carry) == (d("0.05"), None)
    assert no_supply.missing["net_carry"] == no_supply.missing["interest_only_days"] == "supply rate of ETH unknown"
    no_borrow = told(with_rates("0.01", None))
    assert (no_borrow.cost_of_debt, no_borrow.interest_only_days) == (None, None)
    assert no_borrow.missing["cost_of_debt"] == "borrow rate of USDC unknown"


def test_a_disabled_collaterals_rate_counts_for_carry_but_not_for_the_days() -> None:
    account = with_rates("0.015", "0.052")
    idle = Collateral("BTC", d(1), d(0))
    assessment = told(replace(account, collateral=(*account.collateral, idle)))
    assert assessment.interest_only_days == 3201
    assert assessment.missing["net_carry"] == "supply rate of BTC unknown"


def test_a_liquidatable_loan_has_no_days_left() -> None:
    account = with_rates("0.01", "0.05")
    assert told(replace(account, debt=(Debt("USDC", d(25000), d("0.05")),))).interest_only_days == 0


def test_a_collateral_that_earns_more_can_save_what_another_loses() -> None:
    cover = [Growth(d(100), d("0.30")), Growth(d(10), d("0"))]
    assert interest_only_days(cover, [Growth(d(105), d("0.05"))]) is None


def test_the_first_crossing_counts_even_when_growth_would_undo_it_later() -> None:
    cover = [Growth(d(100), d("-0.5")), Growth(d(1), d("1.0"))]
    days = interest_only_days(cover, [Growth(d(90), d("0"))])
    assert days is not None
    assert 70 < days < 90


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.tuples(amounts("1", "1000"), amounts("0", "0.2")), min_size=1, max_size=3),
    st.lists(st.tuples(amounts("1", "800"), amounts("0", "0.3")), min_size=1, max_size=3),
)
def test_on_the_named_day_health_still_holds_and_the_day_after_it_does_not(
    cover: list[tuple[Decimal, Decimal]], owed: list[tuple[Decimal, Decimal]]
) -> None:
    def room(day: int) -> float:
        years = day / 365
        has = sum(float(value) * math.exp(float(rate) * years) for value, rate in cover)
        must = sum(float(value) * math.exp(float(rate) * years) for value, rate in owed)
        return has / must - 1

    assume(room(0) > 0.001)
    days = interest_only_days([Growth(*term) for term in cover], [Growth(*term) for term in owed])
    if days is None:
        assert all(room(day) > 0 for day in range(0, 36_500, 365))
    elif days < 365_000:
        assert room(days) > -1e-6
        assert room(days + 1) < 1e-6
        assert all(room(days * step // 20) > -1e-6 for step in range(20))


def test_funding_drains_a_perp_account_linearly() -> None:
    long = perp("5000", Position("BTC", d("0.5"), flat("0.01"), d(50000), d(50000), funding_rate=d("0.10")))
    assessment = told(long)
    assert assessment.cost_of_debt is not None
    assert assessment.cost_of_debt.annual_rate == d("0.1")
    assert assessment.cost_of_debt.per_day == d(2500) / 365
    assert assessment.cost_of_debt.net_carry == d("-0.5")
    assert assessment.interest_only_days == int((5000 - 250) / (2500 / 365))


def test_a_short_receives_what_a_long_pays() -> None:
    short = perp("5000", Position("BTC", d("-0.5"), flat("0.01"), d(50000), d(50000), funding_rate=d("0.10")))
    assessment = told(short)
    assert assessment.cost_of_debt is not None
    assert assessment.cost_of_debt.net_carry == d("0.5")
    assert assessment.interest_only_days is None


def broker(cash: str, *positions: Position, rate: str | None = "0.06") -> Account:
    return Account("ib", Kind.BROKER, balance=d(cash), cash_rate=None if rate is None else d(rate), positions=positions)


def test_borrowed_cash_compounds_until_the_requirement_is_reached() -> None:
    assessment = told(broker("-20000", Position("SPY", d(100), flat("0.25"))))
    assert assessment.cost_of_debt is not None
    assert assessment.cost_of_debt.annual_rate == d("0.06")
    assert assessment.interest_only_days == int(math.log(1 + 17500 / 20000) / 0.06 * 365)


def test_a_borrow_fee_adds_to_the_drain() -> None:
    fee = Position("SPY", d(-10), flat("0.3"), funding_rate=d("0.02"))
    held = Position("ETH", d(20), flat("0.25"))
    assessment = told(broker("-20000", held, fee))
    assert assessment.cost_of_debt is not None
    assert assessment.cost_of_debt.per_day == (d(1200) + d(100)) / 365
    days = assessment.interest_only_days
    assert days is not None
    buffer = float(assessment.buffer or 0)
    assert 20000 * math.expm1(0.06 * days / 365) + 100 * days / 365 <= buffer
    assert 20000 * math.expm1(0.06 * (days + 1) / 365) + 100 * (days + 1) / 365 > buffer


def test_a_broker_account_without_debt_costs_nothing() -> None:
    assessment = told(broker("1000", Position("SPY", d(1), flat("0.25")), rate=None))
    assert assessment.cost_of_debt is None
    assert "cost_of_debt" not in assessment.missing


@pytest.mark.parametrize("rate", ["0", "-0.01"])
def test_free_credit_never_liquidates(rate: str) -> None:
    assert told(broker("-20000", Position("SPY", d(100), flat("0.25")), rate=rate)).interest_only_days is None


def test_a_short_that_earns_its_fee_slows_the_drain() -> None:
    held, earning = Position("ETH", d(20), flat("0.25")), Position("SPY", d(-10), flat("0.3"), funding_rate=d("-0.02"))
    free = Position("SPY", d(-10), flat("0.3"), funding_rate=d("0"))
    slowed = told(broker("-20000", held, earning)).interest_only_days
    plain = told(broker("-20000", held, free)).interest_only_days
    assert slowed is not None
    assert plain is not None
    assert slowed > plain
