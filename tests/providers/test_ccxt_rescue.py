"""Margin through ccxt: signed by it, sent once by us, and found again by what the position then has."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from engine.accounts import Account
from engine.rescue import HealthPath, Means, Option, Standing
from marginline.venue_key import VenueKey
from providers.ccxt_venue.moves import make
from providers.ccxt_venue.source import source
from providers.credentials import Credentials
from providers.errors import Refused, Unreachable
from providers.ports import AccountOptions
from providers.rescue_ports import Fate, Step
from providers.venue_rescue import VenueRescue
from tests.binance_server import KEY, SECRET
from tests.ccxt_server import CcxtBinance, two_lots
from tests.marginline.command import Done, marginline, write
from tests.signed_server import Cut, Mishap, Reply, SignedServer
from tests.signed_thread import serving

D = Decimal
NAME = "cx:ETH/USDT"


@pytest.fixture
def venue() -> CcxtBinance:
    return two_lots()


@pytest.fixture
def server(venue: CcxtBinance) -> Iterator[SignedServer]:
    with serving(venue.server) as server:
        yield server


def run(folder: Path, server: SignedServer, *arguments: str) -> Done:
    account = ["[[account]]", 'name = "cx"', 'provider = "ccxt:binanceusdm"', 'key = "env:CX_KEY"']
    lines = [*account, 'secret = "env:CX_SECRET"', f'rest_url = "{server.url_rest}"', "[prices]", "venues = []"]
    env = {"CX_KEY": KEY, "CX_SECRET": SECRET}
    return marginline(*arguments, "--config", write(folder / "c.toml", lines), env=env, home=folder)


def topup(folder: Path, server: SignedServer) -> Done:
    return run(folder, server, "topup", NAME, "--to", "20", "--by", "add-margin", "--confirm", "--json")


def test_a_confirmed_top_up_changes_the_venue_and_the_next_status_shows_it(
    tmp_path: Path, server: SignedServer, venue: CcxtBinance
) -> None:
    done = topup(tmp_path, server)
    assert done.code == 0, done.out + done.err
    assert venue.lot("ETHUSDT").isolated == 700 + 344
    (sent,) = server.writes
    told = {name: value for name, value in sent.fields.items() if name not in ("timestamp", "signature", "recvWindow")}
    assert (sent.path, told) == ("/fapi/v1/positionMargin", {"symbol": "ETHUSDT", "amount": "344", "type": "1"})
    shown = {each["name"]: each for each in run(tmp_path, server, "status", "--json").json["assessment"]["accounts"]}
    assert D(shown[NAME]["health_factor"]) == 20
    assert not any(secret in done.out + done.err for secret in (KEY, SECRET))


def test_a_lost_answer_is_found_by_the_margin_with_one_request(
    tmp_path: Path, server: SignedServer, venue: CcxtBinance
) -> None:
    server.fail_writes(Cut(is_carried_out=True))
    done = topup(tmp_path, server)
    assert done.code == 0, done.out + done.err
    assert venue.lot("ETHUSDT").isolated == 1044
    assert len(server.writes) == 1


def test_a_key_that_may_not_trade_is_told_by_that_right(
    tmp_path: Path, server: SignedServer, venue: CcxtBinance
) -> None:
    venue.rights["enableFutures"] = False
    done = topup(tmp_path, server)
    assert done.code in (3, 30, 31), done.out + done.err
    assert "trading of derivatives" in done.out + done.err
    assert venue.lot("ETHUSDT").isolated == 700


class Desk:
    """One rescuer of a served account, and its key, unlocked."""

    def __init__(self, server: SignedServer) -> None:
        keys = Credentials("cx", key=lambda: KEY, secret=lambda: SECRET)
        self.options = AccountOptions("cx", "ccxt:binanceusdm", rest_url=server.url_rest, credentials=keys)
        self.key = VenueKey("cx", keys)
        self.rescue: VenueRescue = make(self.options, self.key)

    async def account(self, name: str = NAME) -> Account:
        reader = source(self.options)
        try:
            return next(each for each in (await reader.read()).accounts if each.name == name)
        finally:
            await reader.aclose()  # type: ignore[attr-defined]  # beyond the port

    async def step(self, amount: str) -> Step:
        account = await self.account()
        (step,) = await self.rescue.prepare(account, option(await self.rescue.standing(account), amount))
        await self.key.unlock()
        return step


def option(standing: Standing, amount: str) -> Option:
    (facility,), (funds,) = standing.facilities, standing.funds
    nothing = HealthPath(None, None, None, None)
    return Option(
        Means.ADD_MARGIN, "USDT", D(amount), funds.source, None, nothing, None, funds=funds, facility=facility
    )


@asynccontextmanager
async def desk(venue: CcxtBinance) -> AsyncIterator[tuple[Desk, SignedServer]]:
    async with asyncio.timeout(60), venue.server() as server:
        made = Desk(server)
        try:
            yield made, server
        finally:
            await made.rescue.aclose()


@pytest.mark.parametrize(
    "how", [Cut(), Reply(502, b"bad gateway"), Reply(200, b"<html>"), Reply(400, {"code": -1, "msg": "no idea"})]
)
def test_what_nobody_knows_is_looked_up_and_never_sent_again(venue: CcxtBinance, how: Mishap) -> None:
    async def story() -> None:
        async with desk(venue) as (made, server):
            step = await made.step("100")
            server.fail_writes(how)
            signed = made.rescue.sign(step, made.key)
            with pytest.raises(Unreachable):
                await made.rescue.send(signed)
            found = await made.rescue.find(signed.reference, signed.nonce, signed.owner)
            assert found.fate is Fate.PENDING
            assert len(server.writes) == 1

    asyncio.run(story())


def test_nothing_is_asked_of_the_venue_to_sign_and_each_signature_is_new(venue: CcxtBinance) -> None:
    async def story() -> None:
        async with desk(venue) as (made, server):
            step = await made.step("100")
            asked = len(server.asked)
            signed = made.rescue.sign(step, made.key)
            assert len(server.asked) == asked
            assert SECRET not in signed.raw
            await made.rescue.send(signed)
            found = await made.rescue.find(signed.reference, signed.nonce, signed.owner)
            assert (found.fate, venue.lot("ETHUSDT").isolated) == (Fate.CONFIRMED, 800)

    asyncio.run(story())


def test_an_amount_that_ccxt_would_round_is_not_sent(venue: CcxtBinance) -> None:
    async def story() -> None:
        async with desk(venue) as (made, server):
            step = await made.step("100.0004")
            with pytest.raises(Refused, match=r"not for exactly 100\.0004"):
                made.rescue.sign(step, made.key)
            assert server.writes == []

    asyncio.run(story())


def test_cross_accounts_and_refusals_of_the_venue_are_told(venue: CcxtBinance) -> None:
    async def story() -> None:
        async with desk(venue) as (made, _):
            cross = await made.account("cx:USDT")
            assert (await made.rescue.standing(cross)).facilities == ()
            step = await made.step("100")
            venue.futures["USDT"] = D(50)
            with pytest.raises(Refused):
                await made.rescue.send(made.rescue.sign(step, made.key))
            assert "the free balance has" in (await made.rescue.simulate(await made.account(), [step])).refused

    asyncio.run(story())
