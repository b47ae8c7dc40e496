"""Which venue quotes which assets: subscribed once the accounts are known, again whenever they hold something new."""

import asyncio
from collections.abc import Callable, Iterable

from desk.events import Idled, Linked
from desk.intake import Intake
from desk.sources import PRICES
from desk.supervision import pump
from engine.record import record
from providers.ports import LinkChange, PriceFeed, PriceTick

NOTHING_TO_QUOTE = "quotes no asset of the accounts"
_WAITING = "waits for the accounts"


@record
class _Stream:
    """A running subscription; its `scope` ends it when it is to cover more."""

    feed: PriceFeed
    assets: frozenset[str]
    scope: asyncio.Timeout


class Pricing:
    """Runs feeds on the assets that accounts hold.

    The first subscription waits until every source in `awaited` has spoken or `start` was called, so that a feed
    isn't subscribed anew for each account that arrives.
    """

    def __init__(self, intake: Intake, awaited: Iterable[str]) -> None:
        self._intake = intake
        self._awaited = set(awaited)
        self._may_start = asyncio.Event()
        self._streams: dict[str, _Stream] = {}

    def spoke(self, source: str) -> None:
        """A source gave a reading, or failed to: it isn't waited for, and may have brought new assets."""
        self._awaited.discard(source)
        if self._may_start.is_set():
            self._subscribe_to_more()
        elif not self._awaited:
            self.start()

    def start(self) -> None:
        """Wait for no more sources."""
        self._intake.note_assets()
        self._may_start.set()

    async def started(self) -> None:
        """Return once there is nothing more to wait for."""
        if not self._awaited:
            self.start()
        await self._may_start.wait()

    async def run(self, feed: PriceFeed) -> None:
        """Stream quotes of what `feed` supports, subscribing anew when that grows; raises what its iterator raises."""
        if not self._may_start.is_set():
            self._intake.apply(Idled(PRICES, feed.venue, _WAITING, waits=True))
        await self.started()
        while True:
            grew = self._intake.assets_grew
            assets = frozenset(asset for asset in self._intake.assets if feed.supports(asset))
            if not assets:
                waits = not self._intake.assets
                detail = _WAITING if waits else NOTHING_TO_QUOTE
                self._intake.apply(Idled(PRICES, feed.venue, detail, waits=waits))
                await grew.wait()
            elif not await self._stream_until_more(feed, assets):
                return

    async def _stream_until_more(self, feed: PriceFeed, assets: frozenset[str]) -> bool:
        """Stream `assets` until `feed` supports more of what is wanted, then return True; False when it just ends."""
        try:
            async with asyncio.timeout(None) as scope:
                self._streams[feed.venue] = _Stream(feed, assets, scope)
                await pump(feed.ticks(assets), taker(self._intake, feed.venue))
        except TimeoutError:
            if scope.expired():
                return True
            raise
        finally:
            self._streams.pop(feed.venue, None)
        return False

    def _subscribe_to_more(self) -> None:
        if not self._intake.note_assets():
            return
        for stream in self._streams.values():
            if any(stream.feed.supports(asset) for asset in self._intake.assets - stream.assets):
                stream.scope.reschedule(asyncio.get_running_loop().time())


def taker(intake: Intake, venue: str) -> Callable[[PriceTick | LinkChange], None]:
    """Return what takes in the items of the feed of `venue`."""

    def take(item: PriceTick | LinkChange) -> None:
        intake.apply(Linked(PRICES, venue, item) if isinstance(item, LinkChange) else item)

    return take
