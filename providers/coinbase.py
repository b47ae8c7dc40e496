"""Coinbase Exchange: best bid and ask of USD markets.

Wire: docs.cdp.coinbase.com/exchange/websocket-feed (channels `ticker`, `heartbeat`) and the REST reference
(`/products/{id}/ticker`, `/products/{id}/candles`), read 2026-11. `ws_url` replaces the whole of
`wss://ws-feed.exchange.coinbase.com`, `rest_url` replaces `https://api.exchange.coinbase.com`.

A `ticker` comes only with a trade, so its bid and ask are those of the last match. Heartbeats keep the connection
busy and do not count as data: they prove neither the quote nor the ticker channel (their `last_trade_id` has been 0
for years: github.com/preichenberger/go-coinbasepro issue 89). A product that is quiet while others trade is asked by
REST instead, which tells the present book.
"""

import time
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from functools import partial

import msgspec

from providers.hourly import Row, hourly_pages
from providers.http import decode
from providers.ports import HourlyCandle, LinkChange, PriceTick, ProviderInfo, VenueOptions
from providers.quotes import Endpoint, each_symbol, endpoint, finished_closes, quotes, ticks_of
from providers.symbols import Markets, is_listed, markets, symbol_of
from providers.ws import Signal, SignalKind

VENUE = "coinbase"
INFO = ProviderInfo(
    name=VENUE,
    title="Coinbase Exchange spot prices",
    prices=True,
    reads=("bid/ask", "daily closes", "hourly candles"),
    settings=frozenset({"rest_url", "ws_url", "stale_after_s", "tls_ca"}),
)


class _Frame(msgspec.Struct, frozen=True):
    type: str
    product_id: str = ""
    best_bid: Decimal | None = None
    best_ask: Decimal | None = None
    message: str = ""
    reason: str = ""


class _RestTicker(msgspec.Struct, frozen=True):
    bid: Decimal
    ask: Decimal


def subscription(products: Sequence[str]) -> str:
    """Return the text that subscribes to `products`."""
    wanted = {"type": "subscribe", "product_ids": list(products), "channels": ["ticker", "heartbeat"]}
    return msgspec.json.encode(wanted).decode()


def parse_frame(raw: bytes, observed_at_ns: int, by_symbol: Markets) -> Sequence[PriceTick | Signal]:
    """Return the tick of one frame; nothing for heartbeats, acks and other products. Raises `Malformed`."""
    frame = decode(VENUE, "stream", raw, _Frame)
    if frame.type == "error":
        return (Signal(SignalKind.REJECTED, frame.reason or frame.message),)
    if frame.type not in ("ticker", "ticker_batch") or frame.product_id not in by_symbol:
        return ()
    if frame.best_bid is None or frame.best_ask is None:
        return ()
    return quotes(VENUE, by_symbol[frame.product_id], frame.best_bid, frame.best_ask, observed_at_ns)


def parse_ticker(raw: bytes, observed_at_ns: int, symbol: str, by_symbol: Markets) -> Sequence[PriceTick]:
    """Return the ticks of a REST ticker reply for `symbol`. Raises `Malformed`."""
    reply = decode(VENUE, "ticker", raw, _RestTicker)
    return quotes(VENUE, by_symbol[symbol], reply.bid, reply.ask, observed_at_ns)


def parse_candles(raw: bytes) -> Sequence[Row]:
    """Return the rows of a candles reply, [open time s, low, high, open, close, volume], as opening, o, h, l, c."""
    rows = decode(VENUE, "candles", raw, list[list[Decimal]])
    return [(row[0], row[3], row[2], row[1], row[4]) for row in rows if len(row) > 4]


def parse_closes(raw: bytes, days: int) -> Sequence[Decimal]:
    """Return finished daily closes of a candles reply: rows of [open time s, low, high, open, close, volume]."""
    rows = decode(VENUE, "candles", raw, list[list[Decimal]])
    return finished_closes(VENUE, ((row[0], row[4]) for row in rows if len(row) > 4), days, unit_ms=1000)


class CoinbaseFeed:
    """Streams and reads Coinbase Exchange quotes."""

    def __init__(self, at: Endpoint) -> None:
        self._at = at
        self.venue = VENUE
        self.stale_after_s = at.stale_after_s

    def supports(self, asset: str) -> bool:
        """Return whether Coinbase lists `asset` against USD."""
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
            subscribe=(subscription(tuple(by_symbol)),),
            subscribe_singly=tuple(subscription((symbol,)) for symbol in by_symbol),
        )

    async def snapshot(self, assets: frozenset[str]) -> Sequence[PriceTick]:
        """Return one REST quote per asset; raises `ProviderError`."""
        by_symbol = markets(VENUE, assets)
        async with self._at.http() as http:

            async def read(symbol: str) -> Sequence[PriceTick]:
                raw = await http.get(f"/products/{symbol}/ticker")
                return parse_ticker(raw, time.time_ns(), symbol, by_symbol)

            return await each_symbol(by_symbol, read)

    async def daily_closes(self, asset: str, days: int) -> Sequence[Decimal]:
        """Return daily closes in USD, oldest first, at most 300; raises `ProviderError`."""
        path = f"/products/{symbol_of(VENUE, asset)}/candles"
        async with self._at.http() as http:
            return parse_closes(await http.get(path, params={"granularity": 86400}), days)

    async def hourly_candles(self, asset: str, hours: int) -> Sequence[HourlyCandle]:
        """Return hourly candles in USD, oldest first, 300 a request; raises `ProviderError`."""
        path = f"/products/{symbol_of(VENUE, asset)}/candles"
        async with self._at.http() as http:

            async def read(first: int, last: int) -> Sequence[Row]:
                params = {"granularity": 3600, "start": first // 1000, "end": last // 1000}
                return parse_candles(await http.get(path, params=params))

            return await hourly_pages(VENUE, hours, 300, read, unit_ms=1000)


def feed(options: VenueOptions) -> CoinbaseFeed:
    """Return the feed of this venue; raises `ConfigError` for a URL that is none."""
    at = endpoint(
        VENUE,
        options,
        rest_url="https://api.exchange.coinbase.com",
        ws_url="wss://ws-feed.exchange.coinbase.com",
        stale_after_s=30,
        weight=10,
        period_s=1,
    )
    return CoinbaseFeed(at)
