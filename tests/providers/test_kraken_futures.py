"""Kraken Futures against a loopback venue that signs, counts nonces, challenges: what the common suite does not ask."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from providers.credentials import Credentials
from providers.errors import ConfigError, Refused
from providers.kraken_futures.reader import Reader
from providers.kraken_futures.signing import VENUE, nonces_of
from providers.kraken_futures.source import INFO, KrakenFuturesAccounts, rest_base, source, ws_of
from providers.ports import AccountOptions, LinkChange, LinkState, Reading
from tests.kraken_futures_server import CHALLENGE, KEY, SECRET, KrakenFuturesServer, flex, instrument, sign, ticker
from tests.looped import looped

D = Decimal
LEVELS = (("0", "0.01"), ("500000", "0.02"))


def options(venue: KrakenFuturesServer, *, secret: str = SECRET, poll_s: float = 60) -> AccountOptions:
    return AccountOptions(
        "k",
        VENUE,
        rest_url=venue.url_rest,
        ws_url=venue.url_ws,
        poll_s=poll_s,
        stale_after_s=5.0,
        credentials=Credentials("account k", lambda: KEY, lambda: secret),
    )


@asynccontextmanager
async def venue_and_source(*, poll_s: float = 60) -> AsyncIterator[tuple[KrakenFuturesServer, KrakenFuturesAccounts]]:
    async with KrakenFuturesServer() as venue:
        for symbol, mark in (("PF_XBTUSD", "60000"), ("PF_ETHUSD", "3000")):
            venue.instruments[symbol] = instrument(symbol, *LEVELS)
            venue.tickers[symbol] = ticker(symbol, mark)
        venue.positions = [{"symbol": "pf_xbtusd", "side": "long", "size": D("0.5"), "price": D(60000)}]
        venue.accounts["flex"] = flex(D(2000), maintenanceMargin=D(300))
        accounts = KrakenFuturesAccounts(options(venue, poll_s=poll_s))
        try:
            yield venue, accounts
        finally:
            await accounts.aclose()


async def reading(said: AsyncIterator[Reading | LinkChange], wanted: Any = lambda _: True) -> Reading:
    async for item in said:
        if isinstance(item, Reading) and wanted(item):
            return item
    raise AssertionError("the iterator ended by itself")


async def link(said: AsyncIterator[Reading | LinkChange], wanted: Any) -> LinkChange:
    async for item in said:
        if isinstance(item, LinkChange) and wanted(item):
            return item
    raise AssertionError("the iterator ended by itself")


@looped
async def test_a_challenge_is_answered_and_the_secret_stays_here() -> None:
    async with venue_and_source() as (venue, accounts), aclosing(accounts.watch()) as said:
        await reading(said)
        await venue.until(venue.is_subscribed)
        await venue.until(lambda: any(each.get("feed") == "balances" for each in venue.said))
        (asked,) = [each for each in venue.said if each.get("feed") == "balances"]
        assert (asked["original_challenge"], asked["signed_challenge"]) == (CHALLENGE, sign(CHALLENGE))
        assert SECRET not in "".join(venue.heard)


@looped
async def test_marks_are_pushed_and_move_health_until_the_wallet_is_told_anew() -> None:
    async with venue_and_source() as (venue, accounts), aclosing(accounts.watch()) as said:
        await reading(said)
        await venue.until(venue.is_subscribed)
        await venue.push_frame(
            "ticker", product_id="PF_XBTUSD", markPrice=D(59000), index=D(59001), relative_funding_rate=D("0.00001")
        )
        moved = await reading(said, lambda found: found.accounts[0].positions[0].mark_price == 59000)
        (account,) = moved.accounts
        assert account.positions[0].funding_rate == D("0.00001") * 24 * 365
        assert account.balance == 2000
        assert account.reported is not None
        assert account.reported.tolerance > D("0.2")
        wallet = {"margin_equity": D(1500), "pnl": D(-500), "maintenance_margin": D(300), "currencies": {}}
        await venue.push_frame("balances", flex_futures=wallet)
        newer = await reading(said, lambda found: found.accounts[0].reported.tolerance == D("0.02"))
        assert newer.accounts[0].balance == 2000


@looped
async def test_the_feed_tells_the_wallet_of_an_isolated_position() -> None:
    async with venue_and_source() as (venue, accounts), aclosing(accounts.watch()) as said:
        alone = {"symbol": "PF_ETHUSD", "side": "short", "size": D(2), "price": D(3000), "maxFixedLeverage": D(5)}
        venue.positions.append(alone)
        start = await reading(said)
        assert start.accounts[1].degraded
        await venue.until(venue.is_subscribed)
        purse = {"margin_equity": D(1300), "pnl": D(0)}
        wallet = {
            "margin_equity": D(3300),
            "pnl": D(0),
            "maintenance_margin": D(360),
            "isolated": {"PF_ETHUSD": purse},
            "cross": {"margin_equity": D(2000), "pnl": D(0)},
        }
        await venue.push_frame("balances", flex_futures=wallet)
        told = await reading(said, lambda found: not found.accounts[1].degraded)
        assert [account.balance for account in told.accounts] == [2000, 1300]


@looped
async def test_a_new_contract_in_the_feed_is_looked_up_by_rest() -> None:
    async with venue_and_source() as (venue, accounts), aclosing(accounts.watch()) as said:
        await reading(said)
        await venue.until(venue.is_subscribed)
        asked = venue.count("openpositions")
        venue.positions.append(
            {"symbol": "PF_ETHUSD", "side": "long", "size": D(1), "price": D(3000), "maxFixedLeverage": D(10)}
        )
        await venue.push_positions()
        found = await reading(said, lambda each: len(each.accounts) == 2)
        assert found.accounts[1].name == "k:PF_ETHUSD"
        assert venue.count("openpositions") > asked


@looped
async def test_a_refused_subscription_is_told_while_polls_go_on() -> None:
    async with KrakenFuturesServer() as venue:
        venue.instruments["PF_XBTUSD"] = instrument("PF_XBTUSD", *LEVELS)
        venue.tickers["PF_XBTUSD"] = ticker("PF_XBTUSD", "60000")
        venue.positions = [{"symbol": "PF_XBTUSD", "side": "long", "size": D("0.5"), "price": D(60000)}]
        accounts = KrakenFuturesAccounts(options(venue, poll_s=0.05))
        async with aclosing(accounts.watch()) as said:
            await reading(said)
            await venue.until(venue.is_subscribed)
            await venue.push('{"event":"alert","message":"Failed to subscribe to authenticated feed"}')
            told = await link(said, lambda change: "authenticated feed" in change.detail)
            assert told.state is LinkState.LIVE
        await accounts.aclose()


@looped
async def test_a_nonce_that_another_program_overtook_is_raised_and_the_read_succeeds() -> None:
    async with venue_and_source() as (venue, accounts):
        await accounts.read()
        venue.nonce += 5000
        found = await accounts.read()
        assert found.accounts[0].positions
        assert venue.count("openpositions") == 3


@looped
async def test_two_accounts_of_one_key_never_send_nonces_out_of_order() -> None:
    async with venue_and_source() as (venue, accounts):
        other = KrakenFuturesAccounts(options(venue))
        await asyncio.gather(*(each.read() for _ in range(5) for each in (accounts, other)))
        await other.aclose()
        nonces = [int(asked.headers["nonce"]) for asked in venue.asked if "nonce" in asked.headers]
        assert nonces == sorted(set(nonces))
        assert nonces[-1] <= nonces_of(Credentials("k", lambda: KEY)).next()


@looped
async def test_a_key_whose_secret_is_no_base64_is_a_config_error_that_shows_nothing_of_it() -> None:
    async with KrakenFuturesServer() as venue:
        accounts = KrakenFuturesAccounts(options(venue, secret="not base64!"))
        with pytest.raises(ConfigError, match="secret is not base64") as told:
            await accounts.read()
        assert "not base64!" not in str(told.value)
        await accounts.aclose()


@looped
async def test_what_the_venue_does_not_know_is_refused_in_its_words() -> None:
    async with venue_and_source() as (venue, accounts):
        venue.raw["accounts"] = b'{"result":"error","error":"accountInactive"}'
        with pytest.raises(Refused, match="accountInactive"):
            await accounts.read()


@looped
async def test_prices_that_cannot_be_read_are_named_and_a_position_without_mark_is_unknown() -> None:
    async with venue_and_source() as (venue, accounts):
        venue.raw["tickers"] = b'{"result":"error","error":"Unavailable"}'
        found = await accounts.read()
        assert any(reason.startswith("prices not read") for reason in found.degraded)
        assert "no mark price of PF_XBTUSD" in found.accounts[0].degraded


@looped
async def test_prices_that_stay_unread_are_used_for_a_while_and_then_no_more() -> None:
    async with venue_and_source() as (venue, accounts):
        reader = accounts._reader
        assert isinstance(reader, Reader)
        await accounts.read()
        venue.raw["tickers"] = b'{"result":"error","error":"Unavailable"}'
        assert (await accounts.read()).accounts[0].positions[0].mark_price == D(60000)
        reader.prices_old_after_s = 0.0
        found = await accounts.read()
        assert found.accounts[0].positions[0].mark_price is None
        assert "no mark price of PF_XBTUSD" in found.accounts[0].degraded


def test_figures_of_two_networks_never_meet() -> None:
    assert ws_of(rest_base(None), None) == "wss://futures.kraken.com/ws/v1"
    demo = rest_base("https://demo-futures.kraken.com/derivatives/api/v3/")
    assert ws_of(demo, None) == "wss://demo-futures.kraken.com/ws/v1"
    assert ws_of("http://127.0.0.1:1", None) is None
    assert ws_of("http://127.0.0.1:1", "ws://127.0.0.1:2") == "ws://127.0.0.1:2/ws/v1"


@pytest.mark.parametrize("parts", [{}, {"key": lambda: KEY}, {"secret": lambda: SECRET}])
def test_a_missing_key_is_a_config_error_that_names_it(parts: dict[str, Any]) -> None:
    credentials = Credentials("account k", **parts) if parts else None
    with pytest.raises(ConfigError, match="k: kraken-futures needs"):
        source(AccountOptions("k", VENUE, credentials=credentials))
    assert INFO.required == {"key", "secret"}
