"""Random accounts that a price move liquidates, each with its margin written down apart from the engine."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from random import Random

import numpy as np

from engine.accounts import Account, Collateral, Debt, Kind, Position, Tier
from engine.prices import AssetPrice, OraclePrice

D = Decimal
Margin = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Book:
    """One account, its prices, and its margin as a function of the price of ETH."""

    account: Account
    prices: dict[str, AssetPrice]
    margin: Margin
    price: Decimal


def figure(random: Random, low: float, high: float) -> Decimal:
    return D(f"{random.uniform(low, high):.4f}")


def loan(random: Random) -> Book:
    """A loan on ETH, with or without BTC and a stable coin beside it, liquidated by a fall of 2 to 60 %."""
    price, amount, weight = figure(random, 500, 9000), figure(random, 0.5, 5000), figure(random, 0.5, 0.95)
    rests = figure(random, 0, 0.3) * amount * price if random.random() < 0.5 else D(0)
    line = price * figure(random, 0.4, 0.98)
    debt = amount * weight * line + rests * D("0.75")
    collateral = [Collateral("ETH", amount, weight)]
    if rests:
        collateral.append(Collateral("BTC", rests / 50000, D("0.75")))
    account = Account("a", Kind.LOAN, collateral=tuple(collateral), debt=(Debt("USDC", debt),))
    held, fixed = float(amount * weight), float(rests * D("0.75") - debt)
    return Book(account, _prices(price), lambda at: held * at + fixed, price)


def position(random: Random) -> Book:
    """A long or short on ETH in two maintenance tiers, liquidated by a move of some percent."""
    price, side = figure(random, 500, 9000), random.choice((1, -1))
    size, entry = figure(random, 0.5, 500), price * figure(random, 0.8, 1.2)
    low, high = figure(random, 0.004, 0.02), figure(random, 0.02, 0.06)
    step = size * price * figure(random, 0.4, 1.6)
    deduction = step * (high - low)
    tiers = (Tier(D(0), low), Tier(step, high, deduction))
    quantity = size * side
    balance = size * price * figure(random, 0.1, 0.45) - quantity * (price - entry)
    held = Position("ETH", quantity, tiers, entry_price=entry, mark_price=price)
    account = Account("p", Kind.PERP, quote="USDC", balance=balance, positions=(held,))

    def margin(at: np.ndarray) -> np.ndarray:
        notional = float(size) * at
        asked = np.where(notional < float(step), notional * float(low), notional * float(high) - float(deduction))
        found: np.ndarray = float(balance) + float(quantity) * (at - float(entry)) - asked
        return found

    return Book(account, _prices(price), margin, price)


def _prices(price: Decimal) -> dict[str, AssetPrice]:
    return {
        "ETH": AssetPrice(OraclePrice(price), volatility=D("0.7")),
        "BTC": AssetPrice(OraclePrice(D(50000))),
        "USDC": AssetPrice(OraclePrice(D(1)), stable=True),
    }
