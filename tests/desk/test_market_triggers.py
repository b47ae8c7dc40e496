"""Accounts without an oracle, trigger prices that fall silent, chains that rest between transactions."""

from dataclasses import replace
from decimal import Decimal

from desk.judgement import MARKET_TRIGGER
from desk.settings import DeskSettings
from desk.state import LiveState
from desk.view import portfolio
from engine.answers import assess_portfolio
from engine.assessment import Severity
from providers.ports import LinkState, Reading
from tests.doubles import SECOND_NS, START_NS, loan, oracle, perp, reading, tick

VENUES = {"binance": 10.0, "kraken": 10.0}


def live(*sources: str) -> LiveState:
    return LiveState(DeskSettings(), dict.fromkeys(sources, 1e9), VENUES, START_NS)


def quote(state: LiveState, asset: str, mid: str) -> None:
    for venue in VENUES:
        state.apply(tick(venue, asset, mid), START_NS)


def test_the_market_triggers_an_account_that_nobody_reports_an_oracle_for() -> None:
    state = live("otc")
    state.apply(reading("otc", replace(loan("otc"), oracles={})), START_NS)
    assert state.settle(START_NS).accounts["otc"].assessment.severity is Severity.UNKNOWN
    quote(state, "USDC", "1")
    quote(state, "ETH", "2500")
    found = state.settle(START_NS).accounts["otc"]
    assert found.assessment.severity is Severity.WARN
    assert found.account.oracles["ETH"].source == MARKET_TRIGGER
    quote(state, "ETH", "2000")
    snapshot = state.settle(START_NS)
    assert snapshot.accounts["otc"].assessment.severity is Severity.DANGER
    assert snapshot.prices["ETH"].price.oracle is None
    ((_, again),) = assess_portfolio(portfolio(snapshot))
    assert again.health_factor == snapshot.accounts["otc"].assessment.health_factor


def test_an_oracle_that_another_source_reports_later_wins_over_the_market() -> None:
    state = live("otc", "main")
    state.apply(reading("otc", replace(loan("otc"), oracles={})), START_NS)
    quote(state, "USDC", "1")
    quote(state, "ETH", "2000")
    state.settle(START_NS)
    state.apply(reading("main", loan(price="2500")), START_NS)
    found = state.settle(START_NS).accounts["otc"]
    assert found.assessment.severity is Severity.WARN
    assert found.account.oracles == {}


def test_a_trigger_price_that_its_source_no_longer_reports_is_forgotten() -> None:
    state = live("hl")
    came = replace(reading("hl", perp()), marks={"XRP": oracle("2")})
    state.apply(came, START_NS)
    assert state.settle(START_NS).prices["XRP"].price.oracle is not None
    partial = replace(came, observed_at_ns=START_NS + 1, marks={}, degraded=("one dex did not answer",))
    state.apply(partial, START_NS)
    assert state.settle(START_NS).prices["XRP"].price.oracle is not None
    state.apply(replace(partial, observed_at_ns=START_NS + 2, degraded=()), START_NS)
    assert state.settle(START_NS).prices["XRP"].price.oracle is None


def test_an_old_block_of_a_chain_that_mines_on_demand_is_its_newest() -> None:
    state = LiveState(DeskSettings(), {"main": 30.0}, VENUES, START_NS)
    old = Reading("main", (loan(),), START_NS, 7, START_NS - 3600 * SECOND_NS, blocks_on_demand=True)
    state.apply(old, START_NS)
    snapshot = state.settle(START_NS)
    assert snapshot.sources[0].state is LinkState.LIVE
    assert snapshot.accounts["main"].assessment.severity is Severity.WARN
    assert snapshot.accounts["main"].assessment.health_factor == Decimal(20750) / Decimal(15000)
