"""Row 8: from a tick on the wire to its alert, at 1,000 accounts and 1,000 ticks a second.

A hundred sources of ten loans each, on twenty assets; each source has its own last oracle print. Prices from a loopback
venue in a process of its own stay near the prints, but five times a second one goes beyond the deviation of some: the
loans there will be worse after the next print, and each raises an alert. A sample is the time from just before the
tick was sent until the snapshot with the alert was published. Afterwards every price falls and stays there, so that a
print of all thousand is due: what a crash looks like while oracles lag. All of it once in the desk alone (what `watch`
runs) and once in the dashboard, whose painting shares the loop.
"""

import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.terminal import Program

if TYPE_CHECKING:
    from desk.desk import Desk

_NAMES = "BTC ETH SOL XRP LINK AVAX POL DOGE ARB OP AAVE UNI LTC ADA DOT LDO CRV COMP ENS PENDLE"
ASSETS = tuple(_NAMES.split())
SOURCES, LOANS = 100, 10
TICKS_PER_S = 1000
CALM_S, CRASH_S = 20.0, 5.0
PRICE, DEVIATION_BPS = Decimal(2500), Decimal(50)
_PULSE_EVERY, _BATCH = 200, 10
_BEAT_S = 0.01
_READY_WITHIN_S, _SETTLE_S = 40.0, 5.0


