"""Portfolios for forecasts, as documents: what a test changes is in sight."""

import json
from typing import Any

from engine.document import Portfolio, parse_portfolio
from tests.engine.simulation.series import START_S

HOURS = 2_400
AS_OF = "2021-04-11T00:00:10Z"  # START_S + 2,400 hours, a little later


def portfolio(*accounts: dict[str, Any], **prices: dict[str, Any]) -> Portfolio:
    """Return a portfolio at the end of 2,400 made-up hours; ETH at 2500 and USDC are priced unless told otherwise."""
    document = {
        "schema": "marginline.portfolio/1",
        "as_of": AS_OF,
        "prices": {"ETH": {"oracle": "2500"}, "BTC": {"oracle": "60000"}, "USDC": {"oracle": "1", "stable": True}}
        | prices,
        "accounts": [{"name": f"a{index}"} | each for index, each in enumerate(accounts)],
    }
    return parse_portfolio(json.dumps(document))


def loan(debt: str = "15000", **more: str) -> dict[str, Any]:
    """Return a loan of USDC against 10 ETH; `more` are rates."""
    collateral = {"asset": "ETH", "amount": "10", "liquidation_threshold": "0.83"}
    if "supply_rate" in more:
        collateral["supply_rate"] = more["supply_rate"]
    owed = {"asset": "USDC", "amount": debt, "borrow_rate": more.get("borrow_rate", "0")}
    return {"kind": "loan", "collateral": [collateral], "debt": [owed]}


def perp(quantity: str, balance: str = "5000", entry: str = "2500") -> dict[str, Any]:
    """Return a perp account with one flat-rate ETH position and no funding."""
    position = {
        "asset": "ETH", "quantity": quantity, "entry_price": entry, "maintenance_rate": "0.01", "funding_rate": "0",
    }  # fmt: skip
    return {"kind": "perp", "mode": "cross", "balance": balance, "positions": [position]}


assert START_S + HOURS * 3600 == 1_618_099_200
