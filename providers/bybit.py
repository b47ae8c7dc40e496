"""Bybit v5 spot: best bid and ask of USDT markets.

Wire: bybit-exchange.github.io/docs/v5 (websocket/public/orderbook, websocket/public/ticker; `/v5/market/tickers`,
`/v5/market/kline`), read 2026-11. `orderbook.1` sends snapshots only, and one after 3 s without a change, so silence
means trouble. Deltas are understood all the same: a side that a frame leaves out is unchanged, size 0 removes it.
`ws_url` replaces the whole of `wss://stream.bybit.com/v5/public/spot`, `rest_url` replaces `https://api.bybit.com`.
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import partial

import msgspec

from providers.errors import Malformed, RateLimited, Refused, Unreachable
from providers.hourly import Row, hourly_pages
from providers.http import HttpTransport, decode
from providers.ports import HourlyCandle, LinkChange, PriceTick, ProviderInfo, VenueOptions
from providers.quotes import Endpoint, each_symbol, endpoint, finished_closes, number, quotes, ticks_of
from providers.symbols import Markets, is_listed, markets, symbol_of
from providers.text import inert
from providers.ws import Signal, SignalKind

VENUE = "bybit"
INFO = ProviderInfo(
    name=VENUE,
    title="Bybit spot prices",
    prices=True,
    reads=("bid/ask", "daily closes", "hourly candles"),
    settings=frozenset({"rest_url", "ws_url", "stale_after_s", "tls_ca"}),
)

_ARGS_PER_REQUEST = 10
_FORBIDDEN_PAUSE_S = 600
_PING = ('{"op":"ping"}', 20.0)
_RATE_CODES = frozenset({10006, 10018, 10429})
_BUSY_CODES = frozenset({10000, 10016})

_Levels = tuple[tuple[Decimal, ...], ...]


class _Data(msgspec.Struct, frozen=True, rename="camel"):
    """Data of an `orderbook` frame (`s`, `b`, `a`: levels of price and size) or of a `tickers` frame."""

    s: str = ""
    b: _Levels = ()
    a: _Levels = ()
    symbol: str = ""
    bid1_price: str | None = None
    ask1_price: str | None = None


class _Frame(msgspec.Struct, frozen=True):
    topic: str = ""
    type: str = ""
    data: _Data | None = None
    success: bool = True
    ret_msg: str = ""


class _RestRow(msgspec.Struct, frozen=True, rename="camel"):
    symbol: str
    bid1_price: str | None = None
    ask1_price: str | None = None


class _Result(msgspec.Struct, frozen=True):
    list: msgspec.Raw = msgspec.Raw(b"[]")


class _Reply(msgspec.Struct, frozen=True, rename="camel"):
    ret_code: int
    ret_msg: str = ""
    result: _Result = _Result()


@dataclass(slots=True)
class BestSides:
    """The best bid and ask last told on one connection; `None` while a side is empty or unknown."""

    bid: Decimal | None = None
    ask: Decimal | None = None


def subscriptions(symbols: Sequence[str], per_request: int = _ARGS_PER_REQUEST) -> tuple[str, ...]:
    """Return the texts that subscribe to `symbols`; the venue takes ten spot topics in one request."""
    topics = [f"orderbook.1.{symbol}" for symbol in symbols]
    chunks = (topics[start : start + per_request] for start in range(0, len(topics), per_request))
    return tuple(msgspec.json.encode({"op": "subscribe", "args": chunk}).decode() for chunk in chunks)


def _best(levels: _Levels, known: Decimal | None) -> Decimal | None:
    """Return the best price of one side after `levels` (best first, size 0 removes) changed it."""
    for level in levels:
        if len(level) < 2:
            continue
        if level[1] > 0:
            return level[0]
        if level[0] == known:
            known = None
    return known


def parse_frame(
    raw: bytes, observed_at_ns: int, by_symbol: Markets, books: dict[str, BestSides]
) -> Sequence[PriceTick | Signal]:
    """Return the tick of one frame; `books` remembers what deltas leave out. Raises `Malformed`."""
    frame = decode(VENUE, "stream", raw, _Frame)
    if not frame.success:
        return (Signal(SignalKind.REJECTED, frame.ret_msg),)
    if frame.data is None or not frame.topic.startswith(("orderbook.1.", "tickers.")):
        return ()
    symbol = frame.data.s or frame.data.symbol
    if symbol not in by_symbol:
        return ()
    if frame.type == "snapshot" or symbol not in books:
        books[symbol] = BestSides()
    book = books[symbol]
    try:
        bid, ask = _best(frame.data.b, book.bid), _best(frame.data.a, book.ask)
    except InvalidOperation as error:
        raise Malformed(VENUE, f"{symbol}: a level holds NaN") from error
    bid = number(VENUE, "bid1Price", frame.data.bid1_price) or bid
    ask = number(VENUE, "ask1Price", frame.data.ask1_price) or ask
    book.bid, book.ask = bid, ask
    if bid is None or ask is None:
        return ()
    return quotes(VENUE, by_symbol[symbol], bid, ask, observed_at_ns)


def _rows(raw: bytes, place: str) -> bytes:
    reply = decode(VENUE, place, raw, _Reply)
    if reply.ret_code == 0:
        return bytes(reply.result.list)
    said = inert(reply.ret_msg, 120)
    detail = f"{place}: {reply.ret_code} {said}"
    if reply.ret_code in _RATE_CODES:
        raise RateLimited(VENUE, detail)
    if reply.ret_code in _BUSY_CODES:
        raise Unreachable(VENUE, detail)
    raise Refused(VENUE, detail)


def parse_tickers(raw: bytes, observed_at_ns: int, by_symbol: Markets) -> Sequence[PriceTick]:
    """Return the ticks of a REST tickers reply. Raises `Malformed`, or what the venue's own code stands for."""
    ticks: list[PriceTick] = []
    for row in decode(VENUE, "tickers", _rows(raw, "tickers"), tuple[_RestRow, ...]):
        bid, ask = number(VENUE, "bid1Price", row.bid1_price), number(VENUE, "ask1Price", row.ask1_price)
        if row.symbol in by_symbol and bid is not None and ask is not None:
            ticks.extend(quotes(VENUE, by_symbol[row.symbol], bid, ask, observed_at_ns))
    return ticks


