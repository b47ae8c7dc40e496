"""Accounts of a venue that are followed: REST polls, WebSocket pushes beside them, and one link state from both.

The link is judged by data alone. A lost WebSocket costs freshness, not truth: polls go on and say so. It is `DOWN`
only when neither a poll nor a push has brought a state for as long as a poll may take, and then no reading is
published, so that what is on screen ages.

A venue brings a `Reader`; `FollowedAccounts` over it is its `providers.ports.PositionSource`.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from enum import StrEnum
from math import inf
from typing import Generic, Protocol, TypeVar

from providers.errors import ConfigError, Malformed, RateLimited, Unreachable
from providers.http import HttpTransport
from providers.mailbox import Mailbox
from providers.ports import AccountOptions, LinkChange, LinkState, Reading
from providers.ws import Backoff, Subscription, stream

P = TypeVar("P")

# With states pushed, a poll only guards against a push that lies or lags.
RECONCILE_S = 30.0
# A word that something changed may come with every order: it never makes polls follow one another faster than this.
NUDGED_S = 1.0


class Taken(StrEnum):
    """What a push brought: the account's whole state, a price or part of it, or only the word that it changed."""

    STATE = "state"
    PART = "part"
    NUDGE = "nudge"


class Reader(Protocol[P]):
    """The picture of one user at one venue, kept up to date by REST and by pushes that somebody else receives."""

    @property
    def topics(self) -> frozenset[str]:
        """Return what is to be followed now (contracts held); sockets are opened anew when it changes."""

    def sockets(self) -> Sequence[Subscription[P]]:
        """Return the connections that push what `topics` are about; none where the venue pushes nothing."""

    async def refresh(self, *, everything: bool = False) -> None:
        """Read what is due by REST, everything anew when asked; raises `ProviderError`."""

    def take(self, push: P) -> Taken:
        """Bring a pushed item into the picture."""

    def reading(self, now_ns: int) -> Reading:
        """Return the accounts as of `now_ns`; raises `Unreachable` before the first refresh."""


