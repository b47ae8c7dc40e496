"""What a margin rule asks: the worst of its scan, its range beside the calibrated one, netting and what breaks it."""

import math
from typing import Any

import pytest

from engine.answers import assess_portfolio
from engine.document import Portfolio
from engine.simulation.forecast import Forecaster
from engine.simulation.model import frozen
from engine.simulation.requirement import Netted, Reach, Required, netted, ranges, required_of, scan
from engine.simulation.rules import PRESETS, Rule
from tests.engine.simulation.accounts import HOURS, loan, perp, portfolio
from tests.engine.simulation.series import made

DERIBIT = PRESETS["deribit-like"]
ADJUSTED = PRESETS["vol-adjusted"]
CANDLES = {"ETH": made(HOURS, 1), "BTC": made(HOURS, 2, price=60_000)}


def asked(document: Portfolio, rule: Rule = DERIBIT, chance: float = 0.01) -> tuple[list[Required], Netted, Any]:
    accounts = assess_portfolio(document)
    forecaster = Forecaster(CANDLES)
    reach = ranges(rule, ["BTC", "ETH"], forecaster, document.prices, document.as_of_ns, 24.0, chance)
    alone = [required_of(account, judged, document.prices, reach, rule) for account, judged in accounts]
    return alone, netted(accounts, alone, document.prices, reach, rule), reach


def put_value(price: float, strike: float, volatility: float, years: float) -> float:
    spread = volatility * math.sqrt(years)
    far = math.log(price / strike) / spread + spread / 2
    below = [0.5 * math.erfc(value / math.sqrt(2)) for value in (far - spread, far)]
    return strike * below[0] - price * below[1]


def test_a_thousand_ether_need_16_percent_of_their_value_under_a_deribit_like_scan() -> None:
    worst = scan(lambda share, _: 1000 * 3000 * (1 + 0.16 * share), 4)
    assert worst.loss == pytest.approx(480_000)
    assert worst.share == -1


def test_a_put_lowers_the_worst_point_and_the_volatility_shock_then_matters() -> None:
    def value(share: float, volatility: float) -> float:
        price = 3000 * (1 + 0.16 * share)
        return 1000 * price + 800 * put_value(price, 2500, 0.65 * volatility, 30 / 365)

    worst = scan(value, 4)
    assert worst.loss == pytest.approx(411_000, abs=2_000)  # the groundwork's published example
    assert (worst.share, worst.volatility) == (-1, 0.75)


def test_a_loan_needs_the_worst_loss_of_its_volatile_part_and_slippage() -> None:
    (one,), _, _ = asked(portfolio(loan("15000")))
    assert one.equity == pytest.approx(10_000)
    assert one.required == pytest.approx(25_000 * (0.16 + 0.005))
    assert one.covered == pytest.approx(10_000 / 4125)
    assert one.protocol == pytest.approx(25_000 * 0.17)  # equity when 0.83 x collateral equals the debt's haircut
    (threshold,) = one.thresholds
    assert threshold.protocol == pytest.approx(0.83)
    assert threshold.implied == pytest.approx(0.84 / 1.005)
    assert threshold.note == "liquidation bonus unknown, counted as 0"


def test_a_short_is_scanned_upwards_and_its_rate_implied_beside_the_venue_s() -> None:
    (one,), _, _ = asked(portfolio(perp("-10")))
    assert one.scanned is not None
    assert one.scanned.share == 1
    assert one.required == pytest.approx(25_000 * 0.165)
    assert one.thresholds[0].protocol == pytest.approx(0.01)
    assert one.thresholds[0].implied == pytest.approx(0.165)


def test_netting_saves_what_offsets_and_says_what_it_rests_on() -> None:
    document = portfolio(loan("15000"), perp("-8"))
    alone, together, _ = asked(document)
    assert together.separate == pytest.approx(sum(one.required or 0 for one in alone))
    assert together.netted == pytest.approx(2 * 2500 * 0.165)
    assert together.saved == pytest.approx(together.separate - together.netted)
    assert together.breaks[0].startswith(
        "ETH: a0 against a1 offset 20,000; it ends when a1 is liquidated, ETH up 23.8%"
    )
    assert "no venue nets" in together.breaks[-1]


def test_an_offset_between_assets_is_told_apart_from_one_within_an_asset() -> None:
    short = perp("-0.4", entry="60000")
    short["positions"][0]["asset"] = "BTC"
    _, together, _ = asked(portfolio(loan("15000"), short))
    assert together.by_asset > together.netted
    assert any("if they do not" in line for line in together.breaks)


def test_netting_never_asks_for_more_than_the_accounts_apart() -> None:
    for quantity in ("-40", "-10", "-1", "1", "30"):
        _, together, _ = asked(portfolio(loan("15000"), perp(quantity, balance="50000")))
        assert together.netted <= together.separate + 1e-9
        assert together.netted <= together.by_asset + 1e-9


def test_the_calibrated_range_grows_with_confidence_and_volatility_and_has_a_floor() -> None:
    document = portfolio(loan("15000"))
    _, _, wide = asked(document, ADJUSTED, 0.001)
    _, _, usual = asked(document, ADJUSTED, 0.01)
    for reach in (wide["ETH"], usual["ETH"]):
        assert isinstance(reach, Reach)
        assert reach.floor is not None
        assert reach.down >= reach.floor
        assert reach.doubled_down is not None
        assert reach.doubled_down > reach.down
    assert wide["ETH"].down > usual["ETH"].down


def test_a_quiet_market_is_held_by_the_floor() -> None:
    document = portfolio(loan("15000"))
    calm = Forecaster({"ETH": made(HOURS, 1, sigma=0.0005)})
    reach = ranges(ADJUSTED, ["ETH"], calm, document.prices, document.as_of_ns, 24.0, 0.01)["ETH"]
    assert isinstance(reach, Reach)
    assert reach.floored
    assert reach.down == pytest.approx(-math.expm1(-float(frozen().about["range_floor"]["down"]["24"]["0.01"])))


def test_the_floor_is_not_that_of_an_asset_that_the_map_was_not_fitted_to() -> None:
    document = portfolio(loan("15000"), SPY={"oracle": "500", "volatility": "0.1"})
    reach = ranges(ADJUSTED, ["SPY"], Forecaster({}), document.prices, document.as_of_ns, 24.0, 0.01)["SPY"]
    assert isinstance(reach, Reach)
    assert (reach.floor, reach.floored, reach.calibrated) == (None, False, False)
    assert 0 < reach.down < 0.05


def test_an_asset_without_history_has_no_requirement_but_a_reason() -> None:
    document = portfolio(loan("15000"))
    accounts = assess_portfolio(document)
    reach = ranges(ADJUSTED, ["ETH"], Forecaster({}), document.prices, document.as_of_ns, 24.0, 0.01)
    alone = [required_of(account, judged, document.prices, reach, ADJUSTED) for account, judged in accounts]
    assert alone[0].required is None
    assert alone[0].because == "no recent candles and no volatility of ETH"
    assert netted(accounts, alone, document.prices, reach, ADJUSTED).left_out == ("a0",)
