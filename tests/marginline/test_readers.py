"""The commands that read once, as a script calls them, against venues on loopback sockets."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.hyperliquid_server import HyperliquidServer, Refusal, hyperliquid_server
from tests.marginline.command import Done, marginline, write
from tests.venues import VenueServer

ADDRESS = "0x0000000000000000000000000000000000000001"
CLEARINGHOUSE: Mapping[str, Any] = {
    "marginSummary": {"accountValue": "5100", "totalNtlPos": "25000", "totalRawUsd": "30100", "totalMarginUsed": "625"},
    "crossMarginSummary": {
        "accountValue": "5100",
        "totalNtlPos": "25000",
        "totalRawUsd": "30100",
        "totalMarginUsed": "625",
    },
    "crossMaintenanceMarginUsed": "500",
    "withdrawable": "4000",
    "time": 1761803589961,
    "assetPositions": [
        {
            "type": "oneWay",
            "position": {
                "coin": "ETH",
                "szi": "-10",
                "leverage": {"type": "cross", "value": 25},
                "entryPx": "2510",
                "positionValue": "25000",
                "unrealizedPnl": "100",
                "returnOnEquity": "0.1",
                "liquidationPx": "2950.98039216",
                "marginUsed": "1000",
                "maxLeverage": 25,
                "cumFunding": {"allTime": "0", "sinceOpen": "0", "sinceChange": "0"},
            },
        }
    ],
}
META = [
    {
        "universe": [{"name": "ETH", "szDecimals": 4, "maxLeverage": 25, "marginTableId": 25}],
        "marginTables": [],
    },
    [
        {
            "funding": "0.00001",
            "openInterest": "1",
            "prevDayPx": "2500",
            "dayNtlVlm": "1",
            "premium": None,
            "oraclePx": "2500",
            "markPx": "2500",
            "midPx": "2500",
            "impactPxs": None,
        }
    ],
]


def serve_account(server: HyperliquidServer) -> None:
    """Let the fake venue hold one cross account, short 10 ETH."""
    server.info = {
        "userAbstraction": "disabled",
        "clearinghouseState": CLEARINGHOUSE,
        "spotClearinghouseState": {"balances": []},
        "metaAndAssetCtxs": META,
        "perpDexs": [None],
    }


def on_loopback(work: Callable[[HyperliquidServer, VenueServer, VenueServer], Awaitable[None]]) -> None:
    """Run `work` beside a Hyperliquid, a Binance and a Kraken."""

    async def run() -> None:
        async with (
            asyncio.timeout(60),
            hyperliquid_server() as venue,
            VenueServer("binance") as one,
            VenueServer("kraken") as two,
        ):
            serve_account(venue)
            one.set_book("ETH", "2479.9", "2480.1")
            two.set_book("ETH", "2480.9", "2481.1")
            await work(venue, one, two)

    asyncio.run(run())


def config(folder: Path, venue: HyperliquidServer, one: VenueServer, two: VenueServer) -> Path:
    return write(
        folder / "config.toml",
        [
            "[[account]]",
            'name = "hl"',
            'provider = "hyperliquid"',
            f'address = "{ADDRESS}"',
            f'rest_url = "{venue.url_rest}"',
            f'ws_url = "{venue.url_ws}"',
            "[prices]",
            'venues = ["binance", "kraken"]',
            "[venues.binance]",
            f'rest_url = "{one.url_rest}"',
            f'ws_url = "{one.url_ws}"',
            "[venues.kraken]",
            f'rest_url = "{two.url_rest}"',
            f'ws_url = "{two.url_ws}"',
        ],
    )


async def ask(*arguments: str | Path, **options: Any) -> Done:
    return await asyncio.to_thread(marginline, *arguments, **options)


def test_status_carries_the_portfolio_and_its_assessment(tmp_path: Path) -> None:
    async def work(venue: HyperliquidServer, one: VenueServer, two: VenueServer) -> None:
        done = await ask("status", "--json", "--config", config(tmp_path, venue, one, two))
        assert done.code == 0, done.err
        answer = done.json
        assert answer["schema"] == "marginline.status/1"
        (account,) = answer["assessment"]["accounts"]
        assert account["kind"] == "perp"
        assert float(account["health_factor"]) == pytest.approx(5100 / 500)
        assert float(account["liquidation"]["ETH"]["price"]) == pytest.approx(2950.98039216, rel=1e-9)
        assert account["liquidation"]["ETH"]["direction"] == "up"
        assert {source["name"]: source["state"] for source in answer["sources"]}["hl"] == "live"
        again = await ask("risk", "-", "--json", stdin=json.dumps(answer["portfolio"]))
        assert again.code == 0, again.err
        assert again.json["accounts"][0]["health_factor"] == account["health_factor"]
        assert again.json["accounts"][0]["at_market"] == account["at_market"]

    on_loopback(work)


def test_check_says_the_severity_by_exit_code(tmp_path: Path) -> None:
    async def work(venue: HyperliquidServer, one: VenueServer, two: VenueServer) -> None:
        path = config(tmp_path, venue, one, two)
        done = await ask("check", "-c", path)
        assert (done.code, "hl watch: distance 0.1803 < 0.2 (ETH up)" in done.out) == (10, True), done
        assert (await ask("check", "-c", path, "--fail-at", "warn")).code == 0
        plugin = await ask("check", "-c", path, "--nagios")
        assert plugin.code == 1
        assert plugin.out.startswith("MARGINLINE WARNING - hl watch: ")
        assert "'hl health'=10.200" in plugin.out

    on_loopback(work)


def test_an_account_that_cannot_be_read_is_unknown_not_safe(tmp_path: Path) -> None:
    async def work(venue: HyperliquidServer, one: VenueServer, two: VenueServer) -> None:
        path = config(tmp_path, venue, one, two)
        venue.info = {}
        done = await ask("status", "--json", "-c", path, "--timeout", "5")
        assert done.code == 4
        assert done.json["assessment"]["accounts"] == []
        assert done.json["degraded"]
        checked = await ask("check", "-c", path, "--timeout", "5")
        assert checked.code == 20
        assert "hl unknown" in checked.out
        assert (await ask("check", "-c", path, "--nagios", "--timeout", "5")).code == 3

    on_loopback(work)


def test_prices_names_who_was_left_out(tmp_path: Path) -> None:
    async def work(venue: HyperliquidServer, one: VenueServer, two: VenueServer) -> None:
        path = config(tmp_path, venue, one, two)
        done = await ask("prices", "ETH", "--json", "-c", path)
        assert done.code == 0, done.err
        found = done.json["prices"]["ETH"]
        assert found["consensus"]["venues"] == ["binance", "kraken"]
        assert float(found["consensus"]["price"]) == pytest.approx(2480.5)
        two.set_book("ETH", "2600", "2601")
        apart = (await ask("prices", "ETH", "--json", "-c", path)).json["prices"]["ETH"]["consensus"]
        assert apart["price"] is None
        assert "disagree" in apart["reason"]

    on_loopback(work)


def test_prices_stream_one_document_a_line(tmp_path: Path) -> None:
    async def work(venue: HyperliquidServer, one: VenueServer, two: VenueServer) -> None:
        from tests.marginline.command import MARGINLINE

        path = config(tmp_path, venue, one, two)
        process = await asyncio.create_subprocess_exec(
            str(MARGINLINE), "prices", "ETH", "--jsonl", "-c", str(path), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        prices: list[float] = []
        try:
            while 2490.5 not in prices:
                answer = json.loads(await process.stdout.readline())
                assert answer["schema"] == "marginline.prices/1"
                if (price := answer["prices"].get("ETH", {}).get("consensus", {}).get("price")) is not None:
                    prices.append(float(price))
                    await one.push("ETH", "2489.9", "2490.1")
                    await two.push("ETH", "2490.9", "2491.1")
        finally:
            process.terminate()
            await process.wait()

    on_loopback(work)


def test_alerts_tell_what_fires(tmp_path: Path) -> None:
    async def work(venue: HyperliquidServer, one: VenueServer, two: VenueServer) -> None:
        done = await ask("alerts", "--json", "-c", config(tmp_path, venue, one, two))
        assert done.code == 0
        assert [alert["subject"] for alert in done.json["alerts"]] == ["hl"]
        assert done.json["alerts"][0]["severity"] == "watch"

    on_loopback(work)


def test_doctor_names_what_is_wrong(tmp_path: Path) -> None:
    async def work(venue: HyperliquidServer, one: VenueServer, two: VenueServer) -> None:
        path = config(tmp_path, venue, one, two)
        healthy = await ask("doctor", "--json", "-c", path)
        assert healthy.code == 0, healthy.out
        two.limit_rest(99, status=503)
        sick = await ask("doctor", "-c", path, "--timeout", "5")
        assert sick.code == 4
        assert "prices kraken" in sick.err

    on_loopback(work)


def test_a_key_that_is_not_accepted_has_its_own_exit_code(tmp_path: Path) -> None:
    async def work(venue: HyperliquidServer, one: VenueServer, two: VenueServer) -> None:
        path = config(tmp_path, venue, one, two)
        venue.info = dict.fromkeys(("clearinghouseState", "userAbstraction", "metaAndAssetCtxs"), Refusal(401))
        assert (await ask("status", "-c", path, "--timeout", "5")).code == 3

    on_loopback(work)
