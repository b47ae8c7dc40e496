"""Forecasts on the desk: made once accounts are shown, from candles, and never for what is stale."""

import asyncio
from contextlib import suppress
from dataclasses import replace

from desk.desk import Desk
from desk.foresight import foreseen
from desk.settings import DeskSettings
from desk.snapshot import Snapshot
from providers.errors import Unreachable
from providers.ports import HourlyCandle
from providers.simulated import STABLE_ASSETS, SimulatedMarket


def desk_of(market: SimulatedMarket, candles: object) -> Desk:
    feeds = market.feeds()
    settings = DeskSettings(
        venues=tuple(feed.venue for feed in feeds),
        stables=frozenset(STABLE_ASSETS),
        simulated="calm",
        foresee_after_s=0.0,
    )
    return Desk(market.sources(), feeds, settings, clock=market.now_ns, history=market.history, candles=candles)  # type: ignore[arg-type]


async def with_outlooks(desk: Desk) -> Snapshot:
    async with asyncio.timeout(30):
        work = asyncio.create_task(desk.run())
        try:
            async for snapshot in desk.snapshots():
                if snapshot.outlooks:
                    return snapshot
        finally:
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work
    raise AssertionError("snapshots ended")


def test_every_account_gets_its_chances_from_candles() -> None:
    market = SimulatedMarket("calm", 7)
    snapshot = asyncio.run(with_outlooks(desk_of(market, market.history)))
    found = snapshot.outlooks["hl-short"]
    assert [each.hours for each in found.horizons] == [1.0, 24.0, 168.0]
    chances = [each.probability for each in found.horizons if each.probability is not None]
    assert len(chances) == 3
    assert chances == sorted(chances)
    assert all(0 <= each <= 1 for each in chances)
    assert "no recent candles" not in " ".join(found.notes)
    required = snapshot.requirements["hl-short"]
    assert required.required is not None
    assert required.protocol is not None
    assert required.required > required.protocol > 0
    assert snapshot.what_if is not None
    crash = next(each for each in snapshot.what_if.crashes if each.name == "19 May 2021")
    assert crash.gone
    assert crash.outcomes[crash.gone[0]].liquidated is True


class NoCandles:
    """A venue that is away."""

    async def hourly_candles(self, asset: str, hours: int) -> list[HourlyCandle]:
        raise Unreachable("binance", "no answer")


def test_without_candles_a_chance_rests_on_the_stated_volatility_or_is_unknown() -> None:
    market = SimulatedMarket("calm", 7)
    snapshot = asyncio.run(with_outlooks(desk_of(market, NoCandles())))
    for found in snapshot.outlooks.values():
        for each in found.horizons:
            assert not each.calibrated or each.probability in (0.0, 1.0)
            assert each.probability is not None or each.because


class BrokenCandles:
    """An adapter with a bug: its candles are no numbers."""

    async def hourly_candles(self, asset: str, hours: int) -> list[HourlyCandle]:
        return [HourlyCandle(0, *("?",) * 4)]  # type: ignore[arg-type]  # the bug


def test_a_bug_in_a_forecast_leaves_the_desk_running_and_says_that_there_is_none() -> None:
    market = SimulatedMarket("calm", 7)
    desk = desk_of(market, BrokenCandles())

    async def story() -> Snapshot:
        async with asyncio.timeout(30):
            work = asyncio.create_task(desk.run())
            try:
                async for snapshot in desk.snapshots():
                    if any("forecast" in each for each in snapshot.degraded):
                        seen = snapshot.sequence
                        return await anext(each async for each in desk.snapshots() if each.sequence > seen + 3)
            finally:
                work.cancel()
                with suppress(asyncio.CancelledError):
                    await work
        raise AssertionError("snapshots ended")

    snapshot = asyncio.run(story())
    assert (snapshot.outlooks, snapshot.what_if) == ({}, None)
    assert not any(state.is_stale for state in snapshot.accounts.values())


def test_a_stale_account_has_no_forecast() -> None:
    market = SimulatedMarket("calm", 7)
    snapshot = asyncio.run(with_outlooks(desk_of(market, NoCandles())))
    name, state = next(iter(snapshot.accounts.items()))
    stale = replace(snapshot, accounts={**snapshot.accounts, name: replace(state, is_stale=True)})
    made = foreseen(stale, {})
    assert name not in made.outlooks
    assert len(made.outlooks) == len(snapshot.accounts) - 1
    assert name not in made.requirements
    assert made.what_if is not None
    assert name not in [row.name for row in made.what_if.rows]
