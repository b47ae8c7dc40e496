"""Print how far the engine is from published and contract figures: `python -m benchmarks.accuracy`.

Every case is written as a portfolio document and assessed as `risk` would; the tests assert the same comparisons.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.accounts import Account, Position
from engine.answers import assess_portfolio
from engine.assessment import Assessment
from engine.document import Portfolio, parse_portfolio
from engine.triggers import face_or_market_value

FIXTURES = Path(__file__).parent.parent / "tests" / "fixtures"
STABLES = frozenset({"USDC", "DAI", "USDT", "GHO"})
NO_DEBT_WAD = 2**256 - 1


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure of one case, ours and theirs; either may be `None` for "there is none"."""

    case: str
    figure: str
    ours: Decimal | None
    theirs: Decimal | None

    @property
    def error(self) -> Decimal:
        """Return the relative error; infinite when only one side has a figure."""
        if self.ours is None or self.theirs is None:
            return Decimal(0) if self.ours is self.theirs else Decimal("Infinity")
        return abs(self.ours / self.theirs - 1) if self.theirs else abs(self.ours)


def _read(name: str) -> Any:
    return json.loads((FIXTURES / name).read_text())


def _portfolio(prices: dict[str, Any], account: dict[str, Any]) -> Portfolio:
    document = {"schema": "marginline.portfolio/1", "as_of": "2026-11-22T10:00:00Z", "prices": prices}
    return parse_portfolio(json.dumps({**document, "accounts": [account]}))


def _account(prices: dict[str, Any], account: dict[str, Any]) -> Account:
    return _portfolio(prices, account).accounts[0]


def _assessed(prices: dict[str, Any], account: dict[str, Any]) -> Assessment:
    return assess_portfolio(_portfolio(prices, account))[0][1]


