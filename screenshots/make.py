"""Makes the pictures in this folder from the real app on the simulated market: `make screenshots`."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from desk.desk import Desk
from desk.foresight import HOURS, arrays, foreseen
from desk.settings import DeskSettings
from desk.snapshot import Snapshot
from providers.simulated import STABLE_ASSETS, SimulatedMarket
from tui import environment

FOLDER = Path(__file__).parent
START_NS = 1_793_872_800_000_000_000


@dataclass(frozen=True, slots=True)
class Picture:
    """One file: the scenario after some simulated seconds, at a size, in a theme, after some keys."""

    name: str
    scenario: str
    seconds: float
    size: tuple[int, int]
    theme: str = "deep"
    keys: Sequence[str] = ()


PICTURES = (
    Picture("main-80x24", "oracle-lag", 100, (80, 24)),
    Picture("main-120x40", "oracle-lag", 100, (120, 40)),
    Picture("main-200x50", "oracle-lag", 100, (200, 50)),
    Picture("main-120x40-light", "oracle-lag", 100, (120, 40), "light"),
    Picture("main-120x40-cvd", "oracle-lag", 100, (120, 40), "cvd"),
    Picture("main-120x40-mono", "oracle-lag", 100, (120, 40), "mono"),
    Picture("detail-120x40", "capped-oracle", 60, (120, 40), keys=("enter",)),
    Picture("method-120x40", "capped-oracle", 60, (120, 40), keys=("m",)),
    Picture("what-if-120x40", "calm", 20, (120, 40), keys=("w",)),
    Picture("hedge-120x40", "calm", 20, (120, 40), keys=("h",)),
    Picture("cascade-120x40", "calm", 20, (120, 40), keys=("c",)),
    Picture("prices-120x40", "oracle-lag", 100, (120, 40), keys=("2",)),
    Picture("alerts-120x40", "crash", 130, (120, 40), keys=("4",)),
    Picture("blackout-120x40", "blackout", 230, (120, 40)),
    Picture("help-120x40", "calm", 20, (120, 40), keys=("question_mark",)),
)


async def snapshot_of(scenario: str, seconds: float) -> Snapshot:
    """Return what a desk on `scenario` knows after `seconds` of simulated time, run forty times as fast."""
    speed = 40.0
    market = SimulatedMarket(scenario, seed=7, speed=speed, start_ns=START_NS)
    feeds = market.feeds()
    settings = DeskSettings(
        venues=tuple(feed.venue for feed in feeds), stables=frozenset(STABLE_ASSETS), simulated=scenario
    )
    desk = Desk(
        market.sources(),
        feeds,
        settings,
        history=market.history,
        clock=market.now_ns,
        past=market.past_readings(),
    )
    running = asyncio.create_task(desk.run())
    await asyncio.sleep(max(2.0, seconds / speed))
    found = desk.snapshot
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    moving = {asset for state in found.accounts.values() for asset in state.account.assets} - STABLE_ASSETS
    candles = {asset: arrays(await market.history.hourly_candles(asset, HOURS), asset) for asset in moving}
    told = foreseen(found, candles)
    return replace(found, outlooks=told.outlooks, requirements=told.requirements, what_if=told.what_if)


RESCUE = (
    ("plan-120x40", "enter sends", ("t",)),
    ("progress-120x40", "step 1 of", ("enter",)),
    ("rescued-120x40", "CONFIRMED", ()),
    ("countdown-120x40", "SENDS IN 3", ("escape", "j", "T")),
    ("history-120x40", "newest first", ("escape", "6")),
)
"""Pictures of one rescue in the demo, in order: the name, the words to wait for, the keys that lead there."""


async def picture_rescue() -> Snapshot:
    """Arm, plan, send and look back in the live demo; write a picture of each and return the last snapshot."""
    from marginline.rescue_screen import demo_rescue
    from tui.app import DashboardApp
    from tui.export import screen_svg, screen_text
    from tui.view import UiSettings

    market = SimulatedMarket("calm", seed=7, speed=1.0, start_ns=START_NS)
    feeds, sources = market.feeds(), market.sources()
    venues = tuple(feed.venue for feed in feeds)
    settings = DeskSettings(venues=venues, stables=frozenset(STABLE_ASSETS), simulated="calm")
    past = market.past_readings()
    desk = Desk(sources, feeds, settings, history=market.history, clock=market.now_ns, past=past)
    rescue = demo_rescue(desk, market, sources, settings)
    app = DashboardApp(desk, settings=UiSettings(simulated="calm", countdown_s=3_000), rescue=rescue)
    async with app.run_test(size=(120, 40)) as pilot, asyncio.timeout(120):
        while desk.snapshot.readiness.get("main") != "ready":
            await pilot.pause(0.1)
        await pilot.press("A")
        await pilot.pause()
        (FOLDER / "arm-120x40.svg").write_text(screen_svg(app), encoding="utf-8")
        await pilot.press(*"arm", "enter")
        while rescue.armed_until_ns is None:
            await pilot.pause(0.1)
        for name, words, keys in RESCUE:
            await pilot.press(*keys)
            while words not in screen_text(app):
                await pilot.pause(0.02)
            (FOLDER / f"{name}.svg").write_text(screen_svg(app), encoding="utf-8")
        return desk.snapshot


def unknown_outcome(done: Snapshot) -> str:
    """Return the main screen as it would stand had nobody seen the last rescue land; the market never lets that be."""
    from desk.actions import Stage, StepFate
    from tui.export import render_svg
    from tui.view import UiSettings

    action = done.actions[0]
    steps = tuple(replace(step, fate=StepFate.UNKNOWN, evidence="") for step in action.steps)
    lost = replace(action, stage=Stage.UNKNOWN, steps=steps, evidence="no node shows it yet", health_after=None)
    settings = UiSettings(simulated="calm", has_rescue=True)
    return render_svg(replace(done, actions=(lost,)), (120, 40), settings=settings)


def main() -> None:
    """Write every picture."""
    environment.prepare()
    from marginline.cascade_pane import demo_cascades
    from tui.export import render_svg
    from tui.view import UiSettings

    seen: dict[tuple[str, float], Snapshot] = {}
    for picture in PICTURES:
        key = (picture.scenario, picture.seconds)
        if key not in seen:
            seen[key] = asyncio.run(snapshot_of(*key))
        settings = UiSettings(simulated=picture.scenario)
        svg = render_svg(seen[key], picture.size, picture.theme, picture.keys, settings, partial(demo_cascades, 7))
        (FOLDER / f"{picture.name}.svg").write_text(svg, encoding="utf-8")
    done = asyncio.run(picture_rescue())
    (FOLDER / "unknown-120x40.svg").write_text(unknown_outcome(done), encoding="utf-8")


if __name__ == "__main__":
    main()
