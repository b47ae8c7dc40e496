"""Hyperliquid end to end: a loopback venue, the real source, the real desk, and what a screen would show."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from desk.desk import Desk
from desk.settings import DeskSettings
from desk.snapshot import Snapshot
from engine.assessment import Severity
from providers.hyperliquid import source
from providers.ports import AccountOptions, LinkState
from tests.hyperliquid_server import USER, HyperliquidServer, hyperliquid_server


def state(mark: str) -> dict[str, object]:
    """Return a user with 2 ETH long from 2,500 on a wallet of 800 USDC, at a mark price."""
    profit = 2 * (float(mark) - 2500)
    position = {
        "coin": "ETH",
        "szi": "2",
        "leverage": {"type": "cross"},
        "entryPx": "2500",
        "positionValue": str(2 * float(mark)),
        "liquidationPx": "2142.9",
        "maxLeverage": 25,
    }
    return {"crossMarginSummary": {"accountValue": str(800 + profit)}, "assetPositions": [{"position": position}]}


async def until(desk: Desk, wanted: Callable[[Snapshot], bool]) -> Snapshot:
    async for snapshot in desk.snapshots():
        if wanted(snapshot):
            return snapshot
    raise AssertionError("snapshots ended")


def severity(snapshot: Snapshot) -> Severity | None:
    account = snapshot.accounts.get("hl")
    return None if account is None else account.assessment.severity


def desk_of(venue: HyperliquidServer) -> Desk:
    options = AccountOptions(
        "hl", "hyperliquid", address=USER, rest_url=venue.url_rest, ws_url=venue.url_ws, poll_s=0.1, stale_after_s=5
    )
    return Desk([source(options)], [], DeskSettings())


def test_a_falling_mark_reaches_the_desk_and_alarms() -> None:
    async def run() -> None:
        async with asyncio.timeout(10), hyperliquid_server() as venue:
            venue.info = {
                "clearinghouseState": state("2600"),
                "userAbstraction": "default",
                "perpDexs": [None],
                "metaAndAssetCtxs": [{"universe": [{"name": "ETH", "maxLeverage": 25}]}, [{"funding": "0.00001"}]],
            }
            desk = desk_of(venue)
            work = asyncio.create_task(desk.run())
            start = await until(desk, lambda snapshot: severity(snapshot) is not None)
            assert severity(start) is Severity.WATCH
            await venue.until_subscribed("activeAssetCtx")
            # The next poll must not bring the old mark back.
            venue.info["clearinghouseState"] = state("2200")
            venue.push("activeAssetCtx", {"coin": "ETH", "ctx": {"markPx": "2200"}})
            danger = await until(desk, lambda snapshot: severity(snapshot) is Severity.DANGER)
            held = danger.accounts["hl"].account.positions[0]
            assert held.mark_price == 2200
            assert any(alert.subject == "hl" for alert in danger.alerts)
            venue.info["clearinghouseState"] = state("2140")
            dead = await until(desk, lambda snapshot: severity(snapshot) is Severity.LIQUIDATABLE)
            assert dead.sources[0].state is LinkState.LIVE
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work

    asyncio.run(run())
