"""Order books of Hyperliquid perps on demand, 20 levels a side: the info request `l2Book` (read 2026-11)."""

import time
from collections.abc import Callable
from decimal import Decimal

import msgspec

from engine.depth import Depth, Level
from providers.errors import Malformed
from providers.http import HttpTransport, decode
from providers.hyperliquid_wire import VENUE, clean, finite

_LIGHT = 2


class _Level(msgspec.Struct, frozen=True):
    px: Decimal
    sz: Decimal


class _Book(msgspec.Struct, frozen=True):
    coin: str
    levels: tuple[list[_Level], list[_Level]]


def parse_depth(raw: bytes, coin: str, levels: int, observed_at_ns: int) -> Depth:
    """Return an `l2Book` reply, at most `levels` a side; raises `Malformed`, for another coin's book too."""
    book = decode(VENUE, "l2Book", raw, _Book)
    if clean(book.coin) != coin:
        raise Malformed(VENUE, f"l2Book: the book of {clean(book.coin)} instead of {coin}")
    bids, asks = (tuple(_level(one) for one in side[:levels]) for side in book.levels)
    return Depth(VENUE, coin, coin, bids, asks, observed_at_ns, quote="USDC")


def _level(wire: _Level) -> Level:
    price, size = finite(wire.px, "price of a level"), finite(wire.sz, "size of a level")
    if price <= 0 or size < 0:
        raise Malformed(VENUE, "l2Book: a level without price or with a negative size")
    return Level(price, size)


class HyperliquidDepth:
    """A `providers.ports.DepthSource`. `clock` is UTC now in ns."""

    def __init__(self, http: HttpTransport, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._http, self._clock = http, clock

    async def depth(self, contract: str, levels: int = 50) -> Depth:
        """Return the book of one coin ("ETH", "xyz:TSLA"), 20 levels a side at most; raises `ProviderError`."""
        raw = await self._http.post("/info", {"type": "l2Book", "coin": contract}, is_read=True, weight=_LIGHT)
        return parse_depth(raw, contract, levels, self._clock())

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()
