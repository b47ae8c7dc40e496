"""Kraken spot: best bid and ask of USD markets.

Wire: docs.kraken.com/exchange/api-reference/spot-websocket-v2/ticker (channel `ticker`, `event_trigger` "bbo") and the
REST reference (`/0/public/Ticker`, `/0/public/OHLC`), read 2026-11. Prices are JSON numbers on the socket; they are
read digit by digit, never as floats. `ws_url` replaces the whole of `wss://ws.kraken.com/v2`, `rest_url` replaces
`https://api.kraken.com`. REST answers under its old names (`XXBTZUSD` for a question about `XBTUSD`).
"""

import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import partial

import msgspec

from providers.errors import Malformed, RateLimited, Refused, Unreachable
from providers.http import decode
from providers.ports import LinkChange, PriceTick, ProviderInfo, VenueOptions
from providers.quotes import Endpoint, all_symbols, endpoint, finished_closes, quotes, ticks_of
from providers.symbols import Markets, is_listed, markets, symbol_of
from providers.text import inert
from providers.ws import Signal, SignalKind

VENUE = "kraken"
INFO = ProviderInfo(
    name=VENUE,
    title="Kraken spot prices",
    prices=True,
    reads=("bid/ask", "daily closes"),
    settings=frozenset({"rest_url", "ws_url", "stale_after_s", "tls_ca"}),
)

_REST_BASES = {"BTC": "XBT", "DOGE": "XDG"}
_PING = ('{"method":"ping"}', 30.0)


class _Row(msgspec.Struct, frozen=True):
    symbol: str = ""
    bid: Decimal | None = None
    ask: Decimal | None = None


class _Frame(msgspec.Struct, frozen=True):
    channel: str = ""
    data: tuple[_Row, ...] = ()
    method: str = ""
    success: bool = True
    error: str = ""


class _RestRow(msgspec.Struct, frozen=True):
    """`a` and `b`: [price, whole lot volume, lot volume]."""

    a: tuple[Decimal, ...]
    b: tuple[Decimal, ...]


class _Reply(msgspec.Struct, frozen=True):
    error: tuple[str, ...] = ()
    result: Mapping[str, msgspec.Raw] = {}


def subscription(pairs: Iterable[str]) -> str:
    """Return the text that subscribes to `pairs`."""
    wanted = {"channel": "ticker", "symbol": list(pairs), "event_trigger": "bbo"}
    return msgspec.json.encode({"method": "subscribe", "params": wanted}).decode()


def parse_frame(raw: bytes, observed_at_ns: int, by_symbol: Markets) -> Sequence[PriceTick | Signal]:
    """Return the ticks of one frame; nothing for heartbeats, status and acks. Raises `Malformed`."""
    frame = decode(VENUE, "stream", raw, _Frame)
    if not frame.success:
        return (Signal(SignalKind.REJECTED, frame.error),)
    if frame.channel != "ticker":
        return ()
    return [
        tick
        for row in frame.data
        if row.symbol in by_symbol and row.bid is not None and row.ask is not None
        for tick in quotes(VENUE, by_symbol[row.symbol], row.bid, row.ask, observed_at_ns)
    ]


def rest_pair(symbol: str) -> str:
    """Return the REST name of a pair: `XBTUSD` for `BTC/USD`."""
    base, quote = symbol.split("/")
    return _REST_BASES.get(base, base) + quote


def _old_names(symbol: str) -> tuple[str, ...]:
    """Return the names under which a REST reply may speak of `symbol`."""
    base, quote = symbol.split("/")
    rest = _REST_BASES.get(base, base)
    return (f"{rest}{quote}", f"X{rest}Z{quote}", f"{rest}Z{quote}", f"{base}{quote}", symbol)


def _result(raw: bytes, place: str) -> Mapping[str, msgspec.Raw]:
    reply = decode(VENUE, place, raw, _Reply)
    if not reply.error:
        return reply.result
    said = inert(reply.error[0], 120)
    detail = f"{place}: {said}"
    if "Rate limit" in said or "Too many requests" in said:
        raise RateLimited(VENUE, detail)
    if said.startswith("EService"):
        raise Unreachable(VENUE, detail)
    raise Refused(VENUE, detail)


def parse_tickers(raw: bytes, observed_at_ns: int, by_symbol: Markets) -> Sequence[PriceTick]:
    """Return the ticks of a REST Ticker reply. Raises `Malformed`, or what the venue's own error stands for."""
    result = _result(raw, "Ticker")
    ticks: list[PriceTick] = []
    for symbol, group in by_symbol.items():
        name = next((name for name in _old_names(symbol) if name in result), None)
        if name is None:
            continue
        row = decode(VENUE, "Ticker", bytes(result[name]), _RestRow)
        if row.a and row.b:
            ticks.extend(quotes(VENUE, group, row.b[0], row.a[0], observed_at_ns))
    return ticks


def parse_closes(raw: bytes, days: int) -> Sequence[Decimal]:
    """Return finished daily closes of an OHLC reply: rows of [open time s, o, h, l, c, vwap, volume, count]."""
    candles = next((rows for name, rows in _result(raw, "OHLC").items() if name != "last"), None)
    if candles is None:
        raise Malformed(VENUE, "OHLC: no candles")
    rows = decode(VENUE, "OHLC", bytes(candles), list[list[Decimal]])
    return finished_closes(VENUE, ((row[0], row[4]) for row in rows if len(row) > 4), days, unit_ms=1000)


class KrakenFeed:
    """Streams and reads Kraken spot quotes."""

    def __init__(self, at: Endpoint) -> None:
        self._at = at
        self.venue = VENUE
        self.stale_after_s = at.stale_after_s

    def supports(self, asset: str) -> bool:
        """Return whether Kraken lists `asset` against USD."""
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
            subscribe=(subscription(by_symbol),),
            keepalive=_PING,
        )

    async def snapshot(self, assets: frozenset[str]) -> Sequence[PriceTick]:
        """Return one REST quote per asset; raises `ProviderError`."""
        by_symbol = markets(VENUE, assets)
        async with self._at.http() as http:

            async def read(symbols: Sequence[str]) -> Sequence[PriceTick]:
                pairs = ",".join(map(rest_pair, symbols))
                raw = await http.get("/0/public/Ticker", params={"pair": pairs})
                return parse_tickers(raw, time.time_ns(), by_symbol)

            return await all_symbols(tuple(by_symbol), read)

    async def daily_closes(self, asset: str, days: int) -> Sequence[Decimal]:
        """Return daily closes in USD, oldest first, at most 719; raises `ProviderError`."""
        params = {"pair": rest_pair(symbol_of(VENUE, asset)), "interval": "1440"}
        async with self._at.http() as http:
            return parse_closes(await http.get("/0/public/OHLC", params=params), days)


def feed(options: VenueOptions) -> KrakenFeed:
    """Return the feed of this venue; raises `ConfigError` for a URL that is none."""
    at = endpoint(
        VENUE,
        options,
        rest_url="https://api.kraken.com",
        ws_url="wss://ws.kraken.com/v2",
        stale_after_s=15,
        weight=10,
        period_s=10,
    )
    return KrakenFeed(at)
