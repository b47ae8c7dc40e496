"""The solvency function against the formulas that venues publish for their own liquidation prices."""

from decimal import Decimal

import pytest

from engine.accounts import Account, Collateral, Debt, Kind, Position
from engine.assess import trigger_side
from engine.prices import OraclePrice
from engine.solvency import solvency_of
from engine.triggers import coin_price, position_price, trigger_prices
from tests.engine.portfolios import NOW, d, flat, ladder_of_tiers, perp, price


def liquidated_at(account: Account, asset: str) -> Decimal:
    found = trigger_side(account, {}, NOW).liquidation[asset].price
    assert found is not None
    return found


def near(value: Decimal, relative: str = "1e-20") -> object:
    return pytest.approx(value, rel=d(relative))


def inverse(face: str, entry: str, mark: str, rate: str, fee: str = "0") -> Position:
    """Return an inverse position of a signed face value in dollars."""
    return Position("BTC", d(face) / d(entry), flat(rate), d(entry), d(mark), d(fee), inverse=True)


def test_an_isolated_inverse_long_of_okx_liquidates_within_a_tick_of_the_venue() -> None:
    """liqPx = face x (1 + mmr + fee) / (margin + face / avgPx); 1 contract of 100 USD, recorded 2026-01."""
    margin = d("0.0003611412062116")
    position = inverse("100", "92300", "92376.7", "0.004", "0.0005")
    account = perp("0", position, collateral=(Collateral("BTC", margin, d(1)),))
    ours = liquidated_at(account, "BTC")
    assert ours == near(d("100.45") / (margin + d(100) / d(92300)))
    assert abs(ours - d("69536.6125000014")) < d("0.11")
    assessment = trigger_side(account, {}, NOW)
    mark = d("92376.7")
    # mgnRatio = (margin + upl) / (mmr + fee), all in BTC.
    assert assessment.health_factor == near(d("74.32029212310307"), "1e-10")
    assert assessment.equity == near((margin + d("0.000000899562244")) * mark, "1e-9")


@pytest.mark.parametrize(("side", "sign"), [("long", 1), ("short", -1)])
def test_an_isolated_inverse_position_of_bybit(side: str, sign: int) -> None:
    """LP = size x (1 +- MMR) / (size / entry +- size / entry / leverage): the help centre, without extra margin."""
    size, entry, leverage, rate = d(8_000), d(7_000), d(50), d("0.005")
    position = inverse(str(sign * size), str(entry), str(entry), str(rate))
    account = perp("0", position, collateral=(Collateral("BTC", size / entry / leverage, d(1)),))
    wanted = size * (1 + sign * rate) / (size / entry + sign * size / entry / leverage)
    assert liquidated_at(account, "BTC") == near(wanted), side


def test_an_isolated_linear_position_of_bybit() -> None:
    """1 BTC at 20,000, 50x, MMR 0.5 %: IM 400, MM 100 of the entry value, LP 19,700."""
    on_entry = Position("BTC", d(1), flat("0.005"), d(20_000), d(20_000), margin_at_entry=True)
    assert liquidated_at(perp("400", on_entry), "BTC") == near(d(19_700))


def test_a_short_coin_margined_position_of_binance() -> None:
    """Recorded COIN-M position of 3 contracts of 100 USD; maintenance in BTC is 0.4 % of the notional."""
    position = inverse("-300", "68911.00000037", "68234.20000000", "0.004")
    account = perp("0", position, collateral=(Collateral("BTC", d("0.00023156"), d(1)),))
    assert liquidated_at(account, "BTC") == near(d("72491.16879818"), "1e-6")
    requirement = trigger_side(account, {}, NOW).maintenance_requirement
    assert requirement == near(d("0.00001758648") * d("68234.2"), "1e-6")
    profit = position.quantity * (d("68234.2") - d("68911.00000037"))
    assert profit / d("68234.2") == near(d("0.00004318"), "1e-3")


