"""A grid of price, volatility and rate over all accounts: health in each cell, and the chance to be gone in a day.

Health is the engine's own at moved prices; the chance is the closed form from there (`first_passage.driftless`), all
assets taken as moving together, which is the worst case, and labelled an estimate.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from engine.accounts import Account
from engine.prices import AssetPrice
from engine.rendering import rounded
from engine.shocks import FOLLOWS, Market, Scenario, Step
from engine.simulation.first_passage import driftless
from engine.simulation.ratio import ratio_of
from engine.solvency import trigger_prices
from engine.stress import stressed

PRICES = tuple(Decimal(percent) / 100 for percent in (-50, -40, -30, -20, -10, 0, 10, 20, 30, 50))
VOLATILITIES = (Decimal("0.5"), Decimal(1), Decimal(2))
RATES = (Decimal(0), Decimal("0.3"))
RATE_DAYS = Decimal(30)
HORIZON_H = 24.0
_YEAR_H = 8760.0


@dataclass(frozen=True, slots=True)
class Cell:
    """One account at one point: `price` is the move of all assets that are not stable, `volatility` a multiple.

    `rate` is added to what is paid, for 30 days. `probability` is that of liquidation within a day from there, `None`
    with a `reason`.
    """

    account: str
    price: Decimal
    volatility: Decimal
    rate: Decimal
    health_factor: Decimal | None
    liquidated: bool | None
    probability: float | None
    reason: str = ""

    def answer(self) -> dict[str, object]:
        """Return the cell as JSON."""
        return {
            "account": self.account,
            "price": rounded(self.price),
            "volatility": rounded(self.volatility),
            "rate": rounded(self.rate),
            "health_factor": rounded(self.health_factor),
            "liquidated": self.liquidated,
            "probability": None if self.probability is None else f"{self.probability:.6g}",
            "reason": self.reason or None,
        }


def grid(accounts: Sequence[Account], prices: Mapping[str, AssetPrice], market: Market) -> list[Cell]:
    """Return every cell, account by account."""
    return [cell for account in accounts for cell in _cells(account, prices, market)]


def _cells(account: Account, prices: Mapping[str, AssetPrice], market: Market) -> list[Cell]:
    found = []
    for move in PRICES:
        moves = {asset: move for asset in account.assets if asset not in market.stable}
        for rate in RATES:
            scenario = Scenario("", (Step(0, moves),), rate, RATE_DAYS if rate else Decimal(0))
            outcome = stressed(account, prices, scenario)
            for times in VOLATILITIES:
                chance, why = _chance(account, prices, market, move, times)
                if outcome.liquidated is not False or outcome.health_factor is None:
                    chance, why = (1.0 if outcome.liquidated else None), outcome.reason
                health = outcome.health_factor
                found.append(Cell(account.name, move, times, rate, health, outcome.liquidated, chance, why))
    return found


def _chance(
    account: Account, prices: Mapping[str, AssetPrice], market: Market, move: Decimal, times: Decimal
) -> tuple[float | None, str]:
    known, _ = trigger_prices(account, prices)
    moved = {asset: float(price * (1 if asset in market.stable else 1 + move)) for asset, price in known.items()}
    try:
        ratio = ratio_of(account, moved, market.stable, HORIZON_H)
        distance = ratio.distance(moved)
        shares = ratio.shares(moved)
    except (ValueError, KeyError, ZeroDivisionError) as error:
        return None, f"cannot be told: {error}"
    if distance is None or not shares:
        return 0.0, ""
    sigma = 0.0
    for asset, share in shares.items():
        known_as = [name for name in (asset, FOLLOWS.get(asset, asset)) if name in prices]
        volatility = next((each for name in known_as if (each := prices[name].volatility) is not None), None)
        if volatility is None:
            return None, f"volatility of {asset} unknown"
        sigma += share * float(volatility)
    hourly = abs(sigma) * float(times) / math.sqrt(_YEAR_H)
    if hourly == 0:
        return 0.0, ""
    return driftless(max(distance, 0.0), hourly, HORIZON_H), ""


def put_rows(cells: Sequence[Cell]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return headings and rows of a table of health: a row per account and rate, a column per move."""
    headings = ("ACCOUNT", "RATES", *(f"{move * 100:+.0f} %" for move in PRICES))
    rows = []
    for name in dict.fromkeys(cell.account for cell in cells):
        for rate in RATES:
            mine = [cell for cell in cells if cell.account == name and cell.rate == rate and cell.volatility == 1]
            rows.append((name, f"+{rate * 100:.0f}", *(_health(cell) for cell in mine)))
    return headings, rows


def _health(cell: Cell) -> str:
    if cell.liquidated is None:
        return "?"
    if cell.health_factor is None:
        return "no debt"
    floored = math.floor(cell.health_factor * 100) / 100
    return f"{floored:.2f}{'X' if cell.liquidated else ''}"
