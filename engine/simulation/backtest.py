"""Back-test of margin rules: how often the next hours moved further than the requirement, and how large it was.

Rules: the calibrated quantile x*(alpha, H); the same from HAR volatility alone, x = 1 - exp(-z sigma_HAR sqrt(H)) with
z the training quantile (both learnt before the period); 30-day volatility under a normal law; one fixed historical
quantile; a fixed share.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.simulation.candles import HOUR_S, Candles, Floats
from engine.simulation.features import daily, hourly, log_sigma, mean_over
from engine.simulation.fit import excursion
from engine.simulation.model import Model, Outlook

_WINDOWS = (6, 24, 168, 720)
_LEAST = 1e-9


@dataclass(frozen=True, slots=True)
class Coverage:
    """One rule on one asset: share of hours exceeded, and the requirement's mean and 5th and 95th percentile."""

    asset: str
    hours: int
    target: float
    rule: str
    exceeded: float
    mean: float
    low: float
    high: float


def coverage(
    model: Model, series: Mapping[str, Candles], hours: int, target: float, begin_s: float, end_s: float
) -> list[Coverage]:
    """Return the coverage of falls in [begin, end) of every rule; rules with parameters learnt what was over before."""
    found = []
    for asset, candles in series.items():
        moved = excursion(candles, hours, "down")
        test = np.flatnonzero((candles.ts >= begin_s) & (candles.ts < end_s) & np.isfinite(moved))
        known = (candles.ts + HOUR_S * (1 + hours) <= begin_s) & np.isfinite(moved)
        fallen = 1 - np.exp(-moved[test])
        features = {name: values[test] for name, values in (hourly(candles) | daily(candles, 24)).items()}
        month = np.exp(log_sigma(candles, 720))
        har = _har_sigma(candles, hours, known)
        usable = known & np.isfinite(har)
        z = np.quantile(moved[usable] / (har[usable] * np.sqrt(hours)), 1 - target)
        rules: dict[str, Floats] = {
            "calibrated": 1 - np.exp(-Outlook(model, features, "down").distance_at(hours, target)),
            "HAR-scaled": 1 - np.exp(-z * har[test] * np.sqrt(hours)),
            "normal, 30 d": 1 - np.exp(-_normal_quantile(target) * month[test] * np.sqrt(hours)),
            "fixed, historical": np.full(len(test), 1 - np.exp(-np.quantile(moved[known], 1 - target))),
            "fixed 16 %": np.full(len(test), 0.16),
        }
        for rule, required in rules.items():
            low, high = np.quantile(required, (0.05, 0.95))
            exceeded = float((fallen > required).mean())
            found.append(
                Coverage(asset, hours, target, rule, exceeded, float(required.mean()), float(low), float(high))
            )
    return found


def range_floor(model: Model, series: Mapping[str, Candles], side: str, hours: int, target: float) -> float:
    """Return the 5th percentile over history of the calibrated range, as a log distance, all assets pooled."""
    found = []
    for candles in series.values():
        features = hourly(candles) | daily(candles, 24)
        usable = np.flatnonzero(np.isfinite(features["day_range_90"]) & np.isfinite(features["return_30d"]))[::24]
        now = {name: values[usable] for name, values in features.items()}
        found.append(Outlook(model, now, side).distance_at(hours, target))
    return float(np.quantile(np.concatenate(found), 0.05))


def _har_sigma(candles: Candles, hours: int, known: NDArray[np.bool_]) -> Floats:
    """Return the volatility per root hour that a regression of log realised volatility expects over the next hours."""
    returns = np.log(candles.close / np.concatenate([[candles.open[0]], candles.close[:-1]]))
    squares = returns * returns
    ahead = np.full(len(squares), np.nan)
    ahead[:-hours] = mean_over(squares, hours)[hours:]
    target = np.log(ahead + _LEAST)
    rows = np.stack([np.ones(len(squares)), *(2 * log_sigma(candles, each) for each in _WINDOWS)], axis=1)
    learnt = known & np.isfinite(rows).all(axis=1) & np.isfinite(target)
    beta = np.linalg.lstsq(rows[learnt], target[learnt], rcond=None)[0]
    smear = float(np.mean(np.exp(target[learnt] - rows[learnt] @ beta)))
    return np.asarray(np.sqrt(np.exp(rows @ beta) * smear), dtype=np.float64)


def _normal_quantile(target: float) -> float:
    """Return the two-sided normal quantile: 2.576 for 1 %, as in the usual "99 % confidence" rule."""
    from statistics import NormalDist

    return NormalDist().inv_cdf(1 - target / 2)
