"""Carrying out a plan on a chain in memory: the order of things, every refusal, every end."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from desk.actions import ActionState, Refusal, Stage, StepFate
from desk.entries import EntryKind
from desk.executor import Executor
from desk.journal import Journal
from desk.limits import Limits
from engine.rescue import Facility, Means, Plan
from providers.errors import RateLimited, Refused, Unauthorised, Unreachable
from providers.rescue_ports import Fate, Simulation
from tests.doubles_rescue import WALLET, Chain, CountingBox, executor_on, expensive, plan_for

D = Decimal
SUPPLY = frozenset({Means.SUPPLY})


class Bench:
    """One executor with its chain, box and journal."""

    def __init__(self, path: Path, *names: str, limits: Limits | None = None, password: str | None = None) -> None:
        self.chain = Chain(*names)
        self.box = CountingBox(password=password)
        self.journal = Journal(path / "journal.sqlite3", clock=self.chain.clock)
        self.executor = executor_on(self.journal, self.chain, self.box, limits=limits)

    def fresh(self) -> Plan:
        """Return a plan that is made now, on the state of now."""
        return plan_for(made_at_ns=self.chain.clock())

    async def run(self, plan: Plan | None = None) -> ActionState:
        """Arm and carry out the only option."""
        await self.executor.arm({}, actor="test")
        return await self.go(plan)

    async def go(self, plan: Plan | None = None) -> ActionState:
        """Carry out the only option."""
        plan = plan or plan_for()
        return await self.executor.execute(plan, plan.options[0], actor="test")

    @property
    def kinds(self) -> list[str]:
        """Return the kinds of all entries, oldest first."""
        return [entry.kind for entry in reversed(self.journal.history())]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def refused(bench: Bench, attempt: Callable[[], Coroutine[object, object, object]]) -> str:
    """Return the reason of the refusal that `attempt` meets; nothing may have been signed or sent by it."""
    before = bench.box.signatures, len(bench.chain.sent)

    async def run() -> str:
        with pytest.raises(Refusal) as refusal:
            await attempt()
        return str(refusal.value)

    reason = asyncio.run(run())
    assert (bench.box.signatures, len(bench.chain.sent)) == before
    return reason


def test_a_plan_is_signed_sent_and_seen_to_land_in_the_order_that_is_fixed(bench: Bench) -> None:
    action = asyncio.run(bench.run())
    assert (action.stage, action.exit_code) == (Stage.CONFIRMED, 0)
    assert action.health_after == Decimal("1.66")
    assert [step.fate for step in action.steps] == [StepFate.CONFIRMED] * 2
    step = [EntryKind.SIGNED, EntryKind.SENT, EntryKind.OUTCOME]
    assert bench.kinds == [EntryKind.NOTE, EntryKind.INTENT, *step, *step, EntryKind.RESULT]
    assert bench.journal.verify() == ()
    (told,) = bench.journal.actions()
    assert told == action
    assert bench.executor.actions == (action,)


def test_screens_see_every_state_on_the_way(bench: Bench) -> None:
    async def run() -> list[tuple[Stage, tuple[StepFate, ...]]]:
        seen: list[ActionState] = []
        await bench.executor.arm({}, actor="test")
        plan = plan_for()
        await bench.executor.execute(plan, plan.options[0], actor="test", show=seen.append)
        return [(state.stage, tuple(step.fate for step in state.steps)) for state in seen]

    seen = asyncio.run(run())
    waiting, signed, sent, confirmed = StepFate.WAITING, StepFate.SIGNED, StepFate.SENT, StepFate.CONFIRMED
    running = Stage.RUNNING
    assert seen == [
        (Stage.PREPARING, ()),
        (running, (waiting, waiting)),
        (running, (signed, waiting)),
        (running, (sent, waiting)),
        (running, (confirmed, waiting)),
        (running, (confirmed, signed)),
        (running, (confirmed, sent)),
        (running, (confirmed, confirmed)),
        (Stage.CONFIRMED, (confirmed, confirmed)),
    ]


def test_unarmed_and_expired_arming_are_refused(bench: Bench) -> None:
    assert refused(bench, bench.go) == "not armed"

    async def late() -> None:
        await bench.executor.arm({}, actor="test", minutes=1)
        bench.chain.clock.advance(60)
        await bench.go(bench.fresh())

    assert refused(bench, late) == "arming has expired"
    assert bench.executor.armed is None
    assert not bench.box.is_open
    assert bench.kinds[-1] == EntryKind.REFUSED


def test_a_disarmed_executor_signs_nothing_more(bench: Bench) -> None:
    async def run() -> ActionState:
        await bench.executor.arm({}, actor="test")
        reached = bench.chain.hold("find")
        task = asyncio.create_task(bench.go())
        await reached.wait()
        await bench.executor.disarm(actor="test")
        bench.chain.held["find"].set()
        return await task

    action = asyncio.run(run())
    assert (action.stage, action.exit_code) == (Stage.UNFINISHED, 31)
    assert bench.box.signatures == 1
    assert bench.chain.sent == ["tx-main-7"]


@pytest.mark.parametrize(
    ("change", "limits", "reason"),
    [
        ({"value": "5000.01"}, Limits(), "5,000.01 USD is over the cap of 5,000.00 USD per action"),
        ({"value": None}, Limits(), "its value in USD is unknown, so no cap can vouch for it"),
        ({"value": "NaN"}, Limits(), "its value of NaN USD is no amount"),
        ({"value": "200"}, Limits(accounts={"main": Decimal(100)}), "over this account's cap of 100.00 USD per action"),
        ({"value": "200"}, Limits(max_per_day_usd=Decimal(199)), "over the cap of 199.00 USD per day"),
        ({"blockers": ("no gas", "reserve frozen")}, Limits(), "no gas; reserve frozen"),
    ],
)
def test_caps_and_blockers_refuse(tmp_path: Path, change: dict[str, object], limits: Limits, reason: str) -> None:
    bench = Bench(tmp_path, limits=limits)
    plan = plan_for(**change)  # type: ignore[arg-type]  # named by the case
    assert reason in refused(bench, lambda: bench.run(plan))


EDITED: dict[str, tuple[dict[str, object], Facility | None, str]] = {
    "value": ({"value": "1"}, None, "5,000.00 USD is over the cap of 4,999.00 USD per action"),
    "units": ({"value": "1"}, Facility("ETH", SUPPLY), "5,000.00 USD is over the cap"),
    "decimals": ({"amount": D("0.02"), "value": "50"}, Facility("ETH", SUPPLY, decimals=18), "5,000.00 USD is over"),
    "amount": (
        {"amount_units": 2 * 10**16, "value": "50"},
        Facility("ETH", SUPPLY, decimals=18),
        "5,000.00 USD is over",
    ),
    "another asset": ({"asset": "WBTC", "value": "1"}, Facility("ETH", SUPPLY), "WBTC is nothing that"),
    "no price": ({"asset": "WBTC", "value": "1"}, Facility("WBTC", SUPPLY), "its value in USD is unknown"),
}
"""A plan whose file was edited, what the market says of its asset, and the refusal."""


@pytest.mark.parametrize("case", EDITED)
def test_caps_hold_what_is_sent_and_not_what_a_plan_says_of_it(tmp_path: Path, case: str) -> None:
    change, facility, reason = EDITED[case]
    bench = Bench(tmp_path, limits=Limits(max_topup_usd=D(4_999)))
    if facility is not None:
        bench.chain.standing_now = replace(bench.chain.standing_now, facilities=(facility,))
    plan = plan_for(**change)  # type: ignore[arg-type]  # named by the case
    assert reason in refused(bench, lambda: bench.run(plan))


def test_what_is_refused_by_now_is_not_sent_though_the_plan_knew_no_blocker(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    frozen = Facility("ETH", SUPPLY, decimals=18, refused="the market is frozen")
    bench.chain.standing_now = replace(bench.chain.standing_now, facilities=(frozen,))
    assert refused(bench, lambda: bench.run(plan_for())) == "ETH: the market is frozen"


def test_a_plan_at_the_cap_survives_a_price_that_rose_a_little(tmp_path: Path) -> None:
    """What was clipped to a cap is not refused because its price ticked up; a higher value counts beyond 1 %."""
    for said, code in (("4951", 0), ("4950", None)):
        bench = Bench(tmp_path / said, limits=Limits(max_topup_usd=D("4999")))
        if code is None:
            assert "over the cap" in refused(bench, lambda bench=bench: bench.run(plan_for(value="4950")))
        else:
            assert asyncio.run(bench.run(plan_for(value=said))).exit_code == code


def test_the_day_s_cap_counts_what_was_sent_whatever_became_of_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.chain.fate, bench.chain.evidence = Fate.REJECTED, "reverted"

    async def twice() -> None:
        for _ in range(2):
            bench.chain.clock.advance(1)
            assert (await bench.run(bench.fresh())).exit_code == 31
        bench.chain.clock.advance(1)
        await bench.run(bench.fresh())

    async def run() -> str:
        with pytest.raises(Refusal) as refusal:
            await twice()
        return str(refusal.value)

    assert "after 10,000.00 USD in the last 24 hours is over the cap" in asyncio.run(run())
    bench.chain.clock.advance(86_400)
    assert asyncio.run(bench.run(bench.fresh())).stage is Stage.REJECTED


def test_a_plan_that_the_market_overtook_is_refused(bench: Bench) -> None:
    bench.chain.clock.advance(61)
    assert "61 s old" in refused(bench, bench.run)
    bench.chain.clock.advance(-120)
    assert "from the future" in refused(bench, bench.run)
    bench.chain.clock.advance(59)
    bench.chain.block = 99
    assert "node is at block 99" in refused(bench, bench.run)
    bench.chain.block = 101
    (leg,) = bench.chain.accounts["main"].collateral
    bench.chain.accounts["main"] = type(bench.chain.accounts["main"])(
        **{
            **{name: getattr(bench.chain.accounts["main"], name) for name in ("name", "kind", "debt", "oracles")},
            "collateral": (type(leg)("ETH", Decimal("9.8"), leg.liquidation_threshold),),
        }
    )
    assert "overtook the plan: health is 1.3557, it was 1.3833" in refused(bench, bench.run)


def test_a_node_that_lags_behind_the_plan_is_asked_again(bench: Bench) -> None:
    bench.chain.lags = 3
    assert asyncio.run(bench.run()).stage is Stage.CONFIRMED
    assert bench.chain.counts["read"] == 3 + 1


def test_what_verification_and_simulation_forbid_is_refused(bench: Bench) -> None:
    chain = bench.chain
    chain.forbidden = "chain id is 5, not 1"
    assert refused(bench, bench.run) == "chain id is 5, not 1"
    chain.forbidden = ""
    chain.simulation = Simulation(None, "reserve is frozen")
    assert refused(bench, bench.run) == "simulation: reserve is frozen"
    chain.simulation = Simulation(Decimal("1.6599"))
    assert "health would be 1.6599, under the 1.66" in refused(bench, bench.run)
    chain.simulation = Simulation(None)
    assert "not sent blindly" in refused(bench, bench.run)
    chain.simulation = None
    chain.standing_now = expensive("20.00")
    assert "fees rose from 1.00 USD to 20.00 USD" in refused(bench, bench.run)
    chain.standing_now = expensive("1", gas="0.5", balance="0.4")
    assert refused(bench, bench.run) == "not enough gas: has 0.4, needs 0.5"


@pytest.mark.parametrize("method", ["read", "standing", "prepare", "verify", "simulate"])
def test_a_provider_that_fails_before_the_signature_refuses(bench: Bench, method: str) -> None:
    bench.chain.faults[method] = Unreachable("chain", "connection lost")
    assert "connection lost" in refused(bench, bench.run)
    assert bench.kinds[-1] == EntryKind.REFUSED


def test_an_account_without_a_signer_or_from_another_plan_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    other = plan_for("other")
    assert "read-only" in refused(bench, lambda: bench.run(other))

    async def mixed() -> None:
        await bench.executor.arm({}, actor="test")
        await bench.executor.execute(plan_for(), plan_for(value="1").options[0], actor="test")

    assert refused(bench, mixed) == "this is not an option of the plan"


def test_the_same_plan_is_never_carried_out_twice(bench: Bench) -> None:
    asyncio.run(bench.run())
    bench.chain.accounts.update(Chain("main").accounts)
    assert refused(bench, bench.run) == "this plan was carried out before; make it again"


def test_a_second_key_press_on_the_same_account_or_wallet_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "main", "second")

    async def run() -> tuple[list[str], ActionState]:
        await bench.executor.arm({}, actor="test")
        reached = bench.chain.hold("send")
        task = asyncio.create_task(bench.go())
        await reached.wait()
        reasons = []
        for name in ("main", "second"):
            with pytest.raises(Refusal) as refusal:
                await bench.go(plan_for(name, made_at_ns=bench.chain.clock() - 1))
            reasons.append(str(refusal.value))
        bench.chain.held["send"].set()
        return reasons, await task

    reasons, action = asyncio.run(run())
    assert reasons == ["a rescue of main is under way with the same account or wallet"] * 2
    assert action.stage is Stage.CONFIRMED
    assert bench.chain.sent == ["tx-main-7", "tx-main-8"]


@pytest.mark.parametrize("whose", [WALLET, "key ..9Lmn"])
def test_two_signers_of_one_key_are_one_wallet(tmp_path: Path, whose: str) -> None:
    """They share a nonce, or a venue's login and its funds: two rescues at once would overtake one another."""
    chain = Chain("main", "second")
    journal = Journal(tmp_path / "journal.sqlite3", clock=chain.clock)
    names = dict.fromkeys(chain.accounts, chain)
    boxes = {"main": CountingBox("keystore"), "second": CountingBox("env:THE_SAME_KEY")}
    for box in boxes.values():
        box.whose = whose
    executor = Executor(journal, names, names, boxes, names, Limits(), clock=chain.clock)

    async def run() -> str:
        await executor.arm({}, actor="test")
        reached = chain.hold("send")
        plan = plan_for()
        task = asyncio.create_task(executor.execute(plan, plan.options[0], actor="test"))
        await reached.wait()
        other = plan_for("second", made_at_ns=chain.clock() - 1)
        with pytest.raises(Refusal) as refusal:
            await executor.execute(other, other.options[0], actor="test")
        chain.held["send"].set()
        await task
        return str(refusal.value)

    assert asyncio.run(run()) == "a rescue of main is under way with the same account or wallet"


