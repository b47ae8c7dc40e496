"""The rules that raise alerts, and how one alert goes on from state to state."""

from dataclasses import replace
from decimal import Decimal

import pytest

from engine.accounts import Account, Kind, MarginCall, VenueReport
from engine.alerts import (
    Alert,
    AlertPhase,
    AlertPolicy,
    AlertRule,
    Condition,
    acknowledged,
    advance,
    call_condition,
    feed_key,
    key_of,
    oracle_condition,
    severity_condition,
    source_condition,
    vanished_condition,
    venue_condition,
)
from engine.assess import assess
from engine.assessment import Assessment, Due, NextOracleHealth, OracleUpdate, Severity

S = 1_000_000_000
POLICY = AlertPolicy(cooldown_ns=900 * S, blind_after_ns=60 * S, back_after_ns=10 * S, oracle_leave_ns=5 * S)
KEY = key_of(AlertRule.SEVERITY, "main")


def assessment(
    severity: Severity = Severity.WARN,
    health: str | None = "1.3833333",
    after: str | None = None,
    due: Due = Due.DEVIATION,
    last_known: Severity | None = None,
) -> Assessment:
    upcoming = None
    if after is not None:
        upcoming = NextOracleHealth(Decimal(after), {"ETH": OracleUpdate(due, Decimal("2478.20"))})
    return Assessment(
        name="main",
        kind=Kind.LOAN,
        severity=severity,
        severity_because="health_factor 1.3833 < 1.5",
        trigger="oracle",
        health_factor=None if health is None else Decimal(health),
        health_factor_wad=None,
        collateral_value=None,
        debt_value=None,
        maintenance_requirement=None,
        equity=None,
        buffer=None,
        leverage=None,
        capital_efficiency=None,
        cost_of_debt=None,
        interest_only_days=None,
        liquidation={},
        uniform_shock=None,
        at_market=None,
        at_next_oracle=upcoming,
        last_known=last_known,
    )


def said(severity: Severity, last_known: Severity | None = None) -> Condition:
    return Condition(KEY, AlertRule.SEVERITY, "main", severity, f"main is {severity}", last_known)


def rang(before: Alert | None, after: Alert | None) -> bool:
    return after is not None and after.rings > (0 if before is None else before.rings)


def run(*steps: tuple[int, Severity | None]) -> list[tuple[AlertPhase | None, Severity | None, bool]]:
    """Return phase, severity and whether it rang after each (second, severity or None) of the account."""
    alert: Alert | None = None
    seen = []
    for second, severity in steps:
        former = alert
        alert = advance(former, None if severity is None else said(severity), second * S, POLICY)
        seen.append((alert and alert.phase, alert and alert.severity, rang(former, alert)))
    return seen


FIRING, RESOLVED = AlertPhase.FIRING, AlertPhase.RESOLVED
WATCH, WARN, DANGER = Severity.WATCH, Severity.WARN, Severity.DANGER


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        pytest.param([(0, None)], [(None, None, False)], id="nothing is no alert"),
        pytest.param([(0, WATCH)], [(FIRING, WATCH, False)], id="watch is listed and silent"),
        pytest.param([(0, WARN)], [(FIRING, WARN, True)], id="an existing warn alerts once at the start"),
        pytest.param(
            [(0, WARN), (1, WARN), (2, WARN)],
            [(FIRING, WARN, True), (FIRING, WARN, False), (FIRING, WARN, False)],
            id="a condition that stays rings once",
        ),
        pytest.param(
            [(0, WATCH), (1, WARN), (2, DANGER)],
            [(FIRING, WATCH, False), (FIRING, WARN, True), (FIRING, DANGER, True)],
            id="every worse level rings at once",
        ),
        pytest.param(
            [(0, WARN), (1, WATCH), (2, None)],
            [(FIRING, WARN, True), (FIRING, WATCH, False), (RESOLVED, WATCH, False)],
            id="falling is silent and ends resolved",
        ),
        pytest.param(
            [(0, WARN), (60, None), (120, WARN)],
            [(FIRING, WARN, True), (RESOLVED, WARN, False), (FIRING, WARN, False)],
            id="the same level within the cool-down is held back",
        ),
        pytest.param(
            [(0, WARN), (60, None), (120, WARN), (899, WARN), (900, WARN)],
            [(FIRING, WARN, True), (RESOLVED, WARN, False), *[(FIRING, WARN, False)] * 2, (FIRING, WARN, True)],
            id="what is held back rings when the cool-down is over",
        ),
        pytest.param(
            [(0, WARN), (60, None), (120, DANGER)],
            [(FIRING, WARN, True), (RESOLVED, WARN, False), (FIRING, DANGER, True)],
            id="the cool-down never starves a worse level",
        ),
        pytest.param(
            [(0, DANGER), (10, WARN), (20, DANGER), (30, Severity.LIQUIDATABLE)],
            [
                (FIRING, DANGER, True),
                (FIRING, WARN, False),
                (FIRING, DANGER, False),
                (FIRING, Severity.LIQUIDATABLE, True),
            ],
            id="flapping between two levels rings once",
        ),
        pytest.param(
            [(0, WARN), (60, None), (1000, WARN)],
            [(FIRING, WARN, True), (RESOLVED, WARN, False), (FIRING, WARN, True)],
            id="a new incident after the cool-down rings",
        ),
    ],
)
def test_an_alert_enters_rings_and_leaves(
    steps: list[tuple[int, Severity | None]], expected: list[tuple[AlertPhase | None, Severity | None, bool]]
) -> None:
    assert run(*steps) == expected


