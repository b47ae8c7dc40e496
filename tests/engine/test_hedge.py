"""Ways to hedge side by side: what they cost, how far they hold, and what each says that it cannot do."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from engine.accounts import Account, Collateral, Debt, Kind, Position, Tier
from engine.assess import assess
from engine.hedge import default_move, hedges
from engine.hedge_case import Comparison, Hedge, Protection
from engine.hedge_options import lots
from engine.options import OptionQuote, Right
from engine.plans import plan
from engine.prices import AssetPrice, OraclePrice
from engine.rescue import Means, Target

D = Decimal
SECOND = 1_000_000_000
NOW = 1_795_341_600 * SECOND
DAY = 86_400
PRICES = {
    "ETH": AssetPrice(OraclePrice(D(3000)), volatility=D("0.65")),
    "wstETH": AssetPrice(OraclePrice(D(3600))),
    "BTC": AssetPrice(OraclePrice(D(60000)), volatility=D("0.5")),
    "USDC": AssetPrice(OraclePrice(D(1)), stable=True),
}
LOAN = Account(
    "main",
    Kind.LOAN,
    collateral=(Collateral("ETH", D(1000), D("0.83")),),
    debt=(Debt("USDC", D(2000000)),),
)
LONG = Account(
    "long",
    Kind.PERP,
    quote="USDC",
    balance=D(20000),
    positions=(Position("ETH", D(20), (Tier(D(0), D("0.01")),), entry_price=D(3100), mark_price=D(3000)),),
)
SHORT = replace(
    LONG,
    name="short",
    positions=(Position("BTC", D(-1), (Tier(D(0), D("0.01")),), D(60000), D(60000), funding_rate=D("0.1")),),
)


def put(strike: int, ask: str | None, *, days: int = 35, **fields: Any) -> OptionQuote:
    given = {"lot": D(1), "underlying_price": D(3000), "mark": D(40)} | fields
    return OptionQuote(
        "deribit",
        fields.pop("name", f"ETH-{days}-{strike}-P"),
        "ETH",
        given.pop("right", Right.PUT),
        D(strike),
        NOW + days * DAY * SECOND,
        given.pop("lot"),
        given.pop("underlying_price"),
        NOW,
        ask=None if ask is None else D(ask),
        **{key: value for key, value in given.items() if key != "name"},
    )


def compared(
    account: Account, move: str | None = "-0.4", chain: list[OptionQuote] | None = None, days: int = 30, **wish: Any
) -> Comparison:
    protection = Protection(days * DAY, None if move is None else D(move), **wish)
    return hedges(account, assess(account, PRICES, NOW), PRICES, protection, NOW, chain)


def of(found: Comparison, means: str) -> list[Hedge]:
    return [each for each in found.hedges if each.means == means]


def test_full_protection_costs_what_the_worked_example_says() -> None:
    """30 days at 65 %: 29.0, 35.3, 50.8 and 92.7 thousand, 17.6, 21.5, 30.9 and 56 % of the debt a year."""
    found = of(compared(LOAN), "put")
    full = {}
    for each in found:
        assert each.option is not None
        assert each.option.mark is not None
        assert each.full_quantity is not None
        full[int(each.option.strike)] = each.full_quantity * each.option.mark
    assert {strike: round(cost / 1000, 1) for strike, cost in full.items()} == {
        2450: D("29.0"),
        2500: D("35.3"),
        2600: D("50.8"),
        2800: D("92.7"),
    }
    yearly = {strike: round(cost / 2000000 * 365 / 30 * 100, 1) for strike, cost in full.items()}
    assert yearly == {2450: D("17.6"), 2500: D("21.5"), 2600: D("30.9"), 2800: D("56.4")}
    assert {each.premium_from for each in found} == {"theory"}


def test_listed_options_are_chosen_by_what_they_cost_in_whole_lots() -> None:
    chain = [
        put(2500, "40"),
        put(2450, "33"),
        put(2450, "20", days=29),
        put(2400, "1"),
        put(2800, "150"),
        put(2600, None, mark=D(5)),
        put(2500, "1", right=Right.CALL),
        put(2500, "1", quote="BTC"),
    ]
    found = compared(LOAN, chain=chain)
    rows = of(found, "put")
    assert [each.instrument for each in rows] == ["ETH-35-2450-P", "ETH-35-2500-P", "ETH-35-2800-P", "ETH-35-2600-P"]
    first = rows[0]
    assert first.quantity == 779
    assert (first.premium, first.money, first.premium_from) == (779 * 33, 779 * 33, "ask")
    assert found.of_base(first) == pytest.approx(D(779 * 33) * 365 / 35 / 2000000)
    assert first.volatility is not None
    assert D("0.4") < first.volatility < D("0.8")
    assert rows[-1].premium_from == "mark"
    assert any("nobody offers it" in line for line in rows[-1].cannot)


def test_an_inverse_option_says_what_it_pays_and_what_it_costs_in_coins() -> None:
    (row,) = of(compared(LOAN, chain=[put(2500, "45", is_inverse=True, lot=D("0.1"))]), "put")
    assert row.premium is not None
    assert row.premium_in_coin == row.premium / 3000
    assert any("(2,500 - price) / price in ETH" in line for line in row.cannot)


@pytest.mark.parametrize(
    ("chain", "why"),
    [
        ([put(2500, "1", days=10)], "lasts the 30 d asked for; the last ends on"),
        ([put(2300, "1")], "no strike at or above 2,409.7"),
        ([put(2500, "1", right=Right.CALL)], "no put on ETH"),
        ([put(2500, "1", quote="BTC")], "priced in dollars"),
        ([put(2500, None, mark=None)], "nobody quotes"),
        ([], "no put on ETH"),
    ],
)
def test_without_an_option_that_fits_the_other_ways_remain_and_it_says_why(chain: list[OptionQuote], why: str) -> None:
    found = compared(LOAN, chain=chain)
    (row,) = of(found, "put")
    assert row.quantity is None
    assert why in row.because
    assert [each.means for each in found.hedges] == ["put", "perp", "repay", "supply"]


def test_an_opposite_perp_shows_its_own_margin_and_line() -> None:
    (perp,) = of(compared(LOAN, funding=D("0.08")), "perp")
    missing = D(2000000) - 830 * 1800
    assert perp.quantity == (missing / 1200).quantize(D("1e-8"), "ROUND_CEILING")
    assert perp.liquidation_price == 5000
    assert perp.quantity is not None
    assert perp.margin is not None
    assert perp.margin == perp.quantity * (2000 + 50)
    assert perp.cost_per_year == perp.quantity * 3000 * D("-0.08")
    assert any("liquidated itself on the way up" in line for line in perp.cannot)
    (unknown,) = of(compared(LOAN), "perp")
    assert unknown.cost_per_year is None


@pytest.mark.parametrize("means", [Means.REPAY, Means.SUPPLY])
def test_repaying_and_adding_equal_the_plan_to_the_same_distance(means: Means) -> None:
    (own,) = of(compared(LOAN), means)
    target = Target(distance=D("0.4"))
    rescue = min(plan(LOAN, PRICES, {}, target, None, NOW, means=means).options, key=lambda each: each.amount)
    assert own.quantity is not None
    assert abs(own.quantity / rescue.amount - 1) < D("1e-6")


def test_a_long_is_held_by_puts_margin_or_a_smaller_position() -> None:
    found = compared(LONG)
    assert [each.means for each in found.hedges][-3:] == ["perp", "add-margin", "reduce"]
    missing = found.missing or D(0)
    assert missing == -(20000 + 20 * (1800 - 3100) - 20 * 1800 * D("0.01"))
    (pay,) = of(found, "add-margin")
    assert pay.quantity == missing
    (less,) = of(found, "reduce")
    assert less.quantity is not None
    assert abs(less.quantity - missing / (1200 + 18)) < D("1e-7")
    assert found.base_name == "notional"
    assert found.base == 60000


def test_a_short_is_mirrored_with_calls_and_a_long_perp() -> None:
    found = compared(SHORT, "0.6", volatility=D("0.5"))
    calls = of(found, "call")
    assert calls
    for each in calls:
        assert each.option is not None
        assert found.threat is not None
        assert each.option.strike <= found.threat.line
        assert each.full_quantity is None
    (perp,) = of(found, "perp")
    assert (perp.instrument, perp.liquidation_price) == ("BTC perp long", D(37500))
    assert perp.cost_per_year is not None
    assert perp.cost_per_year > 0


def test_assets_at_rest_and_tokens_that_follow_are_said() -> None:
    both = (*LOAN.collateral, Collateral("wstETH", D(100), D("0.8")), Collateral("BTC", D(1), D("0.75")))
    found = compared(replace(LOAN, collateral=both), chain=[put(2500, "30")])
    assert "wstETH moves with ETH in proportion" in found.assumed
    (rests,) = [line for line in found.assumed if line.startswith("BTC stays where it is")]
    assert "a joint move needs a hedge of each, pro rata to what it weighs (BTC 1.6 %, ETH 88.2 %, " in rests
    assert rests.endswith("; all together liquidate it at -29.2 %")
    (row,) = of(found, "put")
    assert any("wstETH parting from it is not covered" in line for line in row.cannot)


def test_interest_of_the_horizon_is_in_what_is_missing() -> None:
    dear = replace(LOAN, debt=(Debt("USDC", D(2000000), D("0.12")),))
    more = (compared(dear).missing or D(0)) - (compared(LOAN).missing or D(0))
    assert abs(more / (2000000 * D("0.12") * 30 / 365) - 1) < D("0.02")


def test_an_account_that_stands_at_the_floor_needs_nothing() -> None:
    found = compared(LOAN, "-0.1")
    assert found.hedges == ()
    assert found.because == "stands at 2,700 without a hedge; its line is at 2,409.7"


def test_standing_alone_is_not_called_standing_when_a_joint_fall_liquidates() -> None:
    two = (Collateral("ETH", D(100), D("0.8")), Collateral("BTC", D(5), D("0.8")))
    account = replace(LOAN, collateral=two, debt=(Debt("USDC", D(380000)),))
    found = compared(account, "-0.35")
    assert found.hedges == ()
    assert found.because.startswith("stands at 39,000 without a hedge; its line is at 35,000, but only while ETH stays")
    assert found.because.endswith("; all together liquidate it at -20.8 %: repay or add for that")
    assert "but only" not in compared(account, "-0.2").because


def test_a_basket_that_lacks_an_option_says_that_it_is_no_hedge() -> None:
    two = (Collateral("ETH", D(100), D("0.8")), Collateral("BTC", D(5), D("0.8")))
    account = replace(LOAN, collateral=two, debt=(Debt("USDC", D(380000)),))
    found = compared(account, chain=[put(2500, "30")], together=True)
    eth, btc = sorted(of(found, "put"), key=lambda each: each.quantity is None)
    assert (eth.asset, eth.share, btc.asset, btc.because) == ("ETH", D("0.5"), "BTC", "no put on BTC is in the chain")
    assert eth.cannot[0] == "without an option on BTC it is no hedge: the others do not pay for that share"
    assert any("are one hedge: all of them are needed" in line for line in found.assumed)


def test_a_volatile_debt_at_rest_is_said() -> None:
    owed = (Debt("USDC", D(1900000)), Debt("BTC", D(1)))
    found = compared(replace(LOAN, debt=owed))
    assert any(line.startswith("BTC stays where it is") for line in found.assumed)


def test_without_a_floor_it_protects_to_the_move_of_the_volatility() -> None:
    move = default_move(D("0.65"), 30 * DAY, falls=True)
    assert round(move, 4) == D("-0.3812")
    found = compared(LOAN, None)
    assert found.protected_to == 3000 * (1 + move)
    assert any("too low in the tails" in line for line in found.assumed)


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(ValueError, match="it is a fall that liquidates this account"):
        compared(LOAN, "0.4")
    unknown = PRICES | {"ETH": AssetPrice(OraclePrice(D(3000)))}
    judged = assess(LOAN, unknown, NOW)
    with pytest.raises(ValueError, match="no volatility of ETH is known"):
        hedges(LOAN, judged, unknown, Protection(DAY), NOW)
    implied = hedges(LOAN, judged, unknown, Protection(DAY), NOW, [put(3000, "1", mark_volatility=D("0.7"))])
    assert implied.volatility == D("0.7")


def test_old_quotes_and_two_prices_of_one_coin_are_doubts() -> None:
    chain = [put(2500, "40", underlying_price=D(3300))]
    judged = assess(LOAN, PRICES, NOW)
    later = NOW + 3 * 3600 * SECOND
    found = hedges(LOAN, judged, PRICES, Protection(30 * DAY, D("-0.4")), later, chain)
    assert any("ETH is 3,300 in the chain and 3,000" in line for line in found.doubts)
    assert "the option quotes are 180 minutes old" in found.doubts


def test_an_account_valued_in_another_currency_is_refused() -> None:
    assert "valued in EUR" in compared(replace(LOAN, quote="EUR")).because


def test_a_coin_of_a_tiny_price_and_a_short_horizon_have_readable_strikes() -> None:
    prices = PRICES | {"PEPE": AssetPrice(OraclePrice(D("1e-11")), volatility=D("1.2"))}
    legs = (Collateral("PEPE", D(10) ** 12, D("0.8")),)
    account = replace(LOAN, collateral=legs, debt=(Debt("USDC", D(6)),))
    found = hedges(account, assess(account, prices, NOW), prices, Protection(6 * 3600, D("-0.6")), NOW)
    first = of(found, "put")[0]
    assert (first.instrument, first.option and first.option.strike) == ("PEPE put 0.0000000000076, 6 h", D("7.6e-12"))
    assert found.threat is not None
    assert D(0) < (first.premium or D(0)) < (found.missing or D(0))


def test_lots_round_up() -> None:
    assert lots(D("7.01"), D(1)) == 8
    assert lots(D("7.01"), D("0.1")) == D("7.1")
    assert lots(D("7.01"), D(0)) == D("7.01")
