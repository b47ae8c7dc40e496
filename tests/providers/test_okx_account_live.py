"""OKX accounts over real sockets: signed reads, pushes, demo trading; what goes wrong with a venue, a key, a clock."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from providers.credentials import Credentials
from providers.errors import Malformed, RateLimited, Unauthorised, Unreachable
from providers.okx_account.source import OkxAccounts, depth_source, source
from providers.ports import AccountOptions, LinkChange, LinkState, Reading
from tests.looped import looped
from tests.okx_server import KEY, PASSPHRASE, SECRET, SWAP, Okx, futures_mode, row
from tests.signed_server import Reply


def options(
    venue: Okx,
    *,
    ws: bool = False,
    secret: str = SECRET,
    passphrase: str = PASSPHRASE,
    poll_s: float | None = None,
    wallet: str | None = None,
) -> AccountOptions:
    return AccountOptions(
        "ok",
        "okx",
        rest_url=venue.server.url_rest,
        ws_url=venue.server.url_ws if ws else None,
        poll_s=poll_s,
        wallet=wallet,
        credentials=Credentials("ok", lambda: KEY, lambda: secret, lambda: passphrase),
    )


@asynccontextmanager
async def reading(venue: Okx, **more: object) -> AsyncIterator[OkxAccounts]:
    made = source(options(venue, **more))  # type: ignore[arg-type]  # named as in `options`
    assert isinstance(made, OkxAccounts)
    try:
        yield made
    finally:
        await made.aclose()


async def until(
    items: AsyncIterator[Reading | LinkChange], fact: Callable[[Reading | LinkChange], bool]
) -> Reading | LinkChange:
    async for item in items:
        if fact(item):
            return item
    raise AssertionError("the source ended")


def is_reading(item: Reading | LinkChange) -> bool:
    return isinstance(item, Reading)


@pytest.fixture
def venue() -> Okx:
    return futures_mode()


@looped
async def test_an_account_is_read_with_signed_requests_alone(venue: Okx) -> None:
    async with venue.server, reading(venue) as accounts:
        found = await accounts.read()
    (account,) = found.accounts
    assert (account.name, account.balance, account.positions[0].quantity) == ("ok:USDT", 5000, Decimal("0.5"))
    assert account.positions[0].funding_paid == Decimal("12.5")
    assert (found.degraded, found.warnings, account.degraded) == ((), (), ())
    assert not venue.server.writes


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"secret": "wrong-secret"}, "50113"),
        ({"passphrase": "wrong-pass"}, "50105"),
        ({"wallet": "demo"}, "50101"),
    ],
)
@looped
async def test_what_is_wrong_with_a_key_is_said(venue: Okx, fault: dict[str, str], code: str) -> None:
    async with venue.server, reading(venue, **fault) as accounts:
        with pytest.raises(Unauthorised, match=code) as caught:
            await accounts.read()
    said = str(caught.value)
    assert KEY[-4:] in said
    assert not any(secret in said for secret in (SECRET, PASSPHRASE, "wrong-secret", "wrong-pass"))


@looped
async def test_demo_trading_is_told_with_every_request(venue: Okx) -> None:
    venue.is_demo = True
    async with venue.server, reading(venue, wallet="demo") as accounts:
        assert (await accounts.read()).accounts
    asked = [each for each in venue.server.asked if each.path != "/api/v5/public/time"]
    assert {each.headers.get("x-simulated-trading") for each in asked} == {"1"}


@looped
async def test_a_revoked_key_ends_the_watch_as_unauthorised(venue: Okx) -> None:
    async with venue.server, reading(venue, poll_s=0.05) as accounts:
        items = accounts.watch()
        await until(items, is_reading)
        venue.key = "revoked"
        with pytest.raises(Unauthorised, match="50111"):
            await until(items, lambda item: False)


@looped
async def test_a_clock_90_s_off_is_measured_and_told(venue: Okx) -> None:
    venue.ahead_ms = -90_000
    async with venue.server, reading(venue) as accounts:
        found = await accounts.read()
        assert found.warnings == ("this machine's clock is 90 s ahead of the venue's; set it by NTP",)
        venue.ahead_ms = 90_000
        assert "90 s behind" in (await accounts.read()).warnings[0]


@looped
async def test_a_clock_that_cannot_be_measured_is_named(venue: Okx) -> None:
    venue.ahead_ms = 90_000
    async with venue.server, reading(venue) as accounts:
        venue.server.fail(Reply(500), times=99, only=lambda asked: asked.path.endswith("/time"))
        with pytest.raises(Unreachable):
            await accounts.read()


@looped
async def test_a_key_that_may_withdraw_is_warned_about(venue: Okx) -> None:
    venue.permissions = "read_only,trade,withdraw"
    async with venue.server, reading(venue) as accounts:
        found = await accounts.read()
    assert found.warnings == ("the key ..9Lmn may withdraw: no rescue needs that right, take it away at the venue",)


@looped
async def test_a_short_rate_limit_is_waited_for_and_a_long_one_told(venue: Okx) -> None:
    async with venue.server, reading(venue) as accounts:
        venue.server.fail(Reply(429, {"code": "50011", "msg": "Rate limit reached", "data": []}))
        assert (await accounts.read()).accounts
        venue.server.fail(Reply(429, b"slow down", {"Retry-After": "120"}))
        with pytest.raises(RateLimited) as caught:
            await accounts.read()
        assert caught.value.retry_after_s == 120
        asked = len(venue.server.asked)
        with pytest.raises(RateLimited, match="budget"):
            await accounts.read()
        assert len(venue.server.asked) == asked


@looped
async def test_a_busy_venue_is_told_as_down_and_comes_back(venue: Okx) -> None:
    busy = Reply(503, {"code": "50001", "msg": "Service temporarily unavailable", "data": []})
    async with venue.server, reading(venue, poll_s=0.05) as accounts:
        items = accounts.watch()
        await until(items, is_reading)
        venue.server.fail(busy, times=500, only=lambda asked: asked.path == "/api/v5/account/balance")
        down = await until(items, lambda item: isinstance(item, LinkChange) and item.state is LinkState.DOWN)
        assert isinstance(down, LinkChange)
        assert "50001" in down.detail
        venue.server.heal()
        await until(items, is_reading)


@looped
async def test_a_truncated_reply_is_malformed(venue: Okx) -> None:
    async with venue.server, reading(venue) as accounts:
        venue.server.fail(Reply(200, b'{"code":"0","data":[{"det'), only=lambda asked: "balance" in asked.path)
        with pytest.raises(Malformed):
            await accounts.read()


@looped
async def test_unread_tiers_are_said_and_the_rate_of_the_row_is_used(venue: Okx) -> None:
    async with venue.server, reading(venue) as accounts:
        venue.server.fail(Reply(404, {}), times=9, only=lambda asked: "position-tiers" in asked.path)
        found = await accounts.read()
    assert found.degraded == (f"position tiers of {SWAP} not read: GET /api/v5/public/position-tiers: HTTP 404",)
    assert found.accounts[0].positions[0].tiers[0].maintenance_rate == Decimal("0.004")


@looped
async def test_a_limit_on_what_is_not_the_state_is_said_and_the_state_is_told(venue: Okx) -> None:
    async with venue.server, reading(venue) as accounts:
        limit = Reply(429, b"", {"Retry-After": "30"})
        venue.server.fail(limit, only=lambda asked: "position-tiers" in asked.path)
        found = await accounts.read()
        assert found.accounts[0].positions[0].quantity == Decimal("0.5")
        assert any(why.startswith(f"position tiers of {SWAP} not read") for why in found.degraded)


@looped
async def test_many_contracts_take_longer_but_are_all_read(venue: Okx) -> None:
    names = [f"C{index}-USDT-SWAP" for index in range(22)]
    venue.marks |= dict.fromkeys(names, "100")
    venue.positions = [row(name, "10", "100", "100") for name in names]
    async with venue.server, reading(venue) as accounts:
        found = await accounts.read()
    assert found.degraded == ()
    assert len(found.accounts[0].positions) == 22
    assert all(each.tiers and each.funding_rate for each in found.accounts[0].positions)


@looped
async def test_pushed_marks_move_the_figures_and_a_pushed_change_reads_them_anew(venue: Okx) -> None:
    async with venue.server as server, reading(venue, ws=True, poll_s=60) as accounts:
        items = accounts.watch()
        await until(items, is_reading)
        await server.until_connected("/ws/v5/public")
        await server.until(lambda: any('"positions"' in text for text in server.heard))
        for _ in range(2):
            await server.push(venue.mark_frame(SWAP, "59000"), to="public")
        moved = await until(
            items, lambda item: isinstance(item, Reading) and item.accounts[0].positions[0].mark_price == 59000
        )
        assert isinstance(moved, Reading)
        assert moved.accounts[0].positions[0].funding_rate == Decimal("0.0001") * 1095
        venue.positions[0] |= {"pos": "25", "markPx": "59000", "mmr": "59"}
        await server.push({"arg": {"channel": "positions"}, "data": [{}]}, to="private")
        await until(items, lambda i: isinstance(i, Reading) and i.accounts[0].positions[0].quantity == Decimal("0.25"))


@looped
async def test_a_refused_log_in_is_told_and_polls_go_on(venue: Okx) -> None:
    async with venue.server as server, reading(venue, ws=True, poll_s=0.2) as accounts:
        items = accounts.watch()
        await until(items, is_reading)
        venue.ahead_ms = 600_000
        server.drop(to="private")
        told = await until(items, lambda i: isinstance(i, LinkChange) and "60009" in i.detail)
        assert isinstance(told, LinkChange)
        assert (told.state, told.detail[:18]) == (LinkState.LIVE, "polled every 0.2 s")


@looped
async def test_a_lost_socket_is_told_and_comes_back(venue: Okx) -> None:
    async with venue.server as server, reading(venue, ws=True, poll_s=0.2) as accounts:
        items = accounts.watch()
        await until(items, is_reading)
        await server.until_connected("private")
        connections = server.connections
        venue.ws_status = 503
        server.drop(mid_frame=True)
        await until(items, lambda i: isinstance(i, LinkChange) and i.detail.startswith("polled every 0.2 s:"))
        venue.ws_status = 101
        await server.until(lambda: server.connections > connections)
        healed = await until(items, lambda i: isinstance(i, LinkChange) and not i.detail)
        assert isinstance(healed, LinkChange)
        assert healed.state is LinkState.LIVE


@looped
async def test_without_a_socket_of_its_own_another_host_is_only_polled(venue: Okx) -> None:
    async with venue.server, reading(venue) as accounts:
        assert accounts.pushed_from is None


@looped
async def test_the_order_book_of_a_contract_is_read_without_a_key(venue: Okx) -> None:
    async with venue.server:
        books = depth_source(AccountOptions("ok", "okx", rest_url=venue.server.url_rest))
        book = await books.depth(SWAP, 5)
        await books.aclose()  # type: ignore[attr-defined]  # beyond the port
    assert (book.asset, book.quote, book.bids[0].quantity) == ("BTC", "USDT", Decimal("1.5"))
