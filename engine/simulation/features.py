"""What is known of a price at the close of a candle: volatility over several windows, direction, season.

Every value at index t uses candles up to and including t, never a later one (a test shifts the data to prove it).
Volatility is measured by the true range, ln(high / low) / sqrt(4 ln 2) with the previous close included (Parkinson,
Journal of Business 53, 1980), averaged over the windows of a heterogeneous autoregression (Corsi, Journal of Financial
Econometrics 7, 2009): 1 h, 6 h, 24 h, 7 d, 30 d, 90 d.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from engine.simulation.candles import DAY_S, HOUR_S, Candles, Floats

_RANGE = np.sqrt(4 * np.log(2))
_TINY = 1e-9
_LEAST_SIGMA = 1e-5
_LEAST_DAY = 1e-4
_USUAL = -5.3
"""Log of a usual range of an hour, half a per cent: about it the square of the mean log range is taken."""
NEEDS_HOURS = 90 * 24
"""Hours of history that every feature needs; with at least `LEAST_HOURS`, the longest window is shortened."""
LEAST_HOURS = 31 * 24

_SPREADS = ("range_1h", "range_6h", "range_24h", "range_7d", "range_30d")
_HOUR_SEASON = tuple(f"hour_{wave}{k}" for k in (1, 2, 3) for wave in ("cos", "sin"))
_WEEKEND = ("weekend", "weekend_cos", "weekend_sin")
_WEEK_SEASON = tuple(f"week_{wave}{k}" for k in (1, 2) for wave in ("cos", "sin"))
_MOVES = ("return_1h", "return_6h", "return_24h", "return_7d", "return_30d")
_FALLS = ("semivariance_24h", "semivariance_7d", "semivariance_30d", "drawdown_7d", "drawdown_30d")

NEXT_HOUR = (*_SPREADS, *_HOUR_SEASON, *_WEEKEND, *_MOVES, *_FALLS, "range_squared")
NEXT_DAY = (*_SPREADS, *_WEEK_SEASON, "hour_cos1", "hour_sin1", "semivariance_24h", "semivariance_7d")
DAYS = ("day_range_1", "day_range_7", "day_range_30", "day_range_90")


def mean_over(values: Floats, count: int) -> Floats:
    """Return the mean of the last `count` values at every index, NaN where there are fewer."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    out = np.full(len(values), np.nan)
    out[count - 1 :] = (sums[count:] - sums[:-count]) / count
    return out


def log_sigma(candles: Candles, hours: int) -> Floats:
    """Return the log of the realised volatility per root hour over the last `hours` close-to-close returns."""
    return 0.5 * np.log(mean_over(_returns(candles) ** 2, hours) + _TINY)


def hourly(candles: Candles) -> dict[str, Floats]:
    """Return the features of hourly candles by name: see `NEXT_HOUR` and `NEXT_DAY`."""
    returns = _returns(candles)
    squares = returns * returns
    falls = np.where(returns < 0, squares, 0.0)
    ranges = _true_range(candles)
    log_close = np.log(candles.close)
    out: dict[str, Floats] = {}
    for name, hours in (("1h", 1), ("6h", 6), ("24h", 24), ("7d", 168), ("30d", 720)):
        out[f"range_{name}"] = np.log(mean_over(ranges, hours) + _LEAST_SIGMA)
        out[f"return_{name}"] = log_close - _earlier(log_close, hours)
        out[f"semivariance_{name}"] = mean_over(falls, hours) / (mean_over(squares, hours) + _TINY) - 0.5
    for name, hours in (("7d", 168), ("30d", 720)):
        peak = np.full(len(log_close), np.nan)
        if len(log_close) >= hours:
            peak[hours - 1 :] = sliding_window_view(log_close, hours).max(axis=1)
        out[f"drawdown_{name}"] = log_close - peak
    out["range_squared"] = _squared(out)
    return out | season(candles.ts)


