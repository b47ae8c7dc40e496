"""The number grammar of every screen: how a value becomes text, and which way it is rounded.

Fields are `[~]digits[?]` in pure ASCII: `~` for an estimate, a trailing `?` for a number that nobody vouches for, a
lone `?` for an unknown one, and the empty text for what does not apply. Rounding is always against the trader: health
and room down, debt and cost up, a liquidation price toward the market. No other module of this package rounds.
"""

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

UNKNOWN = "?"
MASK = "\u00b7\u00b7\u00b7\u00b7\u00b7"
DOLLARS = frozenset({"USD", "USDC", "USDT", "DAI", "USDS", "USDE", "USDH", "FDUSD", "USDT0"})
"""Quote currencies that count as dollars in a column headed `$`."""

_SECOND_NS = 1_000_000_000
_SIGNIFICANT = 5
_DAY_S, _HOUR_S, _MINUTE_S = 86_400, 3_600, 60


def health(value: Decimal | None, places: int = 3) -> str:
    """Return a health factor floored to `places` decimals, `>99` and `<-99` beyond; `?` for `None`."""
    if value is None:
        return UNKNOWN
    if value > 99:
        return ">99"
    if value < -99:
        return "<-99"
    return f"{_round(value, places if value > -10 else min(places, 2), ROUND_FLOOR):f}"


def price_places(reference: Decimal | None) -> int:
    """Return the decimals that show `reference` with five significant digits: constant for an asset.

    From one half to one they are those of one, so that a stable coin does not change its shape at every wobble.
    """
    if reference is None or reference <= 0 or Decimal("0.5") <= reference < 1:
        return 4
    return max(0, _SIGNIFICANT - 1 - reference.adjusted())


def price(value: Decimal | None, places: int, rounding: str = ROUND_HALF_EVEN) -> str:
    """Return a price with thousands commas; in millions from 10 million on, with an exponent when very small."""
    if value is None:
        return UNKNOWN
    if places > 7:
        return _scientific(value, rounding)
    if abs(value) >= 10_000_000:
        return _large(value, rounding)
    return f"{_round(value, places, rounding):,f}"


def liquidation_price(value: Decimal | None, places: int, *, falls: bool) -> str:
    """Return a liquidation price rounded toward the market: up when the price must fall to reach it."""
    return price(value, places, ROUND_CEILING if falls else ROUND_FLOOR)


def money(value: Decimal | None, rounding: str = ROUND_FLOOR) -> str:
    """Return whole units of the quote currency; assets round down by default, ask for `ROUND_CEILING` for debts."""
    if value is None:
        return UNKNOWN
    if abs(value) >= 100_000_000:
        return _large(value, rounding)
    return f"{_round(value, 0, rounding):,f}"


def debt(value: Decimal | None) -> str:
    """Return whole units owed, rounded up."""
    return money(value, ROUND_CEILING)


def cents(value: Decimal | None, rounding: str = ROUND_CEILING) -> str:
    """Return an amount per day with two decimals, rounded up; whole from ten thousand on."""
    if value is None:
        return UNKNOWN
    return money(value, rounding) if abs(value) >= 10_000 else f"{_round(value, 2, rounding):,f}"


def distance(fraction: Decimal | None, *, falls: bool) -> str:
    """Return a distance in percent, signed by where the price must go: `-6.9` must fall, `+7.8` must rise.

    Its size is floored: to one decimal, to two below 0.1 %, to none from 100 % on. At or past the line it is `0.0`.
    """
    if fraction is None:
        return UNKNOWN
    percent = abs(fraction) * 100
    if percent == 0:
        return "0.0"
    sign = "-" if falls else "+"
    if percent > 9_999:
        return f"{sign}>9999"
    places = 0 if percent >= 100 else 1 if percent >= Decimal("0.1") else 2
    return f"{sign}{_round(percent, places, ROUND_FLOOR):f}"


def signed_percent(fraction: Decimal | None, places: int = 1) -> str:
    """Return a fraction in percent with its sign, floored (a gain looks smaller, a loss larger)."""
    if fraction is None:
        return UNKNOWN
    return f"{_round(fraction * 100, places, ROUND_FLOOR):+,f}"


def basis_points(value: Decimal | None) -> str:
    """Return signed basis points with one decimal."""
    if value is None:
        return UNKNOWN
    return ">9999" if value > 9_999 else "<-9999" if value < -9_999 else f"{_round(value, 1, ROUND_HALF_EVEN):+f}"


def percent(fraction: float) -> str:
    """Return an estimated fraction in percent, floored to one decimal."""
    return f"{math.floor(fraction * 1000) / 10:.1f}"


def chance(probability: float) -> str:
    """Return a chance in percent, rounded up: one decimal below ten, whole above, `<0.1` for what is smaller."""
    in_percent = probability * 100
    if in_percent < 0.1:
        return "<0.1"
    if in_percent < 10:
        return f"{math.ceil(in_percent * 10) / 10:.1f}"
    return f"{math.ceil(in_percent):.0f}"


