"""The desk: runs every source and feed, keeps the live state, and hands out one immutable snapshot after another."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from desk.events import Acknowledged, Acted, Backfilled, Linked, Readied
from desk.intake import Intake
from desk.pricing import Pricing
from desk.settings import DeskSettings
from desk.snapshot import Snapshot
from desk.sources import ACCOUNT, HISTORY, PRICES
from desk.state import LiveState
from desk.supervision import Pauses, attempt, pump, reason_of, supervise, within
from providers.ports import CandleSource, HistorySource, LinkChange, LinkState, PositionSource, PriceFeed, Reading

if TYPE_CHECKING:
    from desk.actions import ActionState
    from desk.notify import Notifier

log = logging.getLogger("marginline.desk")

_PAST_BATCH = 12
_CLOSE_WITHIN_S = 5.0
_ANSWER_WITHIN_S = 20.0


class Desk:
    """The live state of all accounts and prices, and everything that keeps it alive.

    `snapshot` is there at once, empty at first. `run` fills it until it is cancelled, `read_once` fills it once. `past`
    are readings from before the start, oldest first, for the charts. `candles` are what forecasts are made from; none
    are made without. `clock` gives UTC ns; every age counts on it.
    """

    def __init__(
        self,
        positions: Sequence[PositionSource],
        feeds: Sequence[PriceFeed],
        settings: DeskSettings,
        *,
        history: HistorySource | None = None,
        notifier: "Notifier | None" = None,
        clock: Callable[[], int] = time.time_ns,
        past: Iterable[Reading] = (),
        candles: CandleSource | None = None,
    ) -> None:
        self._positions = tuple(positions)
        self._feeds = tuple(feeds)
        self._settings = settings
        self._history = history
        self._notifier = notifier
        self._past = iter(past)
        self._candles = candles
        budgets = {source.name: source.stale_after_s for source in self._positions}
        venues = {feed.venue: feed.stale_after_s for feed in self._feeds}
        self._intake = Intake(LiveState(settings, budgets, venues, clock()), clock)
        self._pricing = Pricing(self._intake, budgets)
        self._pauses = Pauses(settings.restart_after_s, settings.refused_after_s)
        self._pokes: list[asyncio.Event] = []
        self._rereading: set[str] = set()
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def snapshot(self) -> Snapshot:
        """Return the latest snapshot."""
        return self._intake.state.snapshot

    def snapshots(self) -> AsyncGenerator[Snapshot, None]:
        """Yield the latest snapshot, then each later one; a slow reader skips to the newest."""
        return self._intake.snapshots()

    async def run(self) -> None:
        """Run until cancelled; by then every task has ended and every source and feed is closed."""
        settings = self._settings
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                tasks.create_task(self._intake.settle_for_ever(settings.settle_every_s))
                tasks.create_task(self._intake.tick_for_ever(settings.clock_every_s))
                tasks.create_task(self._start_pricing_late())
                tasks.create_task(self._backfill())
                for source in self._positions:
                    self._supervise(tasks, ACCOUNT, source.name, partial(self._watch, source))
                for feed in self._feeds:
                    self._supervise(tasks, PRICES, feed.venue, partial(self._pricing.run, feed))
                if self._history is not None:
                    self._supervise(tasks, HISTORY, HISTORY, self._learn_volatility)
                if self._candles is not None:
                    tasks.create_task(self._foresee(self._candles))
                if self._notifier is not None and self._notifier.is_configured:
                    from desk.delivery import deliver_for_ever

                    tasks.create_task(deliver_for_ever(self._intake, self._notifier, settings.notify_again_after_s))
        finally:
            self._tasks = None
            self._pokes.clear()
            await self.aclose()

    async def aclose(self) -> None:
        """Close every source, feed and history that can be closed; what fails is logged. `run` does this itself."""
        ports = (*self._positions, *self._feeds, self._history)
        for port in {id(port): port for port in ports}.values():
            close = getattr(port, "aclose", None)
            if close is None:
                continue
            failure = await attempt(f"closing {type(port).__name__}", within(_CLOSE_WITHIN_S, close()))
            if isinstance(failure, Exception):
                log.warning("%s did not close: %s", type(port).__name__, reason_of(failure))

    async def read_once(self, timeout_s: float) -> Snapshot:
        """Read every account and quote every asset once; return what came in time, every source with its state.

        Nothing is sent to anyone. Sources stay open for another call; `aclose` closes them.
        """
        from desk.once import read_once

        return await read_once(
            self._intake, self._positions, self._feeds, self._history, self._settings.stables, timeout_s
        )

    def take_reading(self, reading: Reading) -> None:
        """Take in a reading that a rescue made on its way, so that it shows at once."""
        self._intake.apply(reading)
        self._intake.publish()

    def show_actions(self, actions: "tuple[ActionState, ...]", armed_until_ns: int | None) -> None:
        """Let snapshots carry these rescues, newest first, and until when sending is armed."""
        self._intake.apply(Acted(actions, armed_until_ns))
        self._intake.publish()

    def show_readiness(self, readiness: Mapping[str, str]) -> None:
        """Let snapshots carry, per account, whether its standing plan would work now."""
        self._intake.apply(Readied(readiness))
        self._intake.publish()

    def acknowledge(self, key: str) -> None:
        """Mark the alert `key` as seen; an account that vanished leaves the list with its alert."""
        self._intake.apply(Acknowledged(key))
        self._intake.publish()

    def acknowledge_all(self) -> None:
        """Mark every firing alert as seen."""
        for key in self._intake.state.firing:
            self._intake.apply(Acknowledged(key))
        self._intake.publish()

    def refresh(self) -> None:
        """Read every account again now, and end every pause before a retry. Does nothing unless running."""
        if self._tasks is None:
            return
        for poke in self._pokes:
            poke.set()
        for source in self._positions:
            if source.name not in self._rereading:
                self._rereading.add(source.name)
                self._tasks.create_task(self._reread(source))

    def _supervise(self, tasks: asyncio.TaskGroup, kind: str, name: str, work: Callable[[], Awaitable[None]]) -> None:
        poke = asyncio.Event()
        self._pokes.append(poke)
        tasks.create_task(supervise(f"{kind} {name}", work, partial(self._failed, kind, name), self._pauses, poke))

    def _failed(self, kind: str, name: str, reason: str, pause_s: float) -> None:
        now_ns = self._intake.clock()
        retry_at_ns = now_ns + int(pause_s * 1e9)
        change = LinkChange(name, LinkState.DOWN, now_ns, reason, retry_at_ns)
        self._intake.apply(Linked(kind, name, change))
        if kind == ACCOUNT:
            self._pricing.spoke(name)

    async def _watch(self, source: PositionSource) -> None:
        def take(item: Reading | LinkChange) -> None:
            if isinstance(item, LinkChange):
                self._intake.apply(Linked(ACCOUNT, source.name, item))
            else:
                self._intake.apply(item)
                self._pricing.spoke(source.name)

        await pump(source.watch(), take)

    async def _reread(self, source: PositionSource) -> None:
        async def work() -> None:
            self._intake.apply(await within(_ANSWER_WITHIN_S, source.read()))
            self._pricing.spoke(source.name)

        failure = await attempt(f"{ACCOUNT} {source.name}", work())
        self._rereading.discard(source.name)
        if failure is not None:
            change = LinkChange(source.name, LinkState.DEGRADED, self._intake.clock(), reason_of(failure))
            self._intake.apply(Linked(ACCOUNT, source.name, change))

    async def _start_pricing_late(self) -> None:
        await asyncio.sleep(self._settings.first_prices_after_s)
        self._pricing.start()

    async def _backfill(self) -> None:
        await self._pricing.started()
        await asyncio.sleep(self._settings.past_after_s)
        while readings := tuple(islice(self._past, _PAST_BATCH)):
            self._intake.apply(Backfilled(readings))
            await asyncio.sleep(self._settings.past_every_s)

    async def _foresee(self, candles: CandleSource) -> None:
        await self._pricing.started()
        await asyncio.sleep(self._settings.foresee_after_s)
        from desk.foresight import Foresight

        await Foresight(self._intake, lambda: self.snapshot, candles, self._settings.stables).keep_for_ever()

    async def _learn_volatility(self) -> None:
        await self._pricing.started()
        await asyncio.sleep(self._settings.past_after_s)
        if self._history is not None:
            from desk.volatility import learn_for_ever

            await learn_for_ever(self._intake, self._history, self._settings.stables)
