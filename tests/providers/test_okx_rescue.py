"""Rescues at OKX: exact requests, two steps from funding, sides of a hedge, unknown outcomes found by reading."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from engine.accounts import Account
from engine.rescue import HealthPath, Means, Option, Standing
from marginline.venue_key import VenueKey
from providers.credentials import Credentials
from providers.errors import Refused, Unauthorised, Unreachable
from providers.okx_account.fates import SETTLED_S, added_fate, order_fate, transfer_fate
from providers.okx_account.moves_wire import OrderTold
from providers.okx_account.rescue import make
from providers.okx_account.source import source
from providers.okx_account.wire import Held
from providers.ports import AccountOptions
from providers.rescue_ports import Fate, Found, Step
from providers.venue_rescue import VenueRescue
from tests.looped import looped
from tests.marginline.command import marginline, write
from tests.okx_server import KEY, PASSPHRASE, SECRET, SWAP, Okx, coin, futures_mode, isolated, row
from tests.signed_server import Cut, Reply
from tests.signed_thread import serving

ALONE = f"ok:{SWAP}"


class Desk:
    """A rescuer with its armed key, and readings of the same account."""

    def __init__(self, venue: Okx) -> None:
        self.venue = venue
        keys = Credentials("ok", lambda: KEY, lambda: SECRET, lambda: PASSPHRASE)
        wallet = "demo" if venue.is_demo else None
        self.options = AccountOptions("ok", "okx", rest_url=venue.server.url_rest, credentials=keys, wallet=wallet)
        self.key = VenueKey("ok", keys)
        self.rescue: VenueRescue = make(self.options, self.key)

    async def account(self, name: str) -> Account:
        reader = source(self.options)
        try:
            reading = await reader.read()
        finally:
            await reader.aclose()  # type: ignore[attr-defined]  # beyond the port
        return next(each for each in reading.accounts if each.name == name)

    async def send(self, step: Step) -> Found:
        await self.key.unlock()
        signed = self.rescue.sign(step, self.key)
        await self.rescue.send(signed)
        return await self.rescue.find(signed.reference, signed.nonce, signed.owner)


@asynccontextmanager
async def desk(venue: Okx) -> AsyncIterator[Desk]:
    async with venue.server:
        made = Desk(venue)
        try:
            yield made
        finally:
            await made.rescue.aclose()


def option(standing: Standing, means: Means, asset: str, amount: str, funds: str = "", side: str = "") -> Option:
    facility = next(
        each for each in standing.facilities if each.asset == asset and means in each.means and side in ("", each.side)
    )
    found = next((each for each in standing.funds if each.source == funds and each.asset == asset), None)
    nothing = HealthPath(None, None, None, None)
    return Option(means, asset, Decimal(amount), funds, None, nothing, None, funds=found, facility=facility)


def test_transfers_and_orders_are_judged_by_what_the_venue_shows() -> None:
    told = [transfer_fate(state).fate for state in ("success", "failed", "pending")]
    assert told == [Fate.CONFIRMED, Fate.REJECTED, Fate.PENDING]
    assert transfer_fate(None, 1).fate is Fate.UNKNOWN
    assert transfer_fate(None, SETTLED_S + 1).fate is Fate.REJECTED
    assert "0.5 contracts" in order_fate(OrderTold("canceled", Decimal("0.5"), Decimal(60000))).evidence
    assert order_fate(OrderTold("canceled", Decimal("0.5"), None)).fate is Fate.CONFIRMED
    assert order_fate(OrderTold("canceled", Decimal(0), None)).fate is Fate.REJECTED
    assert order_fate(OrderTold("live", Decimal(0), None)).fate is Fate.PENDING
    assert order_fate(None, 1).fate is Fate.UNKNOWN
    assert order_fate(None, SETTLED_S + 1).fate is Fate.REJECTED


@pytest.mark.parametrize(
    ("margin", "contracts", "age_s", "fate"),
    [
        ("1100", "100", 1, Fate.CONFIRMED),
        ("1098.7", "100", 1, Fate.CONFIRMED),
        ("1000", "100", 1, Fate.PENDING),
        ("998.2", "100", 99, Fate.REJECTED),
        ("1100", "60", 99, Fate.UNKNOWN),
        (None, "100", 99, Fate.UNKNOWN),
    ],
)
def test_added_margin_is_seen_by_the_margin(margin: str | None, contracts: str, age_s: float, fate: Fate) -> None:
    facts = {"contract": SWAP, "side": "net", "amount": "100", "before": "1000", "contracts": "100"}
    told = None if margin is None else Decimal(margin)
    held = Held("SWAP", SWAP, Decimal(contracts), "net", True, "USDT", margin=told)
    assert added_fate(facts, held, age_s).fate is fate
    assert added_fate(facts, None, age_s).fate is Fate.UNKNOWN


@looped
async def test_margin_is_added_to_an_isolated_position_by_the_documented_request() -> None:
    async with desk(isolated()) as made:
        account = await made.account(ALONE)
        standing = await made.rescue.standing(account)
        assert {(each.source, each.amount) for each in standing.funds} == {
            ("trading account", Decimal(5000)),
            ("funding", Decimal(1000)),
        }
        (step,) = await made.rescue.prepare(
            account, option(standing, Means.ADD_MARGIN, "USDT", "500", "trading account")
        )
        dry = await made.rescue.simulate(account, [step])
        assert (dry.refused, await made.rescue.verify(account, [step])) == ("", "")
        assert (await made.send(step)).fate is Fate.CONFIRMED
        (sent,) = made.venue.server.writes
        assert sent.body == '{"instId":"BTC-USDT-SWAP","posSide":"net","type":"add","amt":"500"}'
        after = await made.account(ALONE)
        assert after.balance == 1500
        assert dry.health_factor == Decimal(1500) / 270


@looped
async def test_an_isolated_position_is_fed_from_funding_in_two_steps() -> None:
    async with desk(isolated()) as made:
        account = await made.account(ALONE)
        standing = await made.rescue.standing(account)
        steps = await made.rescue.prepare(account, option(standing, Means.ADD_MARGIN, "USDT", "300", "funding"))
        assert [step.payload["action"] for step in steps] == ["transfer", "margin-balance"]
        assert "effect" not in steps[0].payload
        for step in steps:
            assert (await made.send(step)).fate is Fate.CONFIRMED
        body = json.loads(made.venue.server.writes[0].body)
        assert len(body.pop("clientId")) == 30
        assert body == {"ccy": "USDT", "amt": "300", "from": "6", "to": "18", "type": "0"}
        assert made.venue.funding["USDT"] == 700


@looped
async def test_a_pending_transfer_is_found_by_its_client_id() -> None:
    async with desk(futures_mode()) as made:
        made.venue.transfer_state = "pending"
        account = await made.account("ok:USDT")
        standing = await made.rescue.standing(account)
        (step,) = await made.rescue.prepare(account, option(standing, Means.ADD_MARGIN, "USDT", "50", "funding"))
        assert (await made.send(step)).fate is Fate.PENDING
        made.venue.transfer_state = "success"
        signed = made.rescue.sign(step, made.key)
        assert (await made.rescue.find(signed.reference, None, "ok")).fate is Fate.CONFIRMED
        assert len(made.venue.server.writes) == 1


@pytest.mark.parametrize("is_carried_out", [True, False])
@looped
async def test_a_transfer_whose_answer_was_lost_is_found_in_the_bills(is_carried_out: bool) -> None:
    async with desk(futures_mode()) as made:
        made.venue.tells_transfers = False
        account = await made.account("ok:USDT")
        standing = await made.rescue.standing(account)
        (step,) = await made.rescue.prepare(account, option(standing, Means.ADD_MARGIN, "USDT", "50", "funding"))
        await made.key.unlock()
        signed = made.rescue.sign(step, made.key)
        made.venue.server.fail_writes(Cut(is_carried_out))
        with pytest.raises(Unreachable):
            await made.rescue.send(signed)
        found = await made.rescue.find(signed.reference, signed.nonce, signed.owner)
        assert found.fate is (Fate.CONFIRMED if is_carried_out else Fate.UNKNOWN)
        at = next(word for word in signed.reference.split() if word.startswith("at="))
        long_ago = signed.reference.replace(at, f"at={int(at[3:]) - 99_000}")
        later = await made.rescue.find(long_ago, signed.nonce, signed.owner)
        assert later.fate is (Fate.CONFIRMED if is_carried_out else Fate.REJECTED)
        assert len(made.venue.server.writes) == 1


@looped
async def test_a_request_of_demo_trading_says_so() -> None:
    venue = isolated()
    venue.is_demo = True
    async with desk(venue) as made:
        account = await made.account(ALONE)
        standing = await made.rescue.standing(account)
        (step,) = await made.rescue.prepare(
            account, option(standing, Means.ADD_MARGIN, "USDT", "500", "trading account")
        )
        assert (await made.send(step)).fate is Fate.CONFIRMED
        assert venue.server.writes[0].headers["x-simulated-trading"] == "1"


@pytest.mark.parametrize(("fills", "fate", "left"), [(None, Fate.CONFIRMED, "37.6"), ("0", Fate.REJECTED, "50")])
@looped
async def test_part_of_a_position_is_closed_reduce_only_within_a_bound(
    fills: str | None, fate: Fate, left: str
) -> None:
    venue = futures_mode()
    venue.fills = None if fills is None else Decimal(fills)
    async with desk(venue) as made:
        account = await made.account("ok:USDT")
        standing = await made.rescue.standing(account)
        (step,) = await made.rescue.prepare(account, option(standing, Means.REDUCE, "BTC", "0.1234"))
        assert (await made.rescue.simulate(account, [step])).refused == ""
        assert (await made.send(step)).fate is fate
        sent = json.loads(venue.server.writes[0].body)
        assert len(sent.pop("clOrdId")) == 30
        assert sent == {
            "instId": SWAP,
            "tdMode": "cross",
            "side": "sell",
            "posSide": "net",
            "ordType": "ioc",
            "sz": "12.4",
            "px": "59700",
            "reduceOnly": True,
            "ccy": "USDT",
        }
        assert Decimal(venue.positions[0]["pos"]) == Decimal(left)


@looped
async def test_the_side_of_a_hedge_that_is_named_is_the_one_that_is_closed() -> None:
    venue = futures_mode()
    venue.has_sides = True
    venue.positions = [
        row(SWAP, "50", "58000", "60000", posSide="long"),
        row(SWAP, "20", "61000", "60000", posSide="short"),
    ]
    venue.coins = [coin("USDT", "6000")]
    async with desk(venue) as made:
        account = await made.account("ok:USDT")
        standing = await made.rescue.standing(account)
        (step,) = await made.rescue.prepare(account, option(standing, Means.REDUCE, "BTC", "0.2", side="short"))
        assert (await made.rescue.simulate(account, [step])).refused == ""
        await made.key.unlock()
        call = json.loads(made.rescue.sign(step, made.key).raw)
        sent = json.loads(call["content"])
        assert (sent["side"], sent["posSide"], sent["px"], sent["sz"]) == ("buy", "short", "60300", "20")


@looped
async def test_in_portfolio_margin_a_net_position_is_not_closed_by_an_order_that_could_turn_it() -> None:
    venue = futures_mode()
    venue.level, venue.totals = "4", {"mmr": "100", "adjEq": "6000", "mgnRatio": "60", "totalEq": "6000"}
    async with desk(venue) as made:
        account = await made.account("ok")
        standing = await made.rescue.standing(account)
        wanted = option(standing, Means.REDUCE, "BTC", "0.1")
        assert wanted.facility is not None
        assert "no reduce-only orders" in wanted.facility.refused
        with pytest.raises(Refused, match="no reduce-only orders"):
            await made.rescue.prepare(account, wanted)
        venue.has_sides = True
        venue.positions = [row(SWAP, "50", "58000", "60000", posSide="long")]
        account = await made.account("ok")
        standing = await made.rescue.standing(account)
        (step,) = await made.rescue.prepare(account, option(standing, Means.REDUCE, "BTC", "0.1"))
        assert step.payload["action"] == "reduce-order"


@looped
async def test_an_inverse_position_is_closed_in_contracts_of_its_face() -> None:
    venue = futures_mode()
    venue.positions = [row("BTC-USD-SWAP", "-300", "60000", "60000", ccy="BTC")]
    venue.coins = [coin("BTC", "1", "60000")]
    async with desk(venue) as made:
        account = await made.account("ok:BTC")
        standing = await made.rescue.standing(account)
        (step,) = await made.rescue.prepare(account, option(standing, Means.REDUCE, "BTC", "0.25"))
        sent = step.payload["fields"]
        assert isinstance(sent, dict)
        assert (sent["sz"], sent["side"], sent["ccy"]) == ("150", "buy", "BTC")


@pytest.mark.parametrize("is_carried_out", [True, False])
@looped
async def test_an_unknown_outcome_is_read_and_never_sent_twice(is_carried_out: bool) -> None:
    async with desk(isolated()) as made:
        account = await made.account(ALONE)
        standing = await made.rescue.standing(account)
        (step,) = await made.rescue.prepare(
            account, option(standing, Means.ADD_MARGIN, "USDT", "100", "trading account")
        )
        await made.key.unlock()
        signed = made.rescue.sign(step, made.key)
        made.venue.server.fail_writes(Cut(is_carried_out))
        with pytest.raises(Unreachable):
            await made.rescue.send(signed)
        found = await made.rescue.find(signed.reference, signed.nonce, signed.owner)
        assert found.fate is (Fate.CONFIRMED if is_carried_out else Fate.PENDING)
        assert len(made.venue.server.writes) == 1
        assert made.venue.positions[0]["margin"] == ("1100" if is_carried_out else "1000")


@pytest.mark.parametrize(
    ("status", "reply", "kind", "words"),
    [
        (401, {"code": "50120", "msg": "no permission"}, Unauthorised, "Trade"),
        (401, {"code": "50102", "msg": "Timestamp request expired"}, Refused, "50102"),
        (200, {"code": "59301", "msg": "exceeding the max limit"}, Refused, "59301"),
        (200, {"code": "50004", "msg": "API endpoint request timeout"}, Unreachable, "50004"),
        (503, {"code": "50001", "msg": "Service temporarily unavailable"}, Unreachable, "50001"),
        (429, {"code": "50011", "msg": "Rate limit reached"}, Refused, "too many requests"),
        (200, {"code": "58124", "msg": "Your transfer is being processed"}, Unreachable, "58124"),
        (502, {"code": "51000", "msg": "no word of what became of it"}, Unreachable, "51000"),
    ],
)
@looped
async def test_what_the_venue_answers_to_a_money_call_is_told(
    status: int, reply: dict[str, str], kind: type[Exception], words: str
) -> None:
    async with desk(isolated()) as made:
        account = await made.account(ALONE)
        standing = await made.rescue.standing(account)
        (step,) = await made.rescue.prepare(
            account, option(standing, Means.ADD_MARGIN, "USDT", "100", "trading account")
        )
        made.venue.server.fail_writes(Reply(status, reply | {"data": []}))
        with pytest.raises(kind, match=words):
            await made.send(step)
        assert len(made.venue.server.writes) == 1


@looped
async def test_an_order_that_is_refused_by_its_row_was_not_taken() -> None:
    async with desk(futures_mode()) as made:
        account = await made.account("ok:USDT")
        standing = await made.rescue.standing(account)
        (step,) = await made.rescue.prepare(account, option(standing, Means.REDUCE, "BTC", "0.1"))
        made.venue.positions.clear()
        with pytest.raises(Refused, match="51169"):
            await made.send(step)


@looped
async def test_a_key_that_may_not_trade_is_a_problem_and_a_position_that_is_gone_is_refused() -> None:
    async with desk(isolated()) as made:
        account = await made.account(ALONE)
        standing = await made.rescue.standing(account)
        assert standing.problems == ()
        wanted = option(standing, Means.ADD_MARGIN, "USDT", "100", "trading account")
        made.venue.positions.clear()
        with pytest.raises(Refused, match="no such position"):
            await made.rescue.prepare(account, wanted)
        made.venue.permissions = "read_only"
        assert (await made.rescue.standing(account)).problems == ('the key lacks "Trade": no rescue works without it',)


@looped
async def test_a_dry_run_refuses_what_the_funds_no_longer_hold() -> None:
    async with desk(futures_mode()) as made:
        account = await made.account("ok:USDT")
        standing = await made.rescue.standing(account)
        steps = await made.rescue.prepare(account, option(standing, Means.ADD_MARGIN, "USDT", "900", "funding"))
        made.venue.funding["USDT"] = Decimal(100)
        dry = await made.rescue.simulate(account, steps)
        assert dry.health_factor is None
        assert "funding" in dry.refused


def test_from_the_command_line_a_plan_and_a_confirmed_top_up_change_the_served_account(tmp_path: Path) -> None:
    venue = isolated()
    with serving(lambda: venue.server) as server:
        config = write(
            tmp_path / "config.toml",
            [
                "[[account]]",
                'name = "ok"',
                'provider = "okx"',
                'key = "env:OK_KEY"',
                'secret = "env:OK_SECRET"',
                'passphrase = "env:OK_PASS"',
                f'rest_url = "{server.url_rest}"',
                f'ws_url = "{server.url_ws}"',
                "[prices]",
                "venues = []",
            ],
        )
        env = {"OK_KEY": KEY, "OK_SECRET": SECRET, "OK_PASS": PASSPHRASE}

        def run(*arguments: str) -> object:
            done = marginline(*arguments, "--config", config, "--json", env=env, home=tmp_path)
            assert done.code == 0, done.err + done.out
            assert not any(secret in done.out + done.err for secret in (SECRET, PASSPHRASE))
            return done.json

        before = run("status")
        plan = run("plan", ALONE, "--to", "6")
        run("topup", ALONE, "--to", "6", "--by", "add-margin", "--confirm")
        after = run("status")

    def health(status: object) -> Decimal:
        assert isinstance(status, dict)
        found = next(each for each in status["assessment"]["accounts"] if each["name"] == ALONE)
        return Decimal(found["health_factor"])

    assert isinstance(plan, dict)
    assert {each["means"] for each in plan["options"]} >= {"add-margin", "reduce"}
    assert health(before) < 4
    assert health(after) >= Decimal(6)
    assert Decimal(venue.positions[0]["margin"]) > 1600