def sigma_days(value: Decimal | None) -> str:
    """Return a distance in one-day volatilities, floored: one decimal below ten, whole above, `>999` beyond."""
    if value is None:
        return UNKNOWN
    if value > 999:
        return ">999"
    return f"{_round(value, 1 if value < 10 else 0, ROUND_FLOOR):f}"


def multiple(value: Decimal | None) -> str:
    """Return leverage with two decimals, rounded up; `>999` and `<-999` beyond."""
    if value is None:
        return UNKNOWN
    return ">999" if value > 999 else "<-999" if value < -999 else f"{_round(value, 2, ROUND_CEILING):f}"


def amount(value: Decimal, reference: Decimal | None) -> str:
    """Return an amount of an asset: four decimals for a dear one, two for a cheap one, none for a very cheap one."""
    if abs(value) >= 100_000_000:
        return _large(value, ROUND_HALF_EVEN)
    places = 2 if reference is None else 4 if reference >= 100 else 2 if reference >= Decimal("0.01") else 0
    return f"{_round(value, places, ROUND_HALF_EVEN):,f}"


def threshold(value: Decimal | None) -> str:
    """Return a threshold or maintenance rate with three decimals."""
    return "" if value is None else f"{_round(value, 3, ROUND_HALF_EVEN):f}"


def age(nanoseconds: int | None) -> str:
    """Return an age in one unit, floored: `0.4s 12s 3m 2h 4d`; `?` for `None`, `0.0s` for the future."""
    if nanoseconds is None:
        return UNKNOWN
    tenths = max(0, nanoseconds) * 10 // _SECOND_NS
    seconds = tenths // 10
    if tenths < 100:
        return f"{seconds}.{tenths % 10}s"
    for unit, size in (("d", _DAY_S), ("h", _HOUR_S), ("m", _MINUTE_S)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def long_age(nanoseconds: int | None) -> str:
    """Return an age in two units, as sentences use it: `41s 4m12s 2h05m 1d03h`."""
    if nanoseconds is None:
        return UNKNOWN
    seconds = max(0, nanoseconds) // _SECOND_NS
    if seconds < _MINUTE_S:
        return f"{seconds}s"
    if seconds < _HOUR_S:
        return f"{seconds // 60}m{seconds % 60:02d}s"
    if seconds < _DAY_S:
        return f"{seconds // _HOUR_S}h{seconds % _HOUR_S // 60:02d}m"
    return f"{seconds // _DAY_S}d{seconds % _DAY_S // _HOUR_S:02d}h"


def span(seconds: Decimal | None) -> str:
    """Return a length of time as a feed states it: `20m`, `60m`, `24h`; `none` for `None`."""
    if seconds is None:
        return "none"
    whole = int(seconds)
    if whole % _HOUR_S == 0 and whole > _HOUR_S:
        return f"{whole // _HOUR_S}h"
    return f"{whole // _MINUTE_S}m" if whole >= _MINUTE_S else f"{whole}s"


def clock(at_ns: int) -> str:
    """Return the UTC time of day as HH:MM:SS."""
    seconds = at_ns // _SECOND_NS % _DAY_S
    return f"{seconds // _HOUR_S:02d}:{seconds % _HOUR_S // 60:02d}:{seconds % 60:02d}"


def unvouched(text: str) -> str:
    """Return a number marked as stale; blanks, words and unknowns stay as they are."""
    return f"{text}?" if text and text[-1].isdigit() else text


def estimated(text: str) -> str:
    """Return a number marked as an estimate."""
    return f"~{text}" if text and text != UNKNOWN else text


def _round(value: Decimal, places: int, rounding: str) -> Decimal:
    rounded = round_exactly(value, places, rounding)
    return abs(rounded) if rounded == 0 else rounded


def round_exactly(value: Decimal, places: int, rounding: str) -> Decimal:
    """Return `value` with `places` decimals, whatever its size (`quantize` alone refuses more than 28 digits)."""
    if value.adjusted() + places >= 27:
        return value.to_integral_value(rounding)
    return value.quantize(Decimal(1).scaleb(-places), rounding)


def _large(value: Decimal, rounding: str) -> str:
    for unit, size in (("T", 12), ("B", 9), ("M", 6)):
        scaled = value.scaleb(-size)
        if abs(scaled) >= 1:
            return _scientific(value, rounding) if abs(scaled) >= 10_000 else f"{_round(scaled, 1, rounding):,f}{unit}"
    return f"{_round(value, 0, rounding):,f}"


def _scientific(value: Decimal, rounding: str) -> str:
    if value == 0:
        return "0"
    exponent = value.adjusted()
    return f"{_round(value.scaleb(-exponent), _SIGNIFICANT - 1, rounding):f}e{exponent}"
