"""One reading of everything, for commands that answer and exit."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from desk.events import ClockTicked, Idled, Linked
from desk.intake import Intake
from desk.pricing import NOTHING_TO_QUOTE, taker
from desk.snapshot import Snapshot
from desk.sources import ACCOUNT, PRICES
from desk.supervision import attempt, reason_of
from desk.volatility import learn
from providers.errors import Unauthorised
from providers.ports import HistorySource, LinkChange, LinkState, PositionSource, PriceFeed

T = TypeVar("T")


async def read_once(
    intake: Intake,
    positions: Sequence[PositionSource],
    feeds: Sequence[PriceFeed],
    history: HistorySource | None,
    stables: frozenset[str],
    timeout_s: float,
) -> Snapshot:
    """Return what could be read within `timeout_s`, every source with its state.

    Accounts are read in parallel, then their assets are quoted in parallel: once all accounts are in, or at half the
    time. What fails is recorded as its source's state; what no provider meant is logged too.
    """
    deadline = asyncio.get_running_loop().time() + timeout_s
    last_start = deadline - timeout_s / 2
    async with asyncio.TaskGroup() as tasks:
        readings = [tasks.create_task(_read(intake, source, deadline)) for source in positions]
        if readings:
            left_s = last_start - asyncio.get_running_loop().time()
            await asyncio.wait(readings, timeout=max(0.0, left_s))
        intake.note_assets()
        for feed in feeds:
            tasks.create_task(_quote(intake, feed, deadline))
        if history is not None:
            for asset in sorted(intake.state.markets - stables):
                tasks.create_task(learn(intake, history, asset, deadline - asyncio.get_running_loop().time()))
    intake.apply(ClockTicked())
    return intake.publish()


async def _read(intake: Intake, source: PositionSource, deadline: float) -> None:
    async def work() -> None:
        intake.apply(await _by(deadline, source.read()))

    await _recorded(intake, ACCOUNT, source.name, work())


async def _quote(intake: Intake, feed: PriceFeed, deadline: float) -> None:
    assets = frozenset(asset for asset in intake.assets if feed.supports(asset))
    take = taker(intake, feed.venue)

    async def work() -> None:
        for tick in await _by(deadline, feed.snapshot(assets)):
            take(tick)

    if assets:
        await _recorded(intake, PRICES, feed.venue, work())
    else:
        intake.apply(Idled(PRICES, feed.venue, NOTHING_TO_QUOTE, waits=False))


async def _recorded(intake: Intake, kind: str, name: str, work: Awaitable[None]) -> None:
    failure = await attempt(f"{kind} {name}", work)
    if failure is not None:
        refused = isinstance(failure, Unauthorised)
        change = LinkChange(name, LinkState.DOWN, intake.clock(), reason_of(failure), is_unauthorised=refused)
        intake.apply(Linked(kind, name, change))


async def _by(deadline: float, answer: Awaitable[T]) -> T:
    async with asyncio.timeout_at(deadline):
        return await answer
