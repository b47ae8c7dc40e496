from dataclasses import replace

import pytest

from engine.accounts import Account, Kind, Position
from engine.assess import assess
from engine.prices import AssetPrice
from engine.totals import FirstLiquidated, Totals, totals
from tests.engine.portfolios import NOW, d, flat, loan, perp, price

PRICES = {"ETH": price("2500"), "BTC": price("50000"), "USDC": price("1", stable=True), "EUR": price("1.1")}
LOAN = replace(loan({"ETH": ("10", "0.83")}, {"USDC": "15000"}), name="main")
HEDGE = replace(
    perp("3000", Position("ETH", d(-4), flat("0.02"), d(2500), d(2500), funding_rate=d("0.1"))), name="hl", quote="USDC"
)


def summed(*accounts: Account, prices: dict[str, AssetPrice] = PRICES) -> Totals:
    return totals([(account, assess(account, prices, NOW)) for account in accounts], prices)


def test_equity_and_debt_add_up_and_perps_owe_no_debt() -> None:
    told = summed(LOAN, HEDGE)
    assert (told.equity, told.debt) == (13_000, 15_000)


def test_nothing_adds_up_to_zero() -> None:
    empty = summed()
    assert (empty.equity, empty.debt, empty.cost_per_day, empty.netting_saves) == (0, 0, 0, 0)
    assert (empty.first_liquidated, empty.missing) == (None, {})


def test_a_missing_part_makes_the_total_none_and_is_named() -> None:
    told = summed(LOAN, HEDGE, prices={"USDC": PRICES["USDC"]})
    assert (told.equity, told.net_exposure, told.netting_saves, told.first_liquidated) == (None, None, None, None)
    assert told.missing["equity"] == "main: no price of ETH"
    assert told.missing["net_exposure"] == told.missing["netting_saves"] == "main: no price of ETH"
    assert told.missing["first_liquidated"] == "main: no price of ETH"
    assert told.debt == 15_000


def test_costs_add_up_only_when_every_rate_is_known() -> None:
    assert summed(LOAN, HEDGE).missing["cost_per_day"] == "main: borrow rate of USDC unknown"
    owed = replace(LOAN.debt[0], borrow_rate=d("0.0365"))
    told = summed(replace(LOAN, debt=(owed,)), HEDGE)
    assert told.cost_per_day == d("1.5") - d(1000) / 365


def test_an_account_without_debt_costs_nothing() -> None:
    assert summed(replace(LOAN, debt=())).cost_per_day == 0


def test_exposure_nets_collateral_longs_debt_and_shorts_by_asset() -> None:
    assert summed(LOAN, HEDGE).net_exposure == {"ETH": 15_000, "USDC": -15_000}


def test_another_quote_currency_is_converted() -> None:
    euro = Account("ib", Kind.BROKER, quote="EUR", balance=d(1000), positions=())
    assert summed(euro).equity == 1100


def test_dollar_tokens_without_a_price_count_at_par_and_are_named() -> None:
    without = {"ETH": PRICES["ETH"]}
    told = summed(HEDGE, prices=without)
    assert (told.equity, told.assumed) == (3000, ("USDC",))
    assert summed(HEDGE).assumed == ()


def test_an_unknown_quote_currency_makes_totals_none() -> None:
    told = summed(replace(HEDGE, quote="XAU"))
    assert (told.equity, told.missing["equity"]) == (None, "hl: no price of XAU")


def test_first_liquidated_is_the_one_the_smallest_common_fall_reaches() -> None:
    riskier = replace(loan({"ETH": ("10", "0.83")}, {"USDC": "18000"}), name="risky")
    told = summed(LOAN, riskier, HEDGE).first_liquidated
    assert told is not None
    assert told.account == "risky"
    assert told.uniform_fall == pytest.approx(1 - d(18_000) / d(20_750), abs=d("1e-20"))


def test_an_account_that_only_a_rise_liquidates_is_not_first_in_a_fall() -> None:
    assert summed(HEDGE).first_liquidated is None


def test_a_liquidatable_account_is_first_at_once() -> None:
    gone = replace(loan({"ETH": ("1", "0.83")}, {"USDC": "3000"}), name="gone")
    assert summed(LOAN, gone).first_liquidated == FirstLiquidated("gone", d(0))


def test_netting_saves_the_margin_of_legs_that_cancel_out() -> None:
    # 4 of 10 ETH cancel: 40 % of the 17 % that the lender does not count of 25000, and all of the hedge's 2 %
    assert summed(LOAN, HEDGE).netting_saves == d("0.4") * d("0.17") * 25_000 + 200


def test_netting_saves_nothing_when_every_leg_points_the_same_way() -> None:
    assert summed(LOAN, replace(LOAN, name="other")).netting_saves == 0


def test_netting_is_unknown_without_a_maintenance_rate() -> None:
    bare = replace(HEDGE, positions=(replace(HEDGE.positions[0], tiers=()),))
    told = summed(LOAN, bare)
    assert told.netting_saves is None
    assert told.missing["netting_saves"] == "no maintenance rate of ETH"
