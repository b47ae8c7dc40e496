"""What is known of the price or factor that liquidates: learnt from its candles, or from a stated volatility alone."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.prices import AssetPrice
from engine.simulation.candles import Candles, Floats
from engine.simulation.features import daily, flat, hourly, log_sigma
from engine.simulation.ratio import YEAR_H


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What is known of the price or factor that liquidates: features of one moment, volatility per root hour.

    `map_share` of the log odds is the map's, the rest the closed form's.
    """

    features: Mapping[str, Floats]
    sigma: float
    method: str
    is_calibrated: bool
    notes: tuple[str, ...] = ()
    ends_s: float | None = None
    map_share: float = 1.0


def learnt(candles: Candles, method: str, *, is_fitted: bool) -> Known:
    """Return what candles tell at the close of their last; `is_fitted` says that the map was fitted to such a price."""
    days = (len(candles) - 1) // 24
    features = {name: values[-1:] for name, values in (hourly(candles) | daily(candles, 24, min(90, days))).items()}
    sigma = float(np.exp(log_sigma(candles, 720)[-1]))
    notes = []
    if days < 90:
        notes.append(f"{days} days of candles stand for 90")
    if candles.bridged:
        notes.append(f"{candles.bridged} missing candles bridged")
    return Known(features, sigma, method, is_fitted and days >= 90, tuple(notes), candles.ends_s)


def realised(candles: Candles) -> float:
    """Return the annual volatility of the last 30 days."""
    return float(np.exp(log_sigma(candles, 720)[-1])) * math.sqrt(YEAR_H)


def stated(
    shares: Mapping[str, float], prices: Mapping[str, AssetPrice], realised: Mapping[str, float] | None = None
) -> Known | str:
    """Return what the stated volatilities of the assets say, or whose volatility is unknown.

    Without candles there is no correlation: assets on one side count as moving together; what assets on both sides do
    is unknown.
    """
    if len({share > 0 for share in shares.values()}) > 1:
        return f"correlation of {' and '.join(sorted(shares))} unknown: no recent candles of all of them"
    total = 0.0
    for asset, share in shares.items():
        annual = (realised or {}).get(asset)
        entry = prices.get(asset)
        if annual is None and entry is not None and entry.volatility is not None:
            annual = float(entry.volatility)
        if annual is None:
            return f"no recent candles and no volatility of {asset}"
        total += abs(share) * annual
    sigma = total / math.sqrt(YEAR_H)
    notes: tuple[str, ...] = ("volatility as stated where there are no recent candles",)
    if len(shares) > 1:
        notes = (*notes, "correlation unknown: all assets counted as moving together")
    return Known(flat(sigma), sigma, "pooled map on stated volatility", False, notes)


def rescaled(features: Mapping[str, Floats], factor: float) -> dict[str, Floats]:
    """Return features as they would be had every candle moved `factor` as much."""
    shift = math.log(factor)
    moved: dict[str, Floats] = {}
    for name, values in features.items():
        if "range" in name:
            moved[name] = values + shift
        elif name.startswith(("return", "drawdown")):
            moved[name] = values * factor
        else:
            moved[name] = values
    return moved
