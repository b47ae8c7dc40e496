"""Rescues at Binance, over real sockets: what is sent, what becomes of it, and that nothing is ever sent twice."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import pytest

from desk.actions import ActionState, Stage
from desk.carry import Patience
from desk.executor import Executor
from desk.journal import Journal
from desk.judgement import with_marks
from desk.limits import Limits
from engine.accounts import Account
from engine.plans import plan
from engine.rescue import Means, Option, Plan, Target
from marginline.venue_key import VenueKey
from providers.binance_futures.rescue_wire import order_fate, parse_rules
from providers.binance_futures.usdm import UsdmAccounts
from providers.binance_futures.usdm_rescue import UsdmMoves
from providers.credentials import Credentials
from providers.errors import Malformed, Refused
from providers.ports import AccountOptions
from providers.rescue_ports import Fate, Found
from providers.venue_rescue import VenueRescue, decimals_of, facts_of, stepped
from tests.binance_server import KEY, SECRET, Binance, Lot
from tests.looped import looped
from tests.signed_server import Cut, Reply, SignedServer

LATER_MS = 120_000


@dataclass
class Bench:
    """One Binance user behind an executor. `late_ms` moves both clocks, so that waiting takes no time."""

    venue: Binance
    server: SignedServer
    rescue: VenueRescue
    accounts: UsdmAccounts
    executor: Executor
    key: VenueKey

    async def account(self, name: str) -> Account:
        reading = await self.accounts.read()
        return with_marks(next(each for each in reading.accounts if each.name == name), reading)

    async def plan(self, name: str, means: Means, health: str) -> Plan:
        account = await self.account(name)
        standing = await self.rescue.standing(account)
        return plan(account, {}, {}, Target(health=Decimal(health)), standing, time.time_ns(), means=means)

    async def run(self, name: str, means: Means, health: str, source: str = "") -> ActionState:
        made = await self.plan(name, means, health)
        option = next(each for each in made.options if source in each.source)
        assert option.blockers == ()
        await self.executor.arm({}, actor="test")
        return await self.executor.execute(made, option, actor="test")

    @property
    def money(self) -> list[str]:
        return [each.path for each in self.server.writes if "listenKey" not in each.path]


def lots() -> list[Lot]:
    return [
        Lot("BTCUSDT", Decimal("0.5"), Decimal(64000), Decimal(65000)),
        Lot("ETHUSDT", Decimal(-3), Decimal(3000), Decimal(3100), isolated=Decimal(700)),
    ]


@asynccontextmanager
async def bench(folder: Path, venue: Binance | None = None, land_s: float = 3.0) -> AsyncIterator[Bench]:
    venue = venue or Binance(lots=lots(), futures={"USDT": Decimal(4000)})
    async with venue.server() as server:
        credentials = Credentials("test", lambda: KEY, lambda: SECRET)
        options = AccountOptions("bn", "binance-usdm", rest_url=server.url_rest, credentials=credentials)
        key, moves, accounts = VenueKey("bn", credentials), UsdmMoves(options), UsdmAccounts(options)
        rescue = VenueRescue("bn", moves, UsdmAccounts(options), key, moves.transports)
        executor = Executor(
            Journal(folder / "journal.sqlite3"),
            {"bn": rescue},
            {"bn": rescue},
            {"bn": key},  # type: ignore[dict-item]  # a venue's key arms without a password
            {"bn": accounts},
            Limits(max_topup_usd=Decimal(100_000), max_per_day_usd=Decimal(1_000_000)),
            patience=Patience(land_s=land_s, look_every_s=0.02),
        )
        try:
            yield Bench(venue, server, rescue, accounts, executor, key)
        finally:
            await executor.aclose()
            await rescue.aclose()
            await accounts.aclose()


@looped
async def test_an_isolated_position_gets_margin_from_the_futures_wallet(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        done = await made.run("bn:ETHUSDT", Means.ADD_MARGIN, "30", "futures")
        assert (done.stage, done.exit_code) == (Stage.CONFIRMED, 0)
        assert done.health_after is not None
        assert done.health_after >= 30
        assert made.money == ["/fapi/v1/positionMargin"]
        assert made.venue.lot("ETHUSDT").isolated == 700 + done.amount


@looped
async def test_an_isolated_position_is_fed_from_spot_in_two_steps_when_the_futures_wallet_is_short(
    tmp_path: Path,
) -> None:
    venue = Binance(lots=lots()[1:], futures={"USDT": Decimal(10)})
    async with bench(tmp_path, venue) as made:
        both = await made.plan("bn:ETHUSDT", Means.ADD_MARGIN, "30")
        assert ["source empty" in " ".join(each.blockers) for each in both.options] == [False, True]
        done = await made.run("bn:ETHUSDT", Means.ADD_MARGIN, "30", "spot")
        assert done.stage is Stage.CONFIRMED
        assert [step.title.split()[0] for step in done.steps] == ["transfer", "add"]
        assert made.money == ["/sapi/v1/asset/transfer", "/fapi/v1/positionMargin"]
        assert made.venue.futures["USDT"] == 10
        assert made.venue.spot["USDT"] == 2000 - done.amount


@looped
async def test_a_cross_account_gets_coins_from_spot(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        done = await made.run("bn", Means.ADD_MARGIN, "40")
        assert done.stage is Stage.CONFIRMED
        assert done.health_after is not None
        assert done.health_after >= 40
        assert made.money == ["/sapi/v1/asset/transfer"]
        assert made.server.writes[0].fields["type"] == "MAIN_UMFUTURE"


@pytest.mark.parametrize(("amount", "side", "bound"), [("0.5", "SELL", "64675"), ("-0.5", "BUY", "65325")])
@looped
async def test_part_of_a_position_is_closed_within_a_bound(amount: str, side: str, bound: str, tmp_path: Path) -> None:
    lot = Lot("BTCUSDT", Decimal(amount), Decimal(65000), Decimal(65000))
    async with bench(tmp_path, Binance(lots=[lot], futures={"USDT": Decimal(4000)})) as made:
        done = await made.run("bn", Means.REDUCE, "50")
        assert done.stage is Stage.CONFIRMED
        assert done.health_after is not None
        assert done.health_after >= Decimal("49.9")
        fields = made.server.writes[0].fields
        assert (fields["side"], fields["type"], fields["timeInForce"]) == (side, "LIMIT", "IOC")
        assert fields["reduceOnly"] == "true"
        assert "positionSide" not in fields
        # The mark of the venue is 65,000: 0.5 % from it, in whole ticks, never beyond.
        assert fields["price"] == bound
        assert abs(made.venue.lot("BTCUSDT").amount) == Decimal("0.5") - Decimal(fields["quantity"])


@looped
async def test_an_isolated_position_is_not_reduced_for_health_that_its_released_margin_takes_away(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as made:
        (option,) = (await made.plan("bn:ETHUSDT", Means.REDUCE, "30")).options
        assert any("may return its margin" in each for each in option.blockers)
        assert made.money == []


@looped
async def test_in_hedge_mode_the_position_side_says_what_is_closed(tmp_path: Path) -> None:
    mark = Decimal(65000)
    sides = [
        Lot("BTCUSDT", Decimal("0.2"), Decimal(64000), mark, side="LONG"),
        Lot("BTCUSDT", Decimal("-0.5"), Decimal(66000), mark, side="SHORT"),
    ]
    async with bench(tmp_path, Binance(lots=sides, is_hedged=True, futures={"USDT": Decimal(3000)})) as made:
        done = await made.run("bn", Means.REDUCE, "40")
        assert done.stage is Stage.CONFIRMED
        fields = made.server.writes[0].fields
        assert (fields["side"], fields["positionSide"]) == ("BUY", "SHORT")
        assert "reduceOnly" not in fields


@looped
async def test_one_side_of_a_hedge_gets_margin_of_its_own(tmp_path: Path) -> None:
    mark = Decimal(3100)
    sides = [
        Lot("ETHUSDT", Decimal(3), Decimal(3000), mark, isolated=Decimal(700), side="LONG"),
        Lot("ETHUSDT", Decimal(-3), Decimal(3000), mark, isolated=Decimal(700), side="SHORT"),
    ]
    async with bench(tmp_path, Binance(lots=sides, is_hedged=True)) as made:
        done = await made.run("bn:ETHUSDT:SHORT", Means.ADD_MARGIN, "30", "futures")
        assert done.stage is Stage.CONFIRMED
        assert made.server.writes[0].fields["positionSide"] == "SHORT"
        assert made.venue.lot("ETHUSDT", "LONG").isolated == 700


@looped
async def test_an_order_that_fills_in_part_is_done_and_says_how_much_and_is_not_repeated(tmp_path: Path) -> None:
    venue = Binance(lots=lots(), futures={"USDT": Decimal(4000)}, fill_share=Decimal("0.5"))
    async with bench(tmp_path, venue) as made:
        done = await made.run("bn", Means.REDUCE, "50")
        assert done.stage is Stage.CONFIRMED
        assert "the rest was cancelled" in done.steps[0].evidence
        assert len(made.money) == 1


@looped
async def test_an_order_that_finds_no_price_within_the_bound_is_rejected(tmp_path: Path) -> None:
    venue = Binance(lots=lots(), futures={"USDT": Decimal(4000)}, fill_share=Decimal(0))
    async with bench(tmp_path, venue) as made:
        done = await made.run("bn", Means.REDUCE, "50")
        assert (done.stage, done.exit_code) == (Stage.REJECTED, 31)
        assert "nothing was closed" in done.evidence


MOVES = [
    ("bn", Means.ADD_MARGIN, "40", "spot"),
    ("bn:ETHUSDT", Means.ADD_MARGIN, "30", "futures"),
    ("bn", Means.REDUCE, "50", ""),
]


@pytest.mark.parametrize(("name", "means", "health", "source"), MOVES)
@pytest.mark.parametrize(
    "how",
    [Cut(is_carried_out=True), Reply(503, {"code": -1007, "msg": "Timeout waiting for response"})],
    ids=["answer lost", "status unknown"],
)
@looped
async def test_an_outcome_that_nobody_knows_is_found_by_reading_and_never_sent_again(
    name: str, means: Means, health: str, source: str, how: Cut | Reply, tmp_path: Path
) -> None:
    async with bench(tmp_path, land_s=20.0 if isinstance(how, Cut) else 0.3) as made:
        made.server.fail_writes(how)
        done = await made.run(name, means, health, source)
        assert len(made.money) == 1
        if isinstance(how, Cut):
            assert (done.stage, done.exit_code) == (Stage.CONFIRMED, 0)
            return
        assert (done.stage, done.exit_code) == (Stage.UNKNOWN, 32)
        # Later, when its window is long over and no history has it, it is certain that it was never taken.
        found = await later(made, done)
        assert found.fate is Fate.REJECTED
        assert len(made.money) == 1


async def later(made: Bench, done: ActionState) -> Found:
    """Return what is found of the first step two minutes on, by the venue's clock and its reference made older."""
    words = done.steps[0].reference.split()
    stamp = next(word for word in words if word.startswith("at="))
    older = f"at={int(stamp.removeprefix('at=')) - LATER_MS}"
    return await made.rescue.find(" ".join(older if word == stamp else word for word in words), None, "")