def test_what_the_chain_rejects_ends_the_action_before_the_next_step(bench: Bench) -> None:
    bench.chain.fate, bench.chain.evidence = Fate.REJECTED, "reverted: 51"
    action = asyncio.run(bench.run())
    assert (action.stage, action.exit_code) == (Stage.REJECTED, 31)
    assert "reverted: 51" in action.evidence
    assert len(bench.chain.sent) == 1
    assert bench.journal.open_actions() == ()


def test_a_refused_send_is_certain_and_ends_the_action(bench: Bench) -> None:
    bench.chain.faults["send"] = Refused("chain", "underpriced")
    action = asyncio.run(bench.run())
    assert (action.stage, action.steps[0].fate) == (Stage.REJECTED, StepFate.REJECTED)
    assert bench.chain.sent == []


@pytest.mark.parametrize("fault", [Unreachable("chain", "lost"), RateLimited("chain", "429"), TimeoutError()])
def test_a_send_without_an_answer_is_looked_up_and_never_repeated(bench: Bench, fault: Exception) -> None:
    bench.chain.faults["send"] = fault
    bench.chain.takes_before_fault = True
    action = asyncio.run(bench.run())
    assert action.stage is Stage.CONFIRMED
    assert bench.chain.sent == ["tx-main-7", "tx-main-8"]


