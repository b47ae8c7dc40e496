"""Rescues at Bybit: exact requests, two steps from funding, sides of a hedge, unknown outcomes found by reading."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from engine.accounts import Account
from engine.rescue import HealthPath, Means, Option, Standing
from marginline.venue_key import VenueKey
from providers.bybit_account.fates import SETTLED_S, added_fate, order_fate, transfer_fate
from providers.bybit_account.moves_wire import OrderTold
from providers.bybit_account.rescue import make
from providers.bybit_account.source import source
from providers.bybit_account.wire import Held
from providers.credentials import Credentials
from providers.errors import Refused, Unauthorised, Unreachable
from providers.ports import AccountOptions
from providers.rescue_ports import Fate, Found, Step
from providers.venue_rescue import VenueRescue
from tests.bybit_server import KEY, SECRET, Bybit, coin, cross, isolated, row
from tests.looped import looped
from tests.marginline.command import marginline, write
from tests.signed_server import Cut, Reply
from tests.signed_thread import serving


class Desk:
    """A rescuer with its armed key, and readings of the same account."""

    def __init__(self, venue: Bybit) -> None:
        self.venue = venue
        keys = Credentials("bb", lambda: KEY, lambda: SECRET)
        self.options = AccountOptions("bb", "bybit", rest_url=venue.server.url_rest, credentials=keys)
        self.key = VenueKey("bb", keys)
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
async def desk(venue: Bybit) -> AsyncIterator[Desk]:
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


def test_transfers_orders_and_margin_are_judged_by_what_the_venue_shows() -> None:
    told = {name: transfer_fate(name).fate for name in ("SUCCESS", "FAILED", "PENDING", "STATUS_UNKNOWN")}
    assert list(told.values()) == [Fate.CONFIRMED, Fate.REJECTED, Fate.PENDING, Fate.PENDING]
    assert transfer_fate(None, 1).fate is Fate.UNKNOWN
    assert transfer_fate(None, SETTLED_S + 1).fate is Fate.REJECTED
    half = OrderTold("PartiallyFilledCanceled", Decimal("0.1"), Decimal(60000))
    assert order_fate(half).fate is Fate.CONFIRMED
    assert "0.1 at 60000" in order_fate(half).evidence
    assert order_fate(OrderTold("Cancelled", Decimal(0), None, "EC_NoError")).fate is Fate.REJECTED
    assert order_fate(OrderTold("New", Decimal(0), None)).fate is Fate.PENDING
    assert order_fate(None, 1).fate is Fate.UNKNOWN


@pytest.mark.parametrize(
    ("now", "age_s", "fate"),
    [
        (
            Held("B", "linear", Decimal(1), entry_price=Decimal(20000), liquidation_price=Decimal(19600)),
            1,
            Fate.CONFIRMED,
        ),
        (
            Held("B", "linear", Decimal(1), entry_price=Decimal(20000), liquidation_price=Decimal(19700)),
            1,
            Fate.PENDING,
        ),
        (
            Held("B", "linear", Decimal(1), entry_price=Decimal(20000), liquidation_price=Decimal(19700)),
            99,
            Fate.REJECTED,
        ),
        (Held("B", "linear", Decimal(1), entry_price=Decimal(20000)), 1, Fate.CONFIRMED),
        (Held("B", "linear", Decimal(2), entry_price=Decimal(20000), liquidation_price=Decimal(1)), 99, Fate.UNKNOWN),
        (None, 99, Fate.UNKNOWN),
    ],
)
def test_added_margin_is_seen_by_the_liquidation_price(now: Held | None, age_s: float, fate: Fate) -> None:
    facts = {"symbol": "B", "category": "linear", "limit": "19700", "margin": "100", "size": "1", "entry": "20000"}
    assert added_fate(facts, now, age_s).fate is fate


@looped
async def test_margin_is_added_to_an_isolated_position_by_the_documented_request() -> None:
    async with desk(isolated()) as made:
        account = await made.account("bb:BTCUSDT")
        standing = await made.rescue.standing(account)
        assert {(each.source, each.amount) for each in standing.funds} == {
            ("unified account", Decimal(4600)),
            ("funding", Decimal(1000)),
        }
        assert standing.problems == ()
        (step,) = await made.rescue.prepare(
            account, option(standing, Means.ADD_MARGIN, "USDT", "100", "unified account")
        )
        dry = await made.rescue.simulate(account, [step])
        assert (dry.refused, await made.rescue.verify(account, [step])) == ("", "")
        found = await made.send(step)
        assert found.fate is Fate.CONFIRMED
        (sent,) = made.venue.server.writes
        assert sent.body == '{"category":"linear","symbol":"BTCUSDT","margin":"100","positionIdx":0}'
        after = await made.account("bb:BTCUSDT")
        assert after.positions[0].venue_liquidation_price == 19600
        assert dry.health_factor is not None


@looped
async def test_an_isolated_position_is_fed_from_funding_in_two_steps() -> None:
    async with desk(isolated()) as made:
        account = await made.account("bb:BTCUSDT")
        standing = await made.rescue.standing(account)
        steps = await made.rescue.prepare(account, option(standing, Means.ADD_MARGIN, "USDT", "300", "funding"))
        assert [step.payload["action"] for step in steps] == ["inter-transfer", "add-margin"]
        assert "effect" not in steps[0].payload
        for step in steps:
            assert (await made.send(step)).fate is Fate.CONFIRMED
        transfer = json.loads(made.venue.server.writes[0].body)
        assert UUID(transfer["transferId"]).version == 4
        assert (transfer["fromAccountType"], transfer["toAccountType"], transfer["amount"]) == (
            "FUND",
            "UNIFIED",
            "300",
        )
        assert made.venue.funding["USDT"] == 700


@looped
async def test_a_pending_transfer_is_found_by_its_id() -> None:
    async with desk(cross()) as made:
        made.venue.transfer_status = "PENDING"
        account = await made.account("bb")
        standing = await made.rescue.standing(account)
        (step,) = await made.rescue.prepare(account, option(standing, Means.ADD_MARGIN, "USDT", "50", "funding"))
        assert (await made.send(step)).fate is Fate.PENDING
        made.venue.transfer_status = "SUCCESS"
        signed = made.rescue.sign(step, made.key)
        assert (await made.rescue.find(signed.reference, None, "bb")).fate is Fate.CONFIRMED
        assert len(made.venue.server.writes) == 1


@looped
async def test_coins_that_back_a_cross_account_can_be_brought_from_funding() -> None:
    venue = cross()
    venue.funding["BTC"] = Decimal("0.5")
    async with desk(venue) as made:
        account = await made.account("bb")
        standing = await made.rescue.standing(account)
        wanted = option(standing, Means.ADD_MARGIN, "BTC", "0.2", "funding")
        assert wanted.facility is not None
        assert wanted.facility.liquidation_threshold == Decimal("0.95")
        (step,) = await made.rescue.prepare(account, wanted)
        dry = await made.rescue.simulate(account, [step])
        assert dry.health_factor is not None
        assert abs(dry.health_factor - (Decimal(11700) + 12000 * Decimal("0.95")) / Decimal("164.85")) < Decimal("1e-9")


@pytest.mark.parametrize(("mode", "fills", "fate"), [("all", None, Fate.CONFIRMED), ("none", "0", Fate.REJECTED)])
@looped
async def test_part_of_a_position_is_closed_reduce_only_within_a_bound(
    mode: str, fills: str | None, fate: Fate
) -> None:
    venue = cross()
    venue.fills = None if fills is None else Decimal(fills)
    async with desk(venue) as made:
        account = await made.account("bb")
        standing = await made.rescue.standing(account)
        (step,) = await made.rescue.prepare(account, option(standing, Means.REDUCE, "BTC", "0.1234"))
        assert (await made.rescue.simulate(account, [step])).refused == ""
        assert (await made.send(step)).fate is fate
        sent = json.loads(venue.server.writes[0].body)
        assert sent.pop("orderLinkId").startswith("ml-")
        assert sent == {
            "category": "linear",
            "symbol": "BTCUSDT",
            "side": "Sell",
            "orderType": "Limit",
            "qty": "0.124",
            "price": "59700",
            "timeInForce": "IOC",
            "positionIdx": 0,
            "reduceOnly": True,
        }
        left = "0.376" if mode == "all" else "0.5"
        assert Decimal(venue.positions["linear"][0]["size"]) == Decimal(left)


@looped
async def test_the_side_of_a_hedge_that_is_named_is_the_one_that_is_closed() -> None:
    venue = cross()
    venue.totals = {}
    venue.positions["linear"] = [
        row("BTCUSDT", "Buy", "0.5", "58000", "60000", positionIdx=1),
        row("BTCUSDT", "Sell", "0.2", "61000", "60000", positionIdx=2),
    ]
    async with desk(venue) as made:
        account = await made.account("bb")
        standing = await made.rescue.standing(account)
        (step,) = await made.rescue.prepare(account, option(standing, Means.REDUCE, "BTC", "0.2", side="short"))
        dry = await made.rescue.simulate(account, [step])
        assert dry.refused == ""
        await made.send(step)
        sent = json.loads(venue.server.writes[0].body)
        assert (sent["side"], sent["positionIdx"], sent["price"]) == ("Buy", 2, "60300")
        assert [each["size"] for each in venue.positions["linear"]] == ["0.5", "0.0"]


@looped
async def test_an_inverse_position_is_closed_by_its_face() -> None:
    venue = cross()
    venue.totals, venue.coins = {}, [coin("BTC", "1", "60000")]
    venue.positions = {"linear": [], "inverse": [row("BTCUSD", "Sell", "30000", "60000", "60000")]}
    async with desk(venue) as made:
        account = await made.account("bb")
        standing = await made.rescue.standing(account)
        (step,) = await made.rescue.prepare(account, option(standing, Means.REDUCE, "BTC", "0.25"))
        sent = step.payload["fields"]
        assert isinstance(sent, dict)
        assert (sent["category"], sent["qty"], sent["side"]) == ("inverse", "15000", "Buy")


@pytest.mark.parametrize("is_carried_out", [True, False])
@looped
async def test_an_unknown_outcome_is_read_and_never_sent_twice(is_carried_out: bool) -> None:
    async with desk(isolated()) as made:
        account = await made.account("bb:BTCUSDT")
        standing = await made.rescue.standing(account)
        (step,) = await made.rescue.prepare(
            account, option(standing, Means.ADD_MARGIN, "USDT", "100", "unified account")
        )
        await made.key.unlock()
        signed = made.rescue.sign(step, made.key)
        made.venue.server.fail_writes(Cut(is_carried_out))
        with pytest.raises(Unreachable):
            await made.rescue.send(signed)
        found = await made.rescue.find(signed.reference, signed.nonce, signed.owner)
        assert found.fate is (Fate.CONFIRMED if is_carried_out else Fate.PENDING)
        assert len(made.venue.server.writes) == 1
        assert made.venue.positions["linear"][0]["liqPrice"] == ("19600" if is_carried_out else "19700")


@pytest.mark.parametrize(
    ("status", "code", "kind", "words"),
    [
        (200, 10005, Unauthorised, "lacks a permission"),
        (200, 10002, Refused, "10002"),
        (200, 110012, Refused, "not enough available balance"),
        (200, 110015, Refused, "cross margin"),
        (200, 10016, Unreachable, "10016"),
        (200, 10006, Refused, "too many requests"),
        (200, 131201, Unreachable, "131201"),
        (200, 170007, Unreachable, "170007"),
        (504, 10001, Unreachable, "10001"),
    ],
)
@looped
async def test_what_the_venue_answers_to_a_money_call_is_told(
    status: int, code: int, kind: type[Exception], words: str
) -> None:
    async with desk(isolated()) as made:
        account = await made.account("bb:BTCUSDT")
        standing = await made.rescue.standing(account)
        (step,) = await made.rescue.prepare(
            account, option(standing, Means.ADD_MARGIN, "USDT", "100", "unified account")
        )
        made.venue.server.fail_writes(Reply(status, {"retCode": code, "retMsg": "no", "result": {}}))
        with pytest.raises(kind, match=words):
            await made.send(step)
        assert len(made.venue.server.writes) == 1


@pytest.mark.parametrize(
    ("rights", "words"),
    [
        ({"ContractTrade": ["Order"], "Wallet": ["AccountTransfer"]}, "Contracts - Positions"),
        ({"ContractTrade": ["Position"], "Wallet": ["AccountTransfer"]}, "Contracts - Orders"),
    ],
)
@looped
async def test_a_missing_permission_is_named_where_it_is_needed(rights: dict[str, list[str]], words: str) -> None:
    async with desk(isolated()) as made:
        made.venue.rights = rights
        standing = await made.rescue.standing(await made.account("bb:BTCUSDT"))
        assert any(words in each.refused for each in standing.facilities)
        assert standing.problems == ()


@looped
async def test_a_read_only_key_is_a_problem_and_a_position_that_is_gone_is_refused() -> None:
    async with desk(isolated()) as made:
        account = await made.account("bb:BTCUSDT")
        standing = await made.rescue.standing(account)
        wanted = option(standing, Means.ADD_MARGIN, "USDT", "100", "unified account")
        made.venue.positions["linear"][0] |= {"size": "0", "side": ""}
        with pytest.raises(Refused, match="no such position"):
            await made.rescue.prepare(account, wanted)
        made.venue.read_only = 1
        assert "read-only" in (await made.rescue.standing(account)).problems[0]


@looped
async def test_a_venue_that_tells_no_permissions_is_left_to_refuse_by_itself() -> None:
    demo = Reply(200, {"retCode": 10032, "retMsg": "Demo trading are not supported.", "result": {}})
    async with desk(isolated()) as made:
        account = await made.account("bb:BTCUSDT")
        made.venue.server.fail(demo, only=lambda asked: asked.path == "/v5/user/query-api")
        standing = await made.rescue.standing(account)
        assert standing.problems == ()
        assert [each.refused for each in standing.facilities if Means.ADD_MARGIN in each.means] == [""]


@looped
async def test_a_dry_run_refuses_what_the_funds_no_longer_hold() -> None:
    async with desk(cross()) as made:
        account = await made.account("bb")
        standing = await made.rescue.standing(account)
        steps = await made.rescue.prepare(account, option(standing, Means.ADD_MARGIN, "USDT", "900", "funding"))
        made.venue.funding["USDT"] = Decimal(100)
        dry = await made.rescue.simulate(account, steps)
        assert dry.health_factor is None
        assert "funding" in dry.refused


@looped
async def test_a_step_made_for_another_account_or_long_ago_is_refused() -> None:
    async with desk(cross()) as made:
        account = await made.account("bb")
        standing = await made.rescue.standing(account)
        (step,) = await made.rescue.prepare(account, option(standing, Means.ADD_MARGIN, "USDT", "10", "funding"))
        old = Step(step.title, {**step.payload, "made": str(time.time_ns() // 1_000_000 - 99_000)})
        other = Step(step.title, {**step.payload, "account": "else"})
        assert "make it again" in await made.rescue.verify(account, [old])
        assert "else" in await made.rescue.verify(account, [other])


def test_from_the_command_line_a_plan_and_a_confirmed_top_up_change_the_served_account(tmp_path: Path) -> None:
    venue = isolated()
    with serving(lambda: venue.server) as server:
        config = write(
            tmp_path / "config.toml",
            [
                "[[account]]",
                'name = "bb"',
                'provider = "bybit"',
                'key = "env:BB_KEY"',
                'secret = "env:BB_SECRET"',
                f'rest_url = "{server.url_rest}"',
                f'ws_url = "{server.url_ws}"',
                "[prices]",
                "venues = []",
            ],
        )
        env = {"BB_KEY": KEY, "BB_SECRET": SECRET}

        def run(*arguments: str) -> object:
            done = marginline(*arguments, "--config", config, "--json", env=env, home=tmp_path)
            assert done.code == 0, done.err + done.out
            assert SECRET not in done.out + done.err
            return done.json

        before = run("status")
        plan = run("plan", "bb:BTCUSDT", "--to", "6")
        topped = run("topup", "bb:BTCUSDT", "--to", "6", "--by", "add-margin", "--confirm")
        after = run("status")

    def health(status: object) -> Decimal:
        assert isinstance(status, dict)
        found = next(each for each in status["assessment"]["accounts"] if each["name"] == "bb:BTCUSDT")
        return Decimal(found["health_factor"])

    assert isinstance(plan, dict)
    assert {each["means"] for each in plan["options"]} >= {"add-margin", "reduce"}
    assert topped
    assert health(before) < 4
    assert health(after) > Decimal("5.9")
    assert Decimal(venue.positions["linear"][0]["liqPrice"]) < 19500
