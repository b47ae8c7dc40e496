"""Row 4: ticks per core-second, ours end to end beside ccxt.pro, on the same frames from the same loopback server.

Ours are decoded, stored, settled into snapshots, and the risk of 50 accounts on the ten symbols is recomputed: alert
rules on every settling, all accounts looked at ten times a second, as the dashboard does. ccxt.pro decodes and stores.
Each client is a process of its own; what counts is its CPU time from the first frame to the last. Interleaved rounds.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import time

from benchmarks.frames import ASSETS, LAST, serving

COUNT, ROUNDS = 60_000, 3
ACCOUNTS = 50
LOOKED_AT_EVERY_S = 0.1


async def ours(url: str) -> tuple[float, str]:
    """Return the CPU seconds for all frames, and what was skipped."""
    from decimal import Decimal

    from benchmarks.ticks import account
    from desk.desk import Desk
    from desk.settings import DeskSettings
    from engine.accounts import Account
    from providers.binance import feed
    from providers.ports import PositionSource, Reading, VenueOptions

    class Held:
        name, stale_after_s, poll_s = "main", 3600.0, 3600.0

        def __init__(self) -> None:
            self.accounts: tuple[Account, ...] = tuple(
                account(f"main:{number}", ASSETS[number % len(ASSETS)]) for number in range(ACCOUNTS)
            )

        async def read(self) -> Reading:
            return Reading(self.name, self.accounts, time.time_ns())

        async def watch(self):  # type: ignore[no-untyped-def]  # overrides what has no annotations
            yield await self.read()
            await asyncio.Event().wait()

    source: PositionSource = Held()
    feeds = (feed(VenueOptions(ws_url=url, rest_url="http://127.0.0.1:9")),)
    desk = Desk((source,), feeds, DeskSettings(venues=("binance",)))
    looks = 0

    async def look() -> None:
        nonlocal looks
        while True:
            await asyncio.sleep(LOOKED_AT_EVERY_S)
            snapshot = desk.snapshot
            assert all(snapshot.accounts[name].assessment.health_factor for name in snapshot.accounts)
            looks += 1

    running = asyncio.create_task(desk.run())
    looking = asyncio.create_task(look())
    started = 0.0
    async for snapshot in desk.snapshots():
        prices = snapshot.prices
        if not started and any(state.consensus.price for state in prices.values()):
            started = time.process_time()
        if all(asset in prices and prices[asset].consensus.price == Decimal("7777.55") for asset in ASSETS):
            break
    spent = time.process_time() - started
    dropped = next(state.dropped for state in desk.snapshot.sources if state.name == "binance")
    running.cancel()
    looking.cancel()
    await asyncio.gather(running, looking, return_exceptions=True)
    return spent, f"{dropped} skipped, {looks} looks"


async def theirs(url: str) -> tuple[float, str]:
    """Return the CPU seconds of ccxt.pro for all frames."""
    import ccxt.pro

    exchange = ccxt.pro.binance({"newUpdates": True})
    exchange.urls["api"]["ws"]["spot"] = url
    symbols = [f"{asset}/USDT" for asset in ASSETS]
    spot = {"quote": "USDT", "quoteId": "USDT", "type": "spot", "spot": True, "active": True}
    exchange.set_markets(
        [
            exchange.safe_market_structure(
                spot
                | {"id": f"{asset}USDT", "lowercaseId": f"{asset.lower()}usdt", "symbol": f"{asset}/USDT"}
                | {"base": asset, "baseId": asset}
            )
            for asset in ASSETS
        ]
    )
    started, last = 0.0, float(LAST)
    while not all(exchange.bidsasks.get(symbol, {}).get("bid") == last for symbol in symbols):
        await exchange.watch_bids_asks(symbols)
        started = started or time.process_time()
    spent = time.process_time() - started
    return spent, ""


def measured(who: str, url: str) -> tuple[float, str]:
    """Return CPU seconds and a remark of one client in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.decoding", who, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise RuntimeError(f"{who}: {done.stderr.strip().splitlines()[-1] if done.stderr else 'no answer'}")
    spent, _, remark = done.stdout.strip().partition(" ")
    return float(spent), remark


def rows() -> list[tuple[str, str, str, str]]:
    """Return the row of the report: number, what, measured, target."""
    mine: list[float] = []
    peer: list[float] = []
    with serving(COUNT) as url:
        for _ in range(ROUNDS):
            spent, remark = measured("ours", url)
            mine.append(spent)
            peer.append(measured("theirs", url)[0])
    ours_us, peer_us = (statistics.median(times) / COUNT * 1e6 for times in (mine, peer))
    figure = f"{peer_us / ours_us:.1f}x ({1e6 / ours_us:,.0f}/s, ccxt.pro {1e6 / peer_us:,.0f}/s; {remark})"
    return [("4", "ticks decoded, stored, risk recomputed per core-second / ccxt.pro", figure, ">= 5x")]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        spent, remark = asyncio.run({"ours": ours, "theirs": theirs}[sys.argv[1]](sys.argv[2]))
        print(spent, remark, flush=True)
        os._exit(0)  # the server answers no closing handshake, and ccxt.pro would wait for it
    else:
        for row in rows():
            print("  ".join(row))
