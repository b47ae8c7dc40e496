"""Venues of ccxt: what its structures mean, end to end against a venue on loopback, and what goes wrong."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal, getcontext
from pathlib import Path
from typing import Any

import pytest

from engine.accounts import Account, MarginMode
from engine.assess import assess
from providers.ccxt_venue.accounts import FLAT, WORSE, accounts_of, number, positions_of
from providers.ccxt_venue.exchange import Exchange, exchange_id
from providers.ccxt_venue.source import source
from providers.credentials import Credentials
from providers.errors import ConfigError, Malformed, RateLimited, Unreachable
from providers.ports import AccountOptions
from tests.binance_server import KEY, SECRET
from tests.ccxt_server import CcxtBinance, two_lots
from tests.marginline.command import Done, marginline, write
from tests.on_desk import on_desk
from tests.signed_server import Reply, SignedServer
from tests.signed_thread import serving

D = Decimal
NOW_NS = 1_764_000_000_000_000_000
MARKETS = {
    "ETH/USDT:USDT": {"base": "ETH", "quote": "USDT", "settle": "USDT", "contractSize": "0.01"},
    "BTC/USD:BTC": {"base": "BTC", "quote": "USD", "settle": "BTC", "contractSize": 100.0, "inverse": True},
}
LONG: dict[str, Any] = {
    "symbol": "ETH/USDT:USDT",
    "side": "long",
    "contracts": 200.0,
    "entryPrice": "3000",
    "markPrice": 3100.5,
    "notional": "6201",
    "unrealizedPnl": 201.0,
    "marginMode": "cross",
    "maintenanceMargin": "62.01",
    "liquidationPrice": 0,
}


def read(*rows: dict[str, Any], tiers: Any = (), totals: Any = None, name: str = "bitget") -> tuple[Account, ...]:
    told = {"ETH/USDT:USDT": tiers}
    balances = {"USDT": D(1000)} if totals is None else totals
    return accounts_of("cx", f"ccxt:{name}", positions_of(rows, MARKETS, told, name), balances, NOW_NS)


def test_contracts_become_coins_and_numbers_keep_their_shortest_text() -> None:
    (account,) = read(LONG)
    (held,) = account.positions
    assert (held.asset, held.quantity, held.contract) == ("ETH", D(2), "ETH/USDT:USDT")
    assert held.mark_price == D("3100.5")
    assert held.venue_liquidation_price is None
    assert [tier.maintenance_rate for tier in held.tiers] == [D("0.01")]
    assert FLAT in account.estimated


def test_the_balance_is_read_in_the_way_that_leaves_less() -> None:
    (winning,) = read(LONG)
    (losing,) = read(LONG | {"markPrice": 2900, "notional": 5800, "unrealizedPnl": -200})
    assert assess(winning, {}, NOW_NS).equity == D(1000)  # 1,201 if the balance were without profit
    assert assess(losing, {}, NOW_NS).equity == D(800)  # 1,000 if it were with it
    assert WORSE in winning.estimated
    assert WORSE not in losing.estimated


@pytest.mark.parametrize(("told", "balance"), [("2525.252525", 1000), ("2626.767676", 799), ("2000", 799), (0, 799)])
def test_the_venues_liquidation_price_tells_which_reading_is_right(told: object, balance: int) -> None:
    """2 ETH at 3,000 with 1 % maintenance: liquidated at (6,000 - balance) / (2 x 0.99)."""
    (account,) = read(LONG | {"liquidationPrice": told})
    assert account.balance == balance
    assert (WORSE in account.estimated) == (told in ("2000", 0))


def test_a_coin_that_may_be_owed_counts_against_an_inverse_position() -> None:
    row = {"symbol": "BTC/USD:BTC", "side": "long", "contracts": 300, "entryPrice": 50000, "markPrice": 60000}
    row |= {"marginMode": "cross", "maintenanceMarginPercentage": 0.005, "notional": 0.5, "unrealizedPnl": 0.1}
    (account,) = read(row, totals={"BTC": D("0.05")})
    assert account.collateral[0].amount == 0
    assert account.balance == D("-0.05") * 60_000
    assert WORSE in account.estimated


def test_tiers_are_joined_and_those_in_contracts_left_alone() -> None:
    tiers = [
        {"minNotional": 0.0, "maintenanceMarginRate": 0.004},
        {"minNotional": "5000", "maintenanceMarginRate": "0.005"},
    ]
    (account,) = read(LONG, tiers=tiers)
    assert [tier.deduction for tier in account.positions[0].tiers] == [D(0), D(5)]
    assert FLAT not in account.estimated
    (flat,) = read(LONG, tiers=tiers, name="okx")
    assert [tier.maintenance_rate for tier in flat.positions[0].tiers] == [D("0.01")]


def test_an_isolated_position_stands_on_its_own_margin() -> None:
    alone = LONG | {"marginMode": "isolated", "collateral": 501.0, "side": "short", "liquidationPrice": "3300"}
    alone |= {"unrealizedPnl": -201}
    cross, isolated = read(alone)
    assert (cross.name, cross.balance) == ("cx:USDT", D(499))
    assert (isolated.name, isolated.mode) == ("cx:ETH/USDT", MarginMode.ISOLATED)
    assert assess(isolated, {}, NOW_NS).equity == D(501)
    assert isolated.positions[0].venue_liquidation_price == 3300
    nothing = read(alone | {"collateral": None})[-1]
    assert nothing.degraded == ("margin of ETH/USDT:USDT not told",)


def test_an_inverse_position_is_backed_by_its_coin() -> None:
    row = {"symbol": "BTC/USD:BTC", "side": "short", "contracts": 300, "entryPrice": 60000, "markPrice": 60000}
    row |= {"marginMode": "cross", "maintenanceMarginPercentage": 0.005, "notional": 0.5}
    (account,) = read(row, totals={"BTC": D(1)})
    assert account.quote == "USD"
    assert account.positions[0].quantity == D("-0.5")
    assert account.positions[0].inverse
    assert [(leg.asset, leg.amount) for leg in account.collateral] == [("BTC", D(1))]
    assert assess(account, {}, NOW_NS).equity == D(60_000)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"maintenanceMargin": None}, "maintenance margin of ETH/USDT:USDT not told"),
        ({"markPrice": None, "notional": None}, "mark price of ETH/USDT:USDT not told"),
        ({"marginMode": None}, "whether its margin is cross or isolated is not told"),
    ],
)
def test_what_is_not_told_makes_the_account_doubtful(changed: dict[str, Any], says: str) -> None:
    (account,) = read(LONG | changed)
    assert any(says in reason for reason in account.degraded)


def test_a_balance_that_is_not_told_is_doubted() -> None:
    (account,) = read(LONG, totals={})
    assert account.degraded == ("balance of USDT not told",)


@pytest.mark.parametrize(
    "changed",
    [
        {"contracts": None},
        {"contracts": "NaN"},
        {"side": None},
        {"symbol": "XRP/USDT:USDT"},
        {"entryPrice": None, "unrealizedPnl": None},
        {"markPrice": "soon"},
    ],
)
def test_rows_that_cannot_be_understood_are_malformed(changed: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        read(LONG | changed)


def test_empty_rows_are_none_and_money_without_a_position_is_an_account() -> None:
    (account,) = read(LONG | {"contracts": 0})
    assert (account.positions, account.balance, account.estimated) == ((), D(1000), "")
    assert number("", "x") is None
    assert number(0.1, "x") == D("0.1")


def test_ccxt_rounds_without_changing_the_decimal_context_of_the_engine() -> None:
    def rounding(_: Any) -> str:
        from ccxt.base.decimal_to_precision import DECIMAL_PLACES, ROUND, decimal_to_precision

        return str(decimal_to_precision("1.25", ROUND, 1, DECIMAL_PLACES))

    async def story() -> None:
        before = repr(getcontext())
        key = Credentials("cx", key=lambda: KEY, secret=lambda: SECRET)
        made = Exchange("binanceusdm", key, {}, needed="", rest_url=None, tls_ca=None)
        assert await made.run(rounding) == "1.3"
        await made.aclose()
        assert repr(getcontext()) == before

    asyncio.run(story())


def test_an_unknown_exchange_is_told_with_those_that_are_close() -> None:
    assert exchange_id("ccxt:binanceusdm", "cx") == "binanceusdm"
    with pytest.raises(ConfigError, match=r"no exchange 'binanceusd'.*ccxt:binanceusdm"):
        exchange_id("ccxt:binanceusd", "cx")
    with pytest.raises(ConfigError, match="no exchange '__init__'"):
        exchange_id("ccxt:__init__", "cx")


def test_without_ccxt_the_remedy_is_told() -> None:
    program = (
        "import sys; sys.modules['ccxt'] = None\nfrom providers.ccxt_venue.exchange import Exchange, exchange_id\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program + "exchange_id('ccxt:bitget', 'cx')"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "pip install 'marginline[ccxt]'" in done.stderr


@pytest.fixture
def venue() -> CcxtBinance:
    return two_lots()


@pytest.fixture
def server(venue: CcxtBinance) -> Iterator[SignedServer]:
    with serving(venue.server) as server:
        yield server


def run(folder: Path, server: SignedServer, *arguments: str, provider: str = "ccxt:binanceusdm") -> Done:
    account = [
        "[[account]]",
        'name = "cx"',
        f'provider = "{provider}"',
        'key = "env:CX_KEY"',
        'secret = "env:CX_SECRET"',
    ]
    lines = [*account, f'rest_url = "{server.url_rest}"', "[prices]", "venues = []"]
    env = {"CX_KEY": KEY, "CX_SECRET": SECRET}
    return marginline(*arguments, "--config", write(folder / "c.toml", lines), env=env, home=folder)


def test_status_reads_a_venue_through_ccxt_with_only_a_config(tmp_path: Path, server: SignedServer) -> None:
    done = run(tmp_path, server, "status", "--json")
    assert done.code == 0, done.err
    accounts = {each["name"]: each for each in done.json["assessment"]["accounts"]}
    assert set(accounts) == {"cx:USDT", "cx:ETH/USDT"}
    assert D(accounts["cx:USDT"]["maintenance_requirement"]) == 130
    # 5,000 in the wallet: 500 of open profit and 400 of isolated margin may be among them.
    assert D(accounts["cx:USDT"]["equity"]) == 4600
    assert accounts["cx:USDT"]["estimated"] == WORSE
    assert D(accounts["cx:ETH/USDT"]["equity"]) == 400
    assert not any(secret in done.out + done.err for secret in (KEY, SECRET))
    assert server.writes == []


def test_a_revoked_key_ends_with_exit_3(tmp_path: Path, server: SignedServer, venue: CcxtBinance) -> None:
    venue.is_revoked = True
    done = run(tmp_path, server, "status", "--json")
    assert done.code == 3, done.out + done.err
    assert f"key ..{KEY[-4:]}" in done.out + done.err
    assert "reading of derivatives positions" in done.out + done.err
    assert KEY not in done.out + done.err


@pytest.mark.parametrize(
    ("provider", "says"),
    [("ccxt:binanceusd", "did you mean ccxt:binanceusdm"), ("ccxt", "ccxt:<id>"), ("ccxt:", "ccxt:<id>")],
)
def test_a_provider_that_is_none_ends_with_exit_2(
    tmp_path: Path, server: SignedServer, provider: str, says: str
) -> None:
    done = run(tmp_path, server, "status", provider=provider)
    assert done.code == 2
    assert says in done.err


def options(server: SignedServer, provider: str = "ccxt:binanceusdm") -> AccountOptions:
    key = Credentials("cx", key=lambda: KEY, secret=lambda: SECRET)
    return AccountOptions("cx", provider, rest_url=server.url_rest, credentials=key, poll_s=0.2)


def test_a_changed_position_reaches_the_screen(venue: CcxtBinance) -> None:
    async def story() -> None:
        async with venue.server() as server, on_desk(source(options(server))) as shown:
            await shown.painted("cx:USDT", "cx:ETH/USDT")
            venue.lot("BTCUSDT").amount = D("0.375")
            await shown.until(
                lambda one: any(held.quantity == D("0.375") for held in one.accounts["cx:USDT"].account.positions)
            )

    asyncio.run(story())


def test_limits_are_obeyed_breaks_are_tried_again_and_nonsense_is_malformed(venue: CcxtBinance) -> None:
    async def story() -> None:
        async with asyncio.timeout(60), venue.server() as server:
            accounts = source(options(server))
            server.fail(Reply(503, b"maintenance"))
            assert len((await accounts.read()).accounts) == 2
            for nonsense in (b"<html>soon</html>", b"{}", b"null", b'"x"', b""):
                server.fail(Reply(200, nonsense))
                with pytest.raises(Malformed):
                    await accounts.read()
            server.fail(Reply(503, b"maintenance"), times=9)
            with pytest.raises(Unreachable):
                await accounts.read()
            server.heal()
            server.fail(Reply(429, {}, {"Retry-After": "60"}))
            with pytest.raises(RateLimited):
                await accounts.read()
            asked = len(server.asked)
            with pytest.raises(RateLimited):
                await accounts.read()
            assert len(server.asked) == asked
            await accounts.aclose()  # type: ignore[attr-defined]  # beyond the port

    asyncio.run(story())


def test_money_in_use_without_a_position_is_doubted(venue: CcxtBinance) -> None:
    async def story() -> None:
        async with asyncio.timeout(30), venue.server() as server:
            accounts = source(options(server))
            for lot in venue.lots:
                lot.entry = D(0)  # such a row ccxt leaves out
            reading = await accounts.read()
            assert reading.accounts[0].positions == ()
            assert "USDT in use, but no position is told" in reading.degraded[0]
            venue.lots = []
            assert (await accounts.read()).degraded == ()
            await accounts.aclose()  # type: ignore[attr-defined]  # beyond the port

    asyncio.run(story())


def test_a_key_that_lacks_a_part_is_told_by_our_name_of_it(venue: CcxtBinance) -> None:
    async def story() -> None:
        async with asyncio.timeout(30), venue.server() as server:
            accounts = source(options(server, "ccxt:bitget"))
            with pytest.raises(Exception, match="needs passphrase"):
                await accounts.read()
            assert server.asked == []

    asyncio.run(story())
