"""A snapshot as a document: what is written can be read back and says the same."""

import json
from dataclasses import replace
from decimal import Decimal

from desk import view
from desk.events import ClockTicked, Linked
from desk.settings import DeskSettings
from desk.snapshot import Snapshot
from desk.sources import ACCOUNT
from desk.state import LiveState
from engine.answers import assess_portfolio
from engine.document import parse_portfolio
from providers.ports import LinkState
from tests.doubles import SECOND_NS, START_NS, link, loan, oracle, perp, reading, tick


def filled() -> Snapshot:
    state = LiveState(
        DeskSettings(), {"main": 30.0, "other": 30.0, "hl": 10.0}, {"binance": 10.0, "kraken": 10.0}, START_NS
    )
    events = (
        reading("main", loan("main")),
        reading("other", loan("other", price="2480")),
        reading("hl", replace(perp(), quote="USD")),
        *(
            tick(venue, asset, mid)
            for venue in ("binance", "kraken")
            for asset, mid in (("ETH", "2490"), ("USDC", "1"))
        ),
    )
    for event in events:
        state.apply(event, START_NS)
    return state.settle(START_NS)


def test_an_oracle_stands_once_at_the_top_and_with_the_account_where_it_differs() -> None:
    portfolio = view.portfolio(filled())
    by_name = {account.name: account for account in portfolio.accounts}
    assert portfolio.prices["ETH"].oracle == oracle("2500")
    assert by_name["main"].oracles == {}
    assert by_name["other"].oracles == {"ETH": oracle("2480")}


def test_a_status_answer_can_be_saved_read_and_assessed_again() -> None:
    snapshot = filled()
    answer = json.loads(json.dumps(view.status(snapshot)))
    assert answer["schema"] == "marginline.status/1"
    again = {
        account.name: found for account, found in assess_portfolio(parse_portfolio(json.dumps(answer["portfolio"])))
    }
    for name, state in snapshot.accounts.items():
        assert again[name].health_factor == state.assessment.health_factor
        assert again[name].at_market == state.assessment.at_market
        assert again[name].at_next_oracle == state.assessment.at_next_oracle
    assert [account["name"] for account in answer["assessment"]["accounts"]] == ["main", "other", "hl"]


def test_sources_tell_state_age_and_what_is_wrong() -> None:
    state = LiveState(DeskSettings(), {"main": 30.0}, {}, START_NS)
    state.apply(reading("main", loan()), START_NS)
    down = replace(link("main", LinkState.DOWN, detail="connection reset"), retry_at_ns=START_NS + 5 * SECOND_NS)
    state.apply(Linked(ACCOUNT, "main", replace(down, dropped=3)), START_NS)
    state.apply(ClockTicked(), START_NS + 2 * SECOND_NS)
    snapshot = state.settle(START_NS + 2 * SECOND_NS)
    assert view.source_answer(snapshot.sources[0], START_NS + 2 * SECOND_NS) == {
        "name": "main",
        "kind": "account",
        "state": "down",
        "age_s": 2.0,
        "detail": "connection reset",
        "retry_in_s": 3.0,
        "dropped": 3,
        "warnings": [],
    }


def test_totals_sum_over_all_accounts() -> None:
    summed = view.totals(filled())
    assert summed.debt == Decimal(30000)
    assert summed.net_exposure is not None
    assert summed.net_exposure["ETH"] == Decimal("49800")


def test_an_empty_snapshot_is_a_valid_answer() -> None:
    state = LiveState(DeskSettings(), {}, {}, START_NS)
    answer = json.loads(json.dumps(view.status(state.snapshot)))
    assert parse_portfolio(json.dumps(answer["portfolio"])).accounts == ()
