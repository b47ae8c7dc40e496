"""Speeding up what waits: money moves once, the replaced one stays known, and whichever is mined decides."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from desk.actions import ActionState, Refusal, Stage, StepFate
from desk.carry import Patience
from desk.entries import Entry, EntryKind
from desk.executor import Executor
from desk.journal import Journal
from desk.limits import Limits
from desk.replay import signed_steps
from desk.speedup import Faster
from providers.errors import Refused, Unreachable
from tests.doubles_mempool import Mempool
from tests.doubles_rescue import CountingBox, plan_for

SHORT = Patience(land_s=0.03, look_every_s=0.001, answer_s=1.0)
LONG = replace(SHORT, land_s=20.0)


class Bench:
    """A supply that waits in the mempool behind an approval that landed, and the executor that sent it."""

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        self.chain, self.box = Mempool("main"), CountingBox()
        self.chain.mines_at_once = {"approve"}
        self.path, self.limits = folder / "journal.sqlite3", limits or Limits()
        self.executor = self.started(SHORT)

    def started(self, patience: Patience) -> Executor:
        """Return an executor as a new start makes it."""
        one, chain = "main", self.chain
        self.journal = Journal(self.path, clock=chain.clock)
        by = {one: chain}
        self.executor = Executor(
            self.journal, by, by, {one: self.box}, by, self.limits, clock=chain.clock, patience=patience
        )
        return self.executor

    async def stuck(self) -> ActionState:
        """Carry out a plan whose supply does not land in time."""
        await self.executor.arm({}, actor="test")
        plan = plan_for()
        action = await self.executor.execute(plan, plan.options[0], actor="test")
        assert (action.stage, action.steps[1].fate) == (Stage.UNKNOWN, StepFate.UNKNOWN)
        return action

    async def sped_up(self, action: ActionState) -> ActionState:
        """Take the offer at once."""
        return await self.executor.speed_up(await self.executor.faster(action.id), actor="test s")

    def kept(self) -> ActionState:
        """Return the one action as the journal tells it."""
        (action,) = self.journal.actions()
        return action

    @property
    def kinds(self) -> list[str]:
        return [entry.kind for entry in reversed(self.journal.history())]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def mines_on_send(bench: Bench) -> None:
    """Let the next thing that is sent be mined at once."""
    bench.chain.mines_at_once.add("supply")


def test_what_waits_is_overtaken_by_the_same_at_a_higher_fee(bench: Bench) -> None:
    async def work() -> None:
        action = await bench.stuck()
        assert bench.chain.sent == ["tx-7-16", "tx-8-16"]
        mines_on_send(bench)
        done = await bench.sped_up(action)
        assert done.stage is Stage.CONFIRMED
        assert (done.steps[1].reference, done.steps[1].earlier) == ("tx-8-19", ("tx-8-16",))
        assert done.steps[1].fee_usd == 19
        assert bench.chain.mined == {7: "tx-7-16", 8: "tx-8-19"}
        assert bench.kept() == replace(done, actor="test")
        assert bench.kinds[-5:] == ["replace", "signed", "sent", "outcome", "result"]
        assert bench.journal.verify() == ()

    asyncio.run(work())


def test_the_intent_is_durable_before_the_signature_exists(bench: Bench) -> None:
    async def work() -> None:
        action = await bench.stuck()
        offer = await bench.executor.faster(action.id)
        signatures, sign = bench.box.signatures, bench.box.sign_digest
        seen: list[str] = []

        def look_first(digest: bytes) -> tuple[int, int, int]:
            seen.extend(entry.kind for entry in Journal(bench.path).history(1))
            return sign(digest)

        bench.box.sign_digest = look_first  # type: ignore[method-assign]  # the test's own signer looks first
        await bench.executor.speed_up(offer, actor="test")
        assert seen == [EntryKind.REPLACE]
        assert bench.box.signatures == signatures + 1
        (intent,) = (entry for entry in bench.journal.history() if entry.kind == EntryKind.REPLACE)
        assert intent.facts["replaces"] == "tx-8-16"
        assert intent.facts["payload"] == dict(offer.step.payload)
        assert intent.facts["by"] == "test"

    asyncio.run(work())


@pytest.mark.parametrize("lands", ["tx-8-16", "tx-8-19"])
def test_whichever_of_the_two_is_mined_decides(bench: Bench, lands: str) -> None:
    """The replaced one may be mined all the same; after a restart the journal alone says what to look for."""

    async def work() -> None:
        action = await bench.stuck()
        slow = bench.chain.waiting[8]
        assert (await bench.sped_up(action)).stage is Stage.UNKNOWN
        fast = bench.chain.waiting[8]
        assert (slow.reference, fast.reference) == ("tx-8-16", "tx-8-19")
        await bench.executor.aclose()
        executor = bench.started(SHORT)
        (still,) = await executor.reconcile_open(actor="restarted")
        assert (still.stage, still.steps[1].references) == (Stage.UNKNOWN, ("tx-8-19", "tx-8-16"))
        bench.chain.waiting[8] = slow if lands == slow.reference else fast
        bench.chain.mine(lands)
        (settled,) = await executor.reconcile_open(actor="restarted")
        assert (settled.stage, settled.steps[1].reference) == (Stage.CONFIRMED, lands)
        assert set(settled.steps[1].references) == {"tx-8-16", "tx-8-19"}
        assert bench.kept().steps == settled.steps
        assert bench.journal.verify() == ()

    asyncio.run(work())


def test_both_are_rejected_only_when_something_else_took_the_nonce(bench: Bench) -> None:
    async def work() -> None:
        action = await bench.stuck()
        await bench.sped_up(action)
        bench.chain.mined[8] = "somebody-else"
        (settled,) = await bench.executor.reconcile_open(actor="test")
        assert settled.stage is Stage.REJECTED
        assert "somebody-else" in settled.evidence

    asyncio.run(work())


def test_a_replacement_that_reverts_says_why_and_not_that_its_nonce_was_used(bench: Bench) -> None:
    async def work() -> None:
        action = await bench.stuck()
        await bench.sped_up(action)
        bench.chain.reverts = True
        bench.chain.mine("tx-8-19")
        (settled,) = await bench.executor.reconcile_open(actor="test")
        assert (settled.stage, settled.steps[1].evidence) == (Stage.REJECTED, "reverted")

    asyncio.run(work())


def test_the_replaced_one_that_lands_while_the_faster_is_handed_over_is_a_confirmed_rescue(bench: Bench) -> None:
    """The node refuses the faster one since its nonce is used: that is no rejection of the rescue."""

    async def work() -> None:
        action = await bench.stuck()
        offer = await bench.executor.faster(action.id)
        reached = bench.chain.hold("send")
        task = asyncio.create_task(bench.executor.speed_up(offer, actor="test"))
        await reached.wait()
        bench.chain.mine("tx-8-16")
        bench.chain.held["send"].set()
        done = await task
        assert (done.stage, done.steps[1].reference) == (Stage.CONFIRMED, "tx-8-16")
        assert bench.chain.sent == ["tx-7-16", "tx-8-16"]

    asyncio.run(work())


def test_exactly_one_of_the_two_counts_as_spent(bench: Bench) -> None:
    async def work() -> None:
        action = await bench.stuck()
        left = (await bench.executor.caps("main")).day_left_usd
        assert left == Decimal(5_000)
        await bench.sped_up(action)
        assert (await bench.executor.caps("main")).day_left_usd == left - 19
        await bench.sped_up(bench.kept())
        assert (await bench.executor.caps("main")).day_left_usd == left - 22

    asyncio.run(work())


def test_what_is_still_being_followed_is_overtaken_and_goes_on_to_its_end(bench: Bench) -> None:
    async def work() -> None:
        executor = bench.started(LONG)
        bench.chain.mines_at_once = set()
        await executor.arm({}, actor="test")
        plan, reached = plan_for(), bench.chain.hold("find")
        task = asyncio.create_task(executor.execute(plan, plan.options[0], actor="test"))
        await reached.wait()
        bench.chain.held["find"].set()
        action = executor.actions[0]
        bench.chain.mines_at_once = {"approve", "supply"}
        there = await executor.speed_up(await executor.faster(action.id), actor="test s")
        assert there.steps[0].reference == "tx-7-19"
        done = await task
        assert done.stage is Stage.CONFIRMED
        assert bench.chain.mined == {7: "tx-7-19", 8: "tx-8-16"}
        assert bench.kept() == done

    asyncio.run(work())


async def disarmed(bench: Bench, offer: Faster) -> Faster:
    await bench.executor.disarm(actor="test")
    return offer


async def aged(bench: Bench, offer: Faster) -> Faster:
    bench.chain.clock.now_ns += 61_000_000_000
    return offer


async def landed(bench: Bench, offer: Faster) -> Faster:
    bench.chain.mine("tx-8-16")
    await bench.executor.reconcile_open(actor="test")
    return offer


async def mined(bench: Bench, offer: Faster) -> Faster:
    bench.chain.mine("tx-8-16")
    return offer


async def replaced(bench: Bench, offer: Faster) -> Faster:
    await bench.executor.speed_up(offer, actor="test")
    return offer


async def dear(bench: Bench, offer: Faster) -> Faster:
    return replace(offer, fee_usd=Decimal("5000.01"))


async def unpriced(bench: Bench, offer: Faster) -> Faster:
    return replace(offer, fee_usd=None)


async def objected(bench: Bench, offer: Faster) -> Faster:
    bench.chain.objection = "the pool is another"
    return offer


async def locked(bench: Bench, offer: Faster) -> Faster:
    bench.box.lock()
    return offer


REFUSALS: dict[str, tuple[Callable[[Bench, Faster], Awaitable[Faster]], str]] = {
    "unarmed": (disarmed, "not armed"),
    "stale": (aged, "61 s old"),
    "settled": (landed, "no open action"),
    "mined meanwhile": (mined, "its nonce is used"),
    "replaced already": (replaced, "settled or replaced meanwhile"),
    "over the cap": (dear, "over the cap of 5,000.00 USD per action"),
    "no price": (unpriced, "no cap can vouch for it"),
    "another pool": (objected, "the pool is another"),
    "locked": (locked, "locked"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_replacement_is_refused_with_its_reason_and_nothing_is_signed(bench: Bench, case: str) -> None:
    change, words = REFUSALS[case]

    async def work() -> None:
        offer = await bench.executor.faster((await bench.stuck()).id)
        offer = await change(bench, offer)
        before = bench.box.signatures, list(bench.chain.sent)
        with pytest.raises(Refusal, match=words):
            await bench.executor.speed_up(offer, actor="test")
        assert (bench.box.signatures, bench.chain.sent) == before
        assert bench.journal.history(1)[0].kind == EntryKind.REFUSED
        assert bench.journal.verify() == ()

    asyncio.run(work())


def test_the_fee_counts_against_the_day_beside_what_it_speeds_up(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Limits(max_per_day_usd=Decimal(5_018)))

    async def work() -> None:
        action = await bench.stuck()
        with pytest.raises(Refusal, match=r"19.00 USD after 5,000.00 USD .* is over the cap of 5,018.00 USD per day"):
            await bench.sped_up(action)

    asyncio.run(work())


class SlowJournal(Journal):
    """A journal that takes its time over the intent of a replacement: `reached` is set then, `go` lets it go on."""

    def __init__(self, path: Path, clock: Callable[[], int]) -> None:
        super().__init__(path, clock=clock)
        self.reached, self.go = threading.Event(), threading.Event()

    def append(self, kind: EntryKind, facts: Mapping[str, object], **names: str) -> Entry:
        if kind is EntryKind.REPLACE:
            self.reached.set()
            assert self.go.wait(10)
        return super().append(kind, facts, **names)


def test_a_fee_and_a_rescue_that_ask_at_once_do_not_both_fit_under_the_day(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Limits(max_per_day_usd=Decimal(10_010)))
    bench.chain.accounts["second"] = replace(bench.chain.accounts["main"], name="second")

    async def work() -> None:
        chain, box = bench.chain, CountingBox("other")
        box.whose = "0x00000000000000000000000000000000000000cc"
        by, boxes = {"main": chain, "second": chain}, {"main": bench.box, "second": box}
        journal = SlowJournal(bench.path, chain.clock)
        executor = Executor(journal, by, by, boxes, by, bench.limits, clock=chain.clock, patience=SHORT)
        bench.executor = executor
        offer = await executor.faster((await bench.stuck()).id)
        faster = asyncio.create_task(executor.speed_up(offer, actor="test"))
        await asyncio.to_thread(journal.reached.wait, 10)
        plan = plan_for("second", made_at_ns=chain.clock() - 1)
        rescue = asyncio.create_task(executor.execute(plan, plan.options[0], actor="test"))
        await asyncio.wait({rescue}, timeout=0.3)
        journal.go.set()
        with pytest.raises(Refusal, match=r"over the cap of 10,010\.00 USD per day"):
            await rescue
        await faster
        assert "tx-8-19" in chain.sent

    asyncio.run(work())


def test_only_what_waits_is_offered(bench: Bench) -> None:
    async def work() -> None:
        with pytest.raises(Refusal, match="no open action"):
            await bench.executor.faster("feedfeedfeedfeed")
        bench.chain.mines_at_once.add("supply")
        await bench.executor.arm({}, actor="test")
        plan = plan_for()
        done = await bench.executor.execute(plan, plan.options[0], actor="test")
        with pytest.raises(Refusal, match="no open action"):
            await bench.executor.faster(done.id)

    asyncio.run(work())


def test_a_journal_that_cannot_take_the_intent_leaves_everything_as_it_was(bench: Bench) -> None:
    async def work() -> None:
        offer = await bench.executor.faster((await bench.stuck()).id)
        before = bench.box.signatures
        bench.path.with_name(bench.path.name + ".head").write_text("{}")
        with pytest.raises(Refusal, match="disagree"):
            await bench.executor.speed_up(offer, actor="test")
        assert bench.box.signatures == before
        assert bench.chain.sent == ["tx-7-16", "tx-8-16"]

    asyncio.run(work())


@pytest.mark.parametrize(
    "fault", [Unreachable("chain", "died"), Refused("chain", "not taken: txpool is full")], ids=["lost", "refused"]
)
def test_a_replacement_that_nobody_took_leaves_the_first_one_to_decide(bench: Bench, fault: Exception) -> None:
    async def work() -> None:
        action = await bench.stuck()
        bench.chain.faults["send"] = fault
        waits = await bench.sped_up(action)
        assert (waits.stage, waits.steps[1].fate) == (Stage.UNKNOWN, StepFate.UNKNOWN)
        bench.chain.mine("tx-8-16")
        (settled,) = await bench.executor.reconcile_open(actor="test")
        assert (settled.stage, settled.steps[1].reference) == (Stage.CONFIRMED, "tx-8-16")

    asyncio.run(work())


def test_a_second_speed_up_raises_what_was_signed_last(bench: Bench) -> None:
    async def work() -> None:
        action = await bench.stuck()
        await bench.sped_up(action)
        again = await bench.executor.faster(action.id)
        assert (again.replaces, again.was_usd, again.fee_usd) == ("tx-8-19", 19, 22)
        mines_on_send(bench)
        done = await bench.executor.speed_up(again, actor="test")
        assert done.steps[1].references == ("tx-8-22", "tx-8-19", "tx-8-16")
        assert signed_steps(bench.journal.entries_of(action.id))[1].payload["fee"] == 22

    asyncio.run(work())


def test_what_was_sent_again_a_moment_ago_is_not_closed_by_hand(bench: Bench) -> None:
    """The ten minutes count from what was sent last, not from when the action began."""

    async def work() -> None:
        action = await bench.stuck()
        bench.chain.clock.advance(599)
        await bench.executor.aclose()
        bench.started(SHORT)
        await bench.executor.arm({}, actor="test")
        await bench.sped_up(action)
        bench.chain.clock.advance(2)
        with pytest.raises(Refusal, match="may still land: look again in 599 s"):
            await bench.executor.abandon(action.id, actor="test", reason="impatient")
        bench.chain.clock.advance(599)
        closed = await bench.executor.abandon(action.id, actor="test", reason="enough")
        assert closed.stage is Stage.ABANDONED

    asyncio.run(work())


def test_two_at_once_send_one(bench: Bench) -> None:
    async def work() -> None:
        offer = await bench.executor.faster((await bench.stuck()).id)
        mines_on_send(bench)
        ends = await asyncio.gather(
            *(bench.executor.speed_up(offer, actor="test") for _ in range(2)), return_exceptions=True
        )
        assert sum(isinstance(end, Refusal) for end in ends) == 1
        assert bench.chain.sent == ["tx-7-16", "tx-8-16", "tx-8-19"]

    asyncio.run(work())