def unknown(bench: Bench) -> ActionState:
    """Return an action whose first step was handed over and never seen again."""
    bench.chain.faults["send"] = Unreachable("chain", "lost")
    action = asyncio.run(bench.run())
    assert (action.stage, action.exit_code) == (Stage.UNKNOWN, 32)
    del bench.chain.faults["send"]
    return action


def test_an_unknown_outcome_blocks_its_account_until_reading_settles_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "main", "second", limits=Limits(max_per_day_usd=None))
    action = unknown(bench)
    bench.chain.clock.advance(1)
    assert f"what became of action {action.id} is unknown" in refused(bench, lambda: bench.go(bench.fresh()))
    other = asyncio.run(bench.go(plan_for("second", made_at_ns=bench.chain.clock())))
    assert other.stage is Stage.CONFIRMED

    bench.chain.sent.append("tx-main-7")
    (settled,) = asyncio.run(bench.executor.reconcile_open(actor="test"))
    assert settled.stage is Stage.UNFINISHED
    bench.chain.clock.advance(1)
    bench.chain.block = 100
    assert asyncio.run(bench.go(bench.fresh())).stage is Stage.CONFIRMED
    assert bench.journal.verify() == ()


def test_an_unknown_outcome_may_be_closed_by_hand_only_after_a_while(bench: Bench) -> None:
    action = unknown(bench)
    close = lambda: bench.executor.abandon(action.id, actor="test", reason="wallet is empty")  # noqa: E731
    assert refused(bench, close) == "it may still land: look again in 601 s"
    bench.chain.clock.advance(600)
    closed = asyncio.run(close())
    assert (closed.stage, closed.exit_code) == (Stage.ABANDONED, 31)
    assert bench.journal.open_actions() == ()
    assert refused(bench, close) == f"no open action {action.id}"


