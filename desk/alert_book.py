"""Every alert by key, which of them rang, and what is still to be sent."""

from collections.abc import Iterable

from engine.alerts import Alert, AlertPhase, AlertPolicy, Condition, acknowledged, advance
from engine.record import replace

LIMIT = 200


class AlertBook:
    """Runs `engine.alerts.advance` for each key that is observed, keeps the last `LIMIT` alerts, counts rings.

    Once observed, a condition holds until it is observed again: `tick` lets time pass over it. Beyond the limit the
    alerts that were resolved first are forgotten, and none that is live.
    """

    def __init__(self, policy: AlertPolicy) -> None:
        self._policy = policy
        self._alerts: dict[str, Alert] = {}
        self._conditions: dict[str, Condition] = {}
        self._pending: set[str] = set()
        self._resolved: dict[str, None] = {}
        self._to_send: dict[str, Alert] = {}
        self._listed: tuple[Alert, ...] | None = ()
        self.bell = 0

    @property
    def listed(self) -> tuple[Alert, ...]:
        """Return at most `LIMIT` alerts, the last changed first."""
        if self._listed is None:
            ordered = sorted(self._alerts.values(), key=_changed_at, reverse=True)
            self._listed = tuple(ordered[:LIMIT])
        return self._listed

    def observe(self, key: str, condition: Condition | None, now_ns: int) -> None:
        """Take in whether the condition of `key` holds at `now_ns`."""
        if condition is None:
            self._conditions.pop(key, None)
            if key not in self._alerts:
                return
        else:
            self._conditions[key] = condition
        self._step(key, now_ns)

    def tick(self, now_ns: int) -> None:
        """Let time pass over alerts that wait for it: to leave, or to ring after a cool-down."""
        for key in sorted(self._pending):
            self._step(key, now_ns)

    def acknowledge(self, key: str, now_ns: int) -> Alert | None:
        """Mark one alert as seen and return it; `None` when there is no such alert."""
        alert = self._alerts.get(key)
        if alert is None:
            return None
        self._to_send.pop(key, None)
        self._keep(key, acknowledged(alert, now_ns))
        return self._alerts[key]

    @property
    def has_rung(self) -> bool:
        """Return whether alerts rang that were not taken yet."""
        return bool(self._to_send)

    def firing(self) -> tuple[str, ...]:
        """Return the keys of every alert that no one has acknowledged yet."""
        return tuple(key for key, alert in self._alerts.items() if alert.phase is AlertPhase.FIRING)

    def take_rung(self) -> tuple[Alert, ...]:
        """Return the alerts that rang and were not taken yet, worst first."""
        rung = sorted(self._to_send.values(), key=lambda alert: -alert.level)
        self._to_send = {}
        return tuple(rung)

    def send_again(self, alerts: Iterable[Alert]) -> None:
        """Put back what could not be delivered, unless it changed, was seen or was resolved meanwhile."""
        for alert in alerts:
            current = self._alerts.get(alert.key)
            if current is not None and current.phase is AlertPhase.FIRING and current.rings == alert.rings:
                self._to_send.setdefault(alert.key, current)

    def delivered(self, alerts: Iterable[Alert], delivery: str) -> None:
        """Note on the alerts what became of sending them."""
        for alert in alerts:
            current = self._alerts.get(alert.key)
            if current is not None and current.rings == alert.rings:
                self._keep(alert.key, replace(current, delivery=delivery))

    def _step(self, key: str, now_ns: int) -> None:
        former = self._alerts.get(key)
        alert = advance(former, self._conditions.get(key), now_ns, self._policy)
        if alert is None or alert is former:
            return
        if alert.rings > (0 if former is None else former.rings):
            self.bell += 1
            self._to_send[key] = alert
        self._keep(key, alert)

    def _keep(self, key: str, alert: Alert) -> None:
        self._alerts[key] = alert
        self._listed = None
        waits = alert.is_live and (alert.clear_since_ns is not None or alert.held_back)
        (self._pending.add if waits else self._pending.discard)(key)
        if alert.is_live:
            self._resolved.pop(key, None)
        else:
            self._resolved.setdefault(key)
        if len(self._alerts) > LIMIT and self._resolved:
            oldest = next(iter(self._resolved))
            del self._resolved[oldest], self._alerts[oldest]


def _changed_at(alert: Alert) -> int:
    return alert.raised_at_ns if alert.changed_at_ns is None else alert.changed_at_ns
