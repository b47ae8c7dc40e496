"""Pictures of the dashboard: the real app, run without a terminal on one snapshot, as SVG or as text."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from html import unescape
from typing import TYPE_CHECKING

from rich.cells import cell_len

from desk.snapshot import Snapshot
from tui.app import DashboardApp
from tui.view import UiSettings

if TYPE_CHECKING:
    from tui.cascade_like import CascadeDesk

_CELL_WIDTH = 12.2
_TEXT = re.compile(
    r'<text class="[^"]*" x="([\d.]+)" y="[^"]*" textLength="[^"]*" clip-path="[^"]*-line-(\d+)\)">([^<]*)<'
)
_TEXT_ELEMENT = re.compile(r'x="([\d.]+)" (y="[\d.]+") textLength="[\d.]+" (clip-path="[^"]*">)((?:&#160;)*)([^<]*)<')
"""Rich writes each run of text as an element that names its cell and line (rich.console, `CONSOLE_SVG_FORMAT`)."""


class StillDesk:
    """A desk that never changes: one snapshot, for pictures and for idle measurements."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    @property
    def snapshot(self) -> Snapshot:
        """Return the one snapshot."""
        return self._snapshot

    async def run(self) -> None:
        """Do nothing, for as long as the app runs."""
        await asyncio.Event().wait()

    def acknowledge(self, key: str) -> None:
        """Leave the alert as it is."""

    def acknowledge_all(self) -> None:
        """Leave all alerts as they are."""

    def refresh(self) -> None:
        """Read nothing."""


def render_svg(
    snapshot: Snapshot,
    size: tuple[int, int],
    theme: str = "deep",
    keys: Sequence[str] = (),
    settings: UiSettings | None = None,
    cascades: "Callable[[], CascadeDesk] | None" = None,
) -> str:
    """Return an SVG of the dashboard after `keys` were pressed; `size` is (width, height) in cells."""

    async def picture(app: DashboardApp) -> str:
        return screen_svg(app)

    return asyncio.run(_run(snapshot, size, keys, _settings(settings, theme), picture, cascades))


def render_text(
    snapshot: Snapshot,
    size: tuple[int, int],
    theme: str = "deep",
    keys: Sequence[str] = (),
    settings: UiSettings | None = None,
    cascades: "Callable[[], CascadeDesk] | None" = None,
) -> str:
    """Return the dashboard as lines of text without trailing blanks."""

    async def picture(app: DashboardApp) -> str:
        return screen_text(app)

    return asyncio.run(_run(snapshot, size, keys, _settings(settings, theme), picture, cascades))


def screen_svg(app: DashboardApp) -> str:
    """Return what stands on the screen of a running app as SVG."""
    return _TEXT_ELEMENT.sub(_without_margin, app.export_screenshot(title="marginline"))


def screen_text(app: DashboardApp) -> str:
    """Return what stands on the screen of a running app, line by line."""
    width, height = app.size
    rows = [[" "] * width for _ in range(height)]
    for at, line, text in _TEXT.findall(app.export_screenshot(title="marginline")):
        column = round(float(at) / _CELL_WIDTH)
        row = rows[int(line)]
        for char in unescape(text).replace("\u00a0", " "):
            taken = cell_len(char)
            if taken and column + taken <= width:
                row[column : column + taken] = [char, *[""] * (taken - 1)]
            column += taken
    return "\n".join("".join(row).rstrip() for row in rows)


def _without_margin(element: re.Match[str]) -> str:
    """Return a text element that begins at its first visible character: some renderers swallow leading blanks."""
    at, y, clip, blanks, text = element.groups()
    kept = re.sub(r"(?:&#160;)+$", "", text)
    x = float(at) + blanks.count(";") * _CELL_WIDTH
    return f'x="{x:g}" {y} textLength="{cell_len(unescape(kept)) * _CELL_WIDTH:g}" {clip}{kept}<'


def _settings(settings: UiSettings | None, theme: str) -> UiSettings:
    return replace(settings or UiSettings(), theme=theme, is_live=False)


async def _run(
    snapshot: Snapshot,
    size: tuple[int, int],
    keys: Sequence[str],
    settings: UiSettings,
    picture: Callable[[DashboardApp], Awaitable[str]],
    cascades: "Callable[[], CascadeDesk] | None",
) -> str:
    app = DashboardApp(StillDesk(snapshot), settings=settings, cascades=cascades)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        app.paint_again()
        await pilot.pause()
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
            for worker in [each for each in app.workers if each.node is app.screen]:
                await worker.wait()
        app.paint_again()
        await pilot.pause()
        return await picture(app)
