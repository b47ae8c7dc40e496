"""Alerts as rows, and one alert in full."""

from desk.snapshot import Snapshot
from engine.alerts import Alert, AlertPhase, AlertRule
from engine.assessment import Severity
from tui import numbers, words
from tui.latest import latest
from tui.rows import Rows
from tui.view import Frame
from widgets.alertlist import AlertRow, Alerts
from widgets.bars import Section
from widgets.facts import Text
from widgets.tones import BLANK, Cell, Line, Tone

_RULES = {
    AlertRule.SEVERITY: "severity: an account got nearer to its line",
    AlertRule.FEED_LOST: "feed lost: no data from a source for longer than its budget",
    AlertRule.ORACLE_DUE: "oracle due: the next print lowers the health",
    AlertRule.VANISHED: "vanished: the source no longer has the account",
}


def section(frame: Frame, *, is_focused: bool = False) -> Section:
    """Return the title of the alert list and how many are new."""
    new = sum(1 for alert in frame.snapshot.alerts if alert.phase is AlertPhase.FIRING)
    return Section("alerts", f"{new} new" if new else "none new", is_focused)


def alerts(frame: Frame) -> Alerts:
    """Return all alerts, newest first; those that need no one any more are muted."""
    return _alerts(frame.snapshot.alerts)


@latest
def _alerts(listed: tuple[Alert, ...]) -> Alerts:
    return Alerts(Rows(listed, _row), "no alerts", tuple(alert.key for alert in listed))


def _row(alert: Alert) -> AlertRow:
    is_new = alert.phase is AlertPhase.FIRING
    glyph = words.GLYPHS[alert.severity]
    tone = words.tone_of(alert.severity) if is_new and alert.severity is not Severity.SAFE else Tone.MUTED
    return AlertRow(
        key=alert.key,
        time=Cell(numbers.clock(alert.raised_at_ns), Tone.MUTED),
        glyph=Cell(glyph, tone),
        subject=Cell(alert.subject, Tone.STRONG if is_new else Tone.MUTED),
        text=Cell(_text(alert), Tone.TEXT if is_new else Tone.MUTED),
        delivery=_delivery(alert),
        state=_state(alert),
    )


def _text(alert: Alert) -> str:
    """Return the alert's words without the subject, which has its own column."""
    text = alert.text.removeprefix(alert.subject).lstrip(": ")
    return f"{text} ({alert.count} times)" if alert.count > 1 else text


def _delivery(alert: Alert) -> Cell:
    if not alert.delivery:
        return BLANK
    return Cell(alert.delivery, Tone.DANGER if "failed" in alert.delivery else Tone.MUTED)


def _state(alert: Alert) -> Cell:
    match alert.phase:
        case AlertPhase.FIRING:
            return Cell("new", Tone.ACCENT)
        case AlertPhase.ACKNOWLEDGED:
            at = alert.changed_at_ns
            return Cell(f"ack {numbers.clock(at)[:5]}" if at is not None else "ack", Tone.MUTED)
        case _:
            return Cell("closed", Tone.MUTED)


def chosen(snapshot: Snapshot, key: str | None) -> Alert | None:
    """Return the alert under the cursor, else the newest."""
    return next((alert for alert in snapshot.alerts if alert.key == key), next(iter(snapshot.alerts), None))


def detail_section(frame: Frame) -> Section:
    """Return the title of the selected alert."""
    alert = chosen(frame.snapshot, frame.view.selected_alert)
    return Section(f"{alert.subject} · {alert.severity.value}" if alert is not None else "no alert")


def detail(frame: Frame) -> Text:
    """Return the selected alert in full."""
    alert = chosen(frame.snapshot, frame.view.selected_alert)
    if alert is None:
        return Text()
    raised = f"{numbers.clock(alert.raised_at_ns)} UTC, {numbers.long_age(frame.now_ns - alert.raised_at_ns)} ago"
    facts = [
        ("what", alert.text),
        ("rule", _RULES[alert.rule]),
        ("since", raised),
        ("sent", alert.delivery or ("rang here" if alert.escalated else "not sent: too mild to ring")),
        ("state", _state(alert).text),
        ("times", str(alert.count)),
    ]
    lines: list[Line] = [(Cell(f" {label:<8}", Tone.MUTED), Cell(value, Tone.TEXT)) for label, value in facts]
    return Text(tuple(lines))
