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
# SOL has a stated volatility, XYZ has nothing.
PRICES = {"SOL": {"oracle": "150", "volatility": "0.9"}, "XYZ": {"oracle": "3"}}
VALUE = {"ETH": 2500, "BTC": 60_000, "USDC": 1, "SOL": 150, "XYZ": 3}
assets = st.sampled_from(("ETH", "ETH", "ETH", "BTC", "BTC", "USDC", "USDC", "SOL", "XYZ"))
rates = st.none() | st.floats(-2, 2).map(lambda value: f"{value:.4f}")
thresholds = st.sampled_from(["0", "0.5", "0.83", "0.83", "1"])
TIERS = [{"notional_floor": "0", "maintenance_rate": "0.01"}, {"notional_floor": "90000", "maintenance_rate": "0.05"}]


def leg(asset: str, value: float, **more: Any) -> dict[str, Any]:
    """Return a leg worth `value`; what is `None` is left out."""
    named = {"asset": asset, "amount": f"{value / VALUE[asset]:.8f}", **more}
    return {name: each for name, each in named.items() if each is not None}


def position(asset: str, value: float, funding: str | None) -> dict[str, Any]:
    """Return a position worth `value` (negative: short) in two tiers."""
    named = leg(asset, value, funding_rate=funding, entry_price=str(VALUE[asset]), tiers=TIERS)
    named["quantity"] = named.pop("amount")
    return named


collateral = st.builds(
    lambda asset, value, threshold, rate: leg(asset, value, liquidation_threshold=threshold, supply_rate=rate),
    assets, st.floats(0, 2e5), thresholds, rates,
)  # fmt: skip
debt = st.builds(lambda asset, value, rate: leg(asset, value, borrow_rate=rate), assets, st.floats(0, 7e4), rates)
loans = st.builds(
    lambda held, owed: {"kind": "loan", "collateral": held, "debt": owed},
    st.lists(collateral, max_size=3), st.lists(debt, max_size=2),
)  # fmt: skip
positions = st.lists(st.builds(position, assets, st.floats(-2e5, 2e5), rates), max_size=3)
perps = st.builds(
    lambda balance, held: {"kind": "perp", "balance": f"{balance:.2f}", "positions": held},
    st.floats(-1e3, 8e4), positions,
)  # fmt: skip
brokers = st.builds(
    lambda cash, held: {"kind": "broker", "cash": f"{cash:.2f}", "positions": held}, st.floats(-1e5, 1e5), positions
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
