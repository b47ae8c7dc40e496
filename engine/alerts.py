"""Alerts: what happened to an account, a feed or an oracle that its owner must hear of.

The rules that raise them are pure functions of two states; the desk runs them on every state change.
"""

from dataclasses import dataclass
from enum import StrEnum

from engine.assessment import Severity


class AlertRule(StrEnum):
    """What kind of event an alert tells."""

    SEVERITY = "severity"
    FEED_LOST = "feed-lost"
    ORACLE_DUE = "oracle-due"
    VANISHED = "vanished"


class AlertPhase(StrEnum):
    """Where an alert stands; later phases (escalated, snoozed) are added by the full life cycle."""

    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. `key` identifies the condition (rule and subject); `text` is one plain line.

    `escalated` says that it rose to a level that rings; `delivery` is what became of sending it ("", "push ok",
    "push failed: ...", "log").
    """

    key: str
    rule: AlertRule
    subject: str
    severity: Severity
    text: str
    raised_at_ns: int
    phase: AlertPhase = AlertPhase.FIRING
    changed_at_ns: int | None = None
    escalated: bool = False
    delivery: str = ""
    count: int = 1
