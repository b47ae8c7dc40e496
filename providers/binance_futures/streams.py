"""What Binance pushes to one futures account: mark prices on `/market`, and on `/private` the word that it changed.

Wire: developers.binance.com, "USDS-M Futures WebSocket Streams" and "User Data Streams" (read 2026-11; routed endpoints
since 2026): `<symbol>@markPrice@1s` and a listen key of 60 minutes, extended by PUT, made anew after -1125. User events
tell no mark and no liquidation price, so that they only make us read again. The private route is documented with the
key in the query, and was seen with it in the path: both are tried.
"""

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal

import msgspec

from engine.record import record
from providers.binance_futures.client import Client
from providers.binance_futures.numbers import ABSENT, VENUE, name, number, price, read
from providers.binance_futures.wire import BOTH, Place
from providers.errors import Malformed, Refused
from providers.ws import Signal, SignalKind, Subscription

# Within this time a socket on which nothing came counts as one on the wrong route.
_FLIP_WITHIN_S = 150.0
_EXTEND_AFTER_S = 30 * 60.0
_NO_SUCH_KEY = -1125
_MARK_SILENCE_S = 10.0
# A calm account says nothing for days: polls and the planned reconnect guard against a dead stream.
_USER_SILENCE_S = 48 * 3600.0
_NUDGES = frozenset(
    {
        "ACCOUNT_UPDATE",
        "ACCOUNT_CONFIG_UPDATE",
        "ORDER_TRADE_UPDATE",
        "TRADE_LITE",
        "MARGIN_CALL",
        "liabilityChange",
        "openOrderLoss",
        "outboundAccountPosition",
        "balanceUpdate",
        "riskLevelChange",
    }
)


@record
class MarkPush:
    """A symbol's mark price of the moment, and its next funding. `rate` is per interval."""

    symbol: str
    mark_price: Decimal
    at_ns: int
    rate: Decimal | None = None
    next_ns: int | None = None


@record
class AccountPush:
    """The account changed, `kind` says how. `called` are positions that the venue warns of."""

    kind: str
    at_ns: int
    called: frozenset[Place] = frozenset()


Push = MarkPush | AccountPush


class _Called(msgspec.Struct, frozen=True):
    s: str
    ps: str = BOTH


class _Event(msgspec.Struct, frozen=True):
    """One event, or a combined frame with the event in `data`."""

    e: str = ""
    E: int = 0
    s: str = ""
    p: msgspec.Raw = ABSENT
    r: msgspec.Raw = ABSENT
    T: int = 0
    data: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


def parse_push(raw: bytes) -> Push | Signal | None:
    """Return what a frame brings: a mark, the word of a change, a signal on the link, `None`. Raises `Malformed`."""
    event = read("frame", raw, _Event)
    if event.data != ABSENT:
        event = read("frame", bytes(event.data), _Event)
    match event.e:
        case "markPriceUpdate":
            return _mark(event)
        case "listenKeyExpired":
            return Signal(SignalKind.RESTART, "the listen key expired")
        case "serverShutdown":
            return Signal(SignalKind.RESTART, "the venue announced a restart")
        case kind if kind in _NUDGES:
            called = read("MARGIN_CALL", bytes(event.p), list[_Called]) if kind == "MARGIN_CALL" else []
            places = frozenset((name(each.s), each.ps) for each in called)
            return AccountPush(kind, event.E * 1_000_000, places)
        case "" if event.error != ABSENT:
            return Signal(SignalKind.REJECTED, bytes(event.error).decode("utf-8", "replace")[:160])
        case _:
            return None


def _mark(event: _Event) -> MarkPush:
    symbol = name(event.s)
    mark = price(event.p, f"mark price of {symbol}")
    if mark is None:
        raise Malformed(VENUE, f"mark price of {symbol}: missing")
    rate = number(event.r, f"funding rate of {symbol}")
    return MarkPush(symbol, mark, event.E * 1_000_000, rate, event.T * 1_000_000 if event.T > 0 else None)


