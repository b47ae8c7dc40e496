"""The hedge pane: options, an opposite perp, repaying and adding side by side for the selected account."""

import asyncio
from collections.abc import Iterable

from textual.widget import Widget

from engine.hedge_case import Comparison
from tui import present_hedge
from tui.screen_worked_out import WorkedOutScreen
from tui.scrolling import Scroller
from tui.view import Frame
from widgets.bars import SectionRule
from widgets.facts import TextLines

HORIZON_S = 30 * 86_400


class HedgeScreen(WorkedOutScreen):
    """What protecting the selected account takes; worked out beside the loop, anew once a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._found: Comparison | None = None

    def compose_body(self) -> Iterable[Widget]:
        yield SectionRule(id="ways", classes="gap")
        yield TextLines(id="way-lines")
        yield SectionRule(id="cannot", classes="gap")
        with Scroller(classes="scrolling"):
            yield TextLines(id="cannot-lines")

    def show_body(self, frame: Frame) -> None:
        self.ask(frame)
        found = self._found
        self.query_one("#ways", SectionRule).model = present_hedge.hedge_section(frame, found, self.size.width)
        self.query_one("#way-lines", TextLines).model = present_hedge.hedge(frame, found, self.size.width)
        self.query_one("#cannot", SectionRule).model = present_hedge.CANNOT
        self.query_one("#cannot-lines", TextLines).model = present_hedge.cannot(frame, found, self.size.width)

    def forget(self) -> None:
        """Drop the hedges of another account."""
        self._found = None

    async def work_out(self, frame: Frame, name: str) -> None:
        """Compare the hedges of the selected account and show them."""
        self._found = await asyncio.to_thread(present_hedge.compared, frame, HORIZON_S)
        self._dashboard.paint_again()

    def show_failure(self, name: str, why: str, at_ns: int) -> None:
        """Show why there are no hedges."""
        self._found = Comparison(name, HORIZON_S, because=why)
        self._dashboard.paint_again()
