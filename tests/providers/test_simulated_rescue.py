"""Rescues in the simulated market: planned by the engine, carried out step by step, seen in the next reading."""

import asyncio
import subprocess
import sys
from decimal import Decimal

import pytest

from desk.judgement import judged, with_marks
from engine.accounts import Account
from engine.assess import trigger_side
from engine.plans import plan, readiness, standing_plan
from engine.rescue import Means, Option, Plan, Target
from engine.severity import DEFAULT_LADDERS
from providers.errors import Refused, Unauthorised, Unreachable
from providers.rescue_ports import Fate, Signed, Step
from providers.simulated import SimulatedMarket
from providers.simulated.rescue import SimulatedRescue
from providers.simulated.scenarios import Loss, Outage, Scenario
from providers.simulated.signer import DemoSigner
from providers.simulated.wallets import WALLETS

START_NS = 1_795_000_000 * 1_000_000_000


class Demo:
    """A market whose time is moved by hand, its rescuer and an unlocked signer."""

    def __init__(self, scenario: str = "calm", at_s: float = 30.0) -> None:
        self.market = SimulatedMarket(scenario, 7, start_ns=START_NS, clock=lambda: 0)
        self.market.at(at_s)
        self.rescue, self.signer = SimulatedRescue(self.market), DemoSigner()
        asyncio.run(self.signer.unlock())

    def account(self, name: str) -> Account:
        source = next(each for each in self.market.sources() if each.name == name)
        reading = source.reading_at(self.market.elapsed_s())
        return with_marks(reading.accounts[0], reading)

    def health(self, name: str) -> Decimal:
        found = trigger_side(self.account(name), {}, self.market.now_ns()).health_factor
        assert found is not None
        return found

    def plan(self, name: str, health: str, means: Means | None = None) -> Plan:
        account = self.account(name)
        standing = asyncio.run(self.rescue.standing(account))
        now_ns = self.market.now_ns()
        return plan(account, {}, {}, Target(health=Decimal(health)), standing, now_ns, means=means)

    def steps(self, name: str, option: Option) -> tuple[Step, ...]:
        return tuple(asyncio.run(self.rescue.prepare(self.account(name), option)))

    def send(self, step: Step) -> Signed:
        signed = self.rescue.sign(step, self.signer)
        asyncio.run(self.rescue.send(signed))
        return signed

    def fate(self, signed: Signed) -> Fate:
        return asyncio.run(self.rescue.find(signed.reference, signed.nonce, signed.owner)).fate

    def moved(self, at_s: float) -> "Demo":
        self.market.at(at_s)
        return self

    def land(self, signed: Signed) -> Fate:
        assert self.fate(signed) is Fate.PENDING
        self.market.at(self.market.elapsed_s() + 13)
        return self.fate(signed)


def option_of(made: Plan, means: Means, asset: str) -> Option:
    return next(each for each in made.options if (each.means, each.asset) == (means, asset))


@pytest.mark.parametrize(
    ("name", "health", "means", "asset", "step_count"),
    [
        ("main", "1.4", Means.REPAY, "USDC", 1),
        ("main", "1.18", Means.SUPPLY, "ETH", 3),
        ("main", "1.16", Means.REPAY, "USDT", 2),
        ("arb-loop", "1.3", Means.REPAY, "ETH", 2),
        ("arb-loop", "1.24", Means.SUPPLY, "wstETH", 2),
        ("hl-short", "9", Means.ADD_MARGIN, "USDC", 1),
        ("bybit-sol", "20", Means.ADD_MARGIN, "USDT", 1),
    ],
)
def test_a_plan_carried_out_reaches_its_target(
    name: str, health: str, means: Means, asset: str, step_count: int
) -> None:
    demo = Demo()
    chosen = option_of(demo.plan(name, health), means, asset)
    assert chosen.blockers == ()
    steps = demo.steps(name, chosen)
    assert len(steps) == step_count
    account = demo.account(name)
    assert asyncio.run(demo.rescue.verify(account, steps)) == ""
    simulated = asyncio.run(demo.rescue.simulate(account, steps))
    assert simulated.refused == ""
    assert simulated.health_factor is not None
    assert simulated.health_factor >= Decimal(health)
    before = demo.health(name)
    for step in steps:
        assert demo.land(demo.send(step)) is Fate.CONFIRMED
    assert demo.health(name) > before * Decimal("1.01")
    if means is not Means.ADD_MARGIN:
        assert Decimal(health) <= demo.health(name) * Decimal("1.02")


def test_titles_are_the_steps_that_the_plan_announced() -> None:
    demo = Demo()
    for name, means, asset in (("main", Means.SUPPLY, "ETH"), ("arb-loop", Means.REPAY, "ETH")):
        chosen = option_of(demo.plan(name, "1.24", means), means, asset)
        assert tuple(step.title for step in demo.steps(name, chosen)) == chosen.steps


