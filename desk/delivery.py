"""Sends alerts that rang, several at once as one message, and says what became of it."""

import asyncio
from collections.abc import Sequence

from desk.events import Delivered
from desk.intake import Intake
from desk.notify import Notifier, joined
from engine.alerts import Alert


async def deliver_for_ever(intake: Intake, notifier: Notifier, again_after_s: tuple[float, ...]) -> None:
    """Send what rings until cancelled; a failed message is tried again, together with whatever rang meanwhile."""
    failures = 0
    while True:
        await intake.rung.wait()
        intake.rung.clear()
        alerts = intake.state.take_rung()
        if not alerts:
            continue
        result = await notifier.send(title_of(alerts), joined([alert.text for alert in alerts]))
        failures = 0 if result.ok else failures + 1
        pause_s = again_after_s[min(failures, len(again_after_s)) - 1] if failures else 0.0
        again_at_ns = intake.clock() + int(pause_s * 1e9) if failures else None
        intake.apply(Delivered(alerts, result.ok, result.delivery, again_at_ns))
        if failures:
            await asyncio.sleep(pause_s)
            intake.state.send_again(alerts)
            intake.rung.set()


def title_of(alerts: Sequence[Alert]) -> str:
    """Return a message's title; `alerts` come worst first."""
    worst = alerts[0]
    if len(alerts) == 1:
        return f"marginline: {worst.subject} {worst.severity}"
    return f"marginline: {len(alerts)} alerts, {worst.subject} {worst.severity}"
