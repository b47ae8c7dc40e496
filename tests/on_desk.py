"""A real source on a real desk under the real dashboard: what a trader would read when a venue says something new."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from textual.pilot import Pilot

from desk.desk import Desk
from desk.settings import DeskSettings
from desk.snapshot import Snapshot
from providers.ports import PositionSource
from tui.app import DashboardApp
from tui.view import UiSettings

PATIENCE_S = 60.0


class OnDesk:
    """A dashboard that runs on one account; `snapshot` is what it was given last."""

    def __init__(self, app: DashboardApp, pilot: Pilot[None], desk: Desk) -> None:
        self.app, self.pilot, self.desk = app, pilot, desk

    @property
    def text(self) -> str:
        """Return what is painted now, line by line."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip) for strip in strips)

    async def painted(self, *words: str) -> str:
        """Return the screen's text once it shows all of `words`."""
        try:
            async with asyncio.timeout(PATIENCE_S / 2):
                while not all(word in self.text for word in words):
                    await self.pilot.pause(0.02)
        except TimeoutError:
            raise AssertionError(f"{words} not on the screen:\n{self.text}") from None
        return self.text

    async def until(self, wanted: Callable[[Snapshot], bool]) -> Snapshot:
        """Return the first snapshot that is as wanted."""
        async for snapshot in self.desk.snapshots():
            if wanted(snapshot):
                return snapshot
        raise AssertionError("snapshots ended")


@asynccontextmanager
async def on_desk(source: PositionSource) -> AsyncIterator[OnDesk]:
    """Run the dashboard on one source, 120 columns wide, until the block ends."""
    desk = Desk([source], [], DeskSettings())
    app = DashboardApp(desk, settings=UiSettings())
    async with asyncio.timeout(PATIENCE_S), app.run_test(size=(120, 40)) as pilot:
        yield OnDesk(app, pilot, desk)
    close = getattr(source, "aclose", None)
    if close is not None:
        with suppress(RuntimeError):
            await close()
