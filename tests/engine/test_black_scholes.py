"""Options in closed form: equal to an independent library over a grid, and sane where formulas like to break."""

import itertools
import math

import pytest
import QuantLib

from engine.black_scholes import implied_volatility, option_delta, option_price
from engine.options import Right

GRID = list(
    itertools.product(
        (Right.PUT, Right.CALL),
        (40.0, 70.0, 90.0, 100.0, 105.0, 130.0, 250.0),
        (1 / 365, 7 / 365, 30 / 365, 0.5, 1.0, 2.0),
        (0.05, 0.2, 0.65, 1.2, 3.0),
        (0.0, 0.05, -0.01),
    )
)


def by_quantlib(right: Right, strike: float, years: float, volatility: float, rate: float) -> tuple[float, float]:
    kind = QuantLib.Option.Put if right is Right.PUT else QuantLib.Option.Call
    discount = math.exp(-rate * years)
    payoff = QuantLib.PlainVanillaPayoff(kind, strike)
    found = QuantLib.BlackCalculator(payoff, 100.0 / discount, volatility * math.sqrt(years), discount)
    return found.value(), found.delta(100.0)


def test_price_and_delta_equal_quantlib_over_a_grid() -> None:
    assert len(GRID) == 1260
    for right, strike, years, volatility, rate in GRID:
        price, delta = by_quantlib(right, strike, years, volatility, rate)
        where = (right, strike, years, volatility, rate)
        assert abs(option_price(right, 100.0, strike, years, volatility, rate) - price) < 1e-12, where
        assert abs(option_delta(right, 100.0, strike, years, volatility, rate) - delta) < 1e-12, where


def test_the_reference_value() -> None:
    assert option_price(Right.PUT, 100, 100, 1, 0.2, 0.05) == pytest.approx(5.573526022256971, abs=1e-14)


def test_implied_volatility_gives_the_price_back() -> None:
    tried = 0
    for right, strike, years, volatility, rate in GRID:
        price = option_price(right, 100.0, strike, years, volatility, rate)
        found = implied_volatility(right, price, 100.0, strike, years, rate)
        if found is None:
            assert price <= option_price(right, 100.0, strike, years, 1e-6, rate)
            continue
        assert abs(option_price(right, 100.0, strike, years, found, rate) - price) < 1e-12
        vega = (option_price(right, 100.0, strike, years, volatility * 1.0001, rate) - price) / (volatility * 1e-4)
        if vega > 0.1:
            tried += 1
            assert found == pytest.approx(volatility, abs=1e-11)
    assert tried > 800


def test_a_price_that_no_volatility_gives_has_none() -> None:
    assert implied_volatility(Right.PUT, 101.0, 100, 100, 0.5) is None
    assert implied_volatility(Right.PUT, 19.0, 80, 100, 0.5) is None
    assert implied_volatility(Right.PUT, 5.0, 100, 100, 0) is None


def test_without_time_or_volatility_an_option_is_worth_its_payoff() -> None:
    assert option_price(Right.PUT, 80, 100, 0, 0.5) == 20
    assert option_price(Right.CALL, 80, 100, 0.5, 0) == 0
    assert option_delta(Right.PUT, 80, 100, 0, 0.5) == -1
    assert option_delta(Right.CALL, 80, 100, 0, 0.5) == 0


@pytest.mark.parametrize(
    "given",
    [
        (0, 100, 1, 0.2),
        (100, -1, 1, 0.2),
        (100, 100, -1, 0.2),
        (100, 100, 1, -0.2),
        (math.nan, 100, 1, 0.2),
        (100, 100, 1, math.nan),
        (100, 100, math.inf, 0.2),
    ],
)
def test_impossible_input_is_refused(given: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="an option's price needs"):
        option_price(Right.PUT, *given)
