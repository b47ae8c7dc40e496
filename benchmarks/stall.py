"""Row 11: a terminal that stops reading for twelve seconds, as a dead ssh link does, in the middle of a crash.

The app runs in a process of its own with one task beside it that notes when the event loop came late. The same is done
with Textual's own driver.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.terminal import Program

STALLED_S = 12.0
WARM_UP_S, CATCH_UP_S = 3.0, 2.0
SPEED = 10.0
BEAT_S = 0.01
_FIRST_FRAME_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Stalled:
    """The longest event-loop gap, alerts raised meanwhile, and the bytes sent once the terminal read again."""

    longest_gap_s: float
    alerts: int
    caught_up_bytes: int


def run_watched(report: Path) -> None:
    """Run the dashboard on the crash scenario; write (monotonic second, gap, alerts so far) of every late beat."""
    from tui import environment

    environment.prepare()
    from desk.desk import Desk
    from desk.settings import DeskSettings
    from providers.simulated import STABLE_ASSETS, SimulatedMarket
    from tui.app import DashboardApp
    from tui.view import UiSettings

    market = SimulatedMarket("crash", 7, SPEED)
    feeds = market.feeds()
    settings = DeskSettings(
        venues=tuple(feed.venue for feed in feeds), stables=frozenset(STABLE_ASSETS), simulated="crash"
    )
    desk = Desk(market.sources(), feeds, settings, history=market.history, clock=market.now_ns)
    beats: list[tuple[float, float, int]] = []

    class Watched(DashboardApp):
        def on_ready(self) -> None:
            self.run_worker(self.beat(), group="beat")

        async def beat(self) -> None:
            last = time.monotonic()
            while True:
                await asyncio.sleep(BEAT_S)
                now = time.monotonic()
                beats.append((now, now - last - BEAT_S, sum(alert.count for alert in desk.snapshot.alerts)))
                last = now

    Watched(desk, settings=UiSettings(simulated="crash")).run()
    report.write_text(json.dumps(beats))


def stall(environment: Mapping[str, str] | None = None) -> Stalled:
    """Run one app, stop reading for `STALLED_S`, read again, and return what happened meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "beats"
        program = Program.start(
            [sys.executable, "-m", "benchmarks.stall", str(report)],
            environment={"LANG": "C.UTF-8", **(environment or {})},
        )
        if b"help" not in program.read(_FIRST_FRAME_WITHIN_S, until=lambda seen: b"help" in seen):
            program.stop()
            raise RuntimeError("the dashboard did not paint")
        program.read(WARM_UP_S)
        began = time.monotonic()
        time.sleep(STALLED_S)
        ended = time.monotonic()
        caught_up = len(program.read(CATCH_UP_S))
        program.send(b"q")
        program.read(10.0, until=lambda _: report.exists())
        program.stop()
        beats = [tuple(beat) for beat in json.loads(report.read_text())]
    during = [(at, gap, alerts) for at, gap, alerts in beats if began <= at <= ended + CATCH_UP_S]
    if not during:
        raise RuntimeError("the event loop never ran while the terminal did not read")
    counts = [alerts for at, _, alerts in during if at <= ended]
    raised = counts[-1] - counts[0] if counts else 0
    return Stalled(max(gap for _, gap, _ in during), raised, caught_up)


def rows() -> list[tuple[str, str, str, str]]:
    """Return the rows of the report: number, what, measured, target."""
    ours, stock = stall(), stall({"MARGINLINE_STOCK_DRIVER": "1"})
    what = f"terminal not reading for {STALLED_S:.0f} s: longest event-loop gap"
    return [
        ("11", what, f"{ours.longest_gap_s * 1000:.0f} ms", "<= 250 ms"),
        ("11", "  the same with Textual's own driver", f"{stock.longest_gap_s * 1000:.0f} ms", "10,900 ms"),
        ("11", "  alerts raised meanwhile: ours / stock", f"{ours.alerts} / {stock.alerts}", "on time"),
        (
            "11",
            "  sent to catch up: ours / stock",
            f"{ours.caught_up_bytes / 1000:.0f} / {stock.caught_up_bytes / 1000:.0f} kB",
            "27 / 752 kB",
        ),
    ]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run_watched(Path(sys.argv[1]))
    else:
        for row in rows():
            print(*row, sep="  ")
