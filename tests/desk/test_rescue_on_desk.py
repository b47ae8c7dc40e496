"""A rescue on a running desk: readiness before, progress meanwhile, the account as read again after."""

import asyncio
from decimal import Decimal
from pathlib import Path

from desk.actions import Stage
from desk.desk import Desk
from desk.journal import Journal
from desk.settings import DeskSettings
from desk.snapshot import Snapshot
from desk.standing import StandingPlans
from providers.rescue_ports import Simulation
from tests.desk.test_standing import standing
from tests.doubles import ScriptedSource, reading, until
from tests.doubles_rescue import Chain, executor_on


def test_snapshots_show_readiness_arming_progress_and_the_health_that_was_reached(tmp_path: Path) -> None:
    chain = Chain()
    chain.standing_now = standing()
    chain.simulation = Simulation(Decimal("1.54"))
    source = ScriptedSource("chain")
    desk = Desk([source], [], DeskSettings(), clock=chain.clock)
    executor = executor_on(Journal(tmp_path / "journal.sqlite3", clock=chain.clock), chain)
    executor.on_change = lambda: desk.show_actions(executor.actions, executor.armed_until_ns)
    executor.on_reading = desk.take_reading
    ports = {"main": chain}
    plans = StandingPlans(DeskSettings(), ports, ports, executor, desk.show_readiness, chain.clock)

    def is_running(snapshot: Snapshot) -> bool:
        return any(action.stage is Stage.RUNNING for action in snapshot.actions)

    async def run() -> Snapshot:
        running = asyncio.create_task(desk.run())
        keeping = asyncio.create_task(plans.keep_for_ever(desk.snapshots()))
        source.push(reading("chain", chain.accounts["main"]))
        ready = await until(desk, lambda snapshot: snapshot.readiness == {"main": "ready"})
        assert ready.armed_until_ns is None
        armed = await executor.arm({}, actor="test")
        assert desk.snapshot.armed_until_ns == armed.until_ns
        plan = plans.plans["main"]
        chain.hold("find")
        rescue = asyncio.create_task(executor.execute(plan, plan.options[0], actor="test"))
        await until(desk, is_running)
        chain.held["find"].set()
        await rescue
        done = await until(desk, lambda snapshot: snapshot.readiness == {"main": "not needed"})
        await executor.aclose()
        assert desk.snapshot.armed_until_ns is None
        for task in (running, keeping):
            task.cancel()
        await asyncio.wait([running, keeping])
        return done

    done = asyncio.run(run())
    (action,) = done.actions
    assert action.stage is Stage.CONFIRMED
    assert action.health_after == done.accounts["main"].assessment.health_factor
    assert action.health_after is not None
    assert Decimal("1.53") <= action.health_after < Decimal("1.5302")
