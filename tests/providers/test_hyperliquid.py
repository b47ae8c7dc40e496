"""Hyperliquid accounts against a loopback venue that speaks its wire: reads, pushes, losses, and what it refuses."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from engine.assess import assess
from engine.assessment import Severity
from providers.errors import ConfigError, Malformed, RateLimited, Refused, Unreachable
from providers.hyperliquid import INFO, HyperliquidAccounts, source
from providers.ports import AccountOptions, LinkChange, LinkState, Reading
from tests.hyperliquid_server import USER, HyperliquidServer, Refusal, hyperliquid_server

EMPTY = {"crossMarginSummary": {"accountValue": "0.0"}, "assetPositions": []}
META = [
    {
        "universe": [{"name": "BTC", "maxLeverage": 40, "marginTableId": 40}, {"name": "ETH", "maxLeverage": 25}],
        "marginTables": [],
    },
    [
        {"funding": "0.0000125", "markPx": "61000", "oraclePx": "61010"},
        {"funding": "0.00001", "markPx": "2600", "oraclePx": "2601"},
    ],
]


def position(coin: str = "ETH", size: str = "2", value: str = "5200", **more: object) -> dict[str, object]:
    return {
        "type": "oneWay",
        "position": {
            "coin": coin,
            "szi": size,
            "leverage": {"type": "cross", "value": 10},
            "entryPx": "2500",
            "positionValue": value,
            "liquidationPx": "1890.1",
            "marginUsed": "520",
            "maxLeverage": 25,
            **more,
        },
    }


def state(*positions: dict[str, object], value: str = "1500") -> dict[str, object]:
    return {
        "crossMarginSummary": {"accountValue": value},
        "crossMaintenanceMarginUsed": "104",
        "assetPositions": list(positions),
    }


def options(venue: HyperliquidServer, *, with_ws: bool = True, poll_s: float = 0.05) -> AccountOptions:
    return AccountOptions(
        "hl",
        "hyperliquid",
        address=USER,
        rest_url=venue.url_rest,
        ws_url=venue.url_ws if with_ws else None,
        poll_s=poll_s,
        stale_after_s=5.0,
    )


@asynccontextmanager
async def venue_and_source(
    *, with_ws: bool = True, poll_s: float = 0.05
) -> AsyncIterator[tuple[HyperliquidServer, HyperliquidAccounts]]:
    async with hyperliquid_server() as venue:
        venue.info = {
            "clearinghouseState": state(position()),
            "userAbstraction": "default",
            "perpDexs": [None],
            "metaAndAssetCtxs": META,
        }
        accounts = HyperliquidAccounts(options(venue, with_ws=with_ws, poll_s=poll_s))
        try:
            yield venue, accounts
        finally:
            await accounts.aclose()


async def first(
    said: AsyncIterator[Reading | LinkChange], wanted: Callable[[Reading | LinkChange], bool]
) -> Reading | LinkChange:
    async for item in said:
        if wanted(item):
            return item
    raise AssertionError("the iterator ended by itself")


async def reading(
    said: AsyncIterator[Reading | LinkChange], wanted: Callable[[Reading], bool] = lambda _: True
) -> Reading:
    found = await first(said, lambda item: isinstance(item, Reading) and wanted(item))
    assert isinstance(found, Reading)
    return found


async def link(said: AsyncIterator[Reading | LinkChange], wanted: Callable[[LinkChange], bool]) -> LinkChange:
    found = await first(said, lambda item: isinstance(item, LinkChange) and wanted(item))
    assert isinstance(found, LinkChange)
    return found


def within(seconds: float, work: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(seconds):
            await work

    asyncio.run(bounded())


def mark_of(found: Reading) -> Decimal | None:
    return found.accounts[0].positions[0].mark_price


def test_a_reading_has_everything_that_the_venue_says() -> None:
    async def run() -> None:
        async with venue_and_source() as (_, accounts):
            found = await accounts.read()
        (account,) = found.accounts
        (held,) = account.positions
        assert (found.source, account.name, account.quote) == ("hl", "hl", "USDC")
        assert found.degraded == account.degraded == ()
        assert account.balance == 1300
        assert held.tiers[0].maintenance_rate == Decimal("0.02")
        assert held.funding_rate == Decimal("0.0876")
        assert held.venue_liquidation_price == Decimal("1890.1")
        assert found.marks["ETH"].price == held.mark_price == 2600
        judged = assess(account, {}, 0)
        assert judged.liquidation["ETH"].price == Decimal(3700) / Decimal("1.96")

    within(5, run())


def test_an_old_server_without_modes_dexes_and_contexts_still_reads() -> None:
    async def run() -> None:
        async with venue_and_source() as (venue, accounts):
            venue.info = {"clearinghouseState": state(position()), "meta": META[0]}
            found = await accounts.read()
        (account,) = found.accounts
        assert account.positions[0].tiers[0].maintenance_rate == Decimal("0.02")
        assert account.positions[0].funding_rate is None
        assert [reason.split(" not read")[0] for reason in found.degraded] == ["account mode", "other dexes"]
        assert assess(account, {}, 0).severity is not Severity.UNKNOWN

    within(5, run())


def test_nothing_but_the_state_is_enough_for_a_first_tier() -> None:
    async def run() -> None:
        async with venue_and_source() as (venue, accounts):
            venue.info = {"clearinghouseState": state(position())}
            (account,) = (await accounts.read()).accounts
        assert account.positions[0].tiers[0].maintenance_rate == Decimal("0.02")
        assert any("first tier for all sizes" in reason for reason in account.degraded)

    within(5, run())


def test_a_unified_user_is_read_with_the_spot_balance_and_all_dexes() -> None:
    async def run() -> None:
        async with venue_and_source() as (venue, accounts):
            venue.info |= {
                "userAbstraction": "unifiedAccount",
                "perpDexs": [None, {"name": "xyz"}, {"name": "idle"}],
                "clearinghouseState": state(position(), value="0.0"),
                "clearinghouseState xyz": state(position("xyz:TSLA", "-3", "900", maxLeverage=10), value="0.0"),
                "clearinghouseState idle": EMPTY,
                "metaAndAssetCtxs xyz": [{"universe": [{"name": "xyz:TSLA", "maxLeverage": 10}]}, [{"markPx": "300"}]],
                "spotClearinghouseState": {"balances": [{"coin": "USDC", "total": "2000", "hold": "10"}]},
            }
            found = await accounts.read()
        (account,) = found.accounts
        assert found.degraded == ()
        assert account.balance == 2000
        assert {held.asset: held.mark_price for held in account.positions} == {"ETH": 2600, "xyz:TSLA": 300}
        assert account.reported is not None
        assert account.reported.equity is None
        assert account.reported.maintenance_requirement == 208

    within(5, run())


def test_a_dex_that_does_not_answer_is_named() -> None:
    async def run() -> None:
        async with venue_and_source() as (venue, accounts):
            venue.info["perpDexs"] = [None, {"name": "xyz"}]
            found = await accounts.read()
        assert [reason.split(":")[0] for reason in found.degraded] == ["dex xyz not read"]

    within(5, run())


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Refusal(422), Refused),
        (b"{", Malformed),
        (b'{"assetPositions": [{"position": {"coin": "ETH", "szi": "NaN"}}]}', Malformed),
        (Refusal(429, retry_after=30), RateLimited),
    ],
)
def test_a_read_that_fails_says_how(reply: object, error: type[Exception]) -> None:
    async def run() -> None:
        async with venue_and_source() as (venue, accounts):
            venue.info["clearinghouseState"] = reply
            with pytest.raises(error, match="hyperliquid"):
                await accounts.read()

    within(5, run())


def test_a_venue_that_is_not_there_is_unreachable() -> None:
    async def run() -> None:
        async with venue_and_source() as (venue, _):
            gone = options(venue)
        accounts = HyperliquidAccounts(gone)
        with pytest.raises(Unreachable):
            await accounts.read()
        await accounts.aclose()

    within(10, run())


def test_watching_starts_with_a_reading_and_follows_pushes() -> None:
    async def run() -> None:
        async with venue_and_source(poll_s=60) as (venue, accounts), aclosing(accounts.watch()) as said:
            start = await reading(said)
            assert mark_of(start) == 2600
            await venue.until_subscribed("activeAssetCtx")
            assert {"type": "clearinghouseState", "user": USER, "dex": ""} in venue.subscribed
            venue.push("activeAssetCtx", {"coin": "ETH", "ctx": {"markPx": "2550", "funding": "0.00002"}})
            moved = await reading(said, lambda found: mark_of(found) == 2550)
            assert moved.accounts[0].positions[0].funding_rate == Decimal("0.1752")
            assert moved.accounts[0].balance == start.accounts[0].balance
            pushed = {"dex": "", "user": USER, "clearinghouseState": state(position(value="5000"), value="1300")}
            venue.push("clearinghouseState", pushed)
            newer = await reading(said, lambda found: mark_of(found) == 2500)
            assert newer.accounts[0].reported is not None
            assert newer.accounts[0].reported.equity == 1300
            assert sum(asked["type"] == "clearinghouseState" for asked in venue.asked) <= 2

    within(5, run())


def test_a_server_without_the_new_channel_is_asked_for_the_old_one() -> None:
    async def run() -> None:
        async with venue_and_source(poll_s=60) as (venue, accounts), aclosing(accounts.watch()) as said:
            venue.unsupported = {"clearinghouseState"}
            await reading(said)
            await venue.until_subscribed("webData2")
            venue.push("webData2", {"user": USER, "clearinghouseState": state(position(value="4800"))})
            assert await reading(said, lambda found: mark_of(found) == 2400)

    within(5, run())


def test_polling_alone_keeps_a_reading_fresh() -> None:
    async def run() -> None:
        async with venue_and_source(with_ws=False) as (venue, accounts), aclosing(accounts.watch()) as said:
            await reading(said)
            venue.info["clearinghouseState"] = state(position(value="5100"))
            assert await reading(said, lambda found: mark_of(found) == 2550)
            assert venue.subscribed == []

    within(5, run())


def test_a_position_that_opens_later_is_followed() -> None:
    async def run() -> None:
        async with venue_and_source() as (venue, accounts), aclosing(accounts.watch()) as said:
            venue.info["clearinghouseState"] = EMPTY
            start = await reading(said)
            assert start.accounts[0].positions == ()
            assert venue.subscribed == []
            venue.info["clearinghouseState"] = state(position())
            await reading(said, lambda found: bool(found.accounts[0].positions))
            await venue.until_subscribed("activeAssetCtx")

    within(5, run())


def test_a_new_coin_is_subscribed_too() -> None:
    async def run() -> None:
        async with venue_and_source() as (venue, accounts), aclosing(accounts.watch()) as said:
            await reading(said)
            await venue.until_subscribed("activeAssetCtx")
            venue.info["clearinghouseState"] = state(position(), position("BTC", "0.1", "6100"))
            await reading(said, lambda found: len(found.accounts[0].positions) == 2)
            venue.push("activeAssetCtx", {"coin": "ETH", "ctx": {"markPx": "2601"}})
            await venue.until_subscribed("activeAssetCtx", 3)
            assert {"type": "activeAssetCtx", "coin": "BTC"} in venue.subscribed

    within(5, run())


def test_an_isolated_position_that_was_liquidated_leaves_the_reading() -> None:
    async def run() -> None:
        async with venue_and_source(with_ws=False) as (venue, accounts), aclosing(accounts.watch()) as said:
            lonely = position(leverage={"type": "isolated", "rawUsd": "-4700"})
            venue.info["clearinghouseState"] = state(lonely)
            start = await reading(said)
            assert [account.name for account in start.accounts] == ["hl", "hl:ETH"]
            venue.info["clearinghouseState"] = EMPTY
            assert await reading(said, lambda found: [account.name for account in found.accounts] == ["hl"])

    within(5, run())


def test_a_dropped_socket_is_told_polled_over_and_taken_up_again() -> None:
    async def run() -> None:
        async with venue_and_source() as (venue, accounts), aclosing(accounts.watch()) as said:
            await reading(said)
            await venue.until_subscribed("activeAssetCtx")
            venue.drop()
            lost = await link(said, lambda change: "websocket" in change.detail)
            assert lost.state is LinkState.LIVE
            venue.info["clearinghouseState"] = state(position(value="5100"))
            assert await reading(said, lambda found: mark_of(found) == 2550)
            await venue.until_subscribed("activeAssetCtx", 2)
            venue.info["clearinghouseState"] = state(position(value="5140"))
            venue.push("activeAssetCtx", {"coin": "ETH", "ctx": {"markPx": "2570"}})
            assert await link(said, lambda change: change.state is LinkState.LIVE and not change.detail)
            assert await reading(said, lambda found: mark_of(found) == 2570)

    within(8, run())


def test_rest_and_socket_both_lost_is_down_with_the_next_try() -> None:
    async def run() -> None:
        async with venue_and_source(with_ws=False) as (venue, accounts), aclosing(accounts.watch()) as said:
            await reading(said)
            venue.info["clearinghouseState"] = Refusal(503)
            lost = await link(said, lambda change: change.state is LinkState.DOWN)
            assert lost.retry_at_ns is not None
            assert lost.retry_at_ns > lost.at_ns
            assert "503" in lost.detail
            venue.info["clearinghouseState"] = state(position(value="5100"))
            await link(said, lambda change: change.state is LinkState.LIVE)

    within(15, run())


def test_a_rate_limit_waits_as_long_as_asked() -> None:
    async def run() -> None:
        async with venue_and_source(with_ws=False) as (venue, accounts), aclosing(accounts.watch()) as said:
            venue.info["clearinghouseState"] = Refusal(429, retry_after=17)
            limited = await link(said, lambda change: change.state is LinkState.DOWN)
            assert limited.retry_at_ns is not None
            assert 16 <= (limited.retry_at_ns - limited.at_ns) / 1e9 <= 18

    within(5, run())


def test_a_reply_that_cannot_be_read_degrades_and_recovers() -> None:
    async def run() -> None:
        async with venue_and_source(with_ws=False) as (venue, accounts), aclosing(accounts.watch()) as said:
            await reading(said)
            venue.info["clearinghouseState"] = b'{"assetPositions": 7}'
            broken = await link(said, lambda change: change.state is LinkState.DEGRADED)
            assert "clearinghouseState" in broken.detail
            venue.info["clearinghouseState"] = state(position(value="5100"))
            assert await reading(said, lambda found: mark_of(found) == 2550)

    within(8, run())


def test_pushes_alone_keep_the_account_live_while_rest_fails() -> None:
    async def run() -> None:
        async with venue_and_source() as (venue, accounts), aclosing(accounts.watch()) as said:
            await reading(said)
            await venue.until_subscribed("clearinghouseState")
            pushed = {"dex": "", "user": USER, "clearinghouseState": state(position(value="5150"))}
            venue.push("clearinghouseState", pushed)
            await reading(said, lambda found: mark_of(found) == 2575)
            venue.info["clearinghouseState"] = Refusal(503)
            venue.drop()
            told = await link(said, lambda change: "not reconciled" in change.detail)
            assert told.state is LinkState.LIVE

    within(10, run())


@pytest.mark.parametrize(
    "frame",
    [
        b"{",
        b"\xff\xfe",
        b'{"channel":"activeAssetCtx","data":{"coin":"ETH","ctx":{"markPx":"NaN"}}}',
        b'{"channel":"activeAssetCtx","data":{"coin":"ETH","ctx":{"markPx":"-1"}}}',
        b'{"channel":"activeAssetCtx","data":7}',
        b'{"channel":"clearinghouseState","data":{"clearinghouseState":{"assetPositions":[{"position":{"coin":"E"}}]}}}',
    ],
)
def test_frames_that_cannot_be_read_are_dropped_and_counted(frame: bytes) -> None:
    async def run() -> None:
        async with venue_and_source(poll_s=60) as (venue, accounts), aclosing(accounts.watch()) as said:
            await reading(said)
            await venue.until_subscribed("activeAssetCtx")
            venue.send_raw(frame)
            assert await link(said, lambda change: change.dropped == 1)
            venue.push("activeAssetCtx", {"coin": "ETH", "ctx": {"markPx": "2590"}})
            assert await reading(said, lambda found: mark_of(found) == 2590)

    within(5, run())


def test_a_flood_ends_with_its_last_price() -> None:
    async def run() -> None:
        async with venue_and_source(poll_s=60) as (venue, accounts), aclosing(accounts.watch()) as said:
            await reading(said)
            await venue.until_subscribed("activeAssetCtx")
            for price in range(10_000, 20_001):
                venue.push("activeAssetCtx", {"coin": "ETH", "ctx": {"markPx": str(price)}})
            assert await reading(said, lambda found: mark_of(found) == 20_000)

    within(20, run())


def test_a_user_whom_the_venue_refuses_ends_the_watch() -> None:
    async def run() -> None:
        async with venue_and_source() as (venue, accounts):
            venue.info["clearinghouseState"] = Refusal(422)
            with pytest.raises(Refused):
                async for _ in accounts.watch():
                    pass

    within(5, run())


def test_closing_a_watch_leaves_no_task() -> None:
    async def run() -> None:
        async with venue_and_source() as (venue, accounts):
            async with aclosing(accounts.watch()) as said:
                await reading(said)
                await venue.until_subscribed("activeAssetCtx")
            assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("hl ")]

    within(5, run())


def test_figures_of_two_networks_never_meet() -> None:
    elsewhere = HyperliquidAccounts(AccountOptions("hl", "hyperliquid", address=USER, rest_url="http://127.0.0.1:1"))
    testnet = HyperliquidAccounts(
        AccountOptions("hl", "hyperliquid", address=USER, rest_url="https://api.hyperliquid-testnet.xyz/")
    )
    main = HyperliquidAccounts(AccountOptions("hl", "hyperliquid", address=USER))
    assert elsewhere.pushed_from is None
    assert testnet.pushed_from == "wss://api.hyperliquid-testnet.xyz/ws"
    assert main.pushed_from == "wss://api.hyperliquid.xyz/ws"


@pytest.mark.parametrize("address", [None, "", "0x12", "0x" + "g" * 40, "ab" * 20, USER + "0"])
def test_an_address_that_is_none_is_a_config_error(address: str | None) -> None:
    with pytest.raises(ConfigError, match="hl: hyperliquid needs address"):
        source(AccountOptions("hl", "hyperliquid", address=address))


@pytest.mark.parametrize("poll_s", [0, -1, float("nan")])
def test_a_poll_that_never_or_always_comes_is_a_config_error(poll_s: float) -> None:
    with pytest.raises(ConfigError, match="poll_s"):
        source(AccountOptions("hl", "hyperliquid", address=USER, poll_s=poll_s))


def test_the_matrix_says_that_an_address_is_enough() -> None:
    assert INFO.required == {"address"}
    assert INFO.rescues == ("add-margin", "reduce")  # and that takes a signer
