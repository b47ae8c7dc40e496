"""Rescues at Kraken Futures: where margin goes, what is ordered, how an outcome is told; beside the common suite."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.accounts import Account
from engine.rescue import Facility, HealthPath, Means, Option
from providers.credentials import Credentials
from providers.errors import Malformed, Refused
from providers.kraken_futures.moves import KrakenFuturesMoves
from providers.kraken_futures.moves_wire import fills_fate, order_fate, transfer_fate
from providers.kraken_futures.signing import VENUE
from providers.kraken_futures.source import KrakenFuturesAccounts
from providers.ports import AccountOptions
from providers.rescue_ports import Fate
from tests.conformance.kraken_futures import VENUES
from tests.kraken_futures_server import KEY, SECRET, KrakenFuturesServer, dumps
from tests.looped import looped
from tests.marginline.command import Done, marginline, write

D = Decimal
(KIT,) = VENUES


def options(venue: KrakenFuturesServer) -> AccountOptions:
    credentials = Credentials("account kit", lambda: KEY, lambda: SECRET)
    return AccountOptions("kit", VENUE, rest_url=venue.url_rest, credentials=credentials)


@asynccontextmanager
async def venue_and_moves() -> AsyncIterator[tuple[KrakenFuturesServer, KrakenFuturesMoves, Any]]:
    async with KIT.serve() as venue:
        moves, accounts = KrakenFuturesMoves(options(venue)), KrakenFuturesAccounts(options(venue))

        async def read() -> tuple[Account, ...]:
            return (await accounts.read()).accounts

        try:
            yield venue, moves, read
        finally:
            await accounts.aclose()
            await moves.transport.aclose()


def option(means: Means, asset: str, amount: str, contract: str = "") -> Option:
    facility = Facility(asset, frozenset({means}), contract=contract)
    path = HealthPath(None, None, None, None)
    return Option(means, asset, D(amount), "", None, path, None, facility=facility)


@looped
async def test_a_coin_goes_into_flex_under_the_venues_own_name() -> None:
    async with venue_and_moves() as (_, moves, read):
        (account,) = await read()
        standing = await moves.standing(account)
        (coin,) = [each for each in standing.facilities if each.asset == "BTC" and Means.ADD_MARGIN in each.means]
        assert (coin.liquidation_threshold, coin.price) == (D("0.95"), D("61000.5"))
        (step,) = await moves.steps(account, option(Means.ADD_MARGIN, "BTC", "0.125"))
        assert step.payload["fields"] == {"fromAccount": "cash", "toAccount": "flex", "unit": "xbt", "amount": "0.125"}


@looped
async def test_a_single_collateral_account_is_fed_in_its_own_coin() -> None:
    async with venue_and_moves() as (venue, moves, read):
        KIT.situations["inverse contracts"](venue)
        _, account = await read()
        standing = await moves.standing(account)
        adding = [each.asset for each in standing.facilities if Means.ADD_MARGIN in each.means]
        assert (account.name, adding) == ("kit:FI_XBTUSD", ["BTC"])
        (step,) = await moves.steps(account, option(Means.ADD_MARGIN, "BTC", "0.1"))
        fields: Any = step.payload["fields"]
        assert (fields["toAccount"], fields["unit"]) == ("fi_xbtusd", "xbt")
        with pytest.raises(Refused):
            await moves.steps(account, option(Means.ADD_MARGIN, "USD", "100"))


@looped
async def test_an_isolated_position_and_an_empty_cash_wallet_say_what_to_do_by_hand() -> None:
    async with venue_and_moves() as (venue, moves, read):
        venue.positions[1]["maxFixedLeverage"] = D(5)
        _, alone = await read()
        told = [each.refused for each in (await moves.standing(alone)).facilities if Means.ADD_MARGIN in each.means]
        assert told == ["nothing adds margin to an isolated position here: lower its leverage at the venue"]
        with pytest.raises(Refused):
            await moves.steps(alone, option(Means.ADD_MARGIN, "USD", "100"))
        venue.accounts["cash"]["balances"] = {"usd": 0}
        flex, _ = await read()
        told = [each.refused for each in (await moves.standing(flex)).facilities if Means.ADD_MARGIN in each.means]
        assert all("money of the spot exchange needs its own key" in each for each in told)


@looped
async def test_a_long_is_closed_by_a_reduce_only_order_within_the_bound() -> None:
    async with venue_and_moves() as (_, moves, read):
        (account,) = await read()
        (step,) = await moves.steps(account, option(Means.REDUCE, "BTC", "0.12345", "PF_XBTUSD"))
        fields = dict(step.payload["fields"])  # type: ignore[call-overload]
        assert fields.pop("cliOrdId").startswith("ml-")
        assert fields == {
            "orderType": "ioc",
            "symbol": "PF_XBTUSD",
            "side": "sell",
            "size": "0.1234",
            "limitPrice": "60696",
            "reduceOnly": "true",
        }
        with pytest.raises(Refused, match="less than one lot"):
            await moves.steps(account, option(Means.REDUCE, "BTC", "0.00001", "PF_XBTUSD"))


@looped
async def test_an_inverse_short_is_bought_back_in_contracts_of_a_dollar() -> None:
    async with venue_and_moves() as (venue, moves, read):
        KIT.situations["inverse contracts"](venue)
        _, account = await read()
        (step,) = await moves.steps(account, option(Means.REDUCE, "BTC", "0.1", "PI_XBTUSD"))
        fields: Any = step.payload["fields"]
        assert (fields["side"], fields["size"], fields["limitPrice"]) == ("buy", "6000", "61315")
        effect: Any = step.payload["effect"]
        assert effect["amount"] == "0.1"


@looped
async def test_a_transfer_is_told_by_what_the_cash_wallet_holds() -> None:
    async with venue_and_moves() as (venue, moves, _):
        now_ms = time.time_ns() // 1_000_000
        facts = {"action": "transfer", "coin": "USD", "amount": "100", "cash": "2500.5", "at": str(now_ms)}
        assert (await moves.find(facts)).fate is Fate.PENDING
        assert (await moves.find(facts | {"at": str(now_ms - 31_000)})).fate is Fate.REJECTED
        assert (await moves.find(facts | {"at": str(now_ms - 3_601_000)})).fate is Fate.UNKNOWN
        venue.accounts["cash"]["balances"]["usd"] = D("2400.5")
        assert (await moves.find(facts)).fate is Fate.CONFIRMED
        venue.accounts["cash"]["balances"]["usd"] = D("2300.5")
        assert (await moves.find(facts)).fate is Fate.UNKNOWN


@looped
async def test_an_order_is_told_by_its_own_fills() -> None:
    async with venue_and_moves() as (venue, moves, _):
        now_ms = time.time_ns() // 1_000_000
        facts = {"action": "sendorder", "id": "ml-1", "amount": "0.5", "at": str(now_ms)}
        venue.fills = [{"cliOrdId": "another", "size": D(9)}, {"cliOrdId": None, "size": D(9)}]
        assert (await moves.find(facts)).fate is Fate.PENDING
        assert (await moves.find(facts | {"at": str(now_ms - 31_000)})).fate is Fate.REJECTED
        later, before = (
            {"cliOrdId": "x", "size": D(9), "fillTime": f"{year}-01-01T00:00:00.000Z"} for year in (2999, 2001)
        )
        venue.fills = [later] * 100
        assert (await moves.find(facts | {"at": str(now_ms - 31_000)})).fate is Fate.UNKNOWN
        venue.fills = [*[later] * 99, before]
        assert (await moves.find(facts | {"at": str(now_ms - 31_000)})).fate is Fate.REJECTED
        venue.fills += [{"cliOrdId": "ml-1", "size": D("0.25")}, {"cliOrdId": "ml-1", "size": D("0.125")}]
        found = await moves.find(facts)
        assert (found.fate, found.evidence) == (Fate.CONFIRMED, "closed 0.375 of 0.5")


def test_a_reduction_by_the_command_closes_part_of_the_served_position(tmp_path: Path) -> None:
    async def story() -> tuple[Done, KrakenFuturesServer]:
        async with KIT.serve() as venue:
            lines = ["[[account]]", 'name = "k"', 'provider = "kraken-futures"', f'rest_url = "{venue.url_rest}"']
            lines += ['key = "env:K_KEY"', 'secret = "env:K_SECRET"', "[prices]", "venues = []", "[limits]"]
            lines += ["max_topup_usd = 1000000", "max_per_day_usd = 1000000", "[journal]", 'path = "j.sqlite3"']
            config = write(tmp_path / "config.toml", lines)
            wanted = ("topup", "k", "--to", "25", "--by", "reduce", "--confirm", "--json", "--config", config)
            env = {"K_KEY": KEY, "K_SECRET": SECRET}
            return await asyncio.to_thread(marginline, *wanted, env=env, home=tmp_path), venue

    done, venue = asyncio.run(story())
    assert done.code == 0, done.out + done.err
    assert sum(D(str(fill["size"])) for fill in venue.fills) > 0
    assert SECRET not in done.out + done.err


@pytest.mark.parametrize(
    ("status", "events", "fate"),
    [
        ("placed", [{"type": "EXECUTION", "amount": D("0.5")}], Fate.CONFIRMED),
        ("placed", [], Fate.PENDING),
        ("iocWouldNotExecute", [], Fate.REJECTED),
        ("insufficientAvailableFunds", [], Fate.REJECTED),
        ("wouldNotReducePosition", [{"type": "REJECT"}], Fate.REJECTED),
    ],
)
def test_an_answer_to_an_order_is_its_fate(status: str, events: list[dict[str, Any]], fate: Fate) -> None:
    assert order_fate(dumps({"sendStatus": {"status": status, "orderEvents": events}}).encode()).fate is fate


def test_what_cannot_be_read_is_malformed() -> None:
    for parse in (order_fate, transfer_fate, lambda raw: fills_fate(raw, {"id": "a", "amount": "1"})):
        with pytest.raises(Malformed):
            parse(b'{"result":"perhaps"}')
    assert transfer_fate(b'{"result":"success"}').fate is Fate.CONFIRMED
