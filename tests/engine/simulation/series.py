"""Made-up candles: a random walk whose volatility clusters, so that there is something to learn. No market's data."""

import numpy as np

from engine.simulation.candles import HOUR_S, Candles

START_S = 1_609_459_200  # 2021-01-01, a whole day


def made(hours: int, seed: int = 1, *, start_s: int = START_S, sigma: float = 0.006, price: float = 2000.0) -> Candles:
    """Return `hours` candles with quiet and wild weeks; equal for equal arguments."""
    random = np.random.default_rng(seed)
    level = np.zeros(hours)
    for hour in range(1, hours):
        level[hour] = 0.995 * level[hour - 1] + 0.06 * random.standard_normal()
    steps = random.standard_normal((hours, 12)) * (sigma * np.exp(level) / np.sqrt(12))[:, None]
    path = np.log(price) + np.cumsum(steps.ravel()).reshape(hours, 12)
    opened = np.concatenate([[np.log(price)], path[:-1, -1]])
    high = np.maximum(opened, path.max(axis=1))
    low = np.minimum(opened, path.min(axis=1))
    ts = start_s + HOUR_S * np.arange(hours, dtype=np.float64)
    return Candles(ts, np.exp(opened), np.exp(high), np.exp(low), np.exp(path[:, -1]))
