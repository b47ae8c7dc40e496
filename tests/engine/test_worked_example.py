"""The worked example of the portfolio format, field by field, as `risk --json` answers it."""

from decimal import Decimal
from typing import Any

import pytest

from engine.answers import portfolio_answer
from engine.document import parse_portfolio
from tests.engine.portfolios import example


@pytest.fixture
def answer() -> dict[str, Any]:
    return portfolio_answer(parse_portfolio(example()))


@pytest.fixture
def main(answer: dict[str, Any]) -> dict[str, Any]:
    account: dict[str, Any] = answer["accounts"][0]
    return account


def test_the_envelope_names_schema_time_and_degradations(answer: dict[str, Any]) -> None:
    assert list(answer) == ["schema", "as_of", "degraded", "accounts", "totals"]
    assert answer["schema"] == "marginline.risk/1"
    assert answer["as_of"] == "2026-11-22T10:00:00Z"
    assert answer["degraded"] == []


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("name", "main"),
        ("kind", "loan"),
        ("severity", "warn"),
        ("severity_because", "health_factor 1.3833 < 1.5"),
        ("trigger", "oracle"),
        ("health_factor", "1.383333333333333333"),
        ("health_factor_wad", None),
        ("collateral_value", "25000"),
        ("debt_value", "15000"),
        ("maintenance_requirement", "15000"),
        ("equity", "10000"),
        ("buffer", "5750"),
        ("leverage", "2.5"),
        ("capital_efficiency", "0.745341614906832298"),
        ("interest_only_days", 3201),
        ("uniform_shock", "-0.277108433734939759"),
        ("nearest", "ETH"),
        ("method", "derived"),
        ("last_known", None),
        ("degraded", []),
    ],
)
def test_a_field_of_the_loan(main: dict[str, Any], field: str, expected: object) -> None:
    assert main[field] == expected


def test_the_cost_of_debt(main: dict[str, Any]) -> None:
    cost = main["cost_of_debt"]
    assert cost["annual_rate"] == "0.052"
    assert cost["per_day"][:8] == "2.136986"
    assert cost["net_carry"] == "-0.0405"


def test_the_liquidation_points(main: dict[str, Any]) -> None:
    down, up = main["liquidation"]["ETH"], main["liquidation"]["USDC"]
    assert down["price"][:20] == "1807.228915662650602"
    assert (down["distance"], down["direction"]) == ("0.277108433734939759", "down")
    assert up == {"price": "1.383333333333333333", "distance": "0.383333333333333333", "direction": "up"}


def test_health_at_the_market_and_after_the_next_print(main: dict[str, Any]) -> None:
    assert Decimal(main["at_market"]["health_factor"]).quantize(Decimal("0.00001")) == Decimal("1.37127")
    assert main["at_market"]["divergence_bps"] == {"ETH": "-87.2"}
    assert main["at_market"]["assumed"] == ["USDC"]
    assert main["at_next_oracle"]["health_factor"] == main["at_market"]["health_factor"]
    assert main["at_next_oracle"]["updates"] == {"ETH": {"due": "deviation", "price": "2478.2"}}


def test_the_perp_account(answer: dict[str, Any]) -> None:
    account = answer["accounts"][1]
    assert account["trigger"] == "mark"
    assert (account["equity"], account["maintenance_requirement"], account["buffer"]) == ("4500", "305", "4195")
    assert (account["collateral_value"], account["debt_value"]) == ("4500", None)
    assert account["severity_because"] == "distance 0.1361 < 0.2 (BTC up)"
    assert account["liquidation"]["BTC"]["price"] == "69306.930693069306930693"
    assert account["uniform_shock"] == "0.136179191689660769"
    assert account["missing"]["at_market"] == "no venue quotes BTC"


def test_the_broker_account(answer: dict[str, Any]) -> None:
    account = answer["accounts"][2]
    assert account["trigger"] == "broker"
    assert (account["health_factor"], account["severity"]) == ("2.4", "safe")
    assert (account["collateral_value"], account["debt_value"]) == ("50000", "20000")
    assert account["liquidation"]["SPY"]["price"] == "266.666666666666666667"
    assert (account["leverage"], account["capital_efficiency"]) == ("1.666666666666666667", "0.416666666666666667")


def test_the_totals(answer: dict[str, Any]) -> None:
    summed = answer["totals"]
    assert (summed["equity"], summed["debt"]) == ("44500", "35000")
    assert summed["cost_per_day"] is None
    assert summed["missing"] == {"cost_per_day": "hl: funding rate of BTC unknown"}
    assert summed["net_exposure"] == {"ETH": "25000", "USDC": "-15000", "BTC": "-30500", "SPY": "50000"}
    assert summed["first_liquidated"] == {"account": "main", "uniform_fall": "0.277108433734939759"}
    assert summed["netting_saves"] == "0"
