"""One watched Hyperliquid user: REST polls, WebSocket pushes while positions are open, and the link's state from both.

The link is judged by data alone. A lost WebSocket costs freshness, not truth: polls go on and say so. It is `DOWN` only
when neither a poll nor a push has brought a state for as long as a poll may take, and then no reading is published, so
that what is on screen ages.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from math import inf

import msgspec

from providers.errors import Malformed, RateLimited, Unreachable
from providers.hyperliquid_reader import Reader
from providers.hyperliquid_wire import MarketPush, StatePush, parse_push
from providers.mailbox import Mailbox
from providers.ports import LinkChange, LinkState, Reading
from providers.ws import Backoff, Signal, SignalKind, Subscription, stream

# With states pushed, a poll only guards against a push that lies or lags.
_RECONCILE_S = 30.0
_PING = ('{"method":"ping"}', 45.0)

Push = StatePush | MarketPush


class UserWatch:
    """Fills `mailbox` with readings and link changes of `reader`'s user; the caller runs `poll` and `push`."""

    def __init__(
        self,
        source: str,
        user: str,
        reader: Reader,
        mailbox: Mailbox[Reading | LinkChange],
        *,
        poll_s: float,
        stale_after_s: float,
        ws_url: str | None,
        tls_ca: str | None,
        clock: Callable[[], int],
    ) -> None:
        self._source, self._user, self._reader, self._mailbox = source, user, reader, mailbox
        self._poll_s, self._stale_after_s, self._ws_url, self._tls_ca = poll_s, stale_after_s, ws_url, tls_ca
        self._clock = clock
        self._now_s = asyncio.get_running_loop().time
        self._state_at_s = self._pushed_at_s = self._polled_at_s = -inf
        self._nudge, self._news = asyncio.Event(), asyncio.Event()
        self._push_fault, self._poll_fault, self._dropped = "", "", 0
        self._told: tuple[LinkState, str, int | None] = (LinkState.CONNECTING, "", None)
        self._told_dropped = -1

    async def poll(self) -> None:
        """Refresh for ever; raises only `Refused`."""
        self._tell(LinkState.CONNECTING)
        failures = 0
        while True:
            self._nudge.clear()
            pause_s = self._poll_s
            try:
                await self._reader.refresh()
            except (Unreachable, RateLimited, Malformed) as error:
                asked_s = error.retry_after_s if isinstance(error, RateLimited) else None
                pause_s = max(Backoff().pause_s(failures), asked_s or 0.0)
                failures += 1
                self._failed(error, pause_s)
                await asyncio.sleep(pause_s)
            else:
                failures, self._poll_fault = 0, ""
                self._polled_at_s = self._state_at_s = self._now_s()
                self._publish()
                await self._until_next_poll()

    async def push(self) -> None:
        """Follow the user's state and the marks of its coins by WebSocket while there are positions."""
        if self._ws_url is None:
            return
        while True:
            wanted = self._reader.coins
            if not wanted:
                self._news.clear()
                await self._news.wait()
                continue
            updates = stream(self._subscription(self._ws_url, wanted))
            async with aclosing(updates) as items:
                async for item in items:
                    if isinstance(item, LinkChange):
                        self._heed(item)
                    else:
                        self._take(item)
                    if self._reader.coins != wanted:
                        break

    async def _until_next_poll(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll_s):
                    await self._nudge.wait()
            now_s = self._now_s()
            is_pushed = now_s - self._pushed_at_s < 2 * self._poll_s
            if self._nudge.is_set() or not is_pushed or now_s - self._polled_at_s >= _RECONCILE_S:
                return

    def _failed(self, error: Unreachable | RateLimited | Malformed, pause_s: float) -> None:
        self._poll_fault = error.detail
        if self._now_s() - self._pushed_at_s < self._stale_after_s:
            self._tell(LinkState.LIVE, f"pushed, not reconciled: {error.detail}")
            return
        state = LinkState.DEGRADED if isinstance(error, Malformed) else LinkState.DOWN
        self._tell(state, error.detail, self._clock() + round(pause_s * 1e9))

    def _heed(self, link: LinkChange) -> None:
        """Note how the WebSocket fares; when it is lost or back, a poll reconciles at once."""
        if link.dropped != self._dropped:
            self._dropped = link.dropped
            self._tell(*self._told)
        if link.state is LinkState.CONNECTING:
            return
        fault = "" if link.state is LinkState.LIVE else link.detail
        if bool(fault) != bool(self._push_fault):
            self._nudge.set()
        self._push_fault = fault

    def _take(self, push: Push) -> None:
        self._reader.take(push)
        now_s = self._now_s()
        if isinstance(push, StatePush):
            self._state_at_s = self._pushed_at_s = now_s
        if now_s - self._state_at_s < self._stale_after_s:
            self._publish()

    def _publish(self) -> None:
        detail = ""
        if self._push_fault:
            detail = f"polled every {self._poll_s:g} s: websocket {self._push_fault}"
        elif self._poll_fault:
            detail = f"pushed, not reconciled: {self._poll_fault}"
        self._tell(LinkState.LIVE, detail)
        self._mailbox.put("reading", self._reader.reading(self._clock()))
        self._news.set()

    def _tell(self, state: LinkState, detail: str = "", retry_at_ns: int | None = None) -> None:
        if (state, detail, retry_at_ns) == self._told and self._dropped == self._told_dropped:
            return
        self._told, self._told_dropped = (state, detail, retry_at_ns), self._dropped
        self._mailbox.put("link", LinkChange(self._source, state, self._clock(), detail, retry_at_ns, self._dropped))

    def _subscription(self, url: str, coins: frozenset[str]) -> Subscription[Push]:
        states = [{"type": "clearinghouseState", "user": self._user, "dex": dex} for dex in self._reader.dexes_in_use]
        contexts = [{"type": "activeAssetCtx", "coin": coin} for coin in sorted(coins)]
        return Subscription(
            source=self._source,
            url=url,
            parser=lambda: self._parse,
            key=lambda push: f"price of {push.coin}" if isinstance(push, MarketPush) else f"state of {push.dex}",
            subscribe=[_subscribe(wanted) for wanted in (*states, *contexts)],
            # Servers of before 2026 push the main state only as part of what their own web page shows.
            subscribe_singly=[_subscribe({"type": "webData2", "user": self._user})],
            keepalive=_PING,
            silence_after_s=max(self._stale_after_s, 2 * self._poll_s),
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