def test_an_unchanged_condition_gives_back_the_same_alert() -> None:
    alert = advance(None, said(WARN), 0, POLICY)
    assert advance(alert, said(WARN), S, POLICY) is alert


def test_the_text_of_a_live_alert_follows_the_figures_without_moving_it() -> None:
    alert = advance(None, said(WARN), 0, POLICY)
    later = advance(alert, replace(said(WARN), text="main is warn: lower"), S, POLICY)
    assert later is not None
    assert (later.text, later.changed_at_ns, rang(alert, later)) == ("main is warn: lower", 0, False)


def test_an_acknowledged_alert_fires_again_only_when_it_gets_worse() -> None:
    alert = advance(None, said(WARN), 0, POLICY)
    assert alert is not None
    seen = acknowledged(alert, S)
    assert seen.phase is AlertPhase.ACKNOWLEDGED
    assert advance(seen, said(WARN), 2 * S, POLICY) is seen
    worse = advance(seen, said(DANGER), 3 * S, POLICY)
    assert worse is not None
    assert worse.phase is FIRING
    assert rang(seen, worse)


def test_acknowledging_takes_back_a_ring_that_was_held_back() -> None:
    alert = advance(None, said(WARN), 0, POLICY)
    alert = advance(alert, None, S, POLICY)
    alert = advance(alert, said(WARN), 2 * S, POLICY)
    assert alert is not None
    assert alert.held_back
    seen = acknowledged(alert, 3 * S)
    assert not rang(seen, advance(seen, said(WARN), 2000 * S, POLICY))


def test_each_entering_counts() -> None:
    alert = advance(None, said(WARN), 0, POLICY)
    for second in range(3):
        alert = advance(alert, None, second * S, POLICY)
        alert = advance(alert, said(WARN), second * S, POLICY)
    assert alert is not None
    assert alert.count == 4


def test_a_lost_feed_must_be_back_for_a_while_before_its_alert_resolves() -> None:
    key = feed_key("account", "main")
    lost = source_condition(key, "main", 61 * S, "timeout", None, POLICY)
    alert = advance(None, lost, 0, POLICY)
    back = advance(alert, None, S, POLICY)
    assert back is not None
    assert back.phase is FIRING
    flap = advance(back, lost, 2 * S, POLICY)
    assert flap is not None
    assert not rang(back, flap)
    assert flap.clear_since_ns is None
    for second, phase in ((3, FIRING), (12, FIRING), (13, RESOLVED)):
        flap = advance(flap, None, second * S, POLICY)
        assert flap is not None
        assert flap.phase is phase


@pytest.mark.parametrize(("blind_s", "is_lost"), [(None, False), (0, False), (59, False), (60, True), (600, True)])
def test_a_feed_is_lost_only_beyond_its_budget_of_blindness(blind_s: int | None, is_lost: bool) -> None:
    blind_ns = None if blind_s is None else blind_s * S
    assert (source_condition("k", "main", blind_ns, "", None, POLICY) is not None) is is_lost
    assert (venue_condition("k", "kraken", blind_ns, "", True, POLICY) is not None) is is_lost


def test_a_lost_account_ranks_as_the_worst_it_was_known_to_be() -> None:
    levels = []
    for known in (None, Severity.SAFE, DANGER, Severity.LIQUIDATABLE):
        condition = source_condition("k", "main", 60 * S, "", known, POLICY)
        assert condition is not None
        assert condition.severity is Severity.UNKNOWN
        levels.append(condition.level)
    assert levels == [2, 2, 3, 4]


