"""The dashboard's rescues end to end in the simulated market, and what a config offers of them."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from desk.actions import Refusal, Stage
from desk.desk import Desk
from desk.settings import DeskSettings
from marginline.commands.setup import read_config
from marginline.rescue_screen import ScreenRescue, config_rescue, demo_rescue
from providers.simulated import STABLE_ASSETS, SimulatedMarket
from tui.app import DashboardApp
from tui.export import screen_text
from tui.view import UiSettings

ADDRESS = "0x0000000000000000000000000000000000000001"
Work = Callable[[DashboardApp, "Pilot[str]", ScreenRescue, Desk], Awaitable[None]]


def on_the_demo(work: Work) -> None:
    """Run `work` on the app with the simulated market and its rescues."""

    async def running() -> None:
        market = SimulatedMarket("calm", 7, 4.0)
        feeds, sources = market.feeds(), market.sources()
        venues = tuple(feed.venue for feed in feeds)
        settings = DeskSettings(venues=venues, stables=frozenset(STABLE_ASSETS), simulated="calm")
        desk = Desk(sources, feeds, settings, history=market.history, clock=market.now_ns)
        rescue = demo_rescue(desk, market, sources, settings)
        app = DashboardApp(desk, settings=UiSettings(simulated="calm", countdown_s=0), rescue=rescue)
        async with app.run_test(size=(200, 50)) as pilot, asyncio.timeout(60):
            await work(app, pilot, rescue, desk)
        assert rescue.armed_until_ns is None

    asyncio.run(running())


async def until(app: DashboardApp, pilot: "Pilot[str]", words: str) -> str:
    while words not in (shown := screen_text(app)):
        await pilot.pause(0.02)
    return shown


def test_the_demo_is_rescued_by_its_keys_and_remembers_it() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", rescue: ScreenRescue, desk: Desk) -> None:
        await until(app, pilot, "no gas")
        assert desk.snapshot.readiness["main"] == "ready"
        before = desk.snapshot.accounts["main"].assessment.health_factor
        await pilot.press("A", "a", "r", "m", "enter")
        await until(app, pilot, "ARMED")
        await pilot.press("t")
        await until(app, pilot, "enter sends: repay")
        await pilot.press("enter")
        await until(app, pilot, "CONFIRMED  health")
        after = desk.snapshot.accounts["main"].assessment.health_factor
        assert before is not None
        assert after is not None
        assert before < 1.2 < 1.5 < after
        (action,) = await rescue.history(5)
        assert (action.account, action.stage, action.actor) == ("main", Stage.CONFIRMED, "tui t")
        await pilot.press("escape", "j", "T")
        await until(app, pilot, "CONFIRMED  health")
        assert [each.actor for each in await rescue.history(5)] == ["tui T", "tui t"]
        await pilot.press("escape", "!")
        await until(app, pilot, "read-only")

    on_the_demo(work)


def test_unarmed_the_demo_refuses_and_changes_nothing() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", rescue: ScreenRescue, desk: Desk) -> None:
        await until(app, pilot, "no gas")
        plan = await rescue.plan_for("main")
        with pytest.raises(Refusal, match="not armed"):
            await rescue.execute(plan, 0, actor="test", show=lambda action: None)
        with pytest.raises(Refusal, match="no account nobody"):
            await rescue.plan_for("nobody")

    on_the_demo(work)


@pytest.mark.parametrize(
    ("signer", "passwords"),
    [("", None), ('signer = "keystore:rescue"', ("rescue",)), ('signer = "env:RESCUE_KEY"', ())],
)
def test_a_config_offers_rescues_where_a_signer_is_named(
    tmp_path: Path, signer: str, passwords: tuple[str, ...] | None
) -> None:
    path = tmp_path / "config.toml"
    account = f'[[account]]\nname = "main"\nprovider = "aave-v3"\nchain = "ethereum"\naddress = "{ADDRESS}"\n'
    path.write_text(f'{account}rpc_url = "http://127.0.0.1:1"\n{signer}\n', encoding="utf-8")
    rescue = config_rescue(Desk((), (), DeskSettings()), read_config(path), ())
    assert (rescue.passwords_needed if rescue is not None else None) == passwords
