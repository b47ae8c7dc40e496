"""What a Hyperliquid WebSocket is asked for one user, and how its frames are read."""

from collections.abc import Callable, Sequence

import msgspec

from providers.hyperliquid_wire import MarketPush, StatePush, parse_push
from providers.ws import Signal, SignalKind, Subscription

# hyperliquid.gitbook.io, "Rate limits and user limits" (read 2026-11): per address 10 connections, 10 different users
# and 1000 subscriptions. One connection is left to the prices; each user has a connection, and so many coins.
MOST_USERS = 9
MOST_COINS = 90
_places: dict[str, list[str]] = {}

_PING = ('{"method":"ping"}', 45.0)

Push = StatePush | MarketPush


def place_for(url: str, user: str) -> Callable[[], None] | None:
    """Return how to give back a place among the users that `url` pushes to, `None` when all are taken."""
    taken = _places.setdefault(url, [])
    if len(taken) >= MOST_USERS:
        return None
    taken.append(user)
    return lambda: taken.remove(user)


class UserFeed:
    """The subscription of one user: the state of every dex in use, and the marks of the coins held."""

    def __init__(self, source: str, user: str, url: str, tls_ca: str | None, clock: Callable[[], int]) -> None:
        self._source, self._user, self._url, self._tls_ca, self._clock = source, user, url, tls_ca, clock
        self.silence_after_s = 15.0

    def subscription(self, dexes: Sequence[str], coins: frozenset[str]) -> Subscription[Push]:
        """Return what to stream while `coins` are held on `dexes` ("" is the main one).

        The marks of coins beyond those that the venue allows come with the states alone.
        """
        states = [{"type": "clearinghouseState", "user": self._user, "dex": dex} for dex in dexes]
        contexts = [{"type": "activeAssetCtx", "coin": coin} for coin in sorted(coins)[:MOST_COINS]]
        return Subscription(
            source=self._source,
            url=self._url,
            parser=lambda: self._parse,
            key=lambda push: f"price of {push.coin}" if isinstance(push, MarketPush) else f"state of {push.dex}",
            subscribe=[_subscribe(wanted) for wanted in (*states, *contexts)],
            # Servers of before 2026 push the main state only as part of what their own web page shows.
            subscribe_singly=[_subscribe({"type": "webData2", "user": self._user})],
            keepalive=_PING,
            silence_after_s=self.silence_after_s,
            tls_ca=self._tls_ca,
            backlog=1,
            clock=self._clock,
        )

    def _parse(self, raw: bytes, _: int) -> Sequence[Push | Signal]:
        found = parse_push(raw, self._user)
        if found is None:
            return ()
        return (Signal(SignalKind.REJECTED, found) if isinstance(found, str) else found,)


def _subscribe(wanted: dict[str, str]) -> str:
    return msgspec.json.encode({"method": "subscribe", "subscription": wanted}).decode()
