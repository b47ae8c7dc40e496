"""Standing plans: when they are made anew, what they say, and that they were rehearsed."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from desk.actions import Refusal
from desk.journal import Journal
from desk.settings import DeskSettings
from desk.snapshot import Snapshot
from desk.standing import StandingPlans
from desk.state import LiveState
from engine.rescue import Facility, Funds, Means, Standing, Target, Tariff
from providers.errors import Unreachable
from providers.ports import Reading
from providers.rescue_ports import Simulation
from tests.doubles import PATIENCE_S, START_NS, loan
from tests.doubles_rescue import WALLET, Chain, CountingBox, executor_on


class Bench:
    """A desk's state on one chain, and the standing plans that follow its snapshots."""

    def __init__(self, path: Path) -> None:
        self.chain = Chain()
        self.box = CountingBox()
        self.executor = executor_on(Journal(path / "journal.sqlite3", clock=self.chain.clock), self.chain, self.box)
        self.said: list[Mapping[str, str]] = []
        self._snapshots: asyncio.Queue[Snapshot] = asyncio.Queue()
        self._state = LiveState(DeskSettings(), {"main": 30.0}, {}, START_NS)
        self.chain.standing_now = standing()
        self.plans = StandingPlans(
            DeskSettings(), {"main": self.chain}, {"main": self.chain}, self.executor, self.show, self.chain.clock
        )

    def show(self, readiness: Mapping[str, str]) -> None:
        """Keep what was told."""
        self.said.append(readiness)

    def snapshot(self, price: str = "2500") -> Snapshot:
        """Return the state with ETH at `price`."""
        now_ns = self.chain.clock()
        self._state.apply(Reading("main", (loan(price=price),), now_ns, 100), now_ns)
        return self._state.settle(now_ns)

    async def tell(self, price: str = "2500") -> None:
        """Let a snapshot come and every plan that it makes due be made."""
        self._snapshots.put_nowait(self.snapshot(price))
        async with asyncio.timeout(PATIENCE_S):
            while not self._snapshots.empty() or self.plans.is_busy:  # noqa: ASYNC110  # no event tells that nothing is due
                await asyncio.sleep(0)

    async def _stream(self) -> AsyncIterator[Snapshot]:
        while True:
            yield await self._snapshots.get()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow snapshots meanwhile."""
        task = asyncio.create_task(self.plans.keep_for_ever(self._stream()))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])


def standing(amount: str = "5") -> Standing:
    """Return a wallet with ETH for a supply and coin for gas."""
    return Standing(
        "main",
        START_NS,
        facilities=(Facility("ETH", frozenset({Means.SUPPLY}), liquidation_threshold=Decimal("0.83")),),
        funds=(Funds("ETH", Decimal(amount), "rescue", WALLET, is_owner=False),),
        tariffs={Means.SUPPLY: Tariff(Decimal(1), Decimal(24), Decimal("0.001"))},
        gas_balance=Decimal(1),
        signer="rescue",
        block_number=100,
    )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_an_account_with_a_wallet_has_a_standing_plan_that_was_rehearsed(bench: Bench) -> None:
    async def run() -> None:
        async with bench.running():
            await bench.tell()

    asyncio.run(run())
    plan = bench.plans.plans["main"]
    assert plan.target == Target(health=Decimal("1.53"))
    assert plan.options[0].ready
    assert plan.options[0].amount == pytest.approx(Decimal("1.0602"), abs=Decimal("0.001"))
    assert bench.said == [{"main": "ready"}]
    assert bench.chain.counts == {"standing": 1, "prepare": 1, "verify": 1, "simulate": 1}
    assert bench.box.signatures == 0


def test_a_rehearsal_that_fails_is_a_reason_not_to_be_ready(bench: Bench) -> None:
    bench.chain.simulation = Simulation(None, "reserve is frozen")

    async def run() -> None:
        async with bench.running():
            await bench.tell()

    asyncio.run(run())
    assert bench.plans.plans["main"].options[0].blockers == ("simulation: reserve is frozen",)
    assert bench.said == [{"main": "blocked"}]


def test_a_plan_is_made_anew_when_the_market_moved_or_after_a_while(bench: Bench) -> None:
    async def run() -> list[int]:
        made = []
        async with bench.running():
            await bench.tell()
            for seconds, price in ((1, "2500"), (1, "2510"), (1, "2520"), (1, "2520"), (29, "2520"), (1, "2520")):
                bench.chain.clock.advance(seconds)
                bench.chain.standing_now = replace(standing(), read_at_ns=bench.chain.clock())
                await bench.tell(price)
                made.append((bench.plans.plans["main"].made_at_ns - START_NS) // 1_000_000_000)
        return made

    assert asyncio.run(run()) == [0, 0, 3, 3, 33, 33]
    assert bench.chain.counts["standing"] == 2


def test_a_wallet_that_can_t_be_read_makes_nothing_ready(bench: Bench) -> None:
    bench.chain.faults["standing"] = Unreachable("rpc", "connection lost")

    async def run() -> None:
        async with bench.running():
            await bench.tell()

    asyncio.run(run())
    assert all(not option.ready for option in bench.plans.plans["main"].options)
    assert "ready" not in bench.said[-1]["main"]


def test_an_open_action_is_what_an_account_s_readiness_says(bench: Bench) -> None:
    bench.chain.simulation = Simulation(Decimal("1.54"))
    bench.chain.faults["send"] = Unreachable("rpc", "lost")

    async def run() -> None:
        async with bench.running():
            await bench.tell()
            plan = bench.plans.plans["main"]
            await bench.executor.arm({}, actor="test")
            assert (await bench.executor.execute(plan, plan.options[0], actor="test")).exit_code == 32
            await bench.tell()

    asyncio.run(run())
    assert bench.said == [{"main": "ready"}, {"main": "reconcile"}]


def test_what_was_sent_is_forgotten_with_its_wallet(bench: Bench) -> None:
    async def run() -> None:
        async with bench.running():
            await bench.tell()
            bench.plans.forget("main")
            bench.chain.standing_now = standing("0")
            await bench.tell()

    asyncio.run(run())
    assert bench.said == [{"main": "ready"}, {"main": "source empty"}]


def test_a_plan_to_any_target_is_made_on_demand(bench: Bench) -> None:
    async def run() -> Decimal:
        wanted = Target(health=Decimal("1.66"))
        plan = await bench.plans.plan_for("main", bench.snapshot(), wanted)
        assert plan.target == wanted
        with pytest.raises(Refusal, match="no account other"):
            await bench.plans.plan_for("other", bench.snapshot(), wanted)
        return plan.options[0].amount

    assert asyncio.run(run()) == pytest.approx(Decimal(2), abs=Decimal("0.001"))


def test_a_journal_that_can_t_be_read_makes_nothing_ready(bench: Bench) -> None:
    bench.executor.journal.path.write_bytes(b"not a database" * 1000)

    async def run() -> None:
        async with bench.running():
            await bench.tell()

    asyncio.run(run())
    options = bench.plans.plans["main"].options
    assert options
    assert all("the file is damaged" in option.blockers[-1] for option in options)
