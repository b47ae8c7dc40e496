"""Hourly candles from a venue's REST pages: asked for page by page, checked, finished hours only."""

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from decimal import Decimal

from providers.errors import Malformed
from providers.ports import HourlyCandle
from providers.quotes import is_price

HOUR_MS = 3_600_000
MOST_HOURS = 5 * 8766

Row = tuple[Decimal, Decimal, Decimal, Decimal, Decimal]
"""Opening time, open, high, low, close, in the venue's own units of time."""


async def hourly_pages(
    venue: str,
    hours: int,
    per_page: int,
    read: Callable[[int, int], Awaitable[Iterable[Row]]],
    *,
    unit_ms: int = 1,
) -> Sequence[HourlyCandle]:
    """Return the last `hours` finished hours, oldest first, as far as the venue has them.

    `read(first, last)` returns the candles that open from `first` to `last`, both in UTC milliseconds and included, at
    most `per_page`. Raises `Malformed` for a candle that is none and when there is no finished one at all.
    """
    wanted = min(hours, MOST_HOURS)
    now_ms = time.time_ns() // 1_000_000
    newest = now_ms // HOUR_MS * HOUR_MS - HOUR_MS
    found: dict[int, HourlyCandle] = {}
    first = newest - (wanted - 1) * HOUR_MS
    while first <= newest:
        last = min(first + (per_page - 1) * HOUR_MS, newest)
        for row in await read(first, last):
            candle = _candle(venue, row, unit_ms)
            if first <= candle.opened_at_s * 1000 <= last:
                found[candle.opened_at_s] = candle
        first = last + HOUR_MS
    if not found:
        raise Malformed(venue, "no finished hourly candle")
    return [found[opened] for opened in sorted(found)]


def _candle(venue: str, row: Row, unit_ms: int) -> HourlyCandle:
    opened, *prices = row
    if not is_price(opened) or not all(map(is_price, prices)):
        raise Malformed(venue, "an hourly candle without a usable price")
    opened_ms = int(opened * unit_ms)
    start, high, low, close = prices
    if opened_ms % HOUR_MS or not low <= min(start, close) <= max(start, close) <= high:
        raise Malformed(venue, f"the hourly candle at {opened_ms // 1000} contradicts itself")
    return HourlyCandle(opened_ms // 1000, start, high, low, close)
