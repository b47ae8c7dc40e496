"""Alerts: what happened to an account, a feed or an oracle that its owner must hear of.

Everything here is pure. A rule turns the present state into a `Condition` (something its owner must hear of is true)
or `None` (it isn't); `advance` carries the alert of one key from its last state to the next. The desk runs both on
every state change.
"""

from decimal import ROUND_FLOOR, Context, Decimal
from enum import StrEnum

from engine.assessment import Assessment, Due, Severity
from engine.record import record, replace
from engine.severity import rank

_SECOND = 1_000_000_000
_WIDE = Context(prec=100)

_SHOWN = Context(prec=6)


class AlertRule(StrEnum):
    """What kind of event an alert tells."""

    SEVERITY = "severity"
    FEED_LOST = "feed-lost"
    ORACLE_DUE = "oracle-due"
    VANISHED = "vanished"
    CALL = "call"


class AlertPhase(StrEnum):
    """Where an alert stands; later phases (escalated, snoozed) are added by the full life cycle."""

    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


@record
class Alert:
    """One alert. `key` identifies the condition (rule and subject); `text` is one plain line, current while it fires.

    `escalated` says that it rose to a level that rings; `delivery` is what became of sending it ("", "push ok",
    "push failed: ...", "log"). `count` is how often the condition entered. `level` orders its severity (an unknown
    one counts its last known). `rang_at_ns` and `rang_level` are the last ring, `held_back` a ring that the
    cool-down withholds, `rings` how often it rang. `clear_since_ns` is when the condition stopped being true although
    the alert still fires.
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
    level: int = 0
    rang_at_ns: int | None = None
    rang_level: int | None = None
    held_back: bool = False
    clear_since_ns: int | None = None
    rings: int = 0

    @property
    def is_live(self) -> bool:
        """Return whether the condition still stands, acknowledged or not."""
        return self.phase is not AlertPhase.RESOLVED


@record
class AlertPolicy:
    """When alerts ring and how long they linger.

    A key that rang stays quiet for `cooldown_ns` unless it gets worse than what it rang for. A feed is lost after
    `blind_after_ns` without data and back after `back_after_ns` with it. An oracle warning leaves once no lower
    print was due for `oracle_leave_ns`. `rings_from` is the mildest severity that rings.
    """

    cooldown_ns: int = 900 * _SECOND
    blind_after_ns: int = 60 * _SECOND
    back_after_ns: int = 10 * _SECOND
    oracle_leave_ns: int = 10 * _SECOND
    rings_from: Severity = Severity.WARN

    def leave_after_ns(self, rule: AlertRule) -> int:
        """Return how long a condition of `rule` must be gone before its alert resolves."""
        match rule:
            case AlertRule.FEED_LOST:
                return self.back_after_ns
            case AlertRule.ORACLE_DUE:
                return self.oracle_leave_ns
            case _:
                return 0


@record
class Condition:
    """Something true now that its owner must hear of; `last_known` lets an unknown severity rank as what it hides."""

    key: str
    rule: AlertRule
    subject: str
    severity: Severity
    text: str
    last_known: Severity | None = None

    @property
    def level(self) -> int:
        """Return the rank of its severity."""
        return rank(self.severity, self.last_known)


def key_of(rule: AlertRule, subject: str) -> str:
    """Return the key of the alert that `rule` raises about an account."""
    return f"{rule}:{subject}"


def feed_key(kind: str, name: str) -> str:
    """Return the key of the alert that a source is lost; an account and a venue may share a name, never a kind."""
    return f"{AlertRule.FEED_LOST}:{kind}/{name}"


def severity_condition(assessment: Assessment) -> Condition | None:
    """Return what to say of an account that isn't safe; entering and leaving a level is the ladder's business."""
    if assessment.severity is Severity.SAFE:
        return None
    says = "can't be judged" if assessment.severity is Severity.UNKNOWN else f"is {assessment.severity}"
    text = f"{assessment.name} {says}: {assessment.severity_because}"
    name, rule = assessment.name, AlertRule.SEVERITY
    return Condition(key_of(rule, name), rule, name, assessment.severity, text, assessment.last_known)


def oracle_condition(assessment: Assessment, after: Severity) -> Condition | None:
    """Return what the next oracle print would do to a loan whose severity becomes `after` by it.

    A print into a worse level carries that level. One that is due by deviation and lowers the health without
    changing the level is listed as `watch`, and not at all for a safe account.
    """
    upcoming, health = assessment.at_next_oracle, assessment.health_factor
    if upcoming is None or upcoming.health_factor is None or health is None or upcoming.health_factor >= health:
        return None
    worse = rank(after) > rank(assessment.severity, assessment.last_known)
    by_deviation = any(update.due is Due.DEVIATION for update in upcoming.updates.values())
    if not worse and (not by_deviation or assessment.severity is Severity.SAFE):
        return None
    prints = ", ".join(
        f"{asset} {_SHOWN.plus(update.price).normalize():f} by {update.due}"
        for asset, update in upcoming.updates.items()
    )
    change = f"health {_floored(health)} -> {_floored(upcoming.health_factor)}"
    text = f"{assessment.name}: oracle due, {change}" + (f", {after}" if worse else "") + f" ({prints})"
    name, rule = assessment.name, AlertRule.ORACLE_DUE
    return Condition(key_of(rule, name), rule, name, after if worse else Severity.WATCH, text)


def call_condition(assessment: Assessment) -> Condition | None:
    """Return that a broker or venue wants money, or has a word for the account that is not its usual one.

    A call is `danger`: who called may sell at any time. A venue's own word alone is `warn`.
    """
    call, name, rule = assessment.margin_call, assessment.name, AlertRule.CALL
    if call is not None:
        why = f": {call.text}" if call.text else ""
        text = f"{name}: margin call of {_SHOWN.plus(call.amount).normalize():f}{why}"
        return Condition(key_of(rule, name), rule, name, Severity.DANGER, text)
    if assessment.status:
        return Condition(key_of(rule, name), rule, name, Severity.WARN, f"{name}: the venue says {assessment.status}")
    return None


def source_condition(
    key: str, name: str, blind_ns: int | None, reason: str, worst_known: Severity | None, policy: AlertPolicy
) -> Condition | None:
    """Return that an account source is lost, after `blind_ns` (`None`: it sees) beyond the policy's budget.

    Its accounts are unknown, so it ranks as the worse of `warn` and the worst severity they were last known to have.
    """
    if blind_ns is None or blind_ns < policy.blind_after_ns:
        return None
    text = f"{name}: no reading for over {_seconds(policy.blind_after_ns)}" + (f": {reason}" if reason else "")
    return Condition(key, AlertRule.FEED_LOST, name, Severity.UNKNOWN, text, worst_known)


def venue_condition(
    key: str, name: str, blind_ns: int | None, reason: str, others_see: bool, policy: AlertPolicy
) -> Condition | None:
    """Return that a price venue is lost: `watch` while another venue still sees, `warn` when none does."""
    if blind_ns is None or blind_ns < policy.blind_after_ns:
        return None
    text = f"{name}: no quote for over {_seconds(policy.blind_after_ns)}" + (f": {reason}" if reason else "")
    if others_see:
        return Condition(key, AlertRule.FEED_LOST, name, Severity.WATCH, text)
    return Condition(key, AlertRule.FEED_LOST, name, Severity.WARN, f"{text}; no venue is left")


def vanished_condition(assessment: Assessment) -> Condition:
    """Return that an account is gone from its source: liquidated, or closed by its owner."""
    known = assessment.last_known if assessment.severity is Severity.UNKNOWN else assessment.severity
    health = assessment.health_factor
    last = "" if health is None else f"; last health {_floored(health)}"
    text = f"{assessment.name} is gone from its source: liquidated or closed{last}"
    name, rule = assessment.name, AlertRule.VANISHED
    return Condition(key_of(rule, name), rule, name, Severity.UNKNOWN, text, known)


def advance(alert: Alert | None, condition: Condition | None, now_ns: int, policy: AlertPolicy) -> Alert | None:
    """Return the alert of one key after `condition` was seen at `now_ns`; the same object when nothing changed.

    It rang in this step exactly when its `rings` rose.
    """
    if condition is None:
        return None if alert is None else _leave(alert, now_ns, policy)
    if alert is None or not alert.is_live:
        return _enter(alert, condition, now_ns, policy)
    return _hold(alert, condition, now_ns, policy)


def acknowledged(alert: Alert, now_ns: int) -> Alert:
    """Return the alert as seen by its owner; it fires again when it gets worse."""
    if alert.phase is not AlertPhase.FIRING:
        return alert
    return replace(alert, phase=AlertPhase.ACKNOWLEDGED, changed_at_ns=now_ns, held_back=False)


def _enter(former: Alert | None, condition: Condition, now_ns: int, policy: AlertPolicy) -> Alert:
    entered = Alert(
        key=condition.key,
        rule=condition.rule,
        subject=condition.subject,
        severity=condition.severity,
        text=condition.text,
        raised_at_ns=now_ns,
        changed_at_ns=now_ns,
        level=condition.level,
        count=1 if former is None else former.count + 1,
        rang_at_ns=None if former is None else former.rang_at_ns,
        rang_level=None if former is None else former.rang_level,
        rings=0 if former is None else former.rings,
    )
    return _ring(entered, now_ns, policy)


def _hold(alert: Alert, condition: Condition, now_ns: int, policy: AlertPolicy) -> Alert:
    level = condition.level
    if alert.clear_since_ns is not None:
        alert = replace(alert, clear_since_ns=None)
    if level > alert.level:
        worse = replace(
            alert,
            severity=condition.severity,
            text=condition.text,
            level=level,
            phase=AlertPhase.FIRING,
            changed_at_ns=now_ns,
        )
        return _ring(worse, now_ns, policy)
    if condition.severity is not alert.severity or level != alert.level:
        return replace(alert, severity=condition.severity, text=condition.text, level=level, changed_at_ns=now_ns)
    if condition.text != alert.text:
        alert = replace(alert, text=condition.text)
    return _ring(alert, now_ns, policy) if alert.held_back else alert


def _leave(alert: Alert, now_ns: int, policy: AlertPolicy) -> Alert:
    if not alert.is_live:
        return alert
    since = now_ns if alert.clear_since_ns is None else alert.clear_since_ns
    if now_ns - since < policy.leave_after_ns(alert.rule):
        return alert if alert.clear_since_ns is not None else replace(alert, clear_since_ns=since)
    return replace(alert, phase=AlertPhase.RESOLVED, changed_at_ns=now_ns, held_back=False, clear_since_ns=None)


def _ring(alert: Alert, now_ns: int, policy: AlertPolicy) -> Alert:
    """Ring for a level that rings, unless the key rang for as much within the cool-down."""
    if alert.level < rank(policy.rings_from):
        return alert
    cooling = alert.rang_at_ns is not None and now_ns - alert.rang_at_ns < policy.cooldown_ns
    if cooling and alert.rang_level is not None and alert.level <= alert.rang_level:
        return alert if alert.held_back else replace(alert, held_back=True)
    return replace(
        alert,
        escalated=True,
        held_back=False,
        rang_at_ns=now_ns,
        rang_level=alert.level,
        rings=alert.rings + 1,
        delivery="",
        changed_at_ns=now_ns,
    )


def _floored(health: Decimal) -> Decimal:
    return health.quantize(Decimal("0.0001"), rounding=ROUND_FLOOR, context=_WIDE)


def _seconds(duration_ns: int) -> str:
    return f"{duration_ns / _SECOND:g} s"
