"""Hyperliquid perpetuals: best bid and ask, quoted in USDC.

Wire: hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api (websocket subscription `bbo`; info requests `l2Book`,
`candleSnapshot`), read 2026-11. `ws_url` replaces the whole of `wss://api.hyperliquid.xyz/ws`; `rest_url` replaces
`https://api.hyperliquid.xyz`, and `/info` is appended. The server closes a connection to which it has sent nothing for
60 s, so we ping every 50 s, as its own SDK does.
"""

import time
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from functools import partial

import msgspec

from providers.errors import Malformed
from providers.http import decode
from providers.ports import LinkChange, PriceTick, ProviderInfo, VenueOptions
from providers.quotes import Endpoint, each_symbol, endpoint, finished_closes, quotes, ticks_of
from providers.symbols import Markets, is_listed, markets, symbol_of
from providers.ws import Signal, SignalKind

VENUE = "hyperliquid"
INFO = ProviderInfo(
    name=VENUE,
    title="Hyperliquid perpetual prices",
    prices=True,
    reads=("bid/ask", "daily closes"),
    settings=frozenset({"rest_url", "ws_url", "stale_after_s", "tls_ca"}),
)

_PING = ('{"method":"ping"}', 50.0)
_DAY_MS = 86_400_000


class _Level(msgspec.Struct, frozen=True):
    px: Decimal


class _Frame(msgspec.Struct, frozen=True):
    channel: str
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Bbo(msgspec.Struct, frozen=True):
    coin: str
    bbo: tuple[_Level | None, _Level | None]


class _Book(msgspec.Struct, frozen=True):
    coin: str
    levels: tuple[tuple[_Level, ...], tuple[_Level, ...]]


class _Candle(msgspec.Struct, frozen=True):
    t: Decimal
    c: Decimal


def subscriptions(coins: Sequence[str]) -> tuple[str, ...]:
    """Return the texts that subscribe to `coins`, one each."""
    wanted = ({"method": "subscribe", "subscription": {"type": "bbo", "coin": coin}} for coin in coins)
    return tuple(msgspec.json.encode(message).decode() for message in wanted)


def parse_frame(raw: bytes, observed_at_ns: int, by_symbol: Markets) -> Sequence[PriceTick | Signal]:
    """Return the tick of one frame; nothing for other channels and half-empty books. Raises `Malformed`."""
    frame = decode(VENUE, "stream", raw, _Frame)
    if frame.channel == "error":
        return (Signal(SignalKind.REJECTED, decode(VENUE, "error", bytes(frame.data), str)),)
    if frame.channel != "bbo":
        return ()
    data = decode(VENUE, "bbo", bytes(frame.data), _Bbo)
    bid, ask = data.bbo
    if data.coin not in by_symbol or bid is None or ask is None:
        return ()
    return quotes(VENUE, by_symbol[data.coin], bid.px, ask.px, observed_at_ns)


def parse_book(raw: bytes, observed_at_ns: int, by_symbol: Markets) -> Sequence[PriceTick]:
    """Return the ticks of an `l2Book` reply; nothing when a side is empty. Raises `Malformed`."""
    if raw == b"null":
        raise Malformed(VENUE, "l2Book: no such coin")
    book = decode(VENUE, "l2Book", raw, _Book)
    bids, asks = book.levels
    if book.coin not in by_symbol or not bids or not asks:
        return ()
    return quotes(VENUE, by_symbol[book.coin], bids[0].px, asks[0].px, observed_at_ns)


def parse_closes(raw: bytes, days: int) -> Sequence[Decimal]:
    """Return finished daily closes of a `candleSnapshot` reply (`t` opening ms, `c` close). Raises `Malformed`."""
    candles = decode(VENUE, "candleSnapshot", raw, list[_Candle])
    return finished_closes(VENUE, ((candle.t, candle.c) for candle in candles), days)


class HyperliquidPriceFeed:
    """Streams and reads quotes of Hyperliquid's main perpetual market."""

    def __init__(self, at: Endpoint) -> None:
        self._at = at
        self.venue = VENUE
        self.stale_after_s = at.stale_after_s

    def supports(self, asset: str) -> bool:
        """Return whether Hyperliquid has a perpetual of `asset`."""
        return is_listed(VENUE, asset)

    def ticks(self, assets: frozenset[str]) -> AsyncIterator[PriceTick | LinkChange]:
        """Yield quotes and link changes for ever."""
        by_symbol = markets(VENUE, assets)
        return ticks_of(
            self._at,
            by_symbol,
            url=self._at.ws_url,
            parser=lambda: partial(parse_frame, by_symbol=by_symbol),
            snapshot=self.snapshot,
            subscribe=subscriptions(tuple(by_symbol)),
            keepalive=_PING,
        )

    async def snapshot(self, assets: frozenset[str]) -> Sequence[PriceTick]:
        """Return one REST quote per asset; raises `ProviderError`."""
        by_symbol = markets(VENUE, assets)
        async with self._at.http() as http:

            async def read(coin: str) -> Sequence[PriceTick]:
                raw = await http.post("/info", {"type": "l2Book", "coin": coin}, is_read=True, weight=2)
                return parse_book(raw, time.time_ns(), by_symbol)

            return await each_symbol(by_symbol, read)

    async def daily_closes(self, asset: str, days: int) -> Sequence[Decimal]:
        """Return daily closes in USDC, oldest first; raises `ProviderError`."""
        now_ms = time.time_ns() // 1_000_000
        span = {"startTime": now_ms - (days + 1) * _DAY_MS, "endTime": now_ms}
        body = {"type": "candleSnapshot", "req": {"coin": symbol_of(VENUE, asset), "interval": "1d", **span}}
        async with self._at.http() as http:
            return parse_closes(await http.post("/info", body, is_read=True, weight=20), days)


def feed(options: VenueOptions) -> HyperliquidPriceFeed:
    """Return the feed of this venue; raises `ConfigError` for a URL that is none."""
    at = endpoint(
        VENUE,
        options,
        rest_url="https://api.hyperliquid.xyz",
        ws_url="wss://api.hyperliquid.xyz/ws",
        stale_after_s=10,
        weight=1200,
        period_s=60,
    )
    return HyperliquidPriceFeed(at)