def test_a_cancelled_action_is_unknown_until_it_is_reconciled(bench: Bench) -> None:
    async def run() -> tuple[ActionState, ActionState]:
        await bench.executor.arm({}, actor="test")
        reached = bench.chain.hold("send")
        task = asyncio.create_task(bench.go())
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (left,) = bench.executor.actions
        (settled,) = await bench.executor.reconcile_open(actor="test")
        return left, settled

    left, settled = asyncio.run(run())
    assert left.stage is Stage.UNKNOWN
    assert settled.stage is Stage.UNFINISHED
    assert bench.chain.sent == ["tx-main-7"]


def reorganised(bench: Bench, *, comes_back: bool, then: Fate = Fate.CONFIRMED) -> ActionState:
    """Return how a rescue ends whose blocks leave the chain while the account is read again."""

    async def run() -> ActionState:
        await bench.executor.arm({}, actor="test")
        plan = plan_for()

        def show(state: ActionState) -> None:
            if state.steps and all(step.fate is StepFate.CONFIRMED for step in state.steps):
                bench.chain.reorganise(comes_back=comes_back, then=then)

        return await bench.executor.execute(plan, plan.options[0], actor="test", show=show)

    return asyncio.run(run())


def test_a_block_that_leaves_the_chain_before_the_account_is_read_again_is_noticed(tmp_path: Path) -> None:
    back = reorganised(Bench(tmp_path / "back"), comes_back=True)
    assert back.stage is Stage.CONFIRMED
    assert "after a reorganisation" in back.steps[0].evidence

    gone = Bench(tmp_path / "gone")
    assert reorganised(gone, comes_back=False).stage is Stage.UNKNOWN
    assert len(gone.journal.open_actions()) == 1

    lost = Bench(tmp_path / "lost")
    rejected = reorganised(lost, comes_back=True, then=Fate.REJECTED)
    assert rejected.stage is Stage.REJECTED
    assert lost.journal.actions() == (rejected,)