def parse_candles(raw: bytes) -> Sequence[Row]:
    """Return the rows of a kline reply as opening time in ms, open, high, low, close. Raises `Malformed`."""
    rows = decode(VENUE, "kline", _rows(raw, "kline"), tuple[tuple[Decimal, ...], ...])
    return [(row[0], row[1], row[2], row[3], row[4]) for row in rows if len(row) > 4]


def parse_closes(raw: bytes, days: int) -> Sequence[Decimal]:
    """Return finished daily closes of a kline reply: rows of [open time ms, o, h, l, c, ...]. Raises `Malformed`."""
    rows = decode(VENUE, "kline", _rows(raw, "kline"), tuple[tuple[Decimal, ...], ...])
    return finished_closes(VENUE, ((row[0], row[4]) for row in rows if len(row) > 4), days)


class BybitFeed:
    """Streams and reads Bybit spot quotes."""

    def __init__(self, at: Endpoint) -> None:
        self._at = at
        self.venue = VENUE
        self.stale_after_s = at.stale_after_s

    def supports(self, asset: str) -> bool:
        """Return whether Bybit lists `asset` against USDT."""
        return is_listed(VENUE, asset)

    def ticks(self, assets: frozenset[str]) -> AsyncIterator[PriceTick | LinkChange]:
        """Yield quotes and link changes for ever."""
        by_symbol = markets(VENUE, assets)

        def parser() -> Callable[[bytes, int], Sequence[PriceTick | Signal]]:
            return partial(parse_frame, by_symbol=by_symbol, books={})

        return ticks_of(
            self._at,
            by_symbol,
            url=self._at.ws_url,
            parser=parser,
            snapshot=self.snapshot,
            subscribe=subscriptions(tuple(by_symbol)),
            subscribe_singly=subscriptions(tuple(by_symbol), per_request=1),
            keepalive=_PING,
        )

    async def snapshot(self, assets: frozenset[str]) -> Sequence[PriceTick]:
        """Return one REST quote per asset; raises `ProviderError`."""
        by_symbol = markets(VENUE, assets)
        async with self._at.http() as http:

            async def read(symbol: str) -> Sequence[PriceTick]:
                raw = await self._get(http, "/v5/market/tickers", {"category": "spot", "symbol": symbol})
                return parse_tickers(raw, time.time_ns(), by_symbol)

            return await each_symbol(by_symbol, read)

    async def daily_closes(self, asset: str, days: int) -> Sequence[Decimal]:
        """Return daily closes in USDT, oldest first, at most 999; raises `ProviderError`."""
        params = {"category": "spot", "symbol": symbol_of(VENUE, asset), "interval": "D"}
        async with self._at.http() as http:
            raw = await self._get(http, "/v5/market/kline", params | {"limit": str(min(days + 1, 1000))})
            return parse_closes(raw, days)

    async def hourly_candles(self, asset: str, hours: int) -> Sequence[HourlyCandle]:
        """Return hourly candles in USDT, oldest first; raises `ProviderError`."""
        params = {"category": "spot", "symbol": symbol_of(VENUE, asset), "interval": "60", "limit": "1000"}
        async with self._at.http() as http:

            async def read(first: int, last: int) -> Sequence[Row]:
                page = params | {"start": str(first), "end": str(last)}
                return parse_candles(await self._get(http, "/v5/market/kline", page))

            return await hourly_pages(VENUE, hours, 1000, read)

    async def _get(self, http: HttpTransport, path: str, params: Mapping[str, str]) -> bytes:
        try:
            return await http.get(path, params=params)
        except Refused as error:
            # 403 is "access too frequent" (stop for 10 minutes, docs/v5/rate-limit) or a barred country.
            if error.status == 403:
                self._at.budget.block(_FORBIDDEN_PAUSE_S)
            raise


def feed(options: VenueOptions) -> BybitFeed:
    """Return the feed of this venue; raises `ConfigError` for a URL that is none."""
    at = endpoint(
        VENUE,
        options,
        rest_url="https://api.bybit.com",
        ws_url="wss://stream.bybit.com/v5/public/spot",
        stale_after_s=10,
        weight=600,
        period_s=5,
    )
    return BybitFeed(at)
