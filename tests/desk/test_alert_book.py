"""Alerts by key: what rang and is still to be sent, what was seen, what is forgotten first."""

from desk.alert_book import LIMIT, AlertBook
from engine.alerts import AlertPhase, AlertPolicy, AlertRule, Condition, key_of
from engine.assessment import Severity

S = 1_000_000_000


def book() -> AlertBook:
    return AlertBook(AlertPolicy(cooldown_ns=900 * S))


def condition(name: str, severity: Severity = Severity.WARN) -> Condition:
    return Condition(key_of(AlertRule.SEVERITY, name), AlertRule.SEVERITY, name, severity, f"{name} is {severity}")


def see(alerts: AlertBook, name: str, severity: Severity | None, second: int) -> None:
    told = None if severity is None else condition(name, severity)
    alerts.observe(key_of(AlertRule.SEVERITY, name), told, second * S)


def test_alerts_are_listed_the_last_changed_first() -> None:
    alerts = book()
    for second, name in enumerate(("a", "b", "c")):
        see(alerts, name, Severity.WARN, second)
    see(alerts, "a", None, 9)
    assert [alert.subject for alert in alerts.listed] == ["a", "c", "b"]


def test_the_list_is_the_same_object_while_nothing_changes() -> None:
    alerts = book()
    see(alerts, "a", Severity.WARN, 0)
    listed = alerts.listed
    see(alerts, "a", Severity.WARN, 1)
    see(alerts, "never-seen", None, 1)
    alerts.tick(2 * S)
    assert alerts.listed is listed


def test_the_bell_counts_each_escalation_once() -> None:
    alerts = book()
    for second, severity in enumerate((Severity.WATCH, Severity.WARN, Severity.WARN, Severity.DANGER, Severity.WARN)):
        see(alerts, "a", severity, second)
    assert alerts.bell == 2


def test_what_rang_is_taken_once_worst_first() -> None:
    alerts = book()
    see(alerts, "a", Severity.WARN, 0)
    see(alerts, "b", Severity.DANGER, 0)
    assert [alert.subject for alert in alerts.take_rung()] == ["b", "a"]
    assert alerts.take_rung() == ()


def test_what_could_not_be_sent_comes_back_unless_it_is_over() -> None:
    alerts = book()
    for name in ("a", "b", "c", "d"):
        see(alerts, name, Severity.WARN, 0)
    failed = alerts.take_rung()
    see(alerts, "b", None, 1)
    alerts.acknowledge(key_of(AlertRule.SEVERITY, "c"), S)
    see(alerts, "d", Severity.DANGER, 1)
    alerts.send_again(failed)
    assert [(alert.subject, alert.severity) for alert in alerts.take_rung()] == [
        ("d", Severity.DANGER),
        ("a", Severity.WARN),
    ]


def test_what_became_of_sending_is_noted_on_the_alert_that_was_sent() -> None:
    alerts = book()
    see(alerts, "a", Severity.WARN, 0)
    sent = alerts.take_rung()
    alerts.delivered(sent, "push ok")
    assert alerts.listed[0].delivery == "push ok"
    see(alerts, "a", Severity.DANGER, 1)
    alerts.delivered(sent, "push failed: late answer")
    assert alerts.listed[0].delivery == ""


def test_time_alone_rings_what_the_cool_down_held_back() -> None:
    alerts = book()
    see(alerts, "a", Severity.WARN, 0)
    see(alerts, "a", None, 1)
    see(alerts, "a", Severity.WARN, 2)
    alerts.tick(899 * S)
    assert alerts.bell == 1
    alerts.tick(900 * S)
    assert alerts.bell == 2


def test_resolved_alerts_are_forgotten_before_live_ones() -> None:
    alerts = book()
    see(alerts, "live", Severity.WARN, 0)
    for index in range(LIMIT + 5):
        see(alerts, f"over{index}", Severity.WARN, index + 1)
        see(alerts, f"over{index}", None, index + 1)
    assert len(alerts.listed) == LIMIT
    assert any(alert.subject == "live" and alert.phase is AlertPhase.FIRING for alert in alerts.listed)
    assert not any(alert.subject == "over0" for alert in alerts.listed)


def test_an_unknown_key_can_not_be_acknowledged() -> None:
    alerts = book()
    assert alerts.acknowledge("severity:nobody", 0) is None
    assert alerts.listed == ()


def test_an_alert_that_fires_again_is_not_among_those_to_be_forgotten() -> None:
    alerts = book()
    for number in range(LIMIT):
        see(alerts, f"a{number}", Severity.WARN, number)
    for second, name in ((LIMIT, "a0"), (LIMIT + 1, "a1")):
        see(alerts, name, None, second)
    see(alerts, "a0", Severity.DANGER, LIMIT + 2)
    see(alerts, "new", Severity.WARN, LIMIT + 3)
    kept = {alert.subject for alert in alerts.listed}
    assert {"a0", "new"} <= kept
    assert "a1" not in kept


def test_live_alerts_beyond_the_limit_are_all_kept() -> None:
    alerts = book()
    for number in range(LIMIT + 50):
        see(alerts, f"a{number}", Severity.WARN, number)
    assert len(alerts.firing()) == LIMIT + 50
    for number in range(LIMIT + 50):
        see(alerts, f"a{number}", None, LIMIT + 50 + number)
    assert [alert.subject for alert in alerts.listed] == [f"a{number}" for number in range(LIMIT + 49, 49, -1)]