def test_a_wrong_password_arms_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, password="right")

    async def run() -> None:
        with pytest.raises(Unauthorised):
            await bench.executor.arm({"rescue": "wrong"}, actor="test")

    asyncio.run(run())
    assert bench.executor.armed is None
    assert not bench.journal.sender.is_held
    assert refused(bench, lambda: bench.executor.arm({}, actor="test")).startswith("no signer is unlocked")


def test_caps_tell_what_is_left(tmp_path: Path) -> None:
    bench = Bench(tmp_path, limits=Limits(accounts={"main": Decimal(6000)}, max_topup_usd=Decimal(7000)))
    asyncio.run(bench.run())
    caps = asyncio.run(bench.executor.caps("main"))
    assert (caps.per_action_usd, caps.day_left_usd) == (6000, 5000)


def test_only_one_process_may_be_armed_on_a_journal(bench: Bench) -> None:
    rival: Executor = executor_on(Journal(bench.journal.path, clock=bench.chain.clock), bench.chain)

    async def run() -> str:
        await bench.executor.arm({}, actor="test")
        with pytest.raises(Refusal) as refusal:
            await rival.arm({}, actor="rival")
        await bench.executor.aclose()
        await rival.arm({}, actor="rival")
        await rival.aclose()
        return str(refusal.value)

    assert "is armed or sending on this journal" in asyncio.run(run())