def _figure(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def loans() -> Iterator[Compared]:
    """Yield health, one-asset liquidation prices, uniform shock and years of interest of every loan case."""
    for case in _read("risk/loans.json"):
        borrow_rate, supply_rate = case["rates"]
        said = _assessed(
            {asset: {"oracle": price, "stable": asset in STABLES} for asset, price in case["prices"].items()},
            {
                "name": case["name"],
                "kind": "loan",
                "collateral": [
                    {
                        "asset": asset,
                        "amount": amount,
                        "liquidation_threshold": case["lt"][asset],
                        "supply_rate": supply_rate,
                    }
                    for asset, amount in case["collateral"].items()
                ],
                "debt": [
                    {"asset": asset, "amount": amount, "borrow_rate": borrow_rate}
                    for asset, amount in case["debt"].items()
                ],
            },
        )
        yield Compared(case["name"], "health_factor", said.health_factor, Decimal(case["hf"]))
        for asset, price in case["one_asset"].items():
            yield Compared(case["name"], f"liquidation {asset}", said.liquidation[asset].price, _figure(price))
        yield Compared(case["name"], "uniform_shock", said.uniform_shock, _figure(case["uniform_shock_nonstable"]))
        days = int(Decimal(case["time_to_liq_years"]) * 365)
        yield Compared(case["name"], "interest_only_days", Decimal(said.interest_only_days or 0), Decimal(days))


def hyperliquid() -> Iterator[Compared]:
    """Yield the liquidation price of every isolated position that the exchange reported one for."""
    for index, case in enumerate(_read("risk/hyperliquid.json")):
        quantity = Decimal(case["size"]) * (1 if case["side"] == "long" else -1)
        rate = 1 / (2 * Decimal(case["max_leverage"]))
        position = {
            "asset": case["coin"],
            "quantity": str(quantity),
            "entry_price": case["entry"],
            "mark_price": case["entry"],
            "maintenance_rate": str(rate),
        }
        account = {"kind": "perp", "mode": "isolated", "balance": case["isolated_margin"], "positions": [position]}
        said = _assessed({}, {"name": f"hyperliquid-{index}", **account})
        yield Compared(
            said.name, "liquidation price", said.liquidation[case["coin"]].price, Decimal(case["expected_liq"])
        )


def binance() -> Iterator[Compared]:
    """Yield both liquidation prices of the published cross-margin example."""
    case = _read("risk/binance.json")
    positions = [
        {
            **{key: each[key] for key in ("asset", "quantity", "entry_price", "mark_price")},
            "tiers": [
                {"notional_floor": floor, "maintenance_rate": rate, "deduction": deduction}
                for floor, rate, deduction in each["tiers"]
            ],
        }
        for each in case["positions"]
    ]
    account = {"kind": "perp", "mode": "cross", "balance": case["wallet"], "positions": positions}
    said = _assessed({}, {"name": "binance-cross", **account})
    for each in case["positions"]:
        yield Compared(
            said.name, f"liquidation {each['asset']}", said.liquidation[each["asset"]].price, Decimal(each["expected"])
        )


def aave() -> Iterator[Compared]:
    """Yield the plain formula's health factor beside the contract's (3.5 to 3.7)."""
    for case in _read("lending/aave_v37.json"):
        scales = {each["symbol"]: Decimal(1).scaleb(-each["decimals"]) for each in case["assets"]}
        said = _assessed(
            {each["symbol"]: {"oracle": str(Decimal(each["price"]).scaleb(-8))} for each in case["assets"]},
            {
                "name": case["name"],
                "kind": "loan",
                "collateral": [
                    {
                        "asset": each["symbol"],
                        "amount": str(int(each["collateral"]) * scales[each["symbol"]]),
                        "liquidation_threshold": str(Decimal(each["threshold_bps"]) / 10_000 if each["enabled"] else 0),
                    }
                    for each in case["assets"]
                    if each["collateral"] != "0"
                ],
                "debt": [
                    {"asset": each["symbol"], "amount": str(int(each["debt"]) * scales[each["symbol"]])}
                    for each in case["assets"]
                    if each["debt"] != "0"
                ],
            },
        )
        wad = int(case["health_factor_wad"])
        theirs = None if wad == NO_DEBT_WAD else Decimal(wad).scaleb(-18)
        yield Compared(case["name"], "health_factor", said.health_factor, theirs)


def venues() -> Iterator[Compared]:
    """Yield liquidation prices, maintenance, profit and ratios that venues recorded, documented or tested with."""
    for case in _read("risk/venues.json"):
        account = _account({}, case["account"])
        said = _assessed({}, case["account"])
        figures = {
            "equity": said.equity,
            "health_factor": said.health_factor,
            "maintenance_requirement": said.maintenance_requirement,
            "profit": sum((_profit(each) for each in account.positions), Decimal(0)),
            "notional": sum((abs(_notional(each)) for each in account.positions), Decimal(0)),
        }
        figures |= {f"liquidation {asset}": point.price for asset, point in said.liquidation.items()}
        for figure, expected in case["expected"].items():
            yield Compared(case["name"], figure, figures[figure], Decimal(expected))
        for figure, expected in case.get("expected_coins", {}).items():
            in_coins = figures[figure]
            assert in_coins is not None
            yield Compared(
                case["name"], f"{figure} in coins", in_coins / Decimal(case["coin_price"]), Decimal(expected)
            )


def _profit(position: Position) -> Decimal:
    return position.quantity * ((position.mark_price or Decimal(0)) - (position.entry_price or Decimal(0)))


def _notional(position: Position) -> Decimal:
    return face_or_market_value(position, position.mark_price or Decimal(0))


def binance_tiers() -> Iterator[Compared]:
    """Yield the deduction of every recorded bracket: ours joins the tier before, theirs is its `cum`."""
    for asset, brackets in _read("risk/binance_tiers.json").items():
        tiers = [{"notional_floor": floor, "maintenance_rate": rate} for floor, rate, _ in brackets]
        position = {"asset": asset, "quantity": "1", "entry_price": "1", "mark_price": "1", "tiers": tiers}
        account = {"name": asset, "kind": "perp", "balance": "1", "positions": [position]}
        for tier, (floor, _, cum) in zip(_account({}, account).positions[0].tiers, brackets, strict=True):
            yield Compared(f"{asset} from {floor}", "deduction", tier.deduction, Decimal(cum))


GROUPS = {
    "loans": loans,
    "hyperliquid": hyperliquid,
    "binance": binance,
    "aave 3.5-3.7": aave,
    "venues": venues,
    "binance tiers": binance_tiers,
}


def main() -> None:
    """Print, by group, how many figures were compared and the worst relative error."""
    for name, group in GROUPS.items():
        compared = list(group())
        worst = max(compared, key=lambda each: each.error)
        print(
            f"{name:14} {len(compared):3} figures, worst relative error {worst.error:.2e} ({worst.case} {worst.figure})"
        )
        if name == "venues":
            for each in sorted(compared, key=lambda each: -each.error):
                print(f"  {each.error:.1e}  {each.case} {each.figure}: {each.ours:.12g} ours, {each.theirs} theirs")


if __name__ == "__main__":
    main()
