"""Everything at once: all account venues, two chains, six price venues, 2,000 ticks a second, on loopback.

    python -m benchmarks.load [SECONDS] [--dashboard]

The venues run in a process of their own; the desk is built from nothing but a config. Prices tick round robin, every
pushing venue pushes its account once a second, the chains mine once a second. Once a second the price of one asset
falls by 15 % at all venues for three tenths of a second: the loan on it that is described in the config alarms, and the
time from just before the first of those ticks was sent until the snapshot with the alert is a sample.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path

from benchmarks.__main__ import machine
from benchmarks.alerting import observe, share_of
from benchmarks.terminal import Program

ASSETS = ("BTC", "ETH", "SOL", "XRP", "LINK", "AVAX", "DOGE", "LTC", "ADA", "DOT")
FALLING = ASSETS[3:]
"""Those that no account venue prices: a described loan is judged by the market only where no oracle is known."""
VENUES = ("binance", "coinbase", "kraken", "okx", "bybit", "hyperliquid")
TICKS_PER_S, SECONDS, MOST_S = 2000, 600, 3600
_BATCH = 20
_FALLEN_S = 0.3
_READY_WITHIN_S, _SETTLE_S, _SAMPLE_S = 60.0, 8.0, 5.0


def _config(nodes: dict[str, str], prices: dict[str, tuple[str, str]]) -> list[str]:
    """Return the lines of the config beside those of the account venues: loans, chains, price venues."""
    from tests.providers.evm.fake_node import PROVIDER, USER

    lines = []
    for asset in ASSETS:
        lines += ["[[account]]", f'name = "loan-{asset}"', 'provider = "manual"', 'kind = "loan"']
        lines += [f'collateral = [{{asset = "{asset}", amount = 10, liquidation_threshold = 0.8}}]']
        lines += ['debt = [{asset = "USDC", amount = 8700}]']
    for name, url in nodes.items():
        lines += ["[[account]]", f'name = "{name}"', 'provider = "aave-v3"', "chain_id = 31337"]
        lines += [f'addresses_provider = "{PROVIDER}"', f'rpc_url = "{url}"', f'address = "{USER}"', "poll_s = 1"]
    lines += ["[prices]", f"venues = {json.dumps(list(prices))}"]
    for venue, (rest_url, ws_url) in prices.items():
        lines += [f"[venues.{venue}]", f'rest_url = "{rest_url}"', f'ws_url = "{ws_url}"']
    return lines


async def serve(folder: Path, seconds: float) -> None:
    """Serve it all, tick once a line comes in, and say at the end when each fall was sent and how many ticks came."""
    from tests.everywhere import Everywhere, everywhere
    from tests.providers.evm.fake_node import FakeNode, install_market
    from tests.venues import VenueServer

    async def push(there: Everywhere, nodes: list[FakeNode]) -> None:
        bases = {
            name: max(Decimal(size) for contract, size in venue.holds[venue.long[0]] if contract == venue.long[1])
            for name, venue in there.venues.items()
        }
        turn = 0
        while True:
            turn += 1
            for node in nodes:
                node.block, node.timestamp_s = node.block + 1, time.time_ns() // 1_000_000_000
            for name, venue in there.venues.items():
                await asyncio.sleep(1 / len(there.venues))
                await venue.set_long(there.servers[name], f"{bases[name] if turn % 2 else bases[name] * 2:f}")

    async with AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(FakeNode(timestamp_s=time.time_ns() // 1_000_000_000)) for _ in range(2)
        ]
        for node in nodes:
            install_market(node)
        servers = [await stack.enter_async_context(VenueServer(venue)) for venue in VENUES]
        for server in servers:
            for asset in (*ASSETS, "USDC", "USDT"):
                server.set_closes(asset, [str(2400 + day % 7 * 30) for day in range(60)])
                hours = [str(2450 + hour % 11 * 9) for hour in range(24 * 60)]
                server.set_hours(asset, [(price, price, price, price) for price in hours])
            for asset in ASSETS:
                server.set_book(asset, "2499.90", "2500.10")
            if server.wire.venue in ("coinbase", "kraken"):
                server.set_book("USDT", "0.99990", "1.00010")
        urls = {server.wire.venue: (server.url_rest, server.url_ws) for server in servers}
        chains = {f"chain-{number}": node.url for number, node in enumerate(nodes)}
        there = await stack.enter_async_context(everywhere(folder, *_config(chains, urls)))
        print(there.config, flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        pushing = asyncio.create_task(push(there, nodes))
        falls: list[tuple[str, int]] = []
        fallen, until = "", 0.0
        started = time.monotonic()
        total = round(seconds * TICKS_PER_S)
        for number in range(total):
            if number % TICKS_PER_S == TICKS_PER_S - 1:
                fallen = FALLING[number // TICKS_PER_S % len(FALLING)]
                until = time.monotonic() + _FALLEN_S
                falls.append((fallen, time.monotonic_ns()))
                for server in servers:
                    await server.push(fallen, "2124.90", "2125.10")
            asset = ASSETS[number // len(servers) % len(ASSETS)]
            if asset != fallen or time.monotonic() > until:
                bid = 2499 + number % 19 / 10
                await servers[number % len(servers)].push(asset, f"{bid:.2f}", f"{bid + 0.2:.2f}")
            if number % _BATCH == 0:
                await asyncio.sleep(max(0.0, started + number / TICKS_PER_S - time.monotonic()))
                if pushing.done():
                    pushing.result()
        print(json.dumps([falls, round(total / (time.monotonic() - started))]), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        pushing.cancel()
        await asyncio.gather(pushing, return_exceptions=True)


def desk_of(config: str) -> None:
    """Run what the config says; see `benchmarks.alerting.observe` for what is written to `report` beside it."""
    from marginline.compose import build_desk
    from marginline.config import load_config
    from marginline.registry import DESCRIBED_IN_CONFIG, SettingsByProvider

    path = Path(config)
    loaded = load_config(path, SettingsByProvider(), DESCRIBED_IN_CONFIG)
    make = lambda: build_desk(loaded, assets=frozenset(ASSETS))  # noqa: E731  # said in one place
    observe(make, path.with_name("report"), paints=sys.argv[1] == "dashboard")


def told(seconds: float, who: str) -> list[str]:
    """Return what is to be said of one run."""
    module = [sys.executable, "-m", "benchmarks.load"]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report"
        server = subprocess.Popen(
            [*module, "serve", folder, str(seconds)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert server.stdin is not None
        assert server.stdout is not None
        program: Program | None = None
        try:
            config = server.stdout.readline().strip()
            program = Program.start([*module, who, config], environment={"LANG": "C.UTF-8"})
            if b"help" not in program.read(_READY_WITHIN_S, until=lambda data: b"help" in data):
                raise RuntimeError(f"the {who} did not come up")
            program.read(_SETTLE_S)
            server.stdin.write("\n")
            server.stdin.flush()
            began, cpu_s = time.monotonic(), program.cpu_s()
            memory: list[tuple[float, float]] = []
            while (passed := time.monotonic() - began) < seconds:
                memory.append((passed / 60, program.rss_mib()))
                program.read(min(_SAMPLE_S, seconds - passed))
            ended, spent = time.monotonic(), program.cpu_s() - cpu_s
            memory.append(((ended - began) / 60, program.rss_mib()))
            falls, rate = json.loads(server.stdout.readline())
            program.send(b"q\n")
            program.read(10.0, until=lambda _: report.exists())
            program.read(0.5)
            beats, seen, sources = json.loads(report.read_text())
        finally:
            if program is not None:
                program.stop()
            server.stdin.close()
            server.wait(10)
    took = []
    for subject, at_ns in seen:
        sent = [sent_ns for asset, sent_ns in falls if subject == f"loan-{asset}" and sent_ns <= at_ns]
        if sent:
            took.append((at_ns - sent[-1]) / 1e6)
    gaps = [gap / 1e6 for at, gap in beats if began * 1e9 <= at <= ended * 1e9]
    settled = memory[len(memory) // 5 :]
    slope = statistics.linear_regression(*zip(*settled, strict=True)).slope if len(settled) > 2 else 0.0
    states: dict[str, int] = {}
    for _, state, _ in sources:
        states[state] = states.get(state, 0) + 1
    lost = [f"{name} {state}" for name, state, _ in sources if state != "live"]
    return [
        f"{who}: {ended - began:.0f} s, {rate:,} ticks/s, {len(sources)} sources: {states}"
        + (f" {lost}" if lost else ""),
        f"  CPU {100 * spent / (ended - began):.1f} % of a core",
        f"  memory {memory[0][1]:.1f} MiB at start, {memory[len(memory) // 2][1]:.1f} in the middle, "
        f"{memory[-1][1]:.1f} at the end; {slope:+.3f} MiB a minute after the first fifth",
        f"  longest event-loop gap {max(gaps):.0f} ms (99 %: {share_of(gaps, 0.99):.1f} ms; "
        f"{sum(gap > 50 for gap in gaps)} over 50 ms)",
        f"  tick to alert p50 {share_of(took, 0.5):.1f} ms, p99 {share_of(took, 0.99):.1f} ms, "
        f"{len(took)} alerts of {len(falls)} falls",
        f"  frames dropped: {sum(dropped for _, _, dropped in sources)}",
    ]


def main() -> None:
    """Measure and print."""
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    seconds = min(float(words[0]) if words else SECONDS, MOST_S)
    print(machine(), flush=True)
    for line in told(seconds, "dashboard" if "--dashboard" in sys.argv else "desk"):
        print(line, flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve(Path(sys.argv[2]), float(sys.argv[3])))
    elif sys.argv[1:2] in (["desk"], ["dashboard"]):
        desk_of(sys.argv[2])
    else:
        main()
