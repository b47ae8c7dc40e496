"""Whatever an account holds, a forecast and a requirement are numbers in range or reasons, never a crash."""

import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.answers import assess_portfolio
from engine.simulation.answers import forecast_answer
from engine.simulation.forecast import Forecaster
from engine.simulation.requirement import netted, ranges, required_of
from engine.simulation.rules import PRESETS
from tests.engine.simulation.accounts import HOURS, portfolio
from tests.engine.simulation.series import made

FORECASTER = Forecaster({"ETH": made(HOURS, 1), "BTC": made(HOURS, 2, price=60_000)})
ASSETS = ("ETH", "BTC", "USDC", "SOL", "XYZ")  # SOL has a stated volatility, XYZ has nothing
PRICES = {"SOL": {"oracle": "150", "volatility": "0.9"}, "XYZ": {"oracle": "3"}}
amounts = st.floats(0, 1e6).map(lambda value: f"{value:.6f}")
rates = st.none() | st.floats(-2, 2).map(lambda value: f"{value:.4f}")


def without_none(leg: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in leg.items() if value is not None}


collateral = st.fixed_dictionaries(
    {
        "asset": st.sampled_from(ASSETS),
        "amount": amounts,
        "liquidation_threshold": st.sampled_from(["0", "0.5", "0.83", "1"]),
        "supply_rate": rates,
    }
).map(without_none)
debt = st.fixed_dictionaries({"asset": st.sampled_from(ASSETS), "amount": amounts, "borrow_rate": rates}).map(
    without_none
)
loans = st.fixed_dictionaries(
    {"kind": st.just("loan"), "collateral": st.lists(collateral, max_size=4), "debt": st.lists(debt, max_size=4)}
)
positions = st.fixed_dictionaries(
    {
        "asset": st.sampled_from(ASSETS),
        "quantity": st.floats(-1e4, 1e4).map(lambda value: f"{value:.6f}"),
        "entry_price": st.sampled_from(["1", "100", "2500"]),
        "tiers": st.just(
            [
                {"notional_floor": "0", "maintenance_rate": "0.01"},
                {"notional_floor": "100000", "maintenance_rate": "0.05"},
            ]
        ),
        "funding_rate": rates,
    }
).map(without_none)
money = st.floats(-1e6, 1e6).map(lambda value: f"{value:.2f}")
perps = st.fixed_dictionaries({"kind": st.just("perp"), "balance": money, "positions": st.lists(positions, max_size=3)})
brokers = st.fixed_dictionaries(
    {"kind": st.just("broker"), "cash": money, "positions": st.lists(positions, max_size=3)}
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(loans, perps, brokers), min_size=1, max_size=3))
def test_every_account_gets_a_probability_in_range_or_a_reason(accounts: list[dict[str, Any]]) -> None:
    document = portfolio(*accounts, **PRICES)
    said = [FORECASTER.of(each, document.prices, document.as_of_ns) for each in document.accounts]
    for one in said:
        last = 0.0
        for chance in one.horizons:
            if chance.probability is None:
                assert chance.because
                continue
            assert chance.low is not None
            assert chance.high is not None
            assert chance.baseline is not None
            assert 0 <= chance.low <= chance.probability <= chance.high <= 1
            assert 0 <= chance.baseline <= 1
            assert chance.probability >= last - 1e-12
            last = chance.probability
    assert forecast_answer(said, document.as_of_ns)["accounts"]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(loans, perps, brokers), min_size=1, max_size=3), st.sampled_from(sorted(PRESETS)))
def test_every_account_gets_a_requirement_or_a_reason(accounts: list[dict[str, Any]], preset: str) -> None:
    document = portfolio(*accounts, **PRICES)
    rule = PRESETS[preset]
    judged = assess_portfolio(document)
    held = sorted({asset for account, _ in judged for asset in account.assets} - {"USDC"})
    reach = ranges(rule, held, FORECASTER, document.prices, document.as_of_ns, 24.0, 0.01)
    alone = [required_of(account, found, document.prices, reach, rule) for account, found in judged]
    for one in alone:
        assert (one.required is None) == bool(one.because)
        assert one.required is None or (math.isfinite(one.required) and one.required >= 0)
    together = netted(judged, alone, document.prices, reach, rule)
    assert together.netted <= together.separate * (1 + 1e-9) + 1e-6