def season(ts: Floats) -> dict[str, Floats]:
    """Return hour-of-day and hour-of-week waves of the candle after each of `ts`, and whether that is a weekend."""
    hour = (ts // HOUR_S + 1) % 24
    day = ((ts + HOUR_S) // DAY_S + 4) % 7  # 0 is Sunday
    weekend = ((day == 0) | (day == 6)).astype(np.float64)
    out: dict[str, Floats] = {"weekend": weekend}
    for k in (1, 2, 3):
        turn = 2 * np.pi * k * hour / 24
        out[f"hour_cos{k}"], out[f"hour_sin{k}"] = np.cos(turn), np.sin(turn)
    for k in (1, 2):
        turn = 2 * np.pi * k * (day * 24 + hour) / 168
        out[f"week_cos{k}"], out[f"week_sin{k}"] = np.cos(turn), np.sin(turn)
    out["weekend_cos"], out["weekend_sin"] = weekend * out["hour_cos1"], weekend * out["hour_sin1"]
    return out


def daily(candles: Candles, a_day: int, longest: int = 90) -> dict[str, Floats]:
    """Return the `DAYS` features at every candle, `a_day` of which make a day (24 hourly, 1 daily).

    Ranges are of the day that ends with the candle, averaged over 1, 7, 30 and 90 days; `longest` shortens the last.
    """
    count = len(candles)
    high, low = candles.high, candles.low
    if a_day > 1:
        high, low = np.full(count, np.nan), np.full(count, np.nan)
        if count >= a_day:
            high[a_day - 1 :] = sliding_window_view(candles.high, a_day).max(axis=1)
            low[a_day - 1 :] = sliding_window_view(candles.low, a_day).min(axis=1)
    opened = _earlier(candles.close, a_day)
    ranges = np.log(np.fmax(high, opened) / np.fmin(low, opened)) / _RANGE
    out: dict[str, Floats] = {}
    total = np.zeros(count)
    for back in range(longest):
        total = total + _earlier(ranges, back * a_day)
        if back + 1 in (1, 7, 30, longest):
            name = 90 if back + 1 == longest else back + 1
            out[f"day_range_{name}"] = np.log(total / (back + 1) + _LEAST_DAY)
            if back + 1 == longest == 30:
                out["day_range_30"] = out["day_range_90"]
    return out


def columns(features: Mapping[str, Floats], names: Sequence[str]) -> Floats:
    """Return the named features side by side, one row per candle."""
    return np.stack([features[name] for name in names], axis=1)


def flat(sigma_hour: float) -> dict[str, Floats]:
    """Return the features, one row, of a price that has always moved `sigma_hour` in a root hour, season aside."""
    day = sigma_hour * np.sqrt(24.0)
    names = {*NEXT_HOUR, *NEXT_DAY}
    out = {name: np.zeros(1) for name in names}
    # The mean range of a driftless walk is sqrt(8 / pi) sigma: 0.958 of it after Parkinson's scale.
    scale = np.sqrt(8 / np.pi) / _RANGE
    for name in _SPREADS:
        out[name] = np.log(np.array([sigma_hour * scale]) + _LEAST_SIGMA)
    out["range_squared"] = _squared(out)
    out["weekend"] = np.full(1, 2 / 7)
    for name, days in (("drawdown_7d", 7), ("drawdown_30d", 30)):
        out[name] = np.array([-day * np.sqrt(days) * np.sqrt(2 / np.pi)])
    for name in DAYS:
        out[name] = np.log(np.array([day * scale]) + _LEAST_DAY)
    return out


def _squared(spreads: Mapping[str, Floats]) -> Floats:
    """Return the square of the mean log range over 1 h to 7 d about a usual one; log odds are not linear in it."""
    return np.asarray((np.mean([spreads[name] for name in _SPREADS[:4]], axis=0) - _USUAL) ** 2, dtype=np.float64)


def _returns(candles: Candles) -> Floats:
    before = np.concatenate([[candles.open[0]], candles.close[:-1]])
    return np.asarray(np.log(candles.close / before), dtype=np.float64)


def _true_range(candles: Candles) -> Floats:
    before = np.concatenate([[candles.open[0]], candles.close[:-1]])
    return np.asarray(
        np.log(np.maximum(candles.high, before) / np.minimum(candles.low, before)) / _RANGE, dtype=np.float64
    )


def _earlier(values: Floats, back: int) -> Floats:
    if back == 0:
        return values
    out = np.full(len(values), np.nan)
    if len(values) > back:
        out[back:] = values[:-back]
    return out
