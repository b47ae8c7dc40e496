"""What Bybit's WebSockets are asked for one account, and how their frames are read.

Wire: bybit-exchange.github.io/docs/v5/ws/connect, websocket/private/position and wallet, websocket/public/ticker (read
2026-11). The private one needs a signed log-in before its topics; it says nothing while nothing changes, so there its
answers to our pings count as life. The venue cuts what sends no ping for ten minutes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal

import msgspec

from engine.record import record
from providers.bybit_account.markets import Price, parse_pushed_price
from providers.bybit_account.signing import VENUE, login
from providers.http import decode
from providers.signed_reads import SignedReads
from providers.text import inert
from providers.ws import Signal, SignalKind, Subscription

_PING = ('{"op":"ping"}', 20.0)
_PRIVATE_SILENCE_S, _PUBLIC_SILENCE_S = 50.0, 15.0
_ARGS_PER_REQUEST = 10


@record
class Changed:
    """The venue says that the account changed: `topic` is what ("position", "wallet")."""

    topic: str


Push = Changed | Price


class _Frame(msgspec.Struct, frozen=True):
    op: str = ""
    topic: str = ""
    success: bool | None = None
    ret_msg: str = ""


class UserFeed:
    """The connections of one account. `private_url` and `public_url` are the bases before "/v5/"."""

    def __init__(
        self, source: str, private_url: str, public_url: str, tls_ca: str | None, clock: Callable[[], int]
    ) -> None:
        self._source, self._tls_ca, self._clock = source, tls_ca, clock
        self._private_url, self._public_url = private_url, public_url

    def private(self, reads: SignedReads) -> Subscription[Push]:
        """Return what tells that positions or the wallet changed; each connection logs in anew."""

        def hello() -> Sequence[str]:
            return (login(reads.credentials, reads.clock.now_ms()),)

        return Subscription(
            source=self._source,
            url=f"{self._private_url}/v5/private",
            parser=lambda: parse_private,
            key=lambda push: push.topic if isinstance(push, Changed) else push.symbol,
            subscribe=hello,
            keepalive=_PING,
            silence_after_s=_PRIVATE_SILENCE_S,
            tls_ca=self._tls_ca,
            backlog=1,
            clock=self._clock,
        )

    def public(self, category: str, symbols: Iterable[str], hours: Mapping[str, Decimal | None]) -> Subscription[Push]:
        """Return what tells the prices of `symbols`; `hours` lie between two fundings of each."""
        topics = [f"tickers.{symbol}" for symbol in sorted(symbols)]

        def parse(raw: bytes, _: int) -> Sequence[Push | Signal]:
            frame = decode(VENUE, "stream", raw, _Frame)
            if frame.success is False:
                return (Signal(SignalKind.REJECTED, inert(frame.ret_msg, 120)),)
            price = parse_pushed_price(raw, hours)
            return () if price is None else (price,)

        return Subscription(
            source=self._source,
            url=f"{self._public_url}/v5/public/{category}",
            parser=lambda: parse,
            key=lambda push: push.topic if isinstance(push, Changed) else push.symbol,
            subscribe=_subscribe(topics, _ARGS_PER_REQUEST),
            subscribe_singly=_subscribe(topics, 1),
            keepalive=_PING,
            silence_after_s=_PUBLIC_SILENCE_S,
            tls_ca=self._tls_ca,
            # A delta tells only what changed: none of them may be skipped for a newer one.
            backlog=64,
            clock=self._clock,
        )


def parse_private(raw: bytes, _: int = 0) -> Sequence[Push | Signal]:
    """Return what one private frame says; raises `Malformed`."""
    frame = decode(VENUE, "private stream", raw, _Frame)
    if frame.op == "auth":
        if frame.success is False:
            return (Signal(SignalKind.REJECTED, f"log-in refused: {inert(frame.ret_msg, 120)}"),)
        return (Signal(SignalKind.ALIVE), Signal(SignalKind.ANSWER, texts=_subscribe(["position", "wallet"], 2)))
    if frame.op == "pong":
        return (Signal(SignalKind.ALIVE),)
    if frame.success is False:
        return (Signal(SignalKind.REJECTED, inert(frame.ret_msg, 120)),)
    if frame.topic.split(".")[0] in ("position", "wallet"):
        return (Changed(frame.topic),)
    return ()


def _subscribe(topics: Sequence[str], per_request: int) -> tuple[str, ...]:
    chunks = (topics[start : start + per_request] for start in range(0, len(topics), per_request))
    return tuple(msgspec.json.encode({"op": "subscribe", "args": chunk}).decode() for chunk in chunks)
