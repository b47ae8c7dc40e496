"""Binance spot: best bid and ask of USDT markets.

Wire: developers.binance.com/docs/binance-spot-api-docs, web-socket-streams.md (`<symbol>@bookTicker`, combined streams)
and rest-api.md (`/api/v3/ticker/bookTicker`, `/api/v3/klines`, weights), read 2026-11. Market data only hosts.
`ws_url` replaces `wss://data-stream.binance.vision`; `/stream?streams=...` is appended. `rest_url` replaces
`https://data-api.binance.vision`. A bookTicker has no event time: its age counts from arrival.
"""

import time
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from functools import partial

import msgspec

from providers.hourly import Row, hourly_pages
from providers.http import decode
from providers.ports import HourlyCandle, LinkChange, PriceTick, ProviderInfo, VenueOptions
from providers.quotes import Endpoint, all_symbols, endpoint, finished_closes, quotes, ticks_of
from providers.symbols import Markets, is_listed, markets, symbol_of
from providers.ws import Signal, SignalKind

VENUE = "binance"
INFO = ProviderInfo(
    name=VENUE,
    title="Binance spot prices",
    prices=True,
    reads=("bid/ask", "daily closes", "hourly candles"),
    settings=frozenset({"rest_url", "ws_url", "stale_after_s", "tls_ca"}),
)


class _Error(msgspec.Struct, frozen=True):
    msg: str = ""


class _Book(msgspec.Struct, frozen=True):
    s: str
    b: Decimal
    a: Decimal


class _Frame(msgspec.Struct, frozen=True):
    """A combined frame (`data`), a raw one (`s`, `b`, `a`), an event (`e`) or an answer (`error`)."""

    data: _Book | None = None
    s: str | None = None
    b: Decimal | None = None
    a: Decimal | None = None
    e: str | None = None
    error: _Error | None = None


class _RestBook(msgspec.Struct, frozen=True, rename="camel"):
    symbol: str
    bid_price: Decimal
    ask_price: Decimal


def parse_frame(raw: bytes, observed_at_ns: int, by_symbol: Markets) -> Sequence[PriceTick | Signal]:
    """Return the tick of one stream frame, combined or raw; nothing for other symbols. Raises `Malformed`."""
    frame = decode(VENUE, "stream", raw, _Frame)
    if frame.data is not None:
        symbol, bid, ask = frame.data.s, frame.data.b, frame.data.a
    elif frame.s is not None and frame.b is not None and frame.a is not None:
        symbol, bid, ask = frame.s, frame.b, frame.a
    elif frame.error is not None:
        return (Signal(SignalKind.REJECTED, frame.error.msg),)
    elif frame.e == "serverShutdown":
        return (Signal(SignalKind.RESTART, "the venue announced a restart"),)
    else:
        return ()
    found = by_symbol.get(symbol)
    return () if found is None else quotes(VENUE, found, bid, ask, observed_at_ns)


def parse_book_tickers(raw: bytes, observed_at_ns: int, by_symbol: Markets) -> Sequence[PriceTick]:
    """Return the ticks of a REST bookTicker reply, one object or a list of them. Raises `Malformed`."""
    is_list = raw.lstrip().startswith(b"[")
    rows = (
        decode(VENUE, "bookTicker", raw, list[_RestBook]) if is_list else [decode(VENUE, "bookTicker", raw, _RestBook)]
    )
    return [
        tick
        for row in rows
        if row.symbol in by_symbol
        for tick in quotes(VENUE, by_symbol[row.symbol], row.bid_price, row.ask_price, observed_at_ns)
    ]


def parse_candles(raw: bytes) -> Sequence[Row]:
    """Return the rows of a klines reply as opening time in ms, open, high, low, close. Raises `Malformed`."""
    rows = decode(VENUE, "klines", raw, list[list[Decimal]])
    return [(row[0], row[1], row[2], row[3], row[4]) for row in rows if len(row) > 4]


def parse_closes(raw: bytes, days: int) -> Sequence[Decimal]:
    """Return finished daily closes of a klines reply: rows of [open time ms, o, h, l, c, ...]. Raises `Malformed`."""
    rows = decode(VENUE, "klines", raw, list[list[Decimal]])
    return finished_closes(VENUE, ((row[0], row[4]) for row in rows if len(row) > 4), days)


class BinanceFeed:
    """Streams and reads Binance spot quotes."""

    def __init__(self, at: Endpoint) -> None:
        self._at = at
        self.venue = VENUE
        self.stale_after_s = at.stale_after_s

    def supports(self, asset: str) -> bool:
        """Return whether Binance lists `asset` against USDT."""
        return is_listed(VENUE, asset)

    def ticks(self, assets: frozenset[str]) -> AsyncIterator[PriceTick | LinkChange]:
        """Yield quotes and link changes for ever."""
        by_symbol = markets(VENUE, assets)
        streams = "/".join(f"{symbol.lower()}@bookTicker" for symbol in by_symbol)
        base = self._at.ws_url.removesuffix("/stream").removesuffix("/ws")
        return ticks_of(
            self._at,
            by_symbol,
            url=f"{base}/stream?streams={streams}",
            parser=lambda: partial(parse_frame, by_symbol=by_symbol),
            snapshot=self.snapshot,
        )

    async def snapshot(self, assets: frozenset[str]) -> Sequence[PriceTick]:
        """Return one REST quote per asset; raises `ProviderError`."""
        by_symbol = markets(VENUE, assets)
        async with self._at.http() as http:

            async def read(symbols: Sequence[str]) -> Sequence[PriceTick]:
                listed = msgspec.json.encode(symbols).decode()
                # Weight 4 for a list (rest-api.md, symbol order book ticker).
                raw = await http.get("/api/v3/ticker/bookTicker", params={"symbols": listed}, weight=4)
                return parse_book_tickers(raw, time.time_ns(), by_symbol)

            return await all_symbols(tuple(by_symbol), read)

    async def daily_closes(self, asset: str, days: int) -> Sequence[Decimal]:
        """Return daily closes in USDT, oldest first; raises `ProviderError`."""
        params = {"symbol": symbol_of(VENUE, asset), "interval": "1d", "limit": str(min(days + 1, 1000))}
        async with self._at.http() as http:
            return parse_closes(await http.get("/api/v3/klines", params=params, weight=2), days)

    async def hourly_candles(self, asset: str, hours: int) -> Sequence[HourlyCandle]:
        """Return hourly candles in USDT, oldest first; raises `ProviderError`."""
        symbol = symbol_of(VENUE, asset)
        async with self._at.http() as http:

            async def read(first: int, last: int) -> Sequence[Row]:
                params = {"symbol": symbol, "interval": "1h", "limit": "1000"}
                span = {"startTime": str(first), "endTime": str(last)}
                return parse_candles(await http.get("/api/v3/klines", params=params | span, weight=2))

            return await hourly_pages(VENUE, hours, 1000, read)


def feed(options: VenueOptions) -> BinanceFeed:
    """Return the feed of this venue; raises `ConfigError` for a URL that is none."""
    at = endpoint(
        VENUE,
        options,
        rest_url="https://data-api.binance.vision",
        ws_url="wss://data-stream.binance.vision",
        stale_after_s=10,
        weight=6000,
        period_s=60,
        used_header="x-mbx-used-weight-1m",
    )
    return BinanceFeed(at)