def printed(source: int) -> Decimal:
    """Return the last print of a source's oracle: a little apart from one source to the next."""
    return PRICE - Decimal(source // len(ASSETS)) / 2


async def venue() -> None:
    """Serve, tick once a line comes in, and say at the end when each pulse was sent: [asset, monotonic ns]."""
    from tests.venues import VenueServer

    draw = random.Random(7)
    async with VenueServer("binance") as server:
        for asset in ASSETS:
            server.set_book(asset, "2499.9", "2500.1")
        server.set_book("USDC", "0.99990", "1.00010")
        print(json.dumps([server.url_rest, server.url_ws]), flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        pulses: list[tuple[str, int]] = []
        started = time.monotonic()
        total = round((CALM_S + CRASH_S) * TICKS_PER_S)
        for number in range(total):
            asset = ASSETS[number % len(ASSETS)]
            mid = 2500 + draw.uniform(-5, 5)
            if number >= CALM_S * TICKS_PER_S:
                mid -= 25
            elif number % _PULSE_EVERY == 50:
                asset = ASSETS[number // _PULSE_EVERY % len(ASSETS)]
                mid = 2487.3 - number // _PULSE_EVERY // len(ASSETS) % 5 / 2
                pulses.append((asset, time.monotonic_ns()))
            await server.push(asset, f"{mid - 0.1:.2f}", f"{mid + 0.1:.2f}")
            if number % _BATCH == 0:
                await asyncio.sleep(max(0.0, started + number / TICKS_PER_S - time.monotonic()))
        print(json.dumps([pulses, round(total / (time.monotonic() - started))]), flush=True)
        await asyncio.to_thread(sys.stdin.read)


def thousand(rest_url: str, ws_url: str) -> "Desk":
    """Return a desk on a thousand loans and one price venue."""
    from desk.desk import Desk
    from desk.settings import DeskSettings
    from engine.accounts import Account, Collateral, Debt, Kind
    from engine.prices import OraclePrice
    from providers.binance import feed
    from providers.ports import Reading, VenueOptions

    class Loans:
        stale_after_s = poll_s = 3600.0

        def __init__(self, number: int) -> None:
            self.name, self._asset, self._price = f"s{number:02}", ASSETS[number % len(ASSETS)], printed(number)

        def _account(self, number: int, now_ns: int) -> Account:
            prices = {self._asset: (self._price, DEVIATION_BPS), "USDC": (Decimal(1), Decimal(25))}
            oracles = {
                asset: OraclePrice(price, now_ns, now_ns, Decimal(86_400), deviation)
                for asset, (price, deviation) in prices.items()
            }
            owed = self._price * 10 * Decimal("0.83") / Decimal("2.004")
            held = (Collateral(self._asset, Decimal(10), Decimal("0.83")),)
            name = f"{self.name}:{number}"
            return Account(name, Kind.LOAN, collateral=held, debt=(Debt("USDC", owed),), oracles=oracles)

        async def read(self) -> Reading:
            now_ns = time.time_ns()
            return Reading(self.name, tuple(self._account(number, now_ns) for number in range(LOANS)), now_ns)

        async def watch(self) -> AsyncIterator[Reading]:
            yield await self.read()
            await asyncio.Event().wait()

    feeds = (feed(VenueOptions(rest_url=rest_url, ws_url=ws_url)),)
    return Desk([Loans(number) for number in range(SOURCES)], feeds, DeskSettings(venues=("binance",)))


def observe(make: Callable[[], "Desk"], report: Path, *, paints: bool) -> None:
    """Run a desk until a line (or the key q) comes in, alone or in the dashboard; then write what was seen.

    That is every beat of the loop [monotonic ns, gap ns], every alert [subject, monotonic ns], and each source's name,
    last state and count of dropped frames.
    """
    if paints:
        from tui import environment

        environment.prepare()
    desk = make()
    beats: list[tuple[int, int]] = []
    seen: list[tuple[str, int]] = []

    async def beat() -> None:
        last = time.monotonic_ns()
        while True:
            await asyncio.sleep(_BEAT_S)
            now = time.monotonic_ns()
            beats.append((now, now - last - round(_BEAT_S * 1e9)))
            last = now

    async def note() -> None:
        known: dict[str, int] = {}
        alerts: tuple[Any, ...] = ()
        async for snapshot in desk.snapshots():
            if snapshot.alerts is alerts:
                continue
            alerts, now = snapshot.alerts, time.monotonic_ns()
            for alert in alerts:
                if alert.count > known.get(alert.key, 0):
                    known[alert.key] = alert.count
                    seen.append((alert.subject, now))

    if paints:
        from tui.app import DashboardApp
        from tui.view import UiSettings

        class Watched(DashboardApp):
            def on_ready(self) -> None:
                self.run_worker(beat(), group="beat")
                self.run_worker(note(), group="note")

        Watched(desk, settings=UiSettings()).run()
    else:

        async def headless() -> None:
            tasks = [asyncio.create_task(work) for work in (desk.run(), beat(), note())]
            print("help", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run(headless())
    sources = [(source.name, source.state.value, source.dropped) for source in desk.snapshot.sources]
    report.write_text(json.dumps([beats, seen, sources]))


def share_of(values: list[float], share: float) -> float:
    """Return the value below which `share` of them lie."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


def measured(who: str) -> list[tuple[str, str]]:
    """Return what was seen of `who`, "desk" or "dashboard": p99 and samples, longest gap, CPU, the crash."""
    module = [sys.executable, "-m", "benchmarks.alerting"]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report"
        server = subprocess.Popen([*module, "venue"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert server.stdin is not None
        assert server.stdout is not None
        program: Program | None = None
        try:
            urls = json.loads(server.stdout.readline())
            program = Program.start([*module, who, str(report), *urls], environment={"LANG": "C.UTF-8"})
            if b"help" not in program.read(_READY_WITHIN_S, until=lambda data: b"help" in data):
                raise RuntimeError(f"the {who} did not come up")
            program.read(_SETTLE_S)
            server.stdin.write("\n")
            server.stdin.flush()
            began, cpu_s = time.monotonic_ns(), program.cpu_s()
            program.read(CALM_S)
            calm_end, calm_cpu_s = time.monotonic_ns(), program.cpu_s()
            program.read(CRASH_S)
            crash_end, crash_cpu_s = time.monotonic_ns(), program.cpu_s()
            pulses, rate = json.loads(server.stdout.readline())
            program.send(b"q\n")
            program.read(10.0, until=lambda _: report.exists())
            program.read(0.5)
            beats, seen, _ = json.loads(report.read_text())
        finally:
            if program is not None:
                program.stop()
            server.stdin.close()
            server.wait(10)
    took: list[float] = []
    for name, at_ns in seen:
        asset = ASSETS[int(name[1:3]) % len(ASSETS)] if name[1:3].isdigit() else ""
        sent = [sent_ns for pulsed, sent_ns in pulses if pulsed == asset and sent_ns <= at_ns]
        if sent and at_ns <= calm_end:
            took.append((at_ns - sent[-1]) / 1e6)
    calm = [gap / 1e6 for at, gap in beats if began <= at <= calm_end]
    crash = [gap / 1e6 for at, gap in beats if calm_end < at <= crash_end]
    cpu = (calm_cpu_s - cpu_s) / (calm_end - began) * 1e9
    crash_cpu = (crash_cpu_s - calm_cpu_s) / (crash_end - calm_end) * 1e9
    return [
        (
            f"{share_of(took, 0.99):.1f} ms (p50 {share_of(took, 0.5):.1f} ms, {len(took)} alerts, {rate:,} ticks/s)",
            "<= 5 ms",
        ),
        (f"{max(calm, default=0):.0f} ms (99 %: {share_of(calm, 0.99):.0f} ms)", "<= 50 ms"),
        (f"{100 * cpu:.1f} %", "<= 25 %"),
        (
            f"{max(crash, default=0):.0f} ms (99 %: {share_of(crash, 0.99):.0f} ms), {100 * crash_cpu:.0f} % of a core",
            "",
        ),
    ]


def rows() -> list[tuple[str, str, str, str]]:
    """Return the rows of the report: number, what, measured, target."""
    found = []
    for who in ("desk", "dashboard"):
        whats = (
            f"tick to alert, {SOURCES * LOANS:,} accounts, in the {who}: p99",
            "  longest event-loop gap",
            "  CPU, share of a core",
            "  while a print of all is due: longest gap, CPU",
        )
        found += [("8", what, *told) for what, told in zip(whats, measured(who), strict=True)]
    return found


if __name__ == "__main__":
    if len(sys.argv) == 2:
        asyncio.run(venue())
    elif len(sys.argv) > 2:
        observe(lambda: thousand(*sys.argv[3:5]), Path(sys.argv[2]), paints=sys.argv[1] == "dashboard")
    else:
        for row in rows():
            print(*row, sep="  ")
