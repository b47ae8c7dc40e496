"""Keeps in the journal what was observed and what was alarmed, so that it outlives the process that saw it."""

import asyncio
import logging
from collections.abc import AsyncIterator

from desk.actions import JournalError
from desk.journal import AlertLine, Journal, Observation
from desk.roster import at_triggers
from desk.snapshot import Snapshot

log = logging.getLogger("marginline.desk")

EVERY_NS = 60 * 1_000_000_000


class Chronicle:
    """Finds what is new in each snapshot: an alert's phase or severity, an account's severity, a minute gone by."""

    def __init__(self) -> None:
        self._alerts: dict[str, tuple[str, str]] = {}
        self._accounts: dict[str, tuple[str, int]] = {}

    def news(self, snapshot: Snapshot) -> tuple[list[Observation], list[AlertLine]]:
        """Return the lines that `snapshot` adds; a second look at it adds none."""
        now_ns = snapshot.taken_at_ns
        observations = []
        for name, state in at_triggers(snapshot.accounts).items():
            severity = state.assessment.severity.value
            former, at_ns = self._accounts.get(name, ("", 0))
            if severity == former and now_ns - at_ns < EVERY_NS:
                continue
            self._accounts[name] = severity, now_ns
            health = state.assessment.health_factor
            said = None if health is None else str(health)
            observations.append(Observation(now_ns, name, said, severity, state.block_number))
        alerts = []
        for alert in snapshot.alerts:
            stands = alert.phase.value, alert.severity.value
            if self._alerts.get(alert.key) != stands:
                self._alerts[alert.key] = stands
                at_ns = now_ns if alert.changed_at_ns is None else alert.changed_at_ns
                alerts.append(AlertLine(at_ns, alert.key, *stands, alert.text))
        return observations, alerts


async def keep_for_ever(snapshots: AsyncIterator[Snapshot], journal: Journal) -> None:
    """Write what is new until `snapshots` end. A journal that fails is told once, and watching goes on without it."""
    chronicle = Chronicle()
    failing = ""
    async for snapshot in snapshots:
        observations, alerts = chronicle.news(snapshot)
        try:
            if observations:
                await asyncio.to_thread(journal.observe, observations)
            if alerts:
                await asyncio.to_thread(journal.keep_alerts, alerts)
            failing = ""
        except JournalError as error:
            if str(error) != failing:
                failing = str(error)
                log.warning("%s", error)
