"""The rescue screens as text on the frozen market; written anew like the other pictures."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

from desk.snapshot import Snapshot
from tests.tui import frames
from tests.tui.fake_rescue import CONFIRMED, REJECTED, RUNNING, UNKNOWN, HandRescue, run
from tests.tui.frames import HandDesk
from tui.app import DashboardApp
from tui.export import screen_text
from tui.view import UiSettings

PICTURES = Path(__file__).with_name("pictures")
READINESS = {"main": "ready", "hl-short": "needs approve", "spark": "no gas", "bybit-sol": "ready"}


def armed() -> HandRescue:
    return HandRescue(armed=True)


def with_signer() -> HandRescue:
    return HandRescue(signers=("rescue",))


def under_way() -> HandRescue:
    made = armed()
    made.shown = [RUNNING]
    made.may_end.clear()
    return made


def unknown() -> HandRescue:
    made = armed()
    made.end = UNKNOWN
    return made


def remembered() -> HandRescue:
    made = armed()
    made.kept = (CONFIRMED, replace(REJECTED, id="b" * 16, started_at_ns=frames.NOW - 600 * frames.S))
    return made


PLAIN = UiSettings()
READY = frames.snapshot(readiness=READINESS)
CASES: dict[str, tuple[Callable[[], HandRescue], tuple[int, int], tuple[str, ...], Snapshot, UiSettings]] = {
    "plan-80x24": (armed, (80, 24), ("t",), READY, PLAIN),
    "plan-120x40": (armed, (120, 40), ("t", "2"), READY, PLAIN),
    "plan-200x50": (HandRescue, (200, 50), ("t",), READY, PLAIN),
    "plan-40x12": (armed, (40, 12), ("t",), READY, PLAIN),
    "plan-120x40-ascii": (armed, (120, 40), ("t",), READY, UiSettings(is_ascii=True)),
    "plan-120x40-masked": (armed, (120, 40), ("t",), READY, UiSettings(is_masked=True)),
    "arm-80x24": (with_signer, (80, 24), ("A", "a", "r", "m", "enter", "x", "y"), READY, PLAIN),
    "arm-120x40": (with_signer, (120, 40), ("A",), READY, PLAIN),
    "countdown-80x24": (armed, (80, 24), ("T",), READY, PLAIN),
    "countdown-120x40": (armed, (120, 40), ("T",), READY, PLAIN),
    "progress-80x24": (under_way, (80, 24), ("t", "enter"), READY, PLAIN),
    "progress-120x40": (under_way, (120, 40), ("t", "enter"), READY, PLAIN),
    "unknown-80x24": (unknown, (80, 24), ("t", "enter"), READY, PLAIN),
    "unknown-120x40": (unknown, (120, 40), ("t", "enter"), READY, PLAIN),
    "faster-80x24": (unknown, (80, 24), ("t", "enter", "f"), READY, PLAIN),
    "faster-120x40": (unknown, (120, 40), ("t", "enter", "f"), READY, PLAIN),
    "unknown-main-120x40": (armed, (120, 40), (), replace(READY, actions=(UNKNOWN,)), PLAIN),
    "history-80x24": (remembered, (80, 24), ("6",), READY, PLAIN),
    "history-120x40": (remembered, (120, 40), ("6",), READY, PLAIN),
    "history-200x50": (remembered, (200, 50), ("6",), READY, PLAIN),
    "armed-200x50": (armed, (200, 50), (), READY, PLAIN),
}


@pytest.mark.parametrize("name", CASES)
def test_a_rescue_screen_looks_as_it_did(name: str) -> None:
    make, size, keys, taken, settings = CASES[name]
    seen: list[str] = []

    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
        app.paint_again()
        await pilot.pause()
        app.paint_again()
        await pilot.pause()
        seen.append(screen_text(app))

    run(work, make, size=size, taken=taken, settings=settings)
    path = PICTURES / f"{name}.txt"
    if os.environ.get("MARGINLINE_WRITE_PICTURES") == "1":
        path.write_text(seen[0].rstrip() + "\n", encoding="utf-8")
    assert seen[0].rstrip().splitlines() == path.read_text(encoding="utf-8").splitlines()
