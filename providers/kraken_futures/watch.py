"""What a Kraken Futures WebSocket is asked for one key, and how its conversation goes.

Wire: docs.kraken.com, "Futures WebSocket", "Challenge", "Subscriptions" (read 2026-11). The key asks for a challenge,
which goes, signed, with every private subscription. Prices need none.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from providers.credentials import Credentials
from providers.http import decode
from providers.kraken_futures.frames import HeldPush, TickPush, WalletPush, parse_held, parse_tick, parse_wallets
from providers.kraken_futures.signing import VENUE, signed_challenge
from providers.text import inert
from providers.ws import Signal, SignalKind, Subscription

_FEEDS = ("open_positions", "balances")

Push = HeldPush | WalletPush | TickPush


class _Frame(msgspec.Struct, frozen=True):
    event: str = ""
    feed: str = ""
    message: str = ""


class KeyFeed:
    """The subscription of one key: its positions and wallets, and the prices of the contracts held."""

    def __init__(
        self, source: str, credentials: Credentials, url: str, tls_ca: str | None, clock: Callable[[], int]
    ) -> None:
        self._source, self._credentials, self._url, self._tls_ca = source, credentials, url, tls_ca
        self._clock = clock
        self.silence_after_s = 15.0

    def subscription(self, contracts: frozenset[str]) -> Subscription[Push]:
        """Return what to stream while `contracts` are held."""
        wanted = {"event": "subscribe", "feed": "ticker", "product_ids": sorted(contracts)}
        return Subscription(
            source=self._source,
            url=self._url,
            parser=lambda: self._parse,
            key=_key,
            subscribe=lambda: (
                _text({"event": "challenge", "api_key": self._credentials.key}),
                _text(wanted),
                _text({"event": "subscribe", "feed": "heartbeat"}),
            ),
            silence_after_s=self.silence_after_s,
            tls_ca=self._tls_ca,
            backlog=1,
            clock=self._clock,
        )

    def _parse(self, raw: bytes, _: int) -> Sequence[Push | Signal]:
        frame = decode(VENUE, "frame", raw, _Frame)
        match frame.event:
            case "challenge":
                return (Signal(SignalKind.ANSWER, texts=self._answers(frame.message)),)
            case "error" | "alert":
                return (Signal(SignalKind.REJECTED, inert(frame.message, 120) or "error without a word"),)
            case "subscribed_failed":
                return (Signal(SignalKind.REJECTED, f"not subscribed: {inert(frame.feed, 40)}"),)
            case "":
                return _pushed(frame.feed, raw)
            case _:
                return ()

    def _answers(self, challenge: str) -> tuple[str, ...]:
        signed = {
            "api_key": self._credentials.key,
            "original_challenge": challenge,
            "signed_challenge": signed_challenge(self._credentials, challenge),
        }
        return tuple(_text({"event": "subscribe", "feed": feed, **signed}) for feed in _FEEDS)


def _pushed(feed: str, raw: bytes) -> Sequence[Push]:
    match feed:
        case "ticker":
            return (parse_tick(raw),)
        case "open_positions":
            return (parse_held(raw),)
        case "balances" | "balances_snapshot":
            return (parse_wallets(raw),)
        case _:
            return ()


def _key(push: Push) -> str:
    match push:
        case TickPush():
            return f"price of {push.contract}"
        case HeldPush():
            return "positions"
        case WalletPush():
            return "wallets"


def _text(wanted: Mapping[str, object]) -> str:
    return msgspec.json.encode(wanted).decode()
