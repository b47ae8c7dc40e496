"""Bybit accounts over real sockets: signed reads, pushes, and what goes wrong with a venue, a key or a clock."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from providers.bybit_account.source import BybitAccounts, depth_source, source
from providers.credentials import Credentials
from providers.errors import Malformed, RateLimited, Unauthorised, Unreachable
from providers.ports import AccountOptions, LinkChange, LinkState, Reading
from tests.bybit_server import KEY, SECRET, Bybit, cross, isolated, row
from tests.looped import looped
from tests.signed_server import Reply


def options(venue: Bybit, *, ws: bool = False, secret: str = SECRET, poll_s: float | None = None) -> AccountOptions:
    return AccountOptions(
        "bb",
        "bybit",
        rest_url=venue.server.url_rest,
        ws_url=venue.server.url_ws if ws else None,
        poll_s=poll_s,
        credentials=Credentials("bb", lambda: KEY, lambda: secret),
    )


@asynccontextmanager
async def reading(venue: Bybit, **more: object) -> AsyncIterator[BybitAccounts]:
    made = source(options(venue, **more))  # type: ignore[arg-type]  # named as in `options`
    assert isinstance(made, BybitAccounts)
    try:
        yield made
    finally:
        await made.aclose()


@pytest.fixture
def venue() -> Bybit:
    return cross()


async def until(items: AsyncIterator[Reading | LinkChange], fact: object) -> Reading | LinkChange:
    assert callable(fact)
    async for item in items:
        if fact(item):
            return item
    raise AssertionError("the source ended")


@looped
async def test_a_cross_account_is_read_with_signed_requests_alone(venue: Bybit) -> None:
    async with venue.server, reading(venue) as accounts:
        found = await accounts.read()
    (account,) = found.accounts
    assert (account.balance, account.positions[0].contract) == (5000, "BTCUSDT")
    assert (found.degraded, found.warnings) == ((), ())
    assert account.degraded == ()
    signed = [asked for asked in venue.server.asked if "x-bapi-sign" in asked.headers]
    assert {asked.path for asked in signed} >= {"/v5/position/list", "/v5/account/wallet-balance", "/v5/account/info"}
    assert not venue.server.writes


@pytest.mark.parametrize(("key", "secret", "words"), [("other", SECRET, "10003"), (KEY, "wrong", "10004")])
@looped
async def test_a_wrong_key_or_secret_is_unauthorised_and_says_which(
    venue: Bybit, key: str, secret: str, words: str
) -> None:
    venue.key = key if key != KEY else venue.key
    async with venue.server, reading(venue, secret=secret) as accounts:
        with pytest.raises(Unauthorised, match=words) as caught:
            await accounts.read()
    assert KEY[-4:] in str(caught.value)
    assert secret not in str(caught.value)


@looped
async def test_a_revoked_key_ends_the_watch_as_unauthorised(venue: Bybit) -> None:
    async with venue.server, reading(venue, poll_s=0.05) as accounts:
        items = accounts.watch()
        await until(items, lambda item: isinstance(item, Reading))
        venue.key = "revoked"
        with pytest.raises(Unauthorised):
            await until(items, lambda item: False)


@looped
async def test_a_clock_90_s_off_is_measured_and_told(venue: Bybit) -> None:
    venue.ahead_ms = 90_000
    async with venue.server, reading(venue) as accounts:
        found = await accounts.read()
    assert found.accounts
    assert found.warnings == ("this machine's clock is 90 s behind the venue's; set it by NTP",)


@looped
async def test_a_clock_that_jumps_is_measured_anew_once(venue: Bybit) -> None:
    async with venue.server, reading(venue) as accounts:
        await accounts.read()
        venue.ahead_ms = -90_000
        found = await accounts.read()
        assert "90 s ahead of" in found.warnings[0]


@looped
async def test_a_clock_that_cannot_be_measured_is_named(venue: Bybit) -> None:
    venue.ahead_ms = 90_000
    async with venue.server, reading(venue) as accounts:
        venue.server.fail(Reply(500), times=99, only=lambda asked: asked.path == "/v5/market/time")
        with pytest.raises(Unreachable):
            await accounts.read()


@looped
async def test_a_key_that_may_withdraw_is_warned_about(venue: Bybit) -> None:
    venue.rights["Wallet"] = ["AccountTransfer", "Withdraw"]
    async with venue.server, reading(venue) as accounts:
        found = await accounts.read()
    assert found.degraded == ()
    assert found.warnings == ("the key ..7Q2x may withdraw: no rescue needs that right, take it away at the venue",)


@looped
async def test_permissions_that_are_not_told_are_a_warning_and_no_doubt(venue: Bybit) -> None:
    demo = Reply(200, {"retCode": 10032, "retMsg": "Demo trading are not supported.", "result": {}})
    async with venue.server, reading(venue) as accounts:
        venue.server.fail(demo, times=9, only=lambda asked: asked.path == "/v5/user/query-api")
        found = await accounts.read()
    assert found.degraded == ()
    assert found.warnings[0].startswith("permissions of the key not read: ")


@looped
async def test_a_rate_limit_is_obeyed_by_everything_of_the_process(venue: Bybit) -> None:
    async with venue.server, reading(venue) as accounts:
        venue.server.fail(Reply(403, {}), only=lambda asked: asked.path == "/v5/account/info")
        with pytest.raises(RateLimited) as caught:
            await accounts.read()
        asked = len(venue.server.asked)
        with pytest.raises(RateLimited, match="budget"):
            await accounts.read()
        assert len(venue.server.asked) == asked
    assert caught.value.retry_after_s == 600


@looped
async def test_a_busy_venue_is_asked_again_and_then_told_as_down(venue: Bybit) -> None:
    busy = Reply(200, {"retCode": 10016, "retMsg": "Internal System Error.", "result": {}})
    async with venue.server, reading(venue, poll_s=0.05) as accounts:
        items = accounts.watch()
        await until(items, lambda item: isinstance(item, Reading))
        venue.server.fail(busy, times=500, only=lambda asked: asked.path == "/v5/account/wallet-balance")
        down = await until(items, lambda item: isinstance(item, LinkChange) and item.state is LinkState.DOWN)
        assert isinstance(down, LinkChange)
        assert "10016" in down.detail
        venue.server.heal()
        assert isinstance(await until(items, lambda item: isinstance(item, Reading)), Reading)


@looped
async def test_a_pushed_price_does_not_heal_a_link_whose_polls_fail(venue: Bybit) -> None:
    busy = Reply(200, {"retCode": 10016, "retMsg": "Internal System Error.", "result": {}})
    async with venue.server as server, reading(venue, ws=True, poll_s=0.05) as accounts:
        items = accounts.watch()
        await until(items, lambda item: isinstance(item, Reading))
        await server.until_connected("/v5/public/linear")
        venue.server.fail(busy, times=500, only=lambda asked: asked.path == "/v5/account/wallet-balance")
        await until(items, lambda item: isinstance(item, LinkChange) and item.state is LinkState.DOWN)
        await server.push(venue.ticker_frame("BTCUSDT", kind="delta", markPrice="59000"), to="public")
        states = set()
        async for item in items:
            if isinstance(item, LinkChange):
                states.add(item.state)
            elif item.accounts[0].positions[0].mark_price == 59000:
                break
        assert LinkState.LIVE not in states
        venue.server.heal()
        await until(items, lambda item: isinstance(item, LinkChange) and item.state is LinkState.LIVE)


@looped
async def test_a_truncated_reply_is_malformed(venue: Bybit) -> None:
    async with venue.server, reading(venue) as accounts:
        venue.server.fail(Reply(200, b'{"retCode":0,"result":{"list":[{"coin'), only=lambda a: "wallet" in a.path)
        with pytest.raises(Malformed):
            await accounts.read()


@looped
async def test_missing_inverse_contracts_are_said_and_the_rest_is_read(venue: Bybit) -> None:
    refused = Reply(200, {"retCode": 10001, "retMsg": "category not supported", "result": {}})
    async with venue.server, reading(venue) as accounts:
        venue.server.fail(refused, times=9, only=lambda a: "category=inverse" in a.query)
        found = await accounts.read()
    assert found.degraded == ("inverse positions not read: GET /v5/position/list: 10001 category not supported",)
    assert found.accounts[0].positions


@looped
async def test_pushed_marks_move_the_figures_and_a_pushed_change_reads_them_anew(venue: Bybit) -> None:
    async with venue.server as server, reading(venue, ws=True, poll_s=60) as accounts:
        items = accounts.watch()
        await until(items, lambda item: isinstance(item, Reading))
        await server.until_connected("/v5/public/linear")
        await server.until(lambda: any("wallet" in text for text in server.heard))

        def marked(price: int) -> object:
            return lambda item: isinstance(item, Reading) and item.accounts[0].positions[0].mark_price == price

        await server.push(venue.ticker_frame("BTCUSDT", kind="delta", markPrice="59000"), to="public")
        moved = await until(items, marked(59000))
        assert isinstance(moved, Reading)
        assert moved.accounts[0].positions[0].funding_rate == Decimal("0.0001") * 1095
        venue.positions["linear"][0] |= {"size": "0.25", "markPrice": "59000"}
        await server.push({"topic": "position", "data": [{"symbol": "BTCUSDT"}]}, to="private")
        halved = await until(
            items, lambda i: isinstance(i, Reading) and i.accounts[0].positions[0].quantity == Decimal("0.25")
        )
        assert isinstance(halved, Reading)


@looped
async def test_repeated_and_late_deltas_change_nothing_that_they_do_not_tell(venue: Bybit) -> None:
    async with venue.server as server, reading(venue, ws=True, poll_s=60) as accounts:
        items = accounts.watch()
        await until(items, lambda item: isinstance(item, Reading))
        await server.until(lambda: any("tickers.BTCUSDT" in text for text in server.heard))
        for _ in range(3):
            await server.push(venue.ticker_frame("BTCUSDT", kind="delta", fundingRate="0.0002"), to="public")
        await server.push(venue.ticker_frame("BTCUSDT", kind="delta", markPrice="60500"), to="public")
        found = await until(
            items, lambda i: isinstance(i, Reading) and i.accounts[0].positions[0].mark_price == Decimal(60500)
        )
        assert isinstance(found, Reading)
        assert found.accounts[0].positions[0].funding_rate == Decimal("0.0002") * 1095
        assert found.accounts[0].positions[0].quantity == Decimal("0.5")


@looped
async def test_a_refused_log_in_is_told_and_polls_go_on(venue: Bybit) -> None:
    async with venue.server as server, reading(venue, ws=True, poll_s=0.1) as accounts:
        items = accounts.watch()
        await until(items, lambda item: isinstance(item, Reading))
        venue.secret = SECRET
        server.drop(to="private")
        venue.ahead_ms = 600_000
        told = await until(items, lambda i: isinstance(i, LinkChange) and "log-in refused" in i.detail)
        assert isinstance(told, LinkChange)
        assert told.state is LinkState.LIVE
        assert "polled every 0.1 s" in told.detail


@looped
async def test_a_lost_socket_is_told_and_comes_back(venue: Bybit) -> None:
    async with venue.server as server, reading(venue, ws=True, poll_s=0.2) as accounts:
        items = accounts.watch()
        await until(items, lambda item: isinstance(item, Reading))
        await server.until_connected("private")
        connections = server.connections
        venue.ws_status = 503
        server.drop(mid_frame=True)
        lost = await until(items, lambda i: isinstance(i, LinkChange) and "websocket" in i.detail)
        assert isinstance(lost, LinkChange)
        assert (lost.state, lost.detail[:19]) == (LinkState.LIVE, "polled every 0.2 s:")
        venue.ws_status = 101
        await server.until(lambda: server.connections > connections)
        healed = await until(items, lambda i: isinstance(i, LinkChange) and not i.detail)
        assert isinstance(healed, LinkChange)
        assert healed.state is LinkState.LIVE


@looped
async def test_without_a_socket_of_its_own_another_host_is_only_polled(venue: Bybit) -> None:
    async with venue.server, reading(venue) as accounts:
        assert accounts.pushed_from is None


@looped
async def test_pages_of_positions_are_all_read() -> None:
    venue = isolated()
    pages = iter([("p2", [row("BTCUSDT", "Buy", "1", "1", "1")]), ("", [row("ETHUSDT", "Buy", "2", "1", "1")])])

    def answer(asked: object) -> Reply:
        fields = asked.fields  # type: ignore[attr-defined]  # an `Asked`
        if fields.get("settleCoin") != "USDT":
            return venue._ok({"list": [], "nextPageCursor": ""})
        cursor, rows = next(pages)
        return venue._ok({"list": rows, "nextPageCursor": cursor, "category": "linear"})

    venue._position_list = lambda fields: answer(type("A", (), {"fields": fields}))  # type: ignore[method-assign]
    async with venue.server, reading(venue) as accounts:
        found = await accounts.read()
    assert [each.name for each in found.accounts] == ["bb", "bb:BTCUSDT", "bb:ETHUSDT"]


@looped
async def test_the_order_book_of_a_contract_is_read_without_a_key(venue: Bybit) -> None:
    async with venue.server:
        books = depth_source(AccountOptions("bb", "bybit", rest_url=venue.server.url_rest))
        book = await books.depth("BTCUSDT", 5)
        inverse = await books.depth("BTCUSD", 5)
        await books.aclose()  # type: ignore[attr-defined]  # beyond the port
    assert (book.asset, book.quote, book.bids[0].price) == ("BTC", "USDT", Decimal("59999.9"))
    assert inverse.quote == "USD"
    assert inverse.bids[1].quantity == Decimal(4) / Decimal(59990)