def test_one_lost_venue_is_listed_and_the_last_one_rings() -> None:
    one = venue_condition("k", "kraken", 60 * S, "closed", True, POLICY)
    last = venue_condition("k", "kraken", 60 * S, "closed", False, POLICY)
    assert one is not None
    assert last is not None
    assert (one.severity, last.severity) == (WATCH, WARN)
    assert one.text == "kraken: no quote for over 60 s: closed"
    assert last.text.endswith("no venue is left")


def test_a_safe_account_says_nothing_and_an_unknown_one_does() -> None:
    assert severity_condition(assessment(Severity.SAFE)) is None
    unknown = severity_condition(assessment(Severity.UNKNOWN, last_known=DANGER))
    assert unknown is not None
    assert unknown.text == "main can't be judged: health_factor 1.3833 < 1.5"
    assert unknown.level == 3


@pytest.mark.parametrize(
    ("severity", "health", "after", "level_after", "due", "expected"),
    [
        pytest.param(WARN, "1.3", None, WARN, Due.DEVIATION, None, id="unknown next print"),
        pytest.param(WARN, None, "1.2", WARN, Due.DEVIATION, None, id="no debt"),
        pytest.param(WARN, "1.3", "1.4", WARN, Due.DEVIATION, None, id="prints higher"),
        pytest.param(WARN, "1.3", "1.3", WARN, Due.DEVIATION, None, id="prints the same"),
        pytest.param(WARN, "1.3", "1.1", DANGER, Due.DEVIATION, DANGER, id="into a worse level by deviation"),
        pytest.param(WARN, "1.3", "1.1", DANGER, Due.HEARTBEAT, DANGER, id="into a worse level by heartbeat"),
        pytest.param(WARN, "1.3", "1.29", WARN, Due.DEVIATION, WATCH, id="lower within the level by deviation"),
        pytest.param(WARN, "1.3", "1.29", WARN, Due.HEARTBEAT, None, id="lower within the level by heartbeat"),
        pytest.param(Severity.SAFE, "4", "3.9", Severity.SAFE, Due.DEVIATION, None, id="safe stays safe"),
        pytest.param(Severity.SAFE, "2.01", "1.99", WATCH, Due.DEVIATION, WATCH, id="safe becomes watch"),
    ],
)
def test_an_oracle_print_alarms_when_it_hurts(
    severity: Severity,
    health: str | None,
    after: str | None,
    level_after: Severity,
    due: Due,
    expected: Severity | None,
) -> None:
    condition = oracle_condition(assessment(severity, health, after, due), level_after)
    assert (condition and condition.severity) is expected


def test_an_oracle_warning_says_when_why_and_how_far() -> None:
    condition = oracle_condition(assessment(WARN, "1.38339", "1.14999"), DANGER)
    assert condition is not None
    assert condition.text == "main: oracle due, health 1.3833 -> 1.1499, danger (ETH 2478.2 by deviation)"


def test_a_vanished_account_ranks_as_the_worse_of_warn_and_its_last_severity() -> None:
    assert vanished_condition(assessment(Severity.SAFE)).level == 2
    gone = vanished_condition(assessment(Severity.UNKNOWN, last_known=DANGER))
    assert gone.level == 3
    assert gone.text == "main is gone from its source: liquidated or closed; last health 1.3833"


def test_a_health_of_seventy_digits_is_still_told() -> None:
    gone = vanished_condition(assessment(health="9" * 70))
    assert "9" * 70 in gone.text


def test_a_call_is_danger_and_a_venues_own_word_a_warning() -> None:
    account = Account("ib", Kind.BROKER, balance=Decimal(-100), reported=VenueReport(status="SUPPLY_MARGIN"))
    assert call_condition(assess(replace(account, reported=None), {}, 0)) is None
    word = call_condition(assess(account, {}, 0))
    assert word is not None
    assert (word.rule, word.severity, word.text) == (
        AlertRule.CALL,
        Severity.WARN,
        "ib: the venue says SUPPLY_MARGIN",
    )
    called = call_condition(assess(replace(account, margin_call=MarginCall(Decimal("1500.25"), None, "pay")), {}, 0))
    assert called is not None
    assert (called.severity, called.text) == (Severity.DANGER, "ib: margin call of 1500.25: pay")
