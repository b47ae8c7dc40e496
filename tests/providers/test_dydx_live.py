"""dYdX end to end: an indexer on loopback, the desk and what its screen says, the command, and what goes wrong."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from desk.snapshot import Snapshot
from engine.assessment import Severity
from providers.dydx import source
from providers.errors import Refused, Unreachable
from providers.ports import AccountOptions, LinkState
from tests.dydx_server import ADDRESS, Child, DydxServer
from tests.marginline.command import marginline, write
from tests.on_desk import on_desk
from tests.signed_server import Reply
from tests.signed_thread import serving

D = Decimal


def indexer() -> DydxServer:
    server = DydxServer()
    server.put_market("ETH-USD", "3000", "0.05")
    server.put_market("SOL-USD", "150", "0.05")
    server.children = [
        Child(0, D(10_000), {"ETH-USD": (D(-3), D(3000))}),
        Child(128, D(-1000), {"SOL-USD": (D(10), D(150))}),
    ]
    return server


def options(server: DydxServer, *, poll_s: float = 0.2, stale_after_s: float = 5) -> AccountOptions:
    urls = {"rest_url": server.url_rest, "ws_url": server.url_ws}
    return AccountOptions("dx", "dydx", address=ADDRESS, poll_s=poll_s, stale_after_s=stale_after_s, **urls)


def severity(snapshot: Snapshot, name: str = "dx") -> Severity | None:
    account = snapshot.accounts.get(name)
    return None if account is None else account.assessment.severity


def test_a_rising_oracle_reaches_the_screen_without_a_poll() -> None:
    async def run() -> None:
        async with indexer() as server, on_desk(source(options(server, poll_s=3600))) as shown:
            await shown.painted("dx", "dx:SOL")
            assert "LIQUIDATABLE" not in shown.text.upper()
            await server.until(lambda: server.is_followed)
            await server.move("ETH-USD", "3174.61")
            dead = await shown.until(lambda one: severity(one) is Severity.LIQUIDATABLE)
            assert dead.accounts["dx"].account.positions[0].mark_price == D("3174.61")
            assert severity(dead, "dx:SOL") is not Severity.LIQUIDATABLE
            await shown.painted("LIQUIDATABLE", "ETH is past 3,174.6")

    asyncio.run(run())


def test_a_changed_position_reaches_the_screen() -> None:
    async def run() -> None:
        async with indexer() as server, on_desk(source(options(server, poll_s=3600))) as shown:
            await shown.painted("dx")
            await server.until(lambda: server.is_followed)
            await server.hold(0, "ETH-USD", "-1.375", "3000")
            seen = await shown.until(lambda one: one.accounts["dx"].account.positions[0].quantity == D("-1.375"))
            assert seen.sources[0].state is LinkState.LIVE
            await shown.painted("1.375")

    asyncio.run(run())


def test_without_a_socket_the_oracle_is_read_with_every_poll() -> None:
    async def run() -> None:
        async with indexer() as server:
            given = AccountOptions("dx", "dydx", address=ADDRESS, poll_s=4.5, rest_url=server.url_rest)
            async with on_desk(source(given)) as shown:
                await shown.until(lambda one: severity(one) is not None)
                server.markets["ETH-USD"]["oraclePrice"] = "3174.61"
                await shown.until(lambda one: severity(one) is Severity.LIQUIDATABLE)
                assert not server.paths

    asyncio.run(run())


def test_status_reads_every_subaccount_with_only_a_config(tmp_path: Path) -> None:
    with serving(indexer) as server:
        done = marginline("status", "--json", "--config", config(tmp_path, server.url_rest), home=tmp_path)
    assert done.code == 0, done.err
    accounts = {each["name"]: each for each in done.json["assessment"]["accounts"]}
    assert set(accounts) == {"dx", "dx:SOL"}
    assert abs(D(accounts["dx"]["liquidation"]["ETH"]["price"]) - D("3174.603174603174603")) < D("1e-9")
    assert accounts["dx"]["trigger"] == "oracle"
    assert accounts["dx:SOL"]["equity"] == "500"


def test_a_plan_says_what_to_pay_in_by_hand_and_what_to_close(tmp_path: Path) -> None:
    with serving(indexer) as server:
        file = config(tmp_path, server.url_rest)
        told = marginline("plan", "dx", "--to", "10", "--config", file, home=tmp_path)
        data = marginline("plan", "dx", "--to", "10", "--json", "--config", file, home=tmp_path)
    assert told.code == data.code == 0, told.err
    assert "money is not moved to this venue from here; pay it in by hand" in told.out
    assert "by hand: deposit 3500 USDC" in told.out
    options = {option["means"]: option for option in data.json["options"]}
    assert options["deposit"]["amount"] == "3500"
    assert options["reduce"]["steps"] == ["close 2.3381 ETH of ETH-USD, reduce-only"]
    assert not any(option["ready"] for option in options.values())
    assert server.writes == []


def config(folder: Path, rest_url: str) -> Path:
    account = ["[[account]]", 'name = "dx"', 'provider = "dydx"', f'address = "{ADDRESS}"', f'rest_url = "{rest_url}"']
    return write(folder / "c.toml", [*account, "[prices]", "venues = []"])


@pytest.mark.parametrize(
    ("reply", "code", "says"),
    [
        (Reply(403, {"errors": [{"msg": "Forbidden"}]}), None, "its place is blocked"),
        (Reply(429, {}, {"Retry-After": "30"}), 4, "429"),
        (Reply(500, {}), 4, "500"),
    ],
    ids=["blocked", "too many", "broken"],
)
def test_status_says_what_the_indexer_refuses(tmp_path: Path, reply: Reply, code: int | None, says: str) -> None:
    with serving(indexer) as server:
        server.fail(reply, times=20)
        done = marginline("status", "--json", "--config", config(tmp_path, server.url_rest), home=tmp_path)
    assert done.code != 0
    assert code is None or done.code == code, done.err
    assert says in done.out + done.err


def test_an_address_that_was_known_and_is_no_longer_is_unknown_and_not_empty() -> None:
    async def run() -> None:
        server = indexer()
        async with asyncio.timeout(30), server:
            accounts = source(options(server))
            assert any(account.positions for account in (await accounts.read()).accounts)
            server.children = []
            with pytest.raises(Unreachable, match="no longer knows"):
                await accounts.read()
            await accounts.aclose()

    asyncio.run(run())


def test_an_address_that_never_held_anything_is_empty_and_says_so() -> None:
    async def run() -> None:
        server = indexer()
        server.children = []
        async with asyncio.timeout(30), server:
            accounts = source(options(server))
            reading = await accounts.read()
            assert [account.positions for account in reading.accounts] == [()]
            assert "never held anything" in reading.warnings[0]
            server.fail(Reply(403, {}), times=5)
            with pytest.raises(Refused, match="place is blocked"):
                await accounts.read()
            await accounts.aclose()

    asyncio.run(run())
