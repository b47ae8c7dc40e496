"""Simulation of an account's ratio under correlated lognormal prices, with a Brownian bridge between the steps.

The check of the one-factor formula: the bridge adds the chance of a touch between two steps that both ends do not show,
exp(-2 x y / (sigma^2 dt)) for log distances x and y (Glasserman, Monte Carlo Methods in Financial Engineering, 6.4).
"""

from collections.abc import Mapping

import numpy as np

from engine.simulation.candles import Floats
from engine.simulation.ratio import Ratio


def touched(
    ratio: Ratio,
    prices: Mapping[str, float],
    sigma: Mapping[str, float],
    correlation: Floats,
    hours: float,
    *,
    steps: int = 64,
    paths: int = 20_000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the probability that the ratio touches 1 within `hours`, and its standard error; log prices do not drift.

    `sigma` is each volatile asset's move in a root hour; `correlation` is in the order of `ratio.units`.
    """
    names = list(ratio.units)
    units = np.array([ratio.units[name] for name in names])
    step = hours / steps
    mixing = np.linalg.cholesky(correlation + 1e-12 * np.eye(len(names)))
    scale = np.array([sigma[name] for name in names]) * np.sqrt(step)
    cover = (correlation * np.outer(scale, scale)).astype(np.float64)
    log_prices = np.tile(np.log([prices[name] for name in names]), (paths, 1))
    random = np.random.default_rng(seed)
    survival = np.ones(paths)
    before, shares = _state(ratio, units, log_prices)
    for _ in range(steps):
        log_prices = log_prices + (random.standard_normal((paths, len(names))) @ mixing.T) * scale
        after, later = _state(ratio, units, log_prices)
        middle = (shares + later) / 2
        variance = np.einsum("pi,ij,pj->p", middle, cover, middle)
        crossed = np.exp(-2 * np.maximum(before, 0) * np.maximum(after, 0) / np.maximum(variance, 1e-300))
        survival *= 1 - crossed
        before, shares = after, later
    return float(1 - survival.mean()), float(survival.std() / np.sqrt(paths))


def _state(ratio: Ratio, units: Floats, log_prices: Floats) -> tuple[Floats, Floats]:
    """Return ln(ratio) of every path, and how it moves with every log price."""
    values = np.exp(log_prices) * units
    have = np.maximum(values, 0).sum(axis=1) + max(ratio.fixed, 0.0)
    must = -np.minimum(values, 0).sum(axis=1) + max(-ratio.fixed, 0.0)
    shares = np.where(values > 0, values / have[:, None], values / must[:, None])
    return np.log(have / must), shares
