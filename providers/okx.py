"""OKX spot: best bid and ask of USDT markets.

Wire: okx.com/docs-v5 (public channels `tickers` and `bbo-tbt`; `/api/v5/market/ticker`, `/api/v5/market/candles`), read
2026-11. `tickers` tells every change of the best bid or ask at most every 100 ms, a tenth of what `bbo-tbt` costs;
frames of both are understood. `ws_url` replaces the whole of `wss://ws.okx.com:8443/ws/v5/public`, `rest_url` replaces
`https://www.okx.com`. The venue drops a connection that carries nothing for 30 s, so we send `ping` every 20 s.
"""

import time
from collections.abc import AsyncIterator, Iterable, Sequence
from decimal import Decimal
from functools import partial

import msgspec

from providers.errors import RateLimited, Refused, Unreachable
from providers.http import decode
from providers.ports import LinkChange, PriceTick, ProviderInfo, VenueOptions
from providers.quotes import Endpoint, each_symbol, endpoint, finished_closes, number, quotes, ticks_of
from providers.symbols import Markets, is_listed, markets, symbol_of
from providers.text import inert
from providers.ws import Signal, SignalKind

VENUE = "okx"
INFO = ProviderInfo(
    name=VENUE,
    title="OKX spot prices",
    prices=True,
    reads=("bid/ask", "daily closes"),
    settings=frozenset({"rest_url", "ws_url", "stale_after_s", "tls_ca"}),
)

_RESTARTING = "64008"
_BUSY = frozenset({"50001", "50004", "50013", "50026"})


class _Arg(msgspec.Struct, frozen=True, rename="camel"):
    channel: str = ""
    inst_id: str = ""


class _Row(msgspec.Struct, frozen=True, rename="camel"):
    """A `tickers` row (`bid_px`, `ask_px`; empty without a quote) or a `bbo-tbt` row (`bids`, `asks`)."""

    inst_id: str = ""
    bid_px: str | None = None
    ask_px: str | None = None
    bids: tuple[tuple[Decimal, ...], ...] = ()
    asks: tuple[tuple[Decimal, ...], ...] = ()


class _Frame(msgspec.Struct, frozen=True):
    arg: _Arg = _Arg()
    data: tuple[_Row, ...] = ()
    event: str = ""
    code: str = ""
    msg: str = ""


class _Reply(msgspec.Struct, frozen=True):
    code: str
    msg: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")


def subscription(instruments: Iterable[str]) -> str:
    """Return the text that subscribes to `instruments`."""
    args = [{"channel": "tickers", "instId": instrument} for instrument in instruments]
    return msgspec.json.encode({"op": "subscribe", "args": args}).decode()


def _sides(row: _Row) -> tuple[Decimal | None, Decimal | None]:
    if row.bids or row.asks:
        best = [side[0][0] if side and side[0] else None for side in (row.bids, row.asks)]
        return best[0], best[1]
    return number(VENUE, "bidPx", row.bid_px), number(VENUE, "askPx", row.ask_px)


def _ticks(rows: Iterable[_Row], instrument: str, observed_at_ns: int, by_symbol: Markets) -> list[PriceTick]:
    ticks: list[PriceTick] = []
    for row in rows:
        group = by_symbol.get(row.inst_id or instrument)
        bid, ask = _sides(row)
        if group is not None and bid is not None and ask is not None:
            ticks.extend(quotes(VENUE, group, bid, ask, observed_at_ns))
    return ticks


def parse_frame(raw: bytes, observed_at_ns: int, by_symbol: Markets) -> Sequence[PriceTick | Signal]:
    """Return the ticks of one frame; nothing for pongs, acks and other channels. Raises `Malformed`."""
    if raw == b"pong":
        return ()
    frame = decode(VENUE, "stream", raw, _Frame)
    if frame.event == "error":
        return (Signal(SignalKind.REJECTED, frame.msg or frame.code),)
    if frame.event == "notice" and frame.code == _RESTARTING:
        return (Signal(SignalKind.RESTART, "the venue announced a restart"),)
    if frame.arg.channel not in ("tickers", "bbo-tbt"):
        return ()
    return _ticks(frame.data, frame.arg.inst_id, observed_at_ns, by_symbol)


def _data(raw: bytes, place: str) -> bytes:
    reply = decode(VENUE, place, raw, _Reply)
    if reply.code == "0":
        return bytes(reply.data)
    said = inert(reply.msg, 120)
    detail = f"{place}: {inert(reply.code, 8)} {said}"
    if reply.code == "50011":
        raise RateLimited(VENUE, detail)
    if reply.code in _BUSY:
        raise Unreachable(VENUE, detail)
    raise Refused(VENUE, detail)


def parse_ticker(raw: bytes, observed_at_ns: int, by_symbol: Markets) -> Sequence[PriceTick]:
    """Return the ticks of a REST ticker reply. Raises `Malformed`, or what the venue's own code stands for."""
    rows = decode(VENUE, "ticker", _data(raw, "ticker"), tuple[_Row, ...])
    return _ticks(rows, "", observed_at_ns, by_symbol)


def parse_closes(raw: bytes, days: int) -> Sequence[Decimal]:
    """Return finished daily closes of a candles reply: rows of [open time ms, o, h, l, c, ...]. Raises `Malformed`."""
    rows = decode(VENUE, "candles", _data(raw, "candles"), list[list[Decimal]])
    return finished_closes(VENUE, ((row[0], row[4]) for row in rows if len(row) > 4), days)


class OkxFeed:
    """Streams and reads OKX spot quotes."""

    def __init__(self, at: Endpoint) -> None:
        self._at = at
        self.venue = VENUE
        self.stale_after_s = at.stale_after_s

    def supports(self, asset: str) -> bool:
        """Return whether OKX lists `asset` against USDT."""
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
            subscribe_singly=tuple(subscription((symbol,)) for symbol in by_symbol),
            keepalive=("ping", 20.0),
        )

    async def snapshot(self, assets: frozenset[str]) -> Sequence[PriceTick]:
        """Return one REST quote per asset; raises `ProviderError`."""
        by_symbol = markets(VENUE, assets)
        async with self._at.http() as http:

            async def read(symbol: str) -> Sequence[PriceTick]:
                raw = await http.get("/api/v5/market/ticker", params={"instId": symbol})
                return parse_ticker(raw, time.time_ns(), by_symbol)

            return await each_symbol(by_symbol, read)

    async def daily_closes(self, asset: str, days: int) -> Sequence[Decimal]:
        """Return daily closes in USDT, oldest first, at most 299; raises `ProviderError`."""
        params = {"instId": symbol_of(VENUE, asset), "bar": "1Dutc", "limit": str(min(days + 1, 300))}
        async with self._at.http() as http:
            return parse_closes(await http.get("/api/v5/market/candles", params=params), days)


def feed(options: VenueOptions) -> OkxFeed:
    """Return the feed of this venue; raises `ConfigError` for a URL that is none."""
    at = endpoint(
        VENUE,
        options,
        rest_url="https://www.okx.com",
        ws_url="wss://ws.okx.com:8443/ws/v5/public",
        stale_after_s=15,
        weight=20,
        period_s=2,
    )
    return OkxFeed(at)