def test_hedge_legs_of_binance_liquidate_together() -> None:
    """LP = (WB - TMM + UPNL + cumL + cumS - L x eL + S x eS) / (L x mmrL + S x mmrS - L + S), USD-M FAQ form."""
    tiers = ladder_of_tiers([(0, 40), (50_000, 50), (250_000, 100)])
    long = Position("BTC", d(3), tiers, d(60_000), d(61_000))
    short = Position("BTC", d(-1), tiers, d(62_500), d(61_000))
    other = Position("ETH", d(10), flat("0.01"), d(2_500), d(2_450))
    account = perp("20000", long, short, other)
    ours = liquidated_at(account, "BTC")
    of_long = next(tier for tier in reversed(tiers) if tier.notional_floor <= 3 * ours)
    of_short = next(tier for tier in reversed(tiers) if tier.notional_floor <= ours)
    top = 20_000 - d("0.01") * 24_500 - 500 + of_long.deduction + of_short.deduction - 3 * 60_000 + d(62_500)
    assert ours == near(top / (3 * of_long.maintenance_rate + of_short.maintenance_rate - 3 + 1))


def test_a_unified_margin_ratio_counts_at_its_own_multiple() -> None:
    """uniMMR = adjusted equity / maintenance, taken over at 1.05: health is that over 1.05."""
    tiers = ladder_of_tiers([(0, 100), (50_000, 200)])
    account = perp(
        "0",
        Position("BTC", d(2), tiers, d(60_000), d(60_000), d("0.0005")),
        collateral=(Collateral("BTC", d(1), d("0.95")),),
        debt=(Debt("USDT", d(50_000)),),
        quote="USDT",
        oracles={"BTC": OraclePrice(d(59_900))},
        extra_requirement=d(100),
        liquidation_multiple=d("1.05"),
    )
    assessment = trigger_side(account, {}, NOW)
    maintenance = 2 * d(60_000) * d("0.0205") - 500 + 100
    cover = d("0.95") * 59_900 - 50_000
    assert assessment.maintenance_requirement == maintenance * d("1.05")
    assert assessment.health_factor == cover / (maintenance * d("1.05"))
    assert assessment.equity == d(9_900)
    at = liquidated_at(account, "BTC")
    coin = at * d(59_900) / 60_000
    covered = d("0.95") * coin - 50_000 + 2 * (at - 60_000)
    assert covered == near(d("1.05") * (2 * at * d("0.0205") - 400), "1e-15")


@pytest.mark.parametrize(
    ("balance", "quantity", "entry", "rate", "wanted"),
    [
        ("1000", "-3", "3000", "0.05", d(10_000) / d("3.15")),
        ("100", "1", "1000", "0.03", d(900) / d("0.97")),
        ("100", "-1", "1000", "0.03", d(1_100) / d("1.03")),
    ],
)
def test_an_isolated_position_of_dydx(balance: str, quantity: str, entry: str, rate: str, wanted: Decimal) -> None:
    """p' = (e - s x p) / (|s| x MMF - s): documented 3174.60 and the vectors 927.835 and 1067.961."""
    account = perp(balance, Position("ETH", d(quantity), flat(rate), d(entry), d(entry)))
    assert liquidated_at(account, "ETH") == near(wanted)


def test_a_cross_position_of_dydx_counts_the_others_requirement() -> None:
    """Documented 3380.95: short 1.5 ETH at 3,000 beside 1,000 STRK at 1.75, 1,000 USDC in all."""
    account = perp(
        "1000",
        Position("ETH", d("-1.5"), flat("0.05"), d(3_000), d(3_000)),
        Position("STRK", d(1_000), flat("0.1"), d("1.75"), d("1.75")),
    )
    assert round(liquidated_at(account, "ETH"), 2) == d("3380.95")


def test_deribits_ratio_times_the_mark_is_the_liquidation_price() -> None:
    """estimated_liquidation_ratio is one for all futures of a currency: their marks move in proportion."""
    perpetual = inverse("50000", "60000", "61000", "0.01")
    dated = inverse("-20000", "62000", "62500", "0.01")
    account = perp("0", perpetual, dated, collateral=(Collateral("BTC", d("0.3"), d(1)),), quote="USD")
    at = liquidated_at(account, "BTC")
    solvency = solvency_of(account)
    assert solvency.cover({"BTC": at}) == near(solvency.requirement({"BTC": at}))
    ratio = at / 61_000
    cover = d("0.3") * 61_000 * ratio + perpetual.quantity * (61_000 * ratio - 60_000)
    cover += dated.quantity * (d(62_500) * ratio - 62_000)
    assert cover == near(d(700))


