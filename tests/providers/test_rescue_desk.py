"""Rescues of Hyperliquid and of the simulated market from a plan to the journal's last line, by the real executor."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from desk.actions import ActionState, Refusal, Stage
from desk.carry import Patience
from desk.executor import Executor
from desk.journal import Journal
from desk.judgement import with_marks
from desk.limits import Limits
from engine.plans import plan
from engine.rescue import Means, Plan, Target
from marginline import keystore
from marginline.keystore import Secret
from marginline.signers import SignerBox
from providers.hyperliquid import HyperliquidAccounts
from providers.hyperliquid_rescue import HyperliquidRescue, make
from providers.ports import AccountOptions
from providers.simulated import SimulatedMarket
from providers.simulated.rescue import SimulatedRescue
from providers.simulated.signer import DemoSigner
from tests.hyperliquid_server import HyperliquidServer
from tests.providers.test_hyperliquid_rescue import MASTER_KEY, USER, venue_and_rescue, within

PASSWORD = "correct horse battery staple"
QUICK = Patience(land_s=20.0, look_every_s=0.02)


class Bench:
    """One Hyperliquid user behind an executor, its key in an encrypted file."""

    def __init__(
        self, folder: Path, rescue: HyperliquidRescue, accounts: HyperliquidAccounts, patience: Patience = QUICK
    ) -> None:
        self.rescue, self.accounts = rescue, accounts
        self.box = SignerBox("keystore:rescue", "test", folder=folder)
        self.journal = Journal(folder / "journal.sqlite3")
        self.executor = Executor(
            self.journal,
            {"hl": rescue},
            {"hl": rescue},
            {"hl": self.box},
            {"hl": accounts},
            Limits(),
            patience=patience,
        )

    async def plan(self, name: str, health: str) -> Plan:
        reading = await self.accounts.read()
        account = with_marks(next(each for each in reading.accounts if each.name == name), reading)
        standing = await self.rescue.standing(account)
        target = Target(health=Decimal(health))
        return plan(account, {}, {}, target, standing, standing.read_at_ns, means=Means.ADD_MARGIN)

    async def run(self, name: str, health: str) -> ActionState:
        made = await self.plan(name, health)
        assert made.options[0].blockers == ()
        return await self.executor.execute(made, made.options[0], actor="test")


@asynccontextmanager
async def bench_at(
    folder: Path, *, patience: Patience = QUICK, testnet: bool | None = None
) -> AsyncIterator[tuple[HyperliquidServer, Bench]]:
    if not (folder / "rescue.json").exists():
        keystore.add(folder, "rescue", Secret(MASTER_KEY), Secret.of(PASSWORD), work_factor=2)
    async with venue_and_rescue(testnet=testnet) as (venue, rescue, accounts):
        bench = Bench(folder, rescue, accounts, patience)
        try:
            yield venue, bench
        finally:
            await bench.executor.aclose()


@pytest.mark.parametrize("testnet", [False, True])
@pytest.mark.parametrize(("name", "health"), [("hl:ETH", "6"), ("hl", "40"), ("hl:xyz:TSLA", "8")])
def test_a_plan_is_carried_out_and_the_reading_afterwards_shows_it(
    name: str, health: str, testnet: bool, tmp_path: Path
) -> None:
    async def story() -> None:
        async with bench_at(tmp_path, testnet=testnet) as (venue, bench):
            await bench.executor.arm({"rescue": PASSWORD}, actor="test")
            done = await bench.run(name, health)
            assert (done.stage, done.exit_code) == (Stage.CONFIRMED, 0)
            assert done.health_after is not None
            assert done.health_after >= Decimal(health)
            assert venue.exchange is not None
            assert len(venue.exchange.taken) == 1

    within(story())


def test_a_plan_is_not_begun_unarmed(tmp_path: Path) -> None:
    async def story() -> None:
        async with bench_at(tmp_path) as (venue, bench):
            with pytest.raises(Refusal, match="not armed"):
                await bench.run("hl:ETH", "6")
            assert venue.exchange is not None
            assert venue.exchange.requests == []

    within(story())


def test_a_refusal_of_the_venue_ends_as_rejected(tmp_path: Path) -> None:
    async def story() -> None:
        async with bench_at(tmp_path) as (venue, bench):
            assert venue.exchange is not None
            venue.exchange.fails = b'{"status":"err","response":"Insufficient margin"}'
            await bench.executor.arm({"rescue": PASSWORD}, actor="test")
            done = await bench.run("hl:ETH", "6")
            assert (done.stage, done.exit_code) == (Stage.REJECTED, 31)
            assert "Insufficient margin" in done.evidence

    within(story())


def test_a_lost_answer_is_settled_by_reading_within_the_same_action(tmp_path: Path) -> None:
    async def story() -> None:
        async with bench_at(tmp_path) as (venue, bench):
            assert venue.exchange is not None
            venue.exchange.fails = "after"
            await bench.executor.arm({"rescue": PASSWORD}, actor="test")
            done = await bench.run("hl:ETH", "6")
            assert done.stage is Stage.CONFIRMED
            assert len(venue.exchange.taken) == 1

    within(story())


def test_an_unknown_outcome_blocks_the_account_until_it_is_read(tmp_path: Path) -> None:
    async def story() -> None:
        async with bench_at(tmp_path, patience=Patience(land_s=0.2, look_every_s=0.02)) as (venue, bench):
            assert venue.exchange is not None
            venue.exchange.fails = "before"
            await bench.executor.arm({"rescue": PASSWORD}, actor="test")
            done = await bench.run("hl", "40")
            assert (done.stage, done.exit_code) == (Stage.UNKNOWN, 32)
            with pytest.raises(Refusal, match="unknown"):
                await bench.run("hl", "40")
            assert len(venue.exchange.requests) == 1
            state = venue.info["clearinghouseState"]
            assert isinstance(state, dict)
            state["time"] += 200_000
            (settled,) = await bench.executor.reconcile_open(actor="test")
            assert settled.stage is Stage.REJECTED
            await bench.executor.aclose()
            patient = Bench(tmp_path, bench.rescue, bench.accounts)
            await patient.executor.arm({"rescue": PASSWORD}, actor="test")
            again = await patient.run("hl", "40")
            await patient.executor.aclose()
            assert again.stage is Stage.CONFIRMED, again.steps

    within(story())


def test_neither_key_nor_password_is_in_the_journal(tmp_path: Path) -> None:
    async def story() -> None:
        async with bench_at(tmp_path) as (_, bench):
            await bench.executor.arm({"rescue": PASSWORD}, actor="test")
            await bench.run("hl:ETH", "6")

    within(story())
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for hidden in (MASTER_KEY, MASTER_KEY.hex().encode(), PASSWORD.encode()):
        assert hidden not in kept


def test_the_users_own_address_is_what_the_file_signs_for(tmp_path: Path) -> None:
    async def story() -> None:
        async with bench_at(tmp_path) as (venue, bench):
            assert bench.box.address.lower() == USER
            options = AccountOptions("hl", "hyperliquid", address=USER, rest_url=venue.url_rest)
            rescue = make(options, bench.box)
            reading = await bench.accounts.read()
            assert (await rescue.standing(reading.accounts[0])).problems == ()
            await rescue.aclose()

    within(story())


@pytest.mark.parametrize("name", ["main", "arb-loop", "hl-short", "bybit-sol"])
def test_the_demo_carries_a_plan_out(name: str, tmp_path: Path) -> None:
    async def story() -> None:
        targets = {"main": Target(health=Decimal("1.2")), "arb-loop": Target(health=Decimal("1.22"))}
        target = targets.get(name, Target(distance=Decimal("0.15")))
        market = SimulatedMarket("calm", 7, 100.0 if target.health else 1.0)
        rescue, signer = SimulatedRescue(market), DemoSigner()
        source = next(each for each in market.sources() if each.name == name)
        limits = Limits(max_topup_usd=None, max_per_day_usd=None, health_tolerance=Decimal("0.5"))
        executor = Executor(
            Journal(tmp_path / "demo.sqlite3", clock=market.now_ns),
            {name: rescue},
            {name: rescue},
            {name: signer},
            {name: source},
            limits,
            clock=market.now_ns,
            patience=QUICK,
        )
        await executor.arm({}, actor="demo")
        reading = await source.read()
        account = with_marks(reading.accounts[0], reading)
        before = account.balance, account.collateral, account.debt
        standing = await rescue.standing(account)
        made = plan(account, {}, {}, target, standing, market.now_ns())
        done = await executor.execute(made, made.options[0], actor="demo")
        assert done.stage is Stage.CONFIRMED, done.evidence
        after = (await source.read()).accounts[0]
        assert (after.balance, after.collateral, after.debt) != before
        await executor.aclose()

    asyncio.run(story())
