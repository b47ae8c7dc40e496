"""The simulated stories, told to the live state step by step: what must be alarmed is, before it is too late."""

import asyncio
from contextlib import suppress

from desk.events import ClockTicked, Linked
from desk.settings import DeskSettings
from desk.snapshot import Snapshot
from desk.sources import ACCOUNT, PRICES
from desk.state import LiveState
from engine.alerts import AlertRule
from engine.assessment import Severity
from engine.severity import rank
from providers.errors import ProviderError
from providers.ports import LinkChange, LinkState
from providers.simulated import SimulatedMarket
from tests.doubles import START_NS, Clock

STEP_S = 4


async def told(scenario: str, seconds: int) -> list[Snapshot]:
    """Return a snapshot for every `STEP_S` of the scenario, each source and venue read once per step."""
    market = SimulatedMarket(scenario, start_ns=START_NS, clock=Clock())
    sources, feeds = market.sources(), market.feeds()
    state = LiveState(
        DeskSettings(simulated=scenario),
        {source.name: source.stale_after_s for source in sources},
        {feed.venue: feed.stale_after_s for feed in feeds},
        market.now_ns(),
    )
    snapshots = []
    for second in range(0, seconds, STEP_S):
        market.at(second)
        now_ns = market.now_ns()
        for source in sources:
            try:
                state.apply(await source.read(), now_ns)
            except ProviderError as error:
                down = LinkChange(source.name, LinkState.DOWN, now_ns, error.detail)
                state.apply(Linked(ACCOUNT, source.name, down), now_ns)
        for feed in feeds:
            wanted = frozenset(asset for asset in state.markets | {"USDC", "USDT"} if feed.supports(asset))
            with suppress(ProviderError):
                for tick in await feed.snapshot(wanted):
                    state.apply(tick, now_ns)
        state.apply(ClockTicked(), now_ns)
        snapshots.append(state.settle(now_ns))
    return snapshots


def test_a_crash_is_alarmed_level_by_level_down_to_liquidation() -> None:
    snapshots = asyncio.run(told("crash", 240))
    main = [snapshot.accounts["main"].assessment.severity for snapshot in snapshots]
    assert Severity.LIQUIDATABLE in main
    assert Severity.DANGER in main[: main.index(Severity.LIQUIDATABLE)]
    bells = [snapshot.bell for snapshot in snapshots]
    assert bells == sorted(bells)
    assert bells[-1] > bells[0]


def test_a_lagging_oracle_is_alarmed_while_health_at_it_still_looks_well() -> None:
    snapshots = asyncio.run(told("oracle-lag", 240))
    warned = [
        snapshot
        for snapshot in snapshots
        if any(alert.rule is AlertRule.ORACLE_DUE and alert.is_live and alert.escalated for alert in snapshot.alerts)
    ]
    assert warned
    subject = next(
        alert.subject for alert in warned[0].alerts if alert.rule is AlertRule.ORACLE_DUE and alert.escalated
    )
    assessment = warned[0].accounts[subject].assessment
    assert assessment.at_market is not None
    assert assessment.at_market.health_factor is not None
    assert assessment.health_factor is not None
    assert assessment.at_market.health_factor < assessment.health_factor


def test_a_blackout_leaves_figures_in_sight_and_nothing_vouched_for() -> None:
    last = asyncio.run(told("blackout", 400))[-1]
    for state in last.accounts.values():
        assert state.is_stale
        assert rank(state.assessment.severity, state.assessment.last_known) >= rank(Severity.WARN)
    assert last.accounts["main"].assessment.health_factor is not None
    lost = {alert.key for alert in last.alerts if alert.rule is AlertRule.FEED_LOST and alert.is_live}
    assert lost == {
        *(f"feed-lost:{ACCOUNT}/{state.source}" for state in last.accounts.values()),
        *(f"feed-lost:{PRICES}/{source.name}" for source in last.sources if source.kind == PRICES),
    }


def test_a_calm_market_rings_for_nothing_but_what_was_there_at_the_start() -> None:
    snapshots = asyncio.run(told("calm", 120))
    assert snapshots[-1].bell == snapshots[0].bell