@looped
async def test_a_transfer_that_was_taken_but_is_in_no_history_stays_open(tmp_path: Path) -> None:
    async with bench(tmp_path, land_s=0.3) as made:
        empty = Reply(200, {})
        made.server.fail(empty, times=999, only=lambda asked: (asked.method, asked.path) == HISTORY)
        done = await made.run("bn", Means.ADD_MARGIN, "40")
        assert done.stage is Stage.UNKNOWN
        found = await made.rescue.find(done.steps[0].reference, None, "")
        assert found.fate is Fate.PENDING
        assert "not in the history yet" in found.evidence
        made.server.heal()
        settled = await made.executor.reconcile_open(actor="test")
        assert [each.stage for each in settled] == [Stage.CONFIRMED]
        assert len(made.money) == 1


HISTORY = ("GET", "/sapi/v1/asset/transfer")


@looped
async def test_a_transfer_that_only_the_futures_wallet_knows_has_landed(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        account = await made.account("bn")
        option = (await made.plan("bn", Means.ADD_MARGIN, "40")).options[0]
        (step,) = await made.rescue.prepare(account, option)
        await made.key.unlock()
        reference = made.rescue.sign(step, made.key).reference
        at_ms = int(facts_of(reference)["at"])
        income = [
            {"incomeType": "TRANSFER", "income": f"{option.amount}", "asset": "USDT", "time": at_ms, "tranId": 77}
        ]
        made.server.fail(Reply(200, income), only=lambda asked: asked.path.endswith("/income"))
        made.venue.ahead_ms = LATER_MS
        await made.rescue._moves._futures.timekeeper.measure()  # type: ignore[attr-defined]  # the venue's clock moved
        found = await made.rescue.find(reference, None, "")
        assert found.fate is Fate.CONFIRMED
        assert "77" in found.evidence


@pytest.mark.parametrize(
    ("code", "words"),
    [(-4050, "Cross balance insufficient"), (-1021, "Timestamp"), (-2015, "Enable Futures"), (-1003, "too many")],
)
@looped
async def test_a_certain_refusal_ends_as_rejected_with_the_venues_words(code: int, words: str, tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        said = {"code": code, "msg": f"{words} and more"}
        made.server.fail_writes(Reply(429 if code == -1003 else 400, said))
        done = await made.run("bn:ETHUSDT", Means.ADD_MARGIN, "30", "futures")
        assert (done.stage, done.exit_code) == (Stage.REJECTED, 31)
        assert words in done.evidence
        assert len(made.money) == 1
        assert not any(secret in done.evidence for secret in (KEY, SECRET))


@looped
async def test_a_key_that_lacks_a_right_is_told_before_anything_is_signed(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.venue.rights["permitsUniversalTransfer"] = False
        cross = await made.rescue.standing(await made.account("bn"))
        assert "Permits Universal Transfer" in cross.facilities[0].refused
        assert cross.problems == ()
        assert any(Means.REDUCE in each.means and not each.refused for each in cross.facilities)
        alone = await made.rescue.standing(await made.account("bn:ETHUSDT"))
        assert [each.source for each in alone.funds] == ["futures wallet"]
        made.venue.rights["enableFutures"] = False
        assert "Enable Futures" in (await made.rescue.standing(await made.account("bn:ETHUSDT"))).problems[0]
        both = (await made.rescue.standing(await made.account("bn"))).problems
        assert len(both) == 2


@looped
async def test_funds_that_are_gone_by_now_stop_it_in_the_dry_run(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        account = await made.account("bn:ETHUSDT")
        option = next(each for each in (await made.plan(account.name, Means.ADD_MARGIN, "30")).options)
        steps = await made.rescue.prepare(account, option)
        assert (await made.rescue.simulate(account, steps)).refused == ""
        made.venue.futures["USDT"] = Decimal(1)
        made.venue.spot["USDT"] = Decimal(1)
        assert "are needed" in (await made.rescue.simulate(account, steps)).refused


@looped
async def test_less_than_a_lot_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        account = await made.account("bn")
        made_option = (await made.plan("bn", Means.REDUCE, "50")).options[0]
        tiny: Option = replace(made_option, amount=Decimal("0.0004"))
        with pytest.raises(Refused, match="less than one lot"):
            await made.rescue.prepare(account, tiny)


@looped
async def test_the_journal_and_the_reference_hold_no_secret(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        done = await made.run("bn:ETHUSDT", Means.ADD_MARGIN, "30", "futures")
        kept = written(tmp_path)
        assert b"ETHUSDT" in kept
        for secret in (KEY.encode(), SECRET.encode(), b"signature"):
            assert secret not in kept
        assert facts_of(done.steps[0].reference)["symbol"] == "ETHUSDT"


def written(folder: Path) -> bytes:
    """Return every byte that the journal keeps, its write-ahead log included."""
    return b"".join(path.read_bytes() for path in folder.iterdir())


def test_orders_are_rounded_within_the_bound_and_to_whole_lots() -> None:
    assert stepped(Decimal("64675.04"), Decimal("0.10"), up=True) == Decimal("64675.1")
    assert stepped(Decimal("65324.96"), Decimal("0.10"), up=False) == Decimal("65324.9")
    assert stepped(Decimal("17"), Decimal("10"), up=False) == 10
    assert [decimals_of(Decimal(step)) for step in ("0.001", "1", "0.10", "10")] == [3, 0, 1, 0]


def test_the_fate_of_an_order_is_read_from_its_status() -> None:
    def fate(status: str, filled: str) -> Fate:
        told = {"status": status, "origQty": "2", "executedQty": filled, "avgPrice": "10", "new": 1}
        return order_fate(json.dumps(told).encode()).fate

    assert fate("FILLED", "2") is Fate.CONFIRMED
    assert fate("EXPIRED", "1") is Fate.CONFIRMED
    assert fate("EXPIRED_IN_MATCH", "0") is Fate.REJECTED
    assert fate("NEW", "0") is fate("PARTIALLY_FILLED", "1") is Fate.PENDING
    for raw in (b"{}", b'{"status":"SIDEWAYS"}', b"[]"):
        with pytest.raises(Malformed):
            order_fate(raw)


def test_symbols_without_rules_have_none() -> None:
    raw = (
        b'{"symbols":[{"symbol":"A","filters":[]},{"symbol":"B","filters":[{"filterType":"LOT_SIZE","stepSize":"1"}]}]}'
    )
    assert parse_rules(raw) == {}