class Following(Generic[P]):
    """Fills `mailbox` with readings and link changes of a reader's user; the caller runs `poll` and `push`."""

    def __init__(
        self,
        source: str,
        reader: Reader[P],
        mailbox: Mailbox[Reading | LinkChange],
        *,
        poll_s: float,
        stale_after_s: float,
        clock: Callable[[], int],
    ) -> None:
        self._source, self._reader, self._mailbox = source, reader, mailbox
        self._poll_s, self._stale_after_s = poll_s, stale_after_s
        self._clock = clock
        self._now_s = asyncio.get_running_loop().time
        self._state_at_s = self._pushed_at_s = self._polled_at_s = -inf
        self._nudge, self._news = asyncio.Event(), asyncio.Event()
        self._push_faults: dict[int, str] = {}
        self._poll_fault, self._dropped = "", {0: 0}
        self._told: tuple[LinkState, str, int | None] = (LinkState.CONNECTING, "", None)
        self._told_dropped = -1

    async def poll(self) -> None:
        """Refresh for ever; raises only `Refused`."""
        self._tell(LinkState.CONNECTING)
        failures = 0
        while True:
            self._nudge.clear()
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
        """Follow the user's state and the prices of what is held while there is anything to follow."""
        while True:
            wanted = self._reader.topics
            sockets = self._reader.sockets() if wanted else ()
            changed = asyncio.create_task(self._until_topics_change(wanted), name=f"{self._source} topics")
            following = [
                asyncio.create_task(self._follow(index, socket), name=f"{self._source} socket {index}")
                for index, socket in enumerate(sockets)
            ]
            try:
                done, _ = await asyncio.wait((changed, *following), return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                for task in (changed, *following):
                    task.cancel()
                await asyncio.gather(changed, *following, return_exceptions=True)
            self._push_faults.clear()

    async def _follow(self, index: int, socket: Subscription[P]) -> None:
        updates: AsyncGenerator[P | LinkChange, None] = stream(socket)  # type: ignore[arg-type]  # P is no LinkChange
        async with aclosing(updates) as items:
            async for item in items:
                if isinstance(item, LinkChange):
                    self._heed(index, item)
                else:
                    self._take(item)

    async def _until_topics_change(self, wanted: frozenset[str]) -> None:
        while self._reader.topics == wanted:
            self._news.clear()
            await self._news.wait()

    async def _until_next_poll(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll_s):
                    await self._nudge.wait()
            now_s = self._now_s()
            if self._nudge.is_set():
                await asyncio.sleep(min(NUDGED_S, self._poll_s) - (now_s - self._polled_at_s))
                return
            is_pushed = now_s - self._pushed_at_s < 2 * self._poll_s
            if not is_pushed or now_s - self._polled_at_s >= RECONCILE_S:
                return

    def _failed(self, error: Unreachable | RateLimited | Malformed, pause_s: float) -> None:
        self._poll_fault = error.detail
        if self._now_s() - self._pushed_at_s < self._stale_after_s:
            self._tell(LinkState.LIVE, f"pushed, not reconciled: {error.detail}")
            return
        state = LinkState.DEGRADED if isinstance(error, Malformed) else LinkState.DOWN
        self._tell(state, error.detail, self._clock() + round(pause_s * 1e9))

    def _heed(self, index: int, link: LinkChange) -> None:
        """Note how a WebSocket fares; when it is lost or back, a poll reconciles at once."""
        if link.dropped != self._dropped.get(index, 0):
            self._dropped[index] = link.dropped
            self._tell(*self._told)
        if link.state is LinkState.CONNECTING:
            return
        fault = "" if link.state is LinkState.LIVE else link.detail
        if bool(fault) != bool(self._push_faults.get(index)):
            self._nudge.set()
        self._push_faults[index] = fault

    def _take(self, push: P) -> None:
        taken = self._reader.take(push)
        now_s = self._now_s()
        if taken is Taken.NUDGE:
            self._nudge.set()
            return
        if taken is Taken.STATE:
            self._state_at_s = self._pushed_at_s = now_s
        if now_s - self._state_at_s >= self._stale_after_s:
            return
        if taken is Taken.PART and self._poll_fault and now_s - self._pushed_at_s >= self._stale_after_s:
            # A price heals no link that is down: only a state does, polled or pushed.
            self._put_reading()
            return
        self._publish()

    def _publish(self) -> None:
        detail = ""
        fault = next((fault for fault in self._push_faults.values() if fault), "")
        if fault:
            detail = f"polled every {self._poll_s:g} s: websocket {fault}"
        elif self._poll_fault:
            detail = f"pushed, not reconciled: {self._poll_fault}"
        self._tell(LinkState.LIVE, detail)
        self._put_reading()

    def _put_reading(self) -> None:
        self._mailbox.put("reading", self._reader.reading(self._clock()))
        self._news.set()

    def _tell(self, state: LinkState, detail: str = "", retry_at_ns: int | None = None) -> None:
        dropped = sum(self._dropped.values())
        if (state, detail, retry_at_ns) == self._told and dropped == self._told_dropped:
            return
        self._told, self._told_dropped = (state, detail, retry_at_ns), dropped
        self._mailbox.put("link", LinkChange(self._source, state, self._clock(), detail, retry_at_ns, dropped))


class FollowedAccounts(Generic[P]):
    """One configured account over its venue's reader; a `providers.ports.PositionSource`.

    `poll_s` is the pause between polls unless the config says otherwise; `transports` are closed with it. `pushed_from`
    is the WebSocket that pushes to this source, `None` when it only polls. `clock` is UTC now in ns.
    """

    def __init__(
        self,
        options: AccountOptions,
        reader: Reader[P],
        transports: Sequence[HttpTransport],
        *,
        poll_s: float,
        pushed_from: str | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._name, self._reader, self._transports, self._clock = options.name, reader, tuple(transports), clock
        self.pushed_from = pushed_from
        self._poll_s = poll_s if options.poll_s is None else options.poll_s
        if not self._poll_s > 0:
            raise ConfigError(f"{options.name}: poll_s must be above 0")
        self._stale_after_s = options.stale_after_s or max(3 * self._poll_s, 15.0)

    @property
    def name(self) -> str:
        """Return the configured account name."""
        return self._name

    @property
    def poll_s(self) -> float:
        """Return the seconds between two polls."""
        return self._poll_s

    @property
    def stale_after_s(self) -> float:
        """Return the age beyond which a reading no longer counts: three polls, or as configured."""
        return self._stale_after_s

    async def aclose(self) -> None:
        """Close every connection."""
        for transport in self._transports:
            await transport.aclose()

    async def read(self) -> Reading:
        """Return the user's accounts now, everything read anew; raises `ProviderError`."""
        await self._reader.refresh(everything=True)
        return self._reader.reading(self._clock())

    async def watch(self) -> AsyncGenerator[Reading | LinkChange, None]:
        """Yield a reading at start and after every push and poll, and link changes; raises only `Refused`."""
        mailbox: Mailbox[Reading | LinkChange] = Mailbox(1)
        following = Following(
            self._name,
            self._reader,
            mailbox,
            poll_s=self._poll_s,
            stale_after_s=self._stale_after_s,
            clock=self._clock,
        )
        tasks = [asyncio.create_task(work, name=f"{self._name} feed") for work in (following.poll(), following.push())]
        for task in tasks:
            task.add_done_callback(lambda _: mailbox.stir())
        try:
            while True:
                await mailbox.wait()
                while mailbox:
                    yield mailbox.take()
                for task in tasks:
                    if task.done():
                        task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
