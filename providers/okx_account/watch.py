"""What OKX's WebSockets are asked for one account, and how their frames are read.

Wire: okx.com/docs-v5, "WebSocket login", channels `account`, `positions`, `mark-price`, `funding-rate` (read 2026-11).
The private one needs a signed log-in before its channels, and then tells only events (`updateInterval` 0); while
nothing happens, its answers to our pings count as life. The venue cuts a connection that carries nothing for 30 s.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from engine.record import record
from providers.http import decode
from providers.okx_account.markets import Price, parse_price
from providers.okx_account.signing import VENUE, login
from providers.signed_reads import SignedReads
from providers.text import inert
from providers.ws import Signal, SignalKind, Subscription

_PING = ("ping", 20.0)
_PRIVATE_SILENCE_S, _PUBLIC_SILENCE_S = 50.0, 25.0
_RESTARTING = "64008"
_EVENTS_ONLY = '{"updateInterval":"0"}'
_PRIVATE = (
    {"channel": "account", "extraParams": _EVENTS_ONLY},
    {"channel": "positions", "instType": "ANY", "extraParams": _EVENTS_ONLY},
)


@record
class Changed:
    """The venue says that the account changed: `channel` is what ("positions", "account")."""

    channel: str


Push = Changed | Price


class _Arg(msgspec.Struct, frozen=True, rename="camel"):
    channel: str = ""
    inst_id: str = ""


class _Frame(msgspec.Struct, frozen=True):
    arg: _Arg = _Arg()
    event: str = ""
    code: str = ""
    msg: str = ""


class UserFeed:
    """The connections of one account; `url` is the base before "/ws/v5/"."""

    def __init__(self, source: str, url: str, tls_ca: str | None, clock: Callable[[], int]) -> None:
        self._source, self._url, self._tls_ca, self._clock = source, url, tls_ca, clock

    def private(self, reads: SignedReads) -> Subscription[Push]:
        """Return what tells that positions or the balance changed; each connection logs in anew."""

        def hello() -> Sequence[str]:
            return (login(reads.credentials, reads.clock.now_ms()),)

        return Subscription(
            source=self._source,
            url=f"{self._url}/ws/v5/private",
            parser=lambda: parse_private,
            key=_key,
            subscribe=hello,
            keepalive=_PING,
            silence_after_s=_PRIVATE_SILENCE_S,
            tls_ca=self._tls_ca,
            backlog=1,
            clock=self._clock,
        )

    def public(self, contracts: Iterable[str]) -> Subscription[Push]:
        """Return what tells marks and funding of `contracts`; only perpetual swaps have funding."""
        names = sorted(contracts)
        wanted = [{"channel": "mark-price", "instId": name} for name in names]
        wanted += [{"channel": "funding-rate", "instId": name} for name in names if name.endswith("-SWAP")]
        return Subscription(
            source=self._source,
            url=f"{self._url}/ws/v5/public",
            parser=lambda: parse_public,
            key=_key,
            subscribe=(_subscribe(wanted),),
            subscribe_singly=tuple(_subscribe([each]) for each in wanted),
            keepalive=_PING,
            silence_after_s=_PUBLIC_SILENCE_S,
            tls_ca=self._tls_ca,
            # Marks and funding of one contract come apart: none may be skipped for the other.
            backlog=64,
            clock=self._clock,
        )


def parse_private(raw: bytes, _: int = 0) -> Sequence[Push | Signal]:
    """Return what one private frame says; raises `Malformed`."""
    if raw == b"pong":
        return (Signal(SignalKind.ALIVE),)
    frame = decode(VENUE, "private stream", raw, _Frame)
    if frame.event == "login":
        return (Signal(SignalKind.ALIVE), Signal(SignalKind.ANSWER, texts=(_subscribe(_PRIVATE),)))
    if frame.event:
        return _event(frame)
    return (Changed(frame.arg.channel),) if frame.arg.channel in ("account", "positions") else ()


def parse_public(raw: bytes, _: int = 0) -> Sequence[Push | Signal]:
    """Return the prices of one public frame; nothing for pongs, acks and other channels. Raises `Malformed`."""
    if raw == b"pong":
        return ()
    frame = decode(VENUE, "stream", raw, _Frame)
    if frame.event:
        return _event(frame)
    if frame.arg.channel not in ("mark-price", "funding-rate"):
        return ()
    price = parse_price(raw, frame.arg.inst_id)
    return () if price is None else (price,)


def _event(frame: _Frame) -> Sequence[Signal]:
    if frame.event == "error":
        return (Signal(SignalKind.REJECTED, inert(f"{frame.code} {frame.msg}", 120)),)
    if frame.event == "notice" and frame.code == _RESTARTING:
        return (Signal(SignalKind.RESTART, "the venue announced a restart"),)
    return ()


def _key(push: Push) -> str:
    return push.channel if isinstance(push, Changed) else push.contract


def _subscribe(wanted: Sequence[dict[str, str]]) -> str:
    return msgspec.json.encode({"op": "subscribe", "args": wanted}).decode()