class ListenKey:
    """The key under which the venue pushes an account's events. `path` is where it is made; `route` where it is heard.

    `is_in_query` says in which form it is tried first. `generation` rises when the key was lost, so that whoever
    listens knows to connect anew.
    """

    def __init__(
        self,
        client: Client,
        path: str,
        base: str,
        route: str,
        *,
        is_in_query: bool = True,
        extend_after_s: float = _EXTEND_AFTER_S,
    ) -> None:
        self._client, self._path, self._base, self._route = client, path, base, route
        self._extend_after_s = extend_after_s
        self._made_s: float | None = None
        self._asked_s: float | None = None
        self._is_in_query = is_in_query
        self.is_heard = False
        self.generation = 0

    async def url(self) -> str:
        """Return the address of a new connection, with a fresh key; raises `ProviderError`."""
        now_s = asyncio.get_running_loop().time()
        if self._asked_s is not None and now_s - self._asked_s < _FLIP_WITHIN_S and not self.is_heard:
            self._is_in_query = not self._is_in_query
        self._asked_s, self.is_heard = now_s, False
        reply = read("listenKey", await self._client.keyed("POST", self._path), _ListenKey)
        self._made_s = now_s
        key = "".join(c for c in reply.listenKey if c.isascii() and c.isalnum())
        return f"{self._base}{self._route}/ws{'?listenKey=' if self._is_in_query else '/'}{key}"

    def start_over(self) -> None:
        """Take the next connection as the first one: the last was ended by us, not by the venue."""
        self._asked_s = None

    async def keep(self) -> None:
        """Extend the key when it is `extend_after_s` old; one that the venue does not know any more is made anew."""
        now_s = asyncio.get_running_loop().time()
        if self._made_s is None or now_s - self._made_s < self._extend_after_s:
            return
        try:
            await self._client.keyed("PUT", self._path)
        except Refused as error:
            if error.status != _NO_SUCH_KEY:
                raise
            self._made_s = None
            self.generation += 1
            return
        self._made_s = now_s


class _ListenKey(msgspec.Struct, frozen=True):
    listenKey: str


class Streams:
    """The connections of one account under the `base` of its WebSocket."""

    def __init__(self, source: str, base: str, key: ListenKey, tls_ca: str | None, clock: Callable[[], int]) -> None:
        self._source, self._base, self.key = source, base, key
        self._tls_ca, self._clock = tls_ca, clock

    def sockets(self, symbols: frozenset[str]) -> Sequence[Subscription[Push]]:
        """Return the user's stream, and while anything is held the marks of `symbols`."""
        self.key.start_over()
        user: Subscription[Push] = Subscription(
            source=self._source,
            url=self.key.url,
            parser=lambda: self._parse_user,
            key=lambda push: push.symbol if isinstance(push, MarkPush) else push.kind,
            silence_after_s=_USER_SILENCE_S,
            is_quiet=True,
            tls_ca=self._tls_ca,
            clock=self._clock,
        )
        if not symbols:
            return (user,)
        streams = "/".join(f"{symbol.lower()}@markPrice@1s" for symbol in sorted(symbols))
        prices: Subscription[Push] = Subscription(
            source=self._source,
            url=f"{self._base}/market/stream?streams={streams}",
            parser=lambda: _parse,
            key=lambda push: push.symbol if isinstance(push, MarkPush) else push.kind,
            keys=symbols,
            silence_after_s=_MARK_SILENCE_S,
            tls_ca=self._tls_ca,
            clock=self._clock,
        )
        return (user, prices)

    def _parse_user(self, raw: bytes, observed_at_ns: int) -> Sequence[Push | Signal]:
        self.key.is_heard = True
        return _parse(raw, observed_at_ns)


def _parse(raw: bytes, _: int) -> Sequence[Push | Signal]:
    found = parse_push(raw)
    return () if found is None else (found,)
