"""An account as one ratio: what it has over what it must cover, as floats; liquidated when that falls below 1.

Everything that rises with a price is gathered above, everything that falls with it below; cash and stable assets go
where their sign puts them. With one volatile asset ln(ratio) moves exactly as that asset's log price, so that its
distance is the distance of the liquidation price; with several it is the account's risk-weighted factor.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.accounts import Account, Kind
from engine.simulation.candles import Candles, Floats
from engine.solvency import Curve, solvency_of

YEAR_H = 8760.0


@dataclass(frozen=True, slots=True)
class Ratio:
    """`units` of every volatile asset (negative: its rise hurts) and `fixed` value, in quote currency.

    `drift_unknown` names the rates that were left out because nobody knows them.
    """

    units: Mapping[str, float]
    fixed: float
    drift_unknown: tuple[str, ...] = ()

    def sides(self, prices: Mapping[str, float]) -> tuple[float, float]:
        """Return what is had and what must be covered at `prices`."""
        values = [units * prices[asset] for asset, units in self.units.items()] + [self.fixed]
        return sum(value for value in values if value > 0), -sum(value for value in values if value < 0)

    def distance(self, prices: Mapping[str, float]) -> float | None:
        """Return ln(ratio): negative when liquidatable, `None` when nothing must be covered."""
        have, must = self.sides(prices)
        if must <= 0:
            return None
        return math.log(have / must) if have > 0 else -math.inf

    def shares(self, prices: Mapping[str, float]) -> dict[str, float]:
        """Return how ln(ratio) moves with the log price of every volatile asset: its share of its side, signed."""
        have, must = self.sides(prices)
        return {
            asset: units * prices[asset] / (have if units > 0 else must)
            for asset, units in self.units.items()
            if units != 0
        }


def ratio_of(account: Account, prices: Mapping[str, float], stable: frozenset[str], hours: float) -> Ratio:
    """Return the ratio of `account` in `hours` at unchanged prices, debts and collateral grown by their rates.

    Maintenance tiers count as at the price that liquidates (one volatile asset) or at `prices` (several). `prices`
    holds every asset. Raises `ValueError` as `solvency_of` does.
    """
    units, fixed, unknown = _loan(account, hours) if account.kind is Kind.LOAN else _margin(account, prices, hours)
    moving: dict[str, float] = {}
    for asset, amount in units.items():
        if asset in stable:
            fixed += amount * prices[asset]
        elif amount:
            moving[asset] = amount
    if account.kind is Kind.LOAN:
        return Ratio(moving, fixed, unknown)
    curves = {exposure.asset: exposure.curves for exposure in solvency_of(account).exposures if exposure.curves}
    found = _with_tiers(moving, fixed, unknown, curves, prices)
    if len(moving) == 1:
        (asset,) = moving
        for _ in range(8):
            have, must = found.sides(prices)
            if have <= 0 or must <= 0:
                break
            factor = must / have if found.units[asset] > 0 else have / must
            found = _with_tiers(moving, fixed, unknown, curves, {**prices, asset: prices[asset] * factor})
    return found


def _with_tiers(
    units: Mapping[str, float],
    fixed: float,
    unknown: tuple[str, ...],
    curves: Mapping[str, tuple[Curve, ...]],
    prices: Mapping[str, float],
) -> Ratio:
    """Return the ratio with every tiered maintenance as the straight line of its tier at `prices`."""
    moved = dict(units)
    for asset, each in curves.items():
        for curve in each:
            size = float(curve.size)
            notional = size * prices[asset]
            floors = [float(tier.notional_floor) for tier in curve.tiers]
            tier = curve.tiers[max(0, int(np.searchsorted(floors, notional, side="right")) - 1)]
            multiple = float(curve.multiple)
            owed = size * (float(tier.maintenance_rate) + float(curve.fee_rate)) * multiple
            if asset in moved:
                moved[asset] -= owed
            else:
                fixed -= owed * prices[asset]
            fixed += float(tier.deduction) * multiple
    return Ratio(moved, fixed, unknown)


def _loan(account: Account, hours: float) -> tuple[dict[str, float], float, tuple[str, ...]]:
    years = hours / YEAR_H
    units: dict[str, float] = {}
    unknown: list[str] = []
    for leg in account.collateral:
        if leg.amount and leg.liquidation_threshold:
            grown = math.exp(float(leg.supply_rate or 0) * years)
            units[leg.asset] = units.get(leg.asset, 0.0) + float(leg.amount * leg.liquidation_threshold) * grown
    for debt in account.debt:
        if debt.amount:
            if debt.borrow_rate is None:
                unknown.append(f"borrow rate of {debt.asset}")
            grown = math.exp(float(debt.borrow_rate or 0) * years)
            units[debt.asset] = units.get(debt.asset, 0.0) - float(debt.amount) * grown
    return units, 0.0, tuple(unknown)


def _margin(
    account: Account, prices: Mapping[str, float], hours: float
) -> tuple[dict[str, float], float, tuple[str, ...]]:
    """Return units and cash of a perp or broker account, flat maintenance taken off and carry paid until `hours`."""
    years = hours / YEAR_H
    solvency = solvency_of(account)
    units = {each.asset: float(each.weight - each.owed) for each in solvency.exposures}
    fixed = float(solvency.rest)
    unknown: list[str] = []
    for debt in account.debt if account.kind is Kind.PERP else ():
        if debt.amount and debt.borrow_rate is None:
            unknown.append(f"borrow rate of {debt.asset}")
        more = float(debt.amount) * math.expm1(float(debt.borrow_rate or 0) * years)
        if debt.asset in units:
            units[debt.asset] -= more
        else:
            fixed -= more
    for position in account.positions:
        if not position.quantity or (account.kind is Kind.BROKER and position.quantity > 0):
            continue
        value = float(position.quantity) * prices[position.asset]
        if position.inverse and position.entry_price is not None:
            value = float(position.quantity * position.entry_price)
        if position.funding_rate is None:
            fee = "funding rate" if account.kind is Kind.PERP else "borrow fee"
            unknown.append(f"{fee} of {position.asset}")
            continue
        paid = value if account.kind is Kind.PERP else -value
        fixed -= paid * float(position.funding_rate) * years
    if account.kind is Kind.BROKER and account.balance < 0:
        if account.cash_rate is None:
            unknown.append("rate on borrowed cash")
        fixed += float(account.balance) * math.expm1(float(account.cash_rate or 0) * years)
    return units, fixed, tuple(unknown)


def factor_candles(series: Mapping[str, Candles], shares: Mapping[str, float]) -> Candles | None:
    """Return candles of the log-linear factor that moves by sum(share x log return), over the hours all assets share.

    The factor's range in an hour is that of its assets put together with their correlation over the last 30 days, as
    highs and lows of different assets come at different minutes. `None` without two shared hours.
    """
    begin = max(float(each.ts[0]) for each in series.values())
    end = min(float(each.ts[-1]) for each in series.values())
    if end <= begin:
        return None
    names = sorted(series)
    cut = [each.part(*np.searchsorted(each.ts, [begin, end + 1]).tolist()) for each in (series[name] for name in names)]
    weights = np.array([shares[name] for name in names])
    returns = np.stack([np.log(each.close / np.concatenate([[each.open[0]], each.close[:-1]])) for each in cut])
    before = [np.concatenate([[each.open[0]], each.close[:-1]]) for each in cut]
    ranges = np.stack(
        [
            np.log(np.maximum(each.high, prior) / np.minimum(each.low, prior))
            for each, prior in zip(cut, before, strict=True)
        ]
    )
    moved = weights @ returns
    pull = correlation(returns[:, -720:]) * np.outer(weights, weights)
    wide: Floats = np.sqrt(np.maximum(np.einsum("it,ij,jt->t", ranges, pull, ranges), 0.0))
    close = np.cumsum(moved)
    opened = close - moved
    spare = np.maximum(wide - np.abs(moved), 0.0) / 2
    high, low = np.maximum(opened, close) + spare, np.minimum(opened, close) - spare
    return Candles(cut[0].ts, np.exp(opened), np.exp(high), np.exp(low), np.exp(close), max(e.bridged for e in cut))


def correlation(returns: Floats) -> Floats:
    """Return the correlation matrix of rows of returns; a row that never moves correlates with nothing."""
    centred = returns - returns.mean(axis=1, keepdims=True)
    sizes = np.sqrt((centred**2).sum(axis=1))
    safe = np.where(sizes > 0, sizes, 1.0)
    found = np.asarray((centred @ centred.T) / np.outer(safe, safe), dtype=np.float64)
    np.fill_diagonal(found, 1.0)
    return found