def test_nothing_changes_before_it_landed_and_the_past_stays() -> None:
    demo = Demo()
    chosen = option_of(demo.plan("main", "1.3"), Means.REPAY, "USDC")
    before = demo.account("main")
    signed = demo.send(demo.steps("main", chosen)[0])
    assert demo.account("main") == before
    assert demo.land(signed) is Fate.CONFIRMED
    assert demo.account("main") != before
    demo.market.at(30.0)
    assert demo.account("main") == before


def test_funds_and_gas_are_spent() -> None:
    demo = Demo()
    chosen = option_of(demo.plan("main", "1.3"), Means.REPAY, "USDC")
    first = asyncio.run(demo.rescue.standing(demo.account("main")))
    demo.land(demo.send(demo.steps("main", chosen)[0]))
    then = asyncio.run(demo.rescue.standing(demo.account("main")))
    usdc = {each.asset: each.amount for each in then.funds}["USDC"]
    assert usdc == Decimal(14000) - chosen.amount
    assert first.gas_balance is not None
    assert then.gas_balance is not None
    assert then.gas_balance < first.gas_balance


def test_all_of_a_debt_is_repaid_and_no_more() -> None:
    demo = Demo()
    made = demo.plan("main", "1.2", Means.REPAY)
    whole = next(each for each in made.options if each.is_full_close and each.asset == "USDT")
    approve, repay = demo.steps("main", whole)
    assert repay.title == "repay all USDT of main"
    owed = {leg.asset: leg.amount for leg in demo.account("main").debt}
    assert demo.land(demo.send(approve)) is Fate.CONFIRMED
    assert demo.land(demo.send(repay)) is Fate.CONFIRMED
    assert {leg.asset for leg in demo.account("main").debt} == {"USDC"}
    left = {each.asset: each.amount for each in asyncio.run(demo.rescue.standing(demo.account("main"))).funds}["USDT"]
    assert abs(Decimal(4000) - left - owed["USDT"]) < Decimal("0.01")
    demo.market.at(demo.market.elapsed_s() + 86_400)
    assert {leg.asset for leg in demo.account("main").debt} == {"USDC"}


def test_what_was_repaid_earns_the_lender_nothing_more() -> None:
    demo, idle = Demo(), Demo()
    chosen = option_of(demo.plan("main", "1.3"), Means.REPAY, "USDC")
    demo.land(demo.send(demo.steps("main", chosen)[0]))
    day_later = 86_400.0
    owed, would_owe = (
        next(leg.amount for leg in each.account("main").debt if leg.asset == "USDC")
        for each in (demo.moved(day_later), idle.moved(day_later))
    )
    assert would_owe - owed > chosen.amount


def test_every_state_of_readiness_is_shown() -> None:
    demo = Demo()
    said = {}
    for name in WALLETS:
        account = demo.account(name)
        ladder = DEFAULT_LADDERS[account.kind]
        judgement = judged(account, {}, demo.market.now_ns(), ladder, None)
        standing = asyncio.run(demo.rescue.standing(account))
        said[name] = readiness(standing_plan(account, judgement, ladder, {}, {}, standing, demo.market.now_ns()))
    assert said["main"] == "ready"
    assert said["arb-loop"] == "needs approve"
    assert said["morpho-wbtc"] == "no gas"
    assert said["bn-cross"] == "source empty"
    assert said["hl-short"] == "ready"
    assert said["spark"] == "not needed"


def test_a_lost_link_is_no_feed() -> None:
    demo = Demo(at_s=120)
    account = demo.account("bybit-sol")
    with pytest.raises(Unreachable):
        asyncio.run(demo.rescue.standing(account))


def test_a_broker_is_rescued_by_hand() -> None:
    demo = Demo()
    account = demo.account("ibkr")
    standing = asyncio.run(demo.rescue.standing(account))
    assert standing.tariffs[Means.DEPOSIT].time_to_land_s == 86_400
    made = plan(account, {}, {}, Target(health=Decimal(3)), standing, demo.market.now_ns())
    deposit = option_of(made, Means.DEPOSIT, "USD")
    assert not deposit.ready
    assert deposit.amount > 0
    with pytest.raises(Refused, match="by hand"):
        asyncio.run(demo.rescue.prepare(account, deposit))


def test_a_locked_demo_signer_signs_nothing() -> None:
    demo = Demo()
    (step,) = demo.steps("main", option_of(demo.plan("main", "1.3"), Means.REPAY, "USDC"))
    demo.signer.lock()
    with pytest.raises(Unauthorised):
        demo.rescue.sign(step, demo.signer)


def test_a_step_is_taken_once() -> None:
    demo = Demo()
    (step,) = demo.steps("main", option_of(demo.plan("main", "1.3"), Means.REPAY, "USDC"))
    signed = demo.send(step)
    with pytest.raises(Refused, match="already known"):
        asyncio.run(demo.rescue.send(signed))


