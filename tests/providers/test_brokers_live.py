"""Brokers end to end: servers on loopback, the command with only a config, the screen, and what goes wrong."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.assessment import Severity
from providers import alpaca, ibkr
from providers.credentials import Credentials
from providers.errors import RateLimited, Unauthorised
from providers.ports import AccountOptions, LinkState
from tests.alpaca_server import KEY, SECRET, AlpacaServer
from tests.ibkr_server import ACCOUNT, IbkrServer
from tests.marginline.command import Done, marginline, write
from tests.on_desk import on_desk
from tests.signed_server import Reply, SignedServer
from tests.signed_thread import serving

D = Decimal


def at_alpaca() -> AlpacaServer:
    server = AlpacaServer()
    server.held, server.rates = {"SPY": (D(200), D("634.8038"))}, {"SPY": D(30)}
    return server


def at_ibkr() -> IbkrServer:
    server = IbkrServer()
    server.held = {"SPY": (D(100), D(580), "USD", "STK")}
    return server


def config(folder: Path, provider: str, server: SignedServer, *lines: str) -> Path:
    account = ["[[account]]", 'name = "br"', f'provider = "{provider}"', f'rest_url = "{server.url_rest}"', *lines]
    return write(folder / "c.toml", [*account, "[prices]", "venues = []"])


def run(folder: Path, server: SignedServer, *arguments: str, secret: str = SECRET) -> Done:
    """Run a command on the account at `server`."""
    is_alpaca = isinstance(server, AlpacaServer)
    keys = ('key = "env:AL_KEY"', 'secret = "env:AL_SECRET"') if is_alpaca else ()
    file = config(folder, "alpaca" if is_alpaca else "ibkr", server, *keys)
    return marginline(*arguments, "--config", file, env={"AL_KEY": KEY, "AL_SECRET": secret}, home=folder)


def alpaca_options(server: SignedServer, **changes: Any) -> AccountOptions:
    key = Credentials("br", key=lambda: KEY, secret=lambda: SECRET)
    return AccountOptions("br", "alpaca", rest_url=server.url_rest, credentials=key, poll_s=0.2, **changes)


def ibkr_options(server: SignedServer, **changes: Any) -> AccountOptions:
    return AccountOptions("br", "ibkr", rest_url=server.url_rest, poll_s=0.2, **changes)


@pytest.mark.parametrize(
    ("make", "equity", "maintenance"),
    [(at_alpaca, "103820.56", "38088.228"), (at_ibkr, "27999.5", "14500")],
    ids=["alpaca", "ibkr"],
)
def test_status_speaks_broker(make: Callable[[], SignedServer], equity: str, maintenance: str, tmp_path: Path) -> None:
    with serving(make) as server:
        done = run(tmp_path, server, "status", "--json")
    assert done.code == 0, done.err
    (account,) = done.json["assessment"]["accounts"]
    assert account["kind"] == "broker"
    assert D(account["equity"]) == D(equity)
    assert D(account["maintenance_requirement"]) == D(maintenance)
    assert D(account["buffer"]) == D(equity) - D(maintenance)
    assert SECRET not in done.out + done.err


def test_a_wrong_secret_ends_with_exit_3_and_names_the_key_alone(tmp_path: Path) -> None:
    with serving(at_alpaca) as server:
        done = run(tmp_path, server, "status", "--json", secret="wrong-secret-of-somebody")
    assert done.code == 3
    assert f"key ..{KEY[-4:]}" in done.out + done.err
    assert KEY not in done.out + done.err
    assert "wrong-secret" not in done.out + done.err


@pytest.mark.parametrize("make", [at_alpaca, at_ibkr], ids=["alpaca", "ibkr"])
def test_a_falling_price_reaches_the_screen_as_a_call(make: Callable[[], Any]) -> None:
    async def story() -> None:
        async with make() as server:
            options = alpaca_options(server) if isinstance(server, AlpacaServer) else ibkr_options(server)
            module = alpaca if isinstance(server, AlpacaServer) else ibkr
            async with on_desk(module.source(options)) as shown:
                await shown.painted("br", "SPY")
                assert "LIQUIDATABLE" not in shown.text
                server.held["SPY"] = (server.held["SPY"][0], server.cash / -100 * D("0.9"), *server.held["SPY"][2:])
                if isinstance(server, AlpacaServer):
                    server.held["SPY"] = (D(200), D(150))
                dead = await shown.until(lambda one: one.accounts["br"].assessment.severity is Severity.LIQUIDATABLE)
                assert dead.accounts["br"].account.margin_call is not None
                await shown.painted("LIQUIDATABLE")

    asyncio.run(story())


def test_hours_and_blocks_of_alpaca_are_told() -> None:
    async def story() -> None:
        async with asyncio.timeout(30), at_alpaca() as server:
            server.is_open, server.changes = False, {"trading_blocked": True}
            source = alpaca.source(alpaca_options(server))
            reading = await source.read()
            (account,) = reading.accounts
            assert account.session is not None
            assert not account.session.is_open
            assert account.session.opens_ns == 1_796_049_000_000_000_000
            assert reading.warnings == ("Alpaca says: trading blocked",)
            await source.aclose()

    asyncio.run(story())


def test_a_gateway_without_a_log_in_ends_with_exit_3_and_says_where_to_log_in(tmp_path: Path) -> None:
    def logged_out() -> IbkrServer:
        server = at_ibkr()
        server.log_out()
        return server

    with serving(logged_out) as server:
        done = run(tmp_path, server, "status", "--json")
    assert done.code == 3
    assert "open the gateway in a browser" in done.out + done.err


def test_after_the_nightly_log_out_the_desk_says_so_and_reads_again_once_logged_in() -> None:
    async def story() -> None:
        async with at_ibkr() as server, on_desk(ibkr.source(ibkr_options(server))) as shown:
            await shown.painted("br", "SPY")
            server.log_out()
            lost = await shown.until(lambda one: one.sources[0].state is LinkState.DOWN)
            assert "a gateway that is logged in" in lost.sources[0].detail
            server.log_in()
            server.held["SPY"] = (D(77), D(580), "USD", "STK")
            # A new session must be asked for its accounts first: without that it answers 400 for ever.
            shown.desk.refresh()
            await shown.until(lambda one: one.accounts["br"].account.positions[0].quantity == 77)

    asyncio.run(story())


def test_old_gateways_are_read_page_by_page() -> None:
    async def story() -> None:
        async with asyncio.timeout(30), at_ibkr() as server:
            server.is_old = True
            source = ibkr.source(ibkr_options(server))
            reading = await source.read()
            assert [one.quantity for one in reading.accounts[0].positions] == [100]
            assert [one.path for one in server.asked if "/positions/" in one.path][-1].endswith("/positions/1")
            assert server.tickles == 1
            await source.aclose()

    asyncio.run(story())


def test_a_gateway_that_limits_is_left_alone_for_a_quarter_of_an_hour() -> None:
    async def story() -> None:
        async with asyncio.timeout(60), at_ibkr() as server:
            first, second = ibkr.source(ibkr_options(server)), ibkr.source(ibkr_options(server))
            server.fail(Reply(429, {"error": "too many requests"}), times=9)
            with pytest.raises(RateLimited) as told:
                await first.read()
            assert told.value.retry_after_s == 900
            server.heal()
            asked = len(server.asked)
            with pytest.raises(RateLimited):
                await second.read()
            assert len(server.asked) == asked
            for source in (first, second):
                await source.aclose()

    asyncio.run(story())


def test_the_account_of_several_must_be_named() -> None:
    async def story() -> None:
        async with asyncio.timeout(30), at_ibkr() as server:
            server.accounts = [ACCOUNT, "DU7654321"]
            source = ibkr.source(ibkr_options(server))
            with pytest.raises(Exception, match="2 accounts; name one as subaccount"):
                await source.read()
            named = ibkr.source(ibkr_options(server, subaccount="DU7654321"))
            assert (await named.read()).accounts[0].positions
            for each in (source, named):
                await each.aclose()

    asyncio.run(story())


def test_a_key_that_is_revoked_in_the_middle_is_told_at_once() -> None:
    async def story() -> None:
        async with asyncio.timeout(30), at_alpaca() as server:
            source = alpaca.source(alpaca_options(server))
            await source.read()
            server.is_revoked = True
            with pytest.raises(Unauthorised, match=f"key ..{KEY[-4:]}"):
                await source.read()
            await source.aclose()

    asyncio.run(story())


def called() -> IbkrServer:
    """Return a gateway whose account falls under its requirement at the next margin change, Monday at the open."""
    server = at_ibkr()
    server.changes = {"lookaheadexcessliquidity": D(-1500), "lookaheadnextchange": 1_796_049_000}
    return server


def closed() -> AlpacaServer:
    """Return an account under its maintenance while the market is closed."""
    server = at_alpaca()
    server.held, server.is_open = {"SPY": (D(200), D(150))}, False
    return server


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            called,
            (
                "transfer it to the broker before 2026-11-30T14:30:00Z",
                "by hand: deposit 15500.5 USD; the margin call for 1500 USD is due at 2026-11-30T14:30:00Z",
            ),
        ),
        (
            closed,
            (
                "by hand: deposit 20140.2 USD; the margin call for 2140.2 USD names no deadline",
                "the market is closed until 2026-11-30T14:30:00Z: nothing can be sold before",
            ),
        ),
        (at_alpaca, ("by hand: deposit 10444.13 USD; the market closes at 2026-11-27T18:00:00Z",)),
    ],
    ids=["ibkr", "alpaca closed", "alpaca"],
)
def test_a_plan_says_how_much_to_deposit_and_until_when(
    make: Callable[[], SignedServer], says: tuple[str, ...], tmp_path: Path
) -> None:
    with serving(make) as server:
        told = run(tmp_path, server, "plan", "br", "--to", "3")
        data = run(tmp_path, server, "plan", "br", "--to", "3", "--json")
    assert told.code == data.code == 0, told.err + data.err
    for words in says:
        assert words in told.out, told.out
    (deposit,) = [option for option in data.json["options"] if option["means"] == "deposit"]
    assert not deposit["ready"]
    assert D(deposit["health_factor"]["after"]) >= 3
    assert says[-1].removeprefix("by hand: ").split("; ")[0] in "; ".join(deposit["steps"])
    assert [one for one in server.writes if "tickle" not in one.path] == []


def test_a_plan_for_a_described_broker_says_what_to_pay_in(tmp_path: Path) -> None:
    account = ["[[account]]", 'name = "b"', 'provider = "manual"', 'kind = "broker"', "cash = -20000"]
    legs = ['positions = [{asset = "SPY", quantity = 100, mark_price = 500, maintenance_rate = 0.25}]']
    file = write(tmp_path / "c.toml", [*account, *legs, "[prices]", "venues = []"])
    done = marginline("plan", "b", "--to", "3", "--config", file, home=tmp_path)
    assert done.code == 0, done.err
    assert "by hand: deposit 7500 USD" in done.out