def test_the_largest_position_names_the_reference_and_others_keep_their_price() -> None:
    small = Position("BTC", d(1), flat("0.01"), d(60_000), d(61_500))
    large = Position("BTC", d(-2), flat("0.01"), d(60_000), d(61_000))
    bare = Position("BTC", d("0.1"), flat("0.01"), d(60_000))
    account = perp(
        "9000", small, large, bare, oracles={"BTC": OraclePrice(d(60_900))}, collateral=(Collateral("BTC", d(1), d(1)),)
    )
    known, lacking = trigger_prices(account, {"BTC": price("1")})
    assert (known, lacking) == ({"BTC": 61_000}, {})
    assert [position_price(account, each, known) for each in account.positions] == [61_500, 61_000, 60_900]
    assert coin_price(account, "BTC", known) == 60_900
    cover = solvency_of(account).cover(known)
    assert cover == near(d(9_000) + 60_900 + 1_500 - 2_000 + 90)


def test_a_change_of_the_account_can_be_told_at_the_references_before_it() -> None:
    left = Position("BTC", d(1), flat("0.01"), d(60_000), d(61_500))
    before = perp("9000", left, Position("BTC", d(-2), flat("0.01"), d(60_000), d(61_000)))
    known, _ = trigger_prices(before, {})
    after = perp("7000", left)
    assert solvency_of(after, known).cover(known) == near(d(8_500))
    assert solvency_of(after).cover({"BTC": d(61_500)}) == 8_500


def test_a_coin_in_the_quote_currency_is_worth_one_and_moves_nothing() -> None:
    account = perp(
        "100",
        Position("ETH", d(1), flat("0.05"), d(2_000), d(2_000)),
        collateral=(Collateral("USDT", d(500), d(1)),),
        debt=(Debt("USDT", d(50)),),
        quote="USDT",
    )
    assessment = trigger_side(account, {"USDT": price("0.99", stable=True)}, NOW)
    assert assessment.equity == 550
    assert assessment.debt_value == 50
    assert assessment.health_factor == d("5.5")
    assert assessment.liquidation["USDT"].price is None


@pytest.mark.parametrize("bad", ["0", "-1", "NaN", "Infinity"])
def test_a_bad_own_price_leaves_its_asset_without_one(bad: str) -> None:
    good = Position("BTC", d(1), flat("0.01"), d(60_000), d(61_500))
    marked = perp("1", good, Position("BTC", d(1), flat("0.01"), d(1), d(bad)))
    coin = perp("1", good, collateral=(Collateral("BTC", d(1), d(1)),), oracles={"BTC": OraclePrice(d(bad))})
    for account in (marked, coin):
        assert trigger_prices(account, {}) == ({}, {"BTC": "price of BTC is not positive"})
        assert trigger_side(account, {}, NOW).health_factor is None


def test_a_coin_that_does_not_count_needs_a_price_for_equity_and_not_for_health() -> None:
    held = Position("ETH", d(1), flat("0.05"), d(2_000), d(2_000))
    account = perp("500", held, collateral=(Collateral("MEME", d(5), d(0)),))
    silent = trigger_side(account, {}, NOW)
    assert silent.health_factor == 5
    assert silent.equity is None
    assert silent.missing["equity"] == "no price of MEME"
    assert trigger_side(account, {"MEME": price("10")}, NOW).equity == 550


def test_a_broker_covers_what_no_position_explains_too() -> None:
    account = Account(
        "ib",
        Kind.BROKER,
        balance=d(-20_000),
        positions=(Position("SPY", d(100), flat("0.25"), mark_price=d(500)),),
        extra_requirement=d(2_500),
    )
    assessment = trigger_side(account, {}, NOW)
    assert assessment.maintenance_requirement == 15_000
    assert assessment.health_factor == 2
    assert assessment.buffer == 15_000


def test_margin_asked_at_the_entry_price_stays_where_it_is() -> None:
    # Kraken Futures' documented PF_LTCUSD position: 1 % of 0.5 x 70.53, with the mark at 68.80433882446.
    held = Position("LTC", d("0.5"), flat("0.01"), d("70.53"), d("68.80433882446"), margin_at_entry=True)
    account = Account("kraken", Kind.PERP, balance=d("10"), positions=(held,))
    requirement = solvency_of(account).requirement({"LTC": d("68.80433882446")})
    assert requirement == d("0.35265")
    assert liquidated_at(account, "LTC") == near(d("70.53") - (10 - d("0.35265")) / d("0.5"))