def test_without_its_approval_a_repayment_reverts() -> None:
    demo = Demo()
    approve, repay = demo.steps("arb-loop", option_of(demo.plan("arb-loop", "1.3"), Means.REPAY, "ETH"))
    before = demo.account("arb-loop")
    assert demo.land(demo.send(repay)) is Fate.REJECTED
    assert demo.account("arb-loop").debt[0].amount >= before.debt[0].amount
    assert demo.land(demo.send(approve)) is Fate.CONFIRMED


@pytest.mark.parametrize(("loss", "fate"), [(Loss.SILENT, Fate.CONFIRMED), (Loss.DROPPED, Fate.REJECTED)])
def test_a_link_lost_while_sending_leaves_the_outcome_unknown_until_it_returns(loss: Loss, fate: Fate) -> None:
    demo = Demo()
    (step,) = demo.steps("main", option_of(demo.plan("main", "1.3"), Means.REPAY, "USDC"))
    signed = demo.rescue.sign(step, demo.signer)
    demo.market.story = Scenario("lost in the middle", outages=(Outage("main", 0, 60, loss),))
    with pytest.raises(Unreachable):
        asyncio.run(demo.rescue.send(signed))
    with pytest.raises(Unreachable):
        demo.fate(signed)
    demo.market.at(61)
    assert demo.fate(signed) is fate


def test_what_is_not_ours_is_refused() -> None:
    demo = Demo()
    account = demo.account("main")
    (step,) = demo.steps("main", option_of(demo.plan("main", "1.3"), Means.REPAY, "USDC"))
    other = Step(step.title, step.payload, contract=step.contract, chain_id=10)
    stranger = Step(step.title, step.payload, contract="0x" + "9" * 40, chain_id=1)
    assert "wrong chain" in asyncio.run(demo.rescue.verify(account, [other]))
    assert "not the market's" in asyncio.run(demo.rescue.verify(account, [stranger]))
    assert "not for this" in asyncio.run(demo.rescue.verify(demo.account("comet"), [step]))
    assert asyncio.run(demo.rescue.verify(account, [])) == "there is nothing to send"


def test_added_margin_keeps_a_position_that_would_have_been_closed() -> None:
    def lives(with_rescue: bool) -> bool:
        demo = Demo("crash", at_s=20)
        if with_rescue:
            made = demo.plan("bybit-sol", "37", Means.ADD_MARGIN)
            demo.send(demo.steps("bybit-sol", made.options[0])[0])
        demo.market.at(400)
        source = next(each for each in demo.market.sources() if each.name == "bybit-sol")
        return bool(source.reading_at(400).accounts)

    assert (lives(False), lives(True)) == (False, True)


def test_two_runs_are_alike() -> None:
    def references() -> list[str]:
        demo = Demo()
        steps = demo.steps("arb-loop", option_of(demo.plan("arb-loop", "1.3"), Means.REPAY, "ETH"))
        return [demo.rescue.sign(step, demo.signer).reference for step in steps]

    assert references() == references()


def test_the_demo_starts_without_any_of_this() -> None:
    script = "import sys, providers.simulated as s; s.SimulatedMarket(); print('\\n'.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"providers.simulated.rescue", "providers.simulated.wallets", "engine.rescue", "eth_keys"} & set(loaded)


def test_what_waits_is_overtaken_by_the_same_at_a_higher_fee_and_lands_once() -> None:
    demo = Demo()
    option = option_of(demo.plan("main", "1.4", Means.REPAY), Means.REPAY, "USDC")
    (step,) = demo.steps("main", option)
    slow = demo.send(step)
    faster = asyncio.run(demo.rescue.speed_up(step))
    assert asyncio.run(demo.rescue.why_not_replaced(faster)) == ""
    was, fee = asyncio.run(demo.rescue.fee_usd(step)), asyncio.run(demo.rescue.fee_usd(faster))
    assert was is not None
    assert fee is not None
    assert fee > was * Decimal("1.12") > 0
    fast = demo.send(faster)
    assert (demo.fate(slow), demo.land(fast)) == (Fate.REJECTED, Fate.CONFIRMED)
    assert Decimal("1.4") <= demo.health("main") < Decimal("1.42")
    again = asyncio.run(demo.rescue.speed_up(faster))
    assert "landed" in asyncio.run(demo.rescue.why_not_replaced(again))
    with pytest.raises(Refused, match="was used by"):
        demo.send(again)


def test_a_venue_takes_no_fee_that_could_be_raised() -> None:
    demo = Demo()
    option = option_of(demo.plan("hl-short", "9", Means.ADD_MARGIN), Means.ADD_MARGIN, "USDC")
    with pytest.raises(Refused, match="no fee"):
        asyncio.run(demo.rescue.speed_up(demo.steps("hl-short", option)[0]))
