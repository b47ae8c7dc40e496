"""Deribit logins against a loopback venue that signs, scopes and pushes: reads, losses, limits, clocks and keys."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from engine.accounts import MarginMode
from engine.assess import assess
from engine.assessment import Severity
from providers.credentials import Credentials
from providers.deribit.market import DeribitMarket
from providers.deribit.signing import VENUE
from providers.deribit.source import INFO, DeribitAccounts, depth_source, option_chain, rest_base, source, ws_of
from providers.errors import ConfigError, Malformed, RateLimited, Refused, Unauthorised, Unreachable
from providers.ports import AccountOptions, LinkChange, LinkState, Reading, VenueOptions
from tests.deribit_server import KEY, SECRET, DeribitServer
from tests.signed_server import Cut, Reply

D = Decimal
TOO_MANY = b'{"jsonrpc":"2.0","error":{"code":10028,"message":"too_many_requests"}}'


def held(size: str = "30000", mark: str = "60000", maintenance: str = "0.005") -> dict[str, Any]:
    return {
        "instrument_name": "BTC-PERPETUAL",
        "kind": "future",
        "direction": "sell" if size.startswith("-") else "buy",
        "size": D(size),
        "average_price": D(50000),
        "mark_price": D(mark),
        "index_price": D(60010),
        "maintenance_margin": D(maintenance),
        "initial_margin": D("0.01"),
        "estimated_liquidation_price": D(30300),
    }


def summary(balance: str = "0.5", maintenance: str = "0.005", **fields: Any) -> dict[str, Any]:
    return {
        "currency": "BTC",
        "margin_model": "segregated_sm",
        "equity": D(balance),
        "margin_balance": D(balance),
        "maintenance_margin": D(maintenance),
        "initial_margin": D("0.01"),
    } | fields


def ticker(mark: str = "60000", **fields: Any) -> dict[str, Any]:
    return {
        "instrument_name": "BTC-PERPETUAL",
        "mark_price": D(mark),
        "index_price": D(60010),
        "current_funding": D("0.0001"),
        "funding_8h": D("0.00002"),
    } | fields


def options(venue: DeribitServer, *, with_ws: bool = True, poll_s: float = 0.05, key: str = KEY) -> AccountOptions:
    return AccountOptions(
        "d",
        VENUE,
        rest_url=venue.url_rest,
        ws_url=venue.url_ws if with_ws else None,
        poll_s=poll_s,
        stale_after_s=5.0,
        credentials=Credentials("account d", lambda: key, lambda: SECRET),
    )


@asynccontextmanager
async def venue_and_source(
    *, with_ws: bool = True, poll_s: float = 0.05, skew_ms: int = 0, key: str = KEY
) -> AsyncIterator[tuple[DeribitServer, DeribitAccounts]]:
    async with DeribitServer() as venue:
        venue.skew_ms = skew_ms
        venue.positions, venue.summaries = [held()], {"BTC": summary()}
        venue.tickers["BTC-PERPETUAL"] = ticker()
        accounts = DeribitAccounts(options(venue, with_ws=with_ws, poll_s=poll_s, key=key))
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
    return found.accounts[0].positions[0].mark_price if found.accounts[0].positions else None


def is_subscribed(venue: DeribitServer, times: int = 1) -> Callable[[], bool]:
    return lambda: venue.called("private/subscribe") >= times


# Readings.


def test_a_reading_has_everything_that_the_venue_says() -> None:
    async def run() -> None:
        async with venue_and_source() as (_, accounts):
            found = await accounts.read()
        (account,) = found.accounts
        (position,) = account.positions
        assert (found.source, account.name, account.mode) == ("d", "d:BTC", MarginMode.CROSS)
        assert found.degraded == account.degraded == ()
        assert position.inverse
        assert position.funding_rate == D("0.0001") * 3 * 365
        assert position.venue_liquidation_price == 30300
        assert found.marks["BTC"].price == 60000
        judged = assess(account, {}, 0)
        assert judged.liquidation["BTC"].price is not None
        assert math.isclose(judged.liquidation["BTC"].price, 30300, rel_tol=1e-12)
        assert any("wallet:read_write" in warning for warning in found.warnings)

    within(5, run())


def test_a_venue_without_summaries_of_all_currencies_is_asked_for_each() -> None:
    async def run() -> None:
        async with venue_and_source() as (venue, accounts):
            venue.knows_summaries = False
            found = await accounts.read()
            await accounts.read()
            assert venue.count("private/get_account_summaries") == 1
        assert [account.name for account in found.accounts] == ["d:BTC"]

    within(5, run())


def test_the_price_of_a_coin_without_a_position_is_its_index() -> None:
    async def run() -> None:
        async with venue_and_source() as (venue, accounts):
            venue.positions = []
            found = await accounts.read()
            venue.indexes.clear()
            (unknown,) = (await accounts.read()).accounts
        (account,) = found.accounts
        assert account.oracles["BTC"].price == 60000
        assert any("price of BTC" in reason for reason in unknown.degraded)

    within(5, run())


def test_missing_funding_is_named_and_nothing_worse() -> None:
    async def run() -> None:
        async with venue_and_source() as (venue, accounts):
            venue.raw["public/ticker"] = b"{"
            found = await accounts.read()
        assert any(reason.startswith("funding of BTC-PERPETUAL") for reason in found.degraded)
        assert assess(found.accounts[0], {}, 0).severity is not Severity.UNKNOWN

    within(5, run())


def test_a_cross_collateral_login_is_one_account() -> None:
    async def run() -> None:
        async with venue_and_source() as (venue, accounts):
            totals = {"total_margin_balance_usd": D(40000), "total_maintenance_margin_usd": D(400)}
            venue.summaries = {
                "BTC": summary(margin_model="cross_sm", **totals),
                "USDC": summary("1000", margin_model="cross_sm", currency="USDC", **totals),
            }
            venue.indexes["usdc_usd"] = D("0.9998")
            (account,) = (await accounts.read()).accounts
        assert account.name == "d"
        assert account.oracles["USDC"].price == D("0.9998")
        judged = assess(account, {}, 0)
        assert judged.health_factor is not None
        assert math.isclose(judged.health_factor, 100, rel_tol=1e-12)

    within(5, run())


# Keys and clocks.


def test_a_wrong_key_is_named_by_its_end_with_the_scope_that_it_needs() -> None:
    async def run() -> None:
        async with venue_and_source(key="somebody_else") as (_, accounts):
            with pytest.raises(Unauthorised, match=r"key \.\.else.*it needs the scope"):
                await accounts.read()

    within(5, run())


def test_a_missing_scope_is_named() -> None:
    async def run() -> None:
        async with venue_and_source() as (venue, accounts):
            venue.scope = "account:read wallet:read"
            with pytest.raises(Unauthorised, match=r"key \.\._key lacks the scope trade:read"):
                await accounts.read()

    within(5, run())


def test_a_key_revoked_while_watching_ends_the_watch_as_unauthorised() -> None:
    async def run() -> None:
        async with venue_and_source(with_ws=False) as (venue, accounts), aclosing(accounts.watch()) as said:
            await reading(said)
            venue.is_revoked = True
            with pytest.raises(Unauthorised, match="invalid_credentials"):
                await link(said, lambda change: change.state is LinkState.DOWN)

    within(5, run())


def test_a_clock_that_is_ninety_seconds_off_is_corrected_and_told() -> None:
    async def run() -> None:
        async with venue_and_source(skew_ms=90_000) as (_, accounts):
            found = await accounts.read()
        assert found.accounts
        assert any("clock is 90 s behind the venue's" in warning for warning in found.warnings)

    within(5, run())


def test_a_clock_that_jumps_while_watching_is_measured_anew() -> None:
    async def run() -> None:
        async with venue_and_source(with_ws=False) as (venue, accounts):
            await accounts.read()
            venue.skew_ms = -90_000
            found = await accounts.read()
        assert any("ahead of the venue's" in warning for warning in found.warnings)

    within(5, run())


@pytest.mark.parametrize("parts", [{}, {"key": lambda: KEY}, {"secret": lambda: SECRET}])
def test_a_missing_key_is_a_config_error_that_names_it(parts: dict[str, Any]) -> None:
    credentials = Credentials("account d", **parts) if parts else None
    with pytest.raises(ConfigError, match="d: deribit needs"):
        source(AccountOptions("d", VENUE, credentials=credentials))


def test_figures_of_two_networks_never_meet() -> None:
    assert ws_of(rest_base(None), None) == "wss://www.deribit.com/ws/api/v2"
    assert ws_of(rest_base("https://test.deribit.com/api/v2/"), None) == "wss://test.deribit.com/ws/api/v2"
    assert ws_of("http://127.0.0.1:1", None) is None
    assert ws_of("http://127.0.0.1:1", "ws://127.0.0.1:2") == "ws://127.0.0.1:2/ws/api/v2"
    assert ws_of("http://127.0.0.1:1", "ws://127.0.0.1:2/x") == "ws://127.0.0.1:2/x"


def test_the_matrix_says_what_a_key_needs() -> None:
    assert INFO.required == {"key", "secret"}
    assert INFO.permissions["read"] == "account:read trade:read"
    assert INFO.depth
    assert INFO.options


# The stream.


def test_watching_logs_in_subscribes_and_follows_pushes() -> None:
    async def run() -> None:
        async with venue_and_source(poll_s=60) as (venue, accounts), aclosing(accounts.watch()) as said:
            start = await reading(said)
            await venue.until(is_subscribed(venue))
            (asked,) = [each for each in venue.calls if each["method"] == "private/subscribe"]
            assert asked["params"]["channels"] == [
                "user.portfolio.any",
                "user.changes.any.any.raw",
                "ticker.BTC-PERPETUAL.100ms",
            ]
            assert SECRET not in "".join(venue.heard)
            await venue.push_data("ticker.BTC-PERPETUAL.100ms", ticker("55000", current_funding=D("0.0002")))
            moved = await reading(said, lambda found: mark_of(found) == 55000)
            assert moved.accounts[0].positions[0].funding_rate == D("0.0002") * 3 * 365
            before, after = (assess(each.accounts[0], {}, 0).health_factor for each in (start, moved))
            assert before is not None
            assert after is not None
            assert after < before
            await venue.push_data("user.portfolio.btc", summary("0.4", "0.006"))
            newer = await reading(said, lambda found: found.accounts[0].reported.equity == D("0.4") * 55000)
            assert newer.accounts[0].note == "margin model segregated_sm"
            assert venue.count("private/get_positions") == 1

    within(5, run())


def test_a_trade_makes_the_account_be_read_again() -> None:
    async def run() -> None:
        async with venue_and_source(poll_s=60) as (venue, accounts), aclosing(accounts.watch()) as said:
            await reading(said)
            await venue.until(is_subscribed(venue))
            venue.positions = [held("20000")]
            await venue.push_data("user.changes.BTC-PERPETUAL.raw", {"instrument_name": "BTC-PERPETUAL", "trades": []})
            assert await reading(said, lambda found: found.accounts[0].positions[0].quantity == D("0.4"))

    within(5, run())


def test_a_push_of_a_cross_login_makes_it_be_read_whole() -> None:
    async def run() -> None:
        async with venue_and_source(poll_s=60) as (venue, accounts), aclosing(accounts.watch()) as said:
            totals = {"total_margin_balance_usd": D(40000), "total_maintenance_margin_usd": D(400)}
            venue.summaries = {"BTC": summary(margin_model="cross_sm", **totals)}
            await reading(said)
            await venue.until(is_subscribed(venue))
            venue.summaries["BTC"]["total_margin_balance_usd"] = D(36000)
            await venue.push_data("user.portfolio.btc", summary(margin_model="cross_sm"))
            assert await reading(said, lambda found: found.accounts[0].reported.equity == 36000)

    within(8, run())


def test_options_are_followed_without_their_own_prices() -> None:
    async def run() -> None:
        async with venue_and_source(poll_s=60) as (venue, accounts), aclosing(accounts.watch()) as said:
            option = held() | {"instrument_name": "BTC-25DEC26-50000-P", "kind": "option", "delta": D("-0.2")}
            venue.positions.append(option | {"size": D(-1), "direction": "sell", "mark_price": D("0.0")})
            found = await reading(said)
            assert [each.contract for each in found.accounts[0].positions] == ["BTC-PERPETUAL", "BTC options"]
            await venue.until(is_subscribed(venue))
            (asked,) = [each for each in venue.calls if each["method"] == "private/subscribe"]
            assert [each for each in asked["params"]["channels"] if "ticker" in each] == ["ticker.BTC-PERPETUAL.100ms"]

    within(5, run())


def test_a_test_request_is_answered_and_an_old_token_renewed_on_that_occasion() -> None:
    async def run() -> None:
        async with venue_and_source(poll_s=60) as (venue, accounts), aclosing(accounts.watch()) as said:
            venue.token_s = 30
            await reading(said)
            await venue.until(is_subscribed(venue))
            await venue.ask_test()
            await venue.until(lambda: venue.called("public/auth") == 2 and venue.called("public/test") == 1)
            renewed = [each["params"] for each in venue.calls if each["method"] == "public/auth"][1]
            assert renewed == {"grant_type": "refresh_token", "refresh_token": "a refresh token"}

    within(5, run())


def test_a_token_that_lives_long_is_not_renewed() -> None:
    async def run() -> None:
        async with venue_and_source(poll_s=60) as (venue, accounts), aclosing(accounts.watch()) as said:
            await reading(said)
            await venue.until(is_subscribed(venue))
            await venue.ask_test()
            await venue.until(lambda: venue.called("public/test") == 1)
            await venue.ask_test()
            await venue.until(lambda: venue.called("public/test") == 2)
            assert venue.called("public/auth") == 1

    within(5, run())


def test_a_session_that_the_venue_ends_for_too_many_requests_is_told_and_taken_up_again() -> None:
    async def run() -> None:
        async with venue_and_source() as (venue, accounts), aclosing(accounts.watch()) as said:
            await reading(said)
            await venue.until(is_subscribed(venue))
            await venue.push(TOO_MANY)
            lost = await link(said, lambda change: "too_many_requests" in change.detail)
            assert lost.state is LinkState.LIVE
            await venue.until(is_subscribed(venue, 2))

    within(8, run())


def test_a_refused_log_in_is_told_while_polls_go_on() -> None:
    async def run() -> None:
        async with venue_and_source() as (venue, accounts), aclosing(accounts.watch()) as said:
            venue.refuses_sockets = True
            told = await link(said, lambda change: "log-in of key .._key: invalid_credentials" in change.detail)
            assert told.state is LinkState.LIVE
            assert told.detail.startswith("polled every")
            assert venue.called("private/subscribe") == 0
            venue.positions = [held(mark="58000")]
            assert await reading(said, lambda found: mark_of(found) == 58000)

    within(5, run())


def test_a_dropped_socket_is_told_polled_over_and_taken_up_again() -> None:
    async def run() -> None:
        async with venue_and_source() as (venue, accounts), aclosing(accounts.watch()) as said:
            await reading(said)
            await venue.until(is_subscribed(venue))
            venue.drop(mid_frame=True)
            lost = await link(said, lambda change: "websocket" in change.detail)
            assert lost.state is LinkState.LIVE
            venue.positions = [held(mark="58000")]
            assert await reading(said, lambda found: mark_of(found) == 58000)
            await venue.until(is_subscribed(venue, 2))
            await venue.push_data("ticker.BTC-PERPETUAL.100ms", ticker("57000"))
            assert await link(said, lambda change: change.state is LinkState.LIVE and not change.detail)

    within(8, run())


@pytest.mark.parametrize(
    "frame",
    [
        b"{",
        b'{"method":"subscription","params":{"channel":"ticker.X","data":{"instrument_name":"X","mark_price":"NaN"}}}',
        b'{"method":"subscription","params":{"channel":"ticker.X","data":{"instrument_name":"X","mark_price":-1}}}',
        b'{"method":"subscription","params":{"channel":"user.portfolio.btc","data":7}}',
        b'{"method":"subscription","params":{"channel":"user.portfolio.btc","data":{"currency":"BTC","equity":"Inf"}}}',
    ],
)
def test_frames_that_cannot_be_read_are_dropped_and_counted(frame: bytes) -> None:
    async def run() -> None:
        async with venue_and_source(poll_s=60) as (venue, accounts), aclosing(accounts.watch()) as said:
            await reading(said)
            await venue.until(is_subscribed(venue))
            await venue.push(frame)
            assert await link(said, lambda change: change.dropped == 1)
            await venue.push_data("ticker.BTC-PERPETUAL.100ms", ticker("59000"))
            assert await reading(said, lambda found: mark_of(found) == 59000)

    within(5, run())


def test_old_and_repeated_pushes_end_with_what_a_reading_says() -> None:
    async def run() -> None:
        async with venue_and_source() as (venue, accounts), aclosing(accounts.watch()) as said:
            await reading(said)
            await venue.until(is_subscribed(venue))
            for mark in ("50000", "50000", "49000", "50000"):
                await venue.push_data("ticker.BTC-PERPETUAL.100ms", ticker(mark))
            assert await reading(said, lambda found: mark_of(found) == 60000)

    within(5, run())


# Losses.


def test_rest_and_socket_both_lost_is_down_with_the_next_try() -> None:
    async def run() -> None:
        async with venue_and_source(with_ws=False) as (venue, accounts), aclosing(accounts.watch()) as said:
            await reading(said)
            venue.fail(Reply(503, b""), times=1000)
            lost = await link(said, lambda change: change.state is LinkState.DOWN)
            assert lost.retry_at_ns is not None
            assert "503" in lost.detail
            venue.heal()
            await link(said, lambda change: change.state is LinkState.LIVE)

    within(20, run())


def test_a_rate_limit_holds_back_everything_of_this_process_until_it_is_over() -> None:
    async def run() -> None:
        async with venue_and_source(with_ws=False) as (venue, accounts):
            venue.fail(Reply(429, TOO_MANY, {"Retry-After": "1"}), only=lambda asked: "get_positions" in asked.path)
            found = await accounts.read()
            assert found.accounts
            assert venue.count("private/get_positions") == 2

    within(12, run())


def test_a_ban_is_obeyed_and_told() -> None:
    async def run() -> None:
        async with venue_and_source(with_ws=False) as (venue, accounts):
            venue.fail(Reply(429, b"", {"Retry-After": "120"}), only=lambda asked: "get_positions" in asked.path)
            with pytest.raises(RateLimited):
                await accounts.read()
            asked = len(venue.asked)
            with pytest.raises(RateLimited, match="budget used up"):
                await accounts.read()
            assert len(venue.asked) == asked

    within(8, run())


def test_a_cut_line_is_asked_again_and_a_broken_body_is_malformed() -> None:
    async def run() -> None:
        async with venue_and_source(with_ws=False) as (venue, accounts):
            venue.fail(Cut(), only=lambda asked: "get_positions" in asked.path)
            assert (await accounts.read()).accounts
            venue.raw["private/get_positions"] = b'{"result":[{"instrument_name":"BTC-PERPETUAL","size":"NaN"}]}'
            with pytest.raises(Malformed):
                await accounts.read()

    within(8, run())


def test_a_venue_that_is_not_there_is_unreachable() -> None:
    async def run() -> None:
        async with venue_and_source() as (venue, _):
            gone = options(venue)
        accounts = DeribitAccounts(gone)
        with pytest.raises(Unreachable):
            await accounts.read()
        await accounts.aclose()

    within(10, run())


def test_closing_a_watch_leaves_no_task() -> None:
    async def run() -> None:
        async with venue_and_source() as (venue, accounts):
            async with aclosing(accounts.watch()) as said:
                await reading(said)
                await venue.until(is_subscribed(venue))
            assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("d ")]

    within(5, run())


# Options and books.


def listed(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "instrument_name": name,
        "kind": "option",
        "option_type": "put",
        "strike": D(50000),
        "expiration_timestamp": 4_000_000_000_000,
        "min_trade_amount": D("0.1"),
        "base_currency": "BTC",
        "settlement_currency": "BTC",
        "instrument_type": "reversed",
        "is_active": True,
        "state": "open",
    } | fields


def test_a_chain_has_inverse_and_linear_options_and_lists_instruments_once() -> None:
    async def run() -> None:
        async with DeribitServer() as venue:
            linear = {"settlement_currency": "USDC", "instrument_type": "linear", "min_trade_amount": D("0.01")}
            venue.instruments = {
                "BTC": [listed("BTC-1OCT96-50000-P")],
                "USDC": [
                    listed("BTC_USDC-1OCT96-50000-P", **linear),
                    listed("ETH_USDC-1OCT96-3000-P", **linear | {"base_currency": "ETH"}),
                ],
            }
            price = {"underlying_price": D(60000), "mark_iv": D(50)}
            venue.books = {
                "BTC": [{"instrument_name": "BTC-1OCT96-50000-P", "bid_price": D("0.01")} | price],
                "USDC": [{"instrument_name": "BTC_USDC-1OCT96-50000-P", "ask_price": D(700)} | price],
            }
            chain = option_chain(VenueOptions(rest_url=venue.url_rest))
            assert isinstance(chain, DeribitMarket)
            found = await chain.options("BTC")
            await chain.options("btc")
            assert [(each.name, each.bid, each.ask) for each in found] == [
                ("BTC-1OCT96-50000-P", 600, None),
                ("BTC_USDC-1OCT96-50000-P", None, 700),
            ]
            assert venue.count("public/get_instruments") == 3
            with pytest.raises(Refused, match="no options on DOGE"):
                await chain.options("DOGE")
            await chain.aclose()

    within(5, run())


def test_an_order_book_is_read_without_a_key() -> None:
    async def run() -> None:
        async with DeribitServer() as venue:
            venue.order_books["BTC-PERPETUAL"] = {"bids": [[D(60000), D(30000)]], "asks": [[D(60010), D(6001)]]}
            books = depth_source(VenueOptions(rest_url=f"{venue.url_rest}/api/v2"))
            assert isinstance(books, DeribitMarket)
            book = await books.depth("BTC-PERPETUAL", 30)
            assert (book.bids[0].quantity, book.asks[0].quantity) == (D("0.5"), D("0.1"))
            assert venue.asked[-1].fields["depth"] == "50"
            await books.aclose()

    within(5, run())
