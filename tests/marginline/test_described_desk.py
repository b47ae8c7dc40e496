"""A described account on the dashboard: what its owner writes into the file is what the screen shows."""

import asyncio
import time
from pathlib import Path

from engine.assessment import Severity
from marginline.compose import build_source
from marginline.config import load_config
from marginline.registry import DESCRIBED_IN_CONFIG, SettingsByProvider
from providers.ports import LinkState
from tests.marginline.command import write
from tests.on_desk import on_desk

BROKER = ["[[account]]", 'name = "b"', 'provider = "manual"', 'kind = "broker"', "cash = -20000", 'file = "legs.csv"']


def legs(price: str) -> list[str]:
    return ["leg,asset,quantity,mark_price,maintenance_rate", f"position,SPY,100,{price},0.25"]


def test_a_changed_file_reaches_the_screen_and_a_broken_one_is_told(tmp_path: Path) -> None:
    file = tmp_path / "legs.csv"
    write(file, legs("500"))
    config = write(tmp_path / "c.toml", [*BROKER, "poll_s = 0.2", "[prices]", "venues = []"])
    (account,) = load_config(config, SettingsByProvider(), DESCRIBED_IN_CONFIG).accounts

    async def story() -> None:
        async with on_desk(build_source(account, time.time_ns)) as shown:
            await shown.painted("SPY", "2.400")
            write(file, legs("250"))
            dead = await shown.until(lambda one: one.accounts["b"].assessment.severity is Severity.LIQUIDATABLE)
            assert dead.accounts["b"].account.positions[0].mark_price == 250
            await shown.painted("LIQUIDATABLE", "0.800")
            write(file, legs("dear"))
            told = await shown.until(lambda one: one.sources[0].state is LinkState.DEGRADED)
            assert "legs.csv:2: mark_price" in told.sources[0].detail
            write(file, legs("600"))
            await shown.until(lambda one: one.accounts["b"].assessment.severity is Severity.SAFE)

    asyncio.run(story())
