"""Binance accounts read and followed over real sockets: what is pushed, and everything that goes wrong on the way."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import aclosing, asynccontextmanager
from decimal import Decimal

import pytest

from providers.binance_futures.client import Client
from providers.binance_futures.streams import ListenKey
from providers.binance_futures.usdm import UsdmAccounts, depth_source
from providers.budget import shared_budget
from providers.credentials import Credentials
from providers.errors import ConfigError, Malformed, RateLimited, Unauthorised, Unreachable
from providers.ports import AccountOptions, LinkChange, LinkState, Reading
from tests.binance_server import KEY, SECRET, Binance, Lot
from tests.signed_server import Asked, Cut, Reply, SignedServer

CROSS = Lot("BTCUSDT", Decimal("0.5"), Decimal(64000), Decimal(65000))
ALONE = Lot("ETHUSDT", Decimal(-3), Decimal(3000), Decimal(3100), isolated=Decimal(700))


def within(story: Awaitable[None], seconds: float = 20) -> None:
    async def timed() -> None:
        async with asyncio.timeout(seconds):
            await story

    asyncio.run(timed())


def venue_of(*lots: Lot) -> Binance:
    return Binance(
        lots=[Lot(each.symbol, each.amount, each.entry, each.mark, each.isolated, each.side) for each in lots]
    )


@asynccontextmanager
async def reading(
    venue: Binance, *, pushes: bool = True, key: str = KEY, secret: str = SECRET
) -> AsyncIterator[tuple[SignedServer, UsdmAccounts]]:
    async with venue.server() as server:
        options = AccountOptions(
            "bn",
            "binance-usdm",
            rest_url=server.url_rest,
            ws_url=server.url_ws if pushes else None,
            credentials=Credentials("test", lambda: key, lambda: secret),
            poll_s=0.2,
        )
        accounts = UsdmAccounts(options)
        try:
            yield server, accounts
        finally:
            await accounts.aclose()


async def first(watch: AsyncIterator[Reading | LinkChange], kind: type[Reading]) -> Reading:
    async for item in watch:
        if isinstance(item, kind):
            return item
    raise AssertionError("the watch ended")


async def link(watch: AsyncIterator[Reading | LinkChange], state: LinkState, words: str = "") -> LinkChange:
    async for item in watch:
        if isinstance(item, LinkChange) and item.state is state and words in item.detail:
            return item
    raise AssertionError("the watch ended")


def test_one_reading_has_the_cross_account_and_the_isolated_position() -> None:
    async def story() -> None:
        async with reading(venue_of(CROSS, ALONE)) as (server, accounts):
            found = await accounts.read()
            assert [each.name for each in found.accounts] == ["bn", "bn:ETHUSDT"]
            assert found.degraded == found.warnings == ()
            assert found.accounts[0].positions[0].next_funding_ns == 1_900_000_000_000_000_000
            assert found.accounts[1].positions[0].funding_rate == Decimal("0.0001") * 6 * 365
            assert not [each for each in server.asked if each.method != "GET"]

    within(story())


def test_pushed_marks_reach_the_reading_and_old_or_repeated_ones_do_not() -> None:
    async def story() -> None:
        async with reading(venue_of(CROSS)) as (server, accounts), aclosing(accounts.watch()) as watch:
            await first(watch, Reading)
            await server.until_connected("/market")
            seen = set()
            for at, price in ((10, "65100"), (9, "1"), (10, "2"), (11, "65200")):
                frame = {"e": "markPriceUpdate", "E": at, "s": "BTCUSDT", "p": price, "r": "0.0003", "T": 1}
                await server.push({"stream": "btcusdt@markPrice@1s", "data": frame}, to="/market")
            while True:
                account = (await first(watch, Reading)).accounts[0]
                seen.add(account.positions[0].mark_price)
                if account.positions[0].mark_price == 65200:
                    break
            assert seen <= {Decimal(65000), Decimal(65100), Decimal(65200)}
            assert account.positions[0].predicted_funding_rate == Decimal("0.0003") * 3 * 365
            assert account.reported is not None
            assert account.reported.equity == 5000 + Decimal("0.5") * 1200

    within(story())


def test_an_event_of_the_account_makes_it_be_read_again_and_a_flood_of_them_not_more() -> None:
    async def story() -> None:
        venue = venue_of(CROSS)
        async with reading(venue) as (server, accounts), aclosing(accounts.watch()) as watch:
            await first(watch, Reading)
            await server.until_connected("/private")
            venue.lots.append(ALONE)
            for _ in range(200):
                await server.push({"e": "ORDER_TRADE_UPDATE", "E": 1, "T": 1, "o": {"s": "BTCUSDT"}}, to="/private")
            before = sum(each.path.endswith("positionRisk") for each in server.asked)
            while len((await first(watch, Reading)).accounts) < 2:
                continue
            assert sum(each.path.endswith("positionRisk") for each in server.asked) - before < 20

    within(story())


def test_a_margin_call_is_shown_with_the_account() -> None:
    async def story() -> None:
        async with reading(venue_of(CROSS)) as (server, accounts), aclosing(accounts.watch()) as watch:
            found = await first(watch, Reading)
            await server.until_connected("/private")
            call = {"e": "MARGIN_CALL", "E": found.observed_at_ns // 1_000_000, "p": [{"s": "BTCUSDT", "ps": "BOTH"}]}
            await server.push(call, to="/private")
            while True:
                said = (await first(watch, Reading)).accounts[0].reported
                if said is not None and said.status == "MARGIN_CALL":
                    break

    within(story())


def test_a_new_position_is_followed_too() -> None:
    async def story() -> None:
        venue = venue_of(CROSS)
        async with reading(venue) as (server, accounts), aclosing(accounts.watch()) as watch:
            await first(watch, Reading)
            await server.until_connected("streams=btcusdt@markPrice@1s")
            venue.lots.append(ALONE)
            while not any("ethusdt@markPrice@1s" in path for path in server.paths):
                await first(watch, Reading)

    within(story())


def test_an_expired_listen_key_is_replaced() -> None:
    async def story() -> None:
        venue = venue_of(CROSS)
        async with reading(venue) as (server, accounts), aclosing(accounts.watch()) as watch:
            await first(watch, Reading)
            await server.until_connected("/private")
            old = venue.keys.pop()
            await server.push({"e": "listenKeyExpired", "E": 1, "listenKey": old}, to="/private")
            while not any(venue.keys and venue.keys[-1] in path for path in server.paths):
                await first(watch, Reading)
            assert venue.keys[-1] != old

    within(story())


def test_a_listen_key_is_extended_in_time_and_made_anew_when_the_venue_has_lost_it() -> None:
    async def story() -> None:
        venue = venue_of(CROSS)
        async with venue.server() as server:
            client = Client("binance-usdm", "fapi", server.url_rest, Credentials("t", lambda: KEY, lambda: SECRET))
            young = ListenKey(client, "/fapi/v1/listenKey", "ws://x", "/private")
            await young.url()
            await young.keep()
            assert [each.method for each in server.writes] == ["POST"]
            old = ListenKey(client, "/fapi/v1/listenKey", "ws://x", "/private", extend_after_s=0)
            await old.keep()
            before = await old.url()
            await old.keep()
            assert [each.method for each in server.writes] == ["POST", "POST", "PUT"]
            assert old.generation == 0
            venue.keys.clear()
            await old.keep()
            assert old.generation == 1
            old.start_over()
            assert await old.url() != before
            await client.http.aclose()

    within(story())


def test_the_key_is_put_into_the_path_where_the_query_is_not_taken() -> None:
    async def story() -> None:
        venue = venue_of(CROSS)
        async with venue.server() as server:
            server._admit_of = lambda path: 101 if path.startswith(("/market", "/private/ws/listen")) else 1011
            options = AccountOptions(
                "bn",
                "binance-usdm",
                rest_url=server.url_rest,
                ws_url=server.url_ws,
                credentials=Credentials("test", lambda: KEY, lambda: SECRET),
                poll_s=0.2,
            )
            accounts = UsdmAccounts(options)
            async with aclosing(accounts.watch()) as watch:
                while not any(path.startswith("/private/ws/listen") for path in server.paths):
                    await first(watch, Reading)
            await accounts.aclose()

    within(story())


def test_a_lost_socket_costs_freshness_and_says_so_until_it_is_back() -> None:
    async def story() -> None:
        async with reading(venue_of(CROSS)) as (server, accounts), aclosing(accounts.watch()) as watch:
            await first(watch, Reading)
            await server.until_connected("/market")
            mark = {"data": {"e": "markPriceUpdate", "E": 5, "s": "BTCUSDT", "p": "65010"}}
            await server.push(mark, to="/market")
            server.drop(to="/market", mid_frame=True)
            change = await link(watch, LinkState.LIVE, "polled every 0.2 s: websocket")
            assert "connection lost" in change.detail
            await server.until_connected("/market")
            mark["data"]["E"] = 6
            await server.push(mark, to="/market")
            while (await link(watch, LinkState.LIVE)).detail:
                continue

    within(story())


def test_without_a_websocket_address_a_custom_host_is_polled_and_nothing_else_is_opened() -> None:
    async def story() -> None:
        async with reading(venue_of(CROSS), pushes=False) as (server, accounts), aclosing(accounts.watch()) as watch:
            await first(watch, Reading)
            await first(watch, Reading)
            assert server.connections == 0
            assert not server.writes

    within(story())


def test_a_clock_that_is_off_is_corrected_and_named() -> None:
    async def story() -> None:
        venue = venue_of(CROSS)
        venue.ahead_ms = 90_000
        async with reading(venue) as (server, accounts):
            found = await accounts.read()
            assert found.accounts[0].positions
            assert "clock is 90 s behind" in found.warnings[0]
            venue.ahead_ms = -30_000
            again = await accounts.read()
            assert "clock is 30 s ahead of" in again.warnings[0]
            assert sum(each.path.endswith("/time") for each in server.asked) >= 2

    within(story())


def test_a_clock_that_cannot_be_known_is_the_reason_that_is_told() -> None:
    async def story() -> None:
        venue = venue_of(CROSS)
        venue.ahead_ms = 90_000
        async with reading(venue) as (server, accounts):
            wrong = {"serverTime": venue.now_ms - 90_000}
            server.fail(Reply(200, wrong), times=99, only=lambda asked: asked.path.endswith("/time"))
            with pytest.raises(Unreachable, match="-1021"):
                await accounts.read()

    within(story())


@pytest.mark.parametrize("what", ["wrong secret", "revoked", "no reading"])
def test_a_key_at_fault_is_told_by_its_end_and_never_in_full(what: str) -> None:
    async def story() -> None:
        venue = venue_of(CROSS)
        venue.is_revoked = what == "revoked"
        venue.rights["enableReading"] = what != "no reading"
        secret = "another" if what == "wrong secret" else SECRET
        async with reading(venue, secret=secret) as (_, accounts):
            with pytest.raises(Unauthorised) as told:
                await accounts.read()
            assert "key ..1234" in str(told.value)
            assert KEY not in str(told.value)
            assert secret not in str(told.value)
            with pytest.raises(Unauthorised):
                async with aclosing(accounts.watch()) as watch:
                    await first(watch, Reading)

    within(story())


def test_a_key_that_may_withdraw_is_warned_of_and_read_all_the_same() -> None:
    async def story() -> None:
        venue = venue_of(CROSS)
        venue.rights["enableWithdrawals"] = True
        async with reading(venue) as (_, accounts):
            found = await accounts.read()
            assert "may withdraw" in found.warnings[0]
            assert found.degraded == ()

    within(story())


def test_permissions_that_cannot_be_read_are_a_warning_and_no_fault_of_the_figures() -> None:
    async def story() -> None:
        async with reading(venue_of(CROSS)) as (server, accounts):
            server.fail(Reply(404, {"code": -5000, "msg": "no such path"}), only=lambda asked: "/sapi" in asked.path)
            found = await accounts.read()
            assert found.degraded == ()
            assert "permissions could not be read" in found.warnings[0]

    within(story())


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("leverageBracket", "leverage brackets not read"),
        ("accountConfig", "account mode not read"),
        ("symbolConfig", "margin modes not read"),
        ("premiumIndex", "funding not read"),
    ],
)
def test_a_part_that_fails_degrades_the_reading_and_says_which(path: str, words: str) -> None:
    async def story() -> None:
        async with reading(venue_of(CROSS)) as (server, accounts):
            server.fail(Reply(400, {"code": -1, "msg": "no"}), only=lambda asked: path in asked.path)
            found = await accounts.read()
            assert any(words in each for each in found.degraded)
            assert (await accounts.read()).degraded == ()

    within(story())


@pytest.mark.parametrize("mishap", [Reply(503, {"code": -1001, "msg": "internal"}), Cut(), Reply(500, b"oops")])
def test_a_read_that_fails_is_tried_again(mishap: Reply | Cut) -> None:
    async def story() -> None:
        async with reading(venue_of(CROSS)) as (server, accounts):
            server.fail(mishap, only=lambda asked: "positionRisk" in asked.path)
            assert (await accounts.read()).accounts[0].positions

    within(story())


def test_a_body_that_is_none_is_malformed_and_the_next_poll_recovers() -> None:
    async def story() -> None:
        async with reading(venue_of(CROSS), pushes=False) as (server, accounts):
            server.fail(Reply(200, b'[{"symbol":"BTCUSDT","pos'), only=lambda asked: "positionRisk" in asked.path)
            with pytest.raises(Malformed):
                await accounts.read()
            server.fail(Reply(200, b"<html>"), only=lambda asked: "positionRisk" in asked.path)
            async with aclosing(accounts.watch()) as watch:
                await link(watch, LinkState.DEGRADED)
                await link(watch, LinkState.LIVE)

    within(story())


def is_fapi(asked: Asked) -> bool:
    return asked.path.startswith("/fapi/v3")


def test_after_a_ban_nothing_is_asked_until_it_is_over() -> None:
    async def story() -> None:
        async with reading(venue_of(CROSS), pushes=False) as (server, accounts):
            server.fail(Reply(429, {"code": -1003, "msg": "slow"}, {"Retry-After": "3600"}), only=is_fapi)
            with pytest.raises(RateLimited):
                await accounts.read()
            asked = len(server.asked)
            with pytest.raises(RateLimited, match="free in"):
                await accounts.read()
            assert len(server.asked) == asked

    within(story())


def test_the_weight_that_the_venue_counted_is_ours() -> None:
    async def story() -> None:
        async with reading(venue_of(), pushes=False) as (server, accounts):
            told = Reply(200, {"assets": []}, {"X-MBX-USED-WEIGHT-1M": "2399"})
            server.fail(told, only=lambda asked: asked.path.endswith("/v3/account"))
            await accounts.read()
            assert shared_budget("binance", server.url_rest, 2400, 60).used > 2000

    within(story())


def test_books_are_read_without_a_key() -> None:
    async def story() -> None:
        async with venue_of().server() as server:
            books = depth_source(AccountOptions("bn", "binance-usdm", rest_url=server.url_rest))
            book = await books.depth("BTCUSDT", 60)
            assert book.mid == 65000
            assert server.asked[0].fields == {"symbol": "BTCUSDT", "limit": "100"}
            await books.aclose()  # type: ignore[attr-defined]  # the port has no closing

    within(story())


def test_what_the_config_lacks_is_named() -> None:
    with pytest.raises(ConfigError, match="needs key"):
        UsdmAccounts(AccountOptions("bn", "binance-usdm"))
    with pytest.raises(ConfigError, match="needs secret"):
        UsdmAccounts(AccountOptions("bn", "binance-usdm", credentials=Credentials("x", lambda: "k")))
