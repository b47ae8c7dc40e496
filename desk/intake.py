"""Where every event enters the live state, and where snapshots come out."""

import asyncio
from collections.abc import AsyncGenerator, Callable

from desk.events import ClockTicked, Event
from desk.snapshot import Snapshot
from desk.state import LiveState

_REST_PER_WORK = 10
QUOTE_CURRENCIES = frozenset({"USDC", "USDT"})
"""Currencies that venues quote in; their own price in dollars is always asked for."""


class Intake:
    """Applies events as they come and settles them into snapshots a moment later.

    After a settling passes ten times what it took, `settle_every_s` at most, so that a flood of ticks costs one
    judgement of the latest prices instead of one per tick; a lone tick is settled at once.
    """

    def __init__(self, state: LiveState, clock: Callable[[], int]) -> None:
        self.state = state
        self.clock = clock
        self.assets_grew = asyncio.Event()
        self.rung = asyncio.Event()
        self._unsettled = asyncio.Event()
        self._published = asyncio.Event()
        self._assets: frozenset[str] = frozenset()

    @property
    def assets(self) -> frozenset[str]:
        """Return every asset that was ever worth a market price here; it only grows."""
        return self._assets

    def apply(self, event: Event) -> None:
        """Take in one event, now."""
        self.state.apply(event, self.clock())
        self._unsettled.set()

    def note_assets(self) -> bool:
        """Notice assets that became worth a price and wake whoever waits on `assets_grew`; return whether any did."""
        wanted = self.state.markets
        if wanted <= self._assets:
            return False
        self._assets |= wanted | QUOTE_CURRENCIES
        grew, self.assets_grew = self.assets_grew, asyncio.Event()
        grew.set()
        return True

    def publish(self) -> Snapshot:
        """Settle what was applied and return the latest snapshot."""
        former = self.state.snapshot
        snapshot = self.state.settle(self.clock())
        if snapshot is not former:
            published, self._published = self._published, asyncio.Event()
            published.set()
        if self.state.has_rung:
            self.rung.set()
        return snapshot

    async def snapshots(self) -> AsyncGenerator[Snapshot, None]:
        """Yield the latest snapshot, then each later one; a slow reader skips to the newest."""
        shown: Snapshot | None = None
        while True:
            published = self._published
            if self.state.snapshot is shown:
                await published.wait()
            shown = self.state.snapshot
            yield shown

    async def settle_for_ever(self, every_s: float) -> None:
        """Publish whenever something was applied; rest for a multiple of what that took, `every_s` at most."""
        now_s = asyncio.get_running_loop().time
        while True:
            await self._unsettled.wait()
            self._unsettled.clear()
            began_s = now_s()
            self.publish()
            await asyncio.sleep(min(every_s, _REST_PER_WORK * (now_s() - began_s)))

    async def tick_for_ever(self, every_s: float) -> None:
        """Let time pass over the state every `every_s`."""
        while True:
            await asyncio.sleep(every_s)
            self.state.apply(ClockTicked(), self.clock())
            self.publish()
