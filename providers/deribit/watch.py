"""What a Deribit WebSocket is asked for one login, and how its frames are read.

Wire: docs.deribit.com, "Authentication", "Heartbeat", "Subscriptions" (API 2.1.1, read 2026-11). The connection logs in
by a signature, and only then subscribes. The server asks `test_request` every half minute and closes a connection that
leaves it unanswered; that question is also when a token that is about to expire is renewed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import msgspec

from engine.record import record
from providers.credentials import Credentials
from providers.deribit.signing import VENUE, Problem, Token, log_in, new_nonce, parse_token, problem_of, request
from providers.deribit.wire import Summary, Tick, clean, parse_portfolio, parse_ticker
from providers.http import decode
from providers.venue_clock import VenueClock
from providers.ws import Signal, SignalKind, Subscription

_HEARTBEAT_S = 30
_LOG_IN, _SUBSCRIBE, _HEARTBEAT, _TEST, _RENEW = 1, 2, 3, 4, 5
_PRIVATE = ("user.portfolio.any", "user.changes.any.any.raw")
_TOO_MANY = 10028


@record
class Changed:
    """Something was traded or ordered; a reading tells what became of it."""

    contract: str = ""


Push = Summary | Tick | Changed


class _Params(msgspec.Struct, frozen=True):
    channel: str = ""
    type: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Frame(msgspec.Struct, frozen=True):
    id: int | None = None
    method: str = ""
    params: _Params = _Params()
    result: msgspec.Raw = msgspec.Raw(b"null")


class LoginFeed:
    """The subscription of one login: its portfolio, its trades, and the prices of the contracts held."""

    def __init__(
        self,
        source: str,
        credentials: Credentials,
        url: str,
        tls_ca: str | None,
        venue_clock: VenueClock,
        clock: Callable[[], int],
    ) -> None:
        self._source, self._credentials, self._url, self._tls_ca = source, credentials, url, tls_ca
        self._venue_clock, self._clock = venue_clock, clock
        self.silence_after_s = 15.0

    def subscription(self, contracts: frozenset[str]) -> Subscription[Push]:
        """Return what to stream while these futures are held; an option's mark moves no margin here."""
        return Subscription(
            source=self._source,
            url=self._url,
            parser=lambda: _Session(self._credentials, contracts, self._clock).parse,
            key=_key,
            subscribe=self._hello,
            silence_after_s=self.silence_after_s,
            tls_ca=self._tls_ca,
            backlog=1,
            clock=self._clock,
        )

    def _hello(self) -> Sequence[str]:
        signed = log_in(self._credentials, self._venue_clock.now_ms(), new_nonce())
        heartbeat = request(_HEARTBEAT, "public/set_heartbeat", {"interval": _HEARTBEAT_S})
        return (request(_LOG_IN, "public/auth", signed), heartbeat)


class _Session:
    """One connection's conversation, from the log-in on. Its token lives and dies with it."""

    def __init__(self, credentials: Credentials, contracts: frozenset[str], clock: Callable[[], int]) -> None:
        self._credentials, self._contracts, self._clock = credentials, contracts, clock
        self._token: Token | None = None
        self._renew_at_ns = 0

    def parse(self, raw: bytes, at_ns: int) -> Sequence[Push | Signal]:
        """Return what a frame brings; raises `Malformed`."""
        frame = decode(VENUE, "frame", raw, _Frame)
        if frame.method == "subscription":
            return self._pushed(frame.params)
        if frame.method == "heartbeat":
            return self._beaten(frame.params, at_ns)
        problem = problem_of(raw)
        if problem is not None:
            return (self._refused(frame.id, problem),)
        if frame.id in (_LOG_IN, _RENEW):
            self._keep(parse_token(raw), at_ns)
            return (Signal(SignalKind.ANSWER, texts=(self._subscribe(),)),) if frame.id == _LOG_IN else ()
        if frame.id == _SUBSCRIBE:
            return self._granted(decode(VENUE, "subscribe", bytes(frame.result), list[str]))
        return ()

    def _pushed(self, params: _Params) -> Sequence[Push | Signal]:
        channel, data = params.channel, bytes(params.data)
        if channel.startswith("ticker."):
            return (parse_ticker(data, is_push=True),)
        if channel.startswith("user.portfolio."):
            return (parse_portfolio(data),)
        if channel.startswith("user.changes."):
            return (Changed(),)
        return ()

    def _beaten(self, params: _Params, at_ns: int) -> Sequence[Signal]:
        if params.type != "test_request":
            return ()
        texts = [request(_TEST, "public/test", {})]
        if self._token is not None and self._token.refresh_token and at_ns >= self._renew_at_ns:
            self._renew_at_ns = at_ns + _HEARTBEAT_S * 1_000_000_000
            wanted = {"grant_type": "refresh_token", "refresh_token": self._token.refresh_token}
            texts.append(request(_RENEW, "public/auth", wanted))
        return (Signal(SignalKind.ANSWER, texts=tuple(texts)),)

    def _refused(self, number: int | None, problem: Problem) -> Signal:
        words = f"{problem.words} ({problem.code})"
        if problem.code == _TOO_MANY:
            return Signal(SignalKind.RESTART, f"{words}: the venue ends the session")
        if number == _LOG_IN:
            return Signal(SignalKind.REJECTED, f"log-in of {self._credentials.hint}: {words}")
        if number == _RENEW:
            return Signal(SignalKind.RESTART, f"log-in could not be renewed: {words}")
        return Signal(SignalKind.REJECTED, words)

    def _keep(self, token: Token, at_ns: int) -> None:
        """Note the token; it is renewed after four fifths of its life, two heartbeats before its end at the latest."""
        self._token = token
        left_s = min(token.expires_in_s * 4 // 5, max(token.expires_in_s - 2 * _HEARTBEAT_S, 0))
        self._renew_at_ns = at_ns + left_s * 1_000_000_000

    def _subscribe(self) -> str:
        return request(_SUBSCRIBE, "private/subscribe", {"channels": self._channels()})

    def _channels(self) -> list[str]:
        return [*_PRIVATE, *(f"ticker.{contract}.100ms" for contract in sorted(self._contracts))]

    def _granted(self, channels: Sequence[str]) -> Sequence[Signal]:
        missing = [each for each in self._channels() if each not in channels]
        if not missing:
            return ()
        return (Signal(SignalKind.REJECTED, f"not subscribed: {', '.join(clean(each) for each in missing[:3])}"),)


def _key(push: Push) -> str:
    match push:
        case Summary():
            return f"portfolio {push.currency}"
        case Tick():
            return f"price of {push.contract}"
        case Changed():
            return "change"


def merged(summaries: Mapping[str, Summary], push: Summary) -> Summary:
    """Return a pushed summary completed by what was known: a push tells balances and margins, not every field."""
    old = summaries.get(push.currency)
    if old is None:
        return push
    fields = {
        name: value
        for name in ("equity", "margin_balance", "initial_margin", "maintenance_margin", "options_value", "available")
        if (value := getattr(push, name)) is not None
    }
    fields |= {
        name: value
        for name in ("total_margin_balance", "total_initial", "total_maintenance", "ratio")
        if (value := getattr(push, name)) is not None
    }
    return replace(old, **fields, ratios=push.ratios or old.ratios)
