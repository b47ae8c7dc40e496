"""First passage in closed form: how likely a lognormal price touches a level within a time. The stated baseline.

Reflection principle for Brownian motion with drift (Borodin and Salminen, Handbook of Brownian Motion, 2.1.1; the same
as a one-touch option paying at expiry without discounting). Discrete monitoring: Broadie, Glasserman and Kou,
Mathematical Finance 7(4), 1997: the barrier moves away by exp(0.5826 x sigma x sqrt(step)).
Standard library only.
"""

import math

HOURS_A_YEAR = 24 * 365
_SHIFT = 0.5825971579390107
"""-zeta(1/2) / sqrt(2 pi), the constant of Broadie, Glasserman and Kou."""


def normal_below(z: float) -> float:
    """Return the standard normal distribution function at `z`."""
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


def touch_probability(price: float, level: float, drift: float, volatility: float, years: float) -> float:
    """Return the probability that a lognormal price reaches `level` within `years`.

    `drift` is the annual growth of the expected price, `volatility` annual. 1 when the level is the price. Raises
    `ValueError` unless prices are positive, volatility positive and time not negative, all finite.
    """
    if not all(map(math.isfinite, (price, level, drift, volatility, years))):
        raise ValueError("first passage needs finite inputs")
    if price <= 0 or level <= 0 or volatility <= 0 or years < 0:
        raise ValueError("first passage needs positive prices and volatility, and time that is not negative")
    if level == price:
        return 1.0
    if years == 0:
        return 0.0
    far = abs(math.log(level / price))
    slope = drift - volatility * volatility / 2
    toward = slope if level > price else -slope
    spread = volatility * math.sqrt(years)
    direct = normal_below((toward * years - far) / spread)
    tail = normal_below((-toward * years - far) / spread)
    if tail == 0.0:
        return min(1.0, direct)
    reflected = math.exp(2 * toward * far / (volatility * volatility) + math.log(tail))
    return min(1.0, direct + reflected)


def driftless(distance: float, sigma: float, hours: float) -> float:
    """Return 2 Phi(-distance / (sigma sqrt(hours))): a log price without drift that moves `sigma` in a root hour.

    `distance` is the log distance to the barrier, not negative. This is the baseline beside every forecast.
    """
    if distance <= 0:
        return 1.0
    if sigma <= 0 or hours <= 0:
        return 0.0
    return min(1.0, 2 * normal_below(-distance / (sigma * math.sqrt(hours))))


def discretely_watched(distance: float, sigma: float, step_hours: float) -> float:
    """Return the log distance that makes the continuous formula right for a price looked at every `step_hours`."""
    return distance + _SHIFT * sigma * math.sqrt(step_hours)
