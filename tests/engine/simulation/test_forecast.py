"""What a forecast says of an account: where it starts, what it adds, how unsure it is, and why it says nothing."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.answers import assess_portfolio
from engine.assess import consensus_by_asset
from engine.document import Portfolio
from engine.simulation.answers import figures, forecast_answer
from engine.simulation.bridge import touched
from engine.simulation.candles import Candles
from engine.simulation.first_passage import driftless
from engine.simulation.forecast import AccountForecast, Forecaster, forecast_of
from engine.simulation.knowledge import learnt
from engine.simulation.model import Outlook
from engine.simulation.ratio import factor_candles, ratio_of
from tests.engine.simulation.accounts import HOURS, loan, perp, portfolio
from tests.engine.simulation.series import made

ETH = made(HOURS, 1)
BTC = made(HOURS, 2, price=60_000)
CANDLES = {"ETH": ETH, "BTC": BTC}


def of(document: Portfolio, candles: dict[str, Candles] | None = None, **options: Any) -> AccountForecast:
    given = CANDLES if candles is None else candles
    return forecast_of(document.accounts[0], document.prices, given, document.as_of_ns, **options)


def chance(document: Portfolio, hours: float = 24, **options: Any) -> float:
    said = of(document, horizons=(hours,), **options).horizons[0]
    assert said.probability is not None, said.because
    assert said.low is not None
    assert said.high is not None
    assert 0 <= said.low <= said.probability <= said.high <= 1
    return said.probability


def test_a_loan_is_as_far_as_its_liquidation_price_and_its_baseline_is_the_closed_form() -> None:
    said = of(portfolio(loan()))
    assert said.moves == "ETH down"
    assert said.distance == pytest.approx(1 - 15000 / (2500 * 8.3))
    sigma = np.sqrt(np.mean(np.diff(np.log(ETH.close[-721:])) ** 2))
    far = np.log(2500 * 8.3 / 15000)
    for each in said.horizons:
        assert each.baseline == pytest.approx(driftless(far, sigma, each.hours), rel=0.02, abs=1e-9)
    assert [each.calibrated for each in said.horizons] == [False, False, True]
    assert "beyond the fitted distances" in said.horizons[1].method  # 28 % in a day was not fitted


def test_a_short_is_liquidated_by_a_rise_at_the_price_that_its_maintenance_gives() -> None:
    said = of(portfolio(perp("-10")))
    liquidation = (5000 + 25_000) / (10 * 1.01)
    assert said.moves == "ETH up"
    assert said.distance == pytest.approx(liquidation / 2500 - 1)


def test_tiers_count_as_at_the_price_that_liquidates() -> None:
    account = perp("-10")
    del account["positions"][0]["maintenance_rate"]
    account["positions"][0]["tiers"] = [
        {"notional_floor": "0", "maintenance_rate": "0.01"},
        {"notional_floor": "26000", "maintenance_rate": "0.05"},
    ]
    said = of(portfolio(account))
    # 30000 - 10 p = 0.05 x 10 p - 0.04 x 26000
    assert said.distance == pytest.approx((30_000 + 1_040) / 10.5 / 2500 - 1)


@settings(max_examples=25, deadline=None)
@given(st.floats(9000, 20_000), st.floats(9000, 20_000), st.floats(0.5, 400), st.floats(0.5, 400))
def test_more_debt_or_more_time_is_never_less_likely(one: float, other: float, soon: float, late: float) -> None:
    small, large = sorted((one, other))
    short, long = sorted((soon, late))
    little, much = portfolio(loan(f"{small:.2f}")), portfolio(loan(f"{large:.2f}"))
    assert chance(little, short) <= chance(much, short) + 1e-12
    assert chance(little, short) <= chance(little, long) + 1e-12


def test_interest_brings_the_barrier_nearer() -> None:
    assert chance(portfolio(loan(borrow_rate="0.9")), 168) > chance(portfolio(loan()), 168)
    assert chance(portfolio(loan(borrow_rate="0.9", supply_rate="0.9")), 168) == pytest.approx(
        chance(portfolio(loan()), 168)
    )


def test_the_time_to_act_is_added_to_the_horizon() -> None:
    document = portfolio(loan())
    assert chance(document, 24, time_to_act_h=2.0) == pytest.approx(chance(document, 26))
    assert chance(document, 24, time_to_act_h=2.0) > chance(document, 24)


def test_a_market_below_the_oracle_is_where_a_loan_starts() -> None:
    quotes = [{"venue": venue, "bid": "2440", "ask": "2442", "age_s": 1} for venue in ("binance", "kraken", "coinbase")]
    document = portfolio(loan(), ETH={"oracle": "2500", "quotes": quotes})
    market = consensus_by_asset(document.prices, document.as_of_ns)
    assert chance(document, market=market) > chance(document)
    assert of(document, market=market).distance == pytest.approx(1 - 15000 / (2441 * 8.3), rel=1e-6)


def test_an_oracle_that_may_print_late_widens_the_interval_downwards_only() -> None:
    plain = of(portfolio(loan())).horizons[1]
    banded = of(portfolio(loan(), ETH={"oracle": "2500", "deviation_bps": 200})).horizons[1]
    assert banded.probability == plain.probability
    assert banded.high == plain.high
    assert banded.low is not None
    assert plain.low is not None
    assert banded.low < plain.low


def test_another_asset_is_not_called_calibrated_and_less_sure() -> None:
    mine = portfolio(loan("18500"))
    forecasts = [
        Forecaster(CANDLES, fitted=frozenset(fitted)).of(mine.accounts[0], mine.prices, mine.as_of_ns)
        for fitted in ({"ETH"}, {"BTC"})
    ]
    fitted, pooled = (each.horizons[1] for each in forecasts)
    assert fitted.calibrated
    assert not pooled.calibrated
    assert "not calibrated for this asset" in pooled.method
    assert pooled.probability == fitted.probability
    assert fitted.high is not None
    assert pooled.high is not None
    assert pooled.high > fitted.high


def test_without_candles_a_stated_volatility_serves_and_without_one_the_reason_is_told() -> None:
    stated = of(portfolio(loan(), ETH={"oracle": "2500", "volatility": "0.8"}), {}).horizons[1]
    assert not stated.calibrated
    assert stated.baseline == pytest.approx(driftless(np.log(2500 * 8.3 / 15000), 0.8 / np.sqrt(8760), 24))
    unknown = of(portfolio(loan()), {}).horizons[1]
    assert unknown.probability is None
    assert unknown.because == "no recent candles and no volatility of ETH"


def test_several_assets_are_as_far_as_their_common_move() -> None:
    both = loan("20000")
    both["collateral"].append({"asset": "BTC", "amount": "0.2", "liquidation_threshold": "0.8"})
    document = portfolio(both, BTC={"oracle": "60000"})
    ((_, judged),) = assess_portfolio(document)
    assert judged.uniform_shock is not None
    assert of(document).distance == pytest.approx(-float(judged.uniform_shock), rel=1e-9)


def test_a_staked_token_moves_like_the_market_that_its_oracle_follows() -> None:
    legs = [{"price": "2500", "asset": "ETH"}, {"price": "1.2", "description": "rate"}]
    staked = loan("18000")
    staked["collateral"][0]["asset"] = "wstETH"
    document = portfolio(staked, loan("15000"), wstETH={"oracle": "3000", "legs": legs})
    forecaster = Forecaster(CANDLES)
    mine, plain = (forecaster.of(each, document.prices, document.as_of_ns) for each in document.accounts)
    assert mine.distance == pytest.approx(plain.distance)
    assert [each.probability for each in mine.horizons] == pytest.approx([each.probability for each in plain.horizons])
    assert not any(each.calibrated for each in mine.horizons)
    assert "wstETH moves like ETH, at the rate its oracle applies now" in mine.notes
    looped = loan("0")
    looped["collateral"][0]["asset"] = "wstETH"
    looped["debt"] = [{"asset": "ETH", "amount": "9.5", "borrow_rate": "0.02"}]
    pair = portfolio(looped, wstETH={"oracle": "3000", "legs": legs})
    assert of(pair).horizons[1].because == "only the rate between ETH and wstETH moves it; a depeg is not forecast"


def test_what_two_sides_do_without_candles_is_unknown_rather_than_guessed() -> None:
    stated = {"volatility": "0.6"}
    document = portfolio(PAIR, ETH={"oracle": "2500", **stated}, BTC={"oracle": "60000", **stated})
    assert of(document, {}).horizons[1].because.startswith("correlation of BTC and ETH unknown")


def test_one_asset_of_several_without_candles_takes_its_stated_volatility_and_the_others_theirs() -> None:
    mixed = portfolio(MIXED, BTC={"oracle": "60000", "volatility": "0.5"})
    said = of(mixed, {"ETH": ETH})
    assert said.sigma is not None
    sigma = np.sqrt(np.mean(np.diff(np.log(ETH.close[-721:])) ** 2) * 8760)
    values = np.array([2500 * 8.3, 60_000 * 0.3 * 0.78])
    assert said.sigma == pytest.approx(values @ [sigma, 0.5] / values.sum(), rel=1e-3)
    assert of(portfolio(MIXED), {"ETH": ETH}).horizons[1].because == "no recent candles and no volatility of BTC"


def test_candles_after_the_moment_change_nothing() -> None:
    document = portfolio(loan())
    later = made(500, 7, start_s=int(ETH.ts[-1]) + 3600, sigma=0.05)
    spliced = Candles(
        *(
            np.concatenate([mine, others])
            for mine, others in zip(
                (ETH.ts, ETH.open, ETH.high, ETH.low, ETH.close),
                (later.ts, later.open, later.high, later.low, later.close),
                strict=True,
            )
        )
    )
    assert of(document, {"ETH": spliced}) == of(document, {"ETH": ETH})


def test_old_or_short_candles_are_not_used() -> None:
    document = portfolio(loan(), ETH={"oracle": "2500", "volatility": "0.8"})
    for candles in (ETH.part(0, HOURS - 60), ETH.part(HOURS - 500, HOURS)):
        assert of(document, {"ETH": candles}).horizons[1].method.startswith("pooled map on stated volatility")


def test_forty_days_of_candles_serve_but_say_so() -> None:
    said = of(portfolio(loan()), {"ETH": ETH.part(HOURS - 960, HOURS)})
    assert said.horizons[1].probability is not None
    assert not said.horizons[1].calibrated
    assert "39 days of candles stand for 90" in said.notes


@pytest.mark.parametrize(
    ("account", "why"),
    [
        ({"kind": "loan", "collateral": [], "debt": []}, "no debt: nothing to liquidate"),
        ({"kind": "perp", "balance": "5", "positions": []}, "no position: nothing to liquidate"),
        (perp("1", balance="90000"), "no price move of what it holds liquidates it"),
        (
            {
                "kind": "loan",
                "collateral": [{"asset": "USDC", "amount": "9", "liquidation_threshold": "0.8"}],
                "debt": [{"asset": "USDC", "amount": "5"}],
            },
            "only stable assets move it; a depeg is not forecast",
        ),
    ],
)
def test_an_account_without_a_liquidation_price_says_why(account: dict[str, Any], why: str) -> None:
    said = of(portfolio(account))
    assert {each.because for each in said.horizons} == {why}
    assert {each.probability for each in said.horizons} == {None}


def test_where_our_formula_lacks_tiers_the_venue_s_own_liquidation_price_serves_or_the_reason_is_told() -> None:
    document = portfolio(perp("-10"))
    (account,) = document.accounts
    bare = replace(account.positions[0], tiers=())
    for price, distance in ((None, None), (Decimal(3000), 0.2)):
        lone = replace(account, positions=(replace(bare, venue_liquidation_price=price),))
        said = forecast_of(lone, document.prices, CANDLES, document.as_of_ns)
        assert said.distance == (None if distance is None else pytest.approx(distance))
        assert said.horizons[1].because == ("no maintenance rate of ETH" if distance is None else "")


def test_an_account_that_is_liquidatable_already_is_certain() -> None:
    said = of(portfolio(loan("21000")))
    assert [each.probability for each in said.horizons] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("hours", [0.0, -1.0, float("nan"), float("inf")])
def test_a_horizon_that_is_none_is_refused(hours: float) -> None:
    with pytest.raises(ValueError, match="horizons"):
        of(portfolio(loan()), horizons=(hours,))


MIXED: dict[str, Any] = {
    "kind": "loan",
    "collateral": [
        {"asset": "ETH", "amount": "10", "liquidation_threshold": "0.83"},
        {"asset": "BTC", "amount": "0.3", "liquidation_threshold": "0.78"},
    ],
    "debt": [{"asset": "USDC", "amount": "31000", "borrow_rate": "0"}],
}
PAIR: dict[str, Any] = {
    "kind": "loan",
    "collateral": [{"asset": "ETH", "amount": "10", "liquidation_threshold": "0.83"}],
    "debt": [{"asset": "BTC", "amount": "0.32", "borrow_rate": "0"}],
}


@pytest.mark.parametrize(("account", "correlated"), [(MIXED, 0.8), (MIXED, 0.0), (PAIR, 0.8)])
def test_the_factor_of_several_assets_is_that_of_their_simulation_with_a_bridge(
    account: dict[str, Any], correlated: float
) -> None:
    document = portfolio(account)
    prices = {"ETH": 2500.0, "BTC": 60_000.0, "USDC": 1.0}
    ratio = ratio_of(document.accounts[0], prices, frozenset({"USDC"}), 0.0)
    matrix = np.array([[1.0, correlated], [correlated, 1.0]])
    sigma = {"ETH": 0.009, "BTC": 0.006}
    seen, error = touched(ratio, prices, sigma, matrix, 24.0, paths=40_000, seed=3)
    moved = np.array([ratio.shares(prices)[name] * sigma[name] for name in ratio.units])
    factor = float(np.sqrt(moved @ matrix @ moved))
    distance = ratio.distance(prices)
    assert distance is not None
    assert driftless(distance, factor, 24.0) == pytest.approx(seen, abs=4 * error + 0.06 * seen)
    # Without correlation or with the wrong one the formula would be far off: the check can fail.
    assert abs(driftless(distance, factor * 1.3, 24.0) - seen) > 4 * error + 0.06 * seen


def test_one_asset_needs_no_factor_and_the_bridge_finds_the_closed_form() -> None:
    document = portfolio(loan("19000"))
    prices = {"ETH": 2500.0, "USDC": 1.0}
    ratio = ratio_of(document.accounts[0], prices, frozenset({"USDC"}), 0.0)
    seen, error = touched(ratio, prices, {"ETH": 0.01}, np.eye(1), 24.0, steps=8, paths=60_000)
    distance = ratio.distance(prices)
    assert distance is not None
    assert driftless(distance, 0.01, 24.0) == pytest.approx(seen, abs=4 * error)


def test_several_assets_are_forecast_by_their_factor_and_labelled() -> None:
    said = of(portfolio(MIXED))
    assert said.moves.startswith("ETH down")
    assert "BTC down" in said.moves
    assert not said.horizons[1].calibrated
    assert "factor" in said.horizons[1].method
    assert set(of(portfolio(PAIR)).moves.split(", ")) == {"BTC up (100%)", "ETH down (100%)"}


def test_volatile_assets_on_both_sides_take_a_third_of_their_log_odds_from_the_closed_form() -> None:
    said = of(portfolio(PAIR)).horizons[1]
    assert said.method.startswith("two parts calibrated map, one part closed form")
    assert said.probability is not None
    assert said.baseline is not None
    alone = Forecaster(CANDLES)
    pair = portfolio(PAIR)
    ratio = ratio_of(pair.accounts[0], {"ETH": 2500.0, "BTC": 60_000.0}, frozenset(), 24.0)
    candles = factor_candles(CANDLES, ratio.shares({"ETH": 2500.0, "BTC": 60_000.0}))
    assert candles is not None
    outlook = Outlook(alone.model, learnt(candles, "", is_fitted=False).features, "down")
    distance = ratio.distance({"ETH": 2500.0, "BTC": 60_000.0})
    assert distance is not None
    plain = max(said.baseline, 1e-5)
    expected = 2 / 3 * float(outlook.log_odds(24.0, distance)[0]) + np.log(plain / (1 - plain)) / 3
    assert np.log(said.probability / (1 - said.probability)) == pytest.approx(expected, rel=1e-3)


def test_a_factor_of_one_asset_is_its_candles() -> None:
    alone = factor_candles({"ETH": ETH}, {"ETH": 1.0})
    assert alone is not None
    np.testing.assert_allclose(np.diff(np.log(alone.close)), np.diff(np.log(ETH.close)), atol=1e-12)
    np.testing.assert_allclose(np.log(alone.high / alone.low)[1:], np.log(ETH.high / ETH.low)[1:], atol=1e-9)


def test_the_answer_has_strings_and_reasons() -> None:
    document = portfolio(loan(), {"kind": "loan", "collateral": [], "debt": []})
    forecaster = Forecaster(CANDLES)
    said = [forecaster.of(each, document.prices, document.as_of_ns) for each in document.accounts]
    answer: Any = forecast_answer(said, document.as_of_ns)
    first, second = answer["accounts"]
    day = first["horizons"]["24h"]
    assert set(day) >= {"probability", "interval", "baseline", "method", "calibrated"}
    assert Decimal(day["interval"][0]) < Decimal(day["probability"]) < Decimal(day["interval"][1])
    assert second["horizons"]["7d"]["probability"] is None
    assert second["horizons"]["7d"]["because"] == "no debt: nothing to liquidate"
    assert figures(1.23456e-9) == "0.000000001235"
